"""Whether a CoreDNS can start with a Corefile, and then be the DNS of a cluster.

It is told from the text alone: a real CoreDNS takes a pod and some seconds, which an edit should
not, and on other clusters a pod is a change of its own (`try_corefile` starts one). So what is
refused here, CoreDNS refuses; the tests hold each rule to the real program. What is passed, it may
still refuse: the arguments of most plugins are not looked at.

Source: plugin.cfg, core/dnsserver/register.go and plugin/*/setup.go of CoreDNS 1.14.3.
"""

from __future__ import annotations

import csv
import difflib
import functools
from collections.abc import Callable, Iterator, Sequence

from eksnet import data, versions
from eksnet.coredns.configuration import CorefileError, ServerBlock, Token, read_corefile

_RELEASE = f"CoreDNS {versions.COREDNS.removeprefix('v')}"
# Those whose second use in a server block is refused.
_ONCE = frozenset(
    {
        "bind", "cache", "errors", "grpc", "hosts", "kubernetes", "loop", "metadata", "multisocket",
        "nsid", "pprof", "prometheus", "ready", "view",
    }
)  # fmt: skip
# Without the first no pod finds a Service; the probes of its pods ask the other two.
_NEEDED = ("kubernetes", "ready", "health")
# What else than entries a block `hosts` may hold.
_OPTIONS = frozenset({"fallthrough", "no_reverse", "reload", "ttl"})
# With these, two server blocks may have one zone and port.
_TELL_APART = frozenset({"bind", "view"})

Rule = Callable[[Sequence[ServerBlock]], Iterator[str]]


@functools.cache
def known_plugins() -> frozenset[str]:
    """Return the plugins of the release, from the table of their order."""
    with (data.directory() / "coredns_plugin_order.csv").open(encoding="utf-8") as file:
        return frozenset(row["plugin"] for row in csv.DictReader(file))


def check_corefile(corefile: str) -> None:
    """Let a Corefile pass that a CoreDNS can start with, and that is one for a cluster.

    Args:
        corefile: The Corefile.

    Raises:
        CorefileError: It is none.
        EksnetError: It takes text from elsewhere, so that it cannot be told.
    """
    found = wrong_with(corefile)
    if found:
        raise CorefileError(
            f"this is not a valid Corefile for {_RELEASE}: {found}",
            "server blocks with plugins, as in the Corefile of EKS",
        )


def wrong_with(corefile: str) -> str:
    """Return the first thing for which CoreDNS, or the cluster, would not do; empty if none.

    Raises:
        EksnetError: As `check_corefile` does.
    """
    try:
        blocks = read_corefile(corefile)
    except CorefileError as error:
        return error.seen
    return next((wrong for rule in _RULES for wrong in rule(blocks)), "")


def _says_nothing(blocks: Sequence[ServerBlock]) -> Iterator[str]:
    if not blocks:
        yield "it has no server block"


def _unknown_plugins(blocks: Sequence[ServerBlock]) -> Iterator[str]:
    for block in blocks:
        for name, tokens in block.plugins.items():
            if name not in known_plugins():
                near = difflib.get_close_matches(name, known_plugins(), 1)
                meant = f"; did you mean {near[0]!r}?" if near else ""
                yield f"line {tokens[0].line} has an unknown plugin: {name!r}{meant}"


def _used_twice(blocks: Sequence[ServerBlock]) -> Iterator[str]:
    for block in blocks:
        for name in sorted(_ONCE & block.plugins.keys()):
            uses = list(_uses(name, block.plugins[name]))
            if len(uses) > 1:
                yield f"line {uses[1].line} repeats the plugin {name} in a server block"


def _uses(name: str, tokens: Sequence[Token]) -> Iterator[Token]:
    """Yield the tokens with which the uses of a plugin begin."""
    depth, line = 0, 0
    for token in tokens:
        if token.text == name and not depth and token.line > line:
            yield token
        depth += (token.text == "{") - (token.text == "}")
        line = token.line + token.text.count("\n")


def _late_entries(blocks: Sequence[ServerBlock]) -> Iterator[str]:
    for block in blocks:
        passed_on = False
        for words in block.lines("hosts"):
            # The second word of the plugin's own line is a file.
            if passed_on and words[0] not in (*_OPTIONS, "hosts"):
                yield f"hosts has an entry after fallthrough (unknown property '{words[0]}')"
            passed_on = passed_on or words[0] == "fallthrough"


def _defined_twice(blocks: Sequence[ServerBlock]) -> Iterator[str]:
    seen: set[str] = set()
    for block in blocks:
        if _TELL_APART & block.plugins.keys():
            continue
        for key in map(_address, block.keys):
            if key in seen:
                yield f"two server blocks have the key {key}"
            seen.add(key)


def _address(key: str) -> str:
    """Return a server block's key with all that may be left out."""
    scheme, _, rest = key.rpartition("://")
    zone, _, port = rest.partition(":")
    return f"{scheme or 'dns'}://{zone.lower().rstrip('.')}.:{port or 53}"


def _lacks(blocks: Sequence[ServerBlock]) -> Iterator[str]:
    for name in _NEEDED:
        if not any(name in block.plugins for block in blocks):
            yield f"no server block has the plugin {name}, which the cluster's DNS needs"


# What CoreDNS refuses, and after it what a cluster cannot do without.
_RULES: tuple[Rule, ...] = (
    _says_nothing,
    _unknown_plugins,
    _used_twice,
    _late_entries,
    _defined_twice,
    _lacks,
)
REFUSED_BY_COREDNS = _RULES[1:-1]
