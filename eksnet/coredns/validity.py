"""Whether a CoreDNS can start with a Corefile, and then be the DNS of a cluster.

It is told from the text alone: a real CoreDNS takes a pod and some seconds, which an edit should
not, and on other clusters a pod is a change of its own (`try_corefile` starts one). So what is
refused here, CoreDNS refuses; the tests hold each rule to the real program. What is passed, it may
still refuse: the arguments of most plugins are not looked at, and files that are imported cannot
be seen.

Source: plugin.cfg, core/dnsserver/register.go and plugin/*/setup.go of CoreDNS 1.14.3.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator

from eksnet import versions
from eksnet.coredns.corefile import Corefile, CorefileError, Plugin, address, read_corefile
from eksnet.coredns.hosts import late_entry
from eksnet.coredns.plugins import is_refused_twice, known_plugins

_RELEASE = f"CoreDNS {versions.COREDNS.removeprefix('v')}"
# Without the first no pod finds a Service; the probes of its pods ask the other two.
_NEEDED = ("kubernetes", "ready", "health")
# With these, two server blocks may have one zone and port.
_TELL_APART = frozenset({"bind", "view"})

Rule = Callable[[Corefile], Iterator[str]]


def check_corefile(corefile: str) -> str:
    """Let a Corefile pass that a CoreDNS can start with, and that is one for a cluster.

    Args:
        corefile: The Corefile.

    Returns:
        What is to be said of it all the same: what it takes from elsewhere, which may repeat what
        it has; empty when it says everything itself.

    Raises:
        CorefileError: It is none.
    """
    if found := wrong_with(corefile):
        raise CorefileError(
            f"this is not a valid Corefile for {_RELEASE}: {found}",
            "server blocks with plugins, as in the Corefile of EKS",
        )
    return remark(read_corefile(corefile))


def wrong_with(corefile: str) -> str:
    """Return the first thing for which CoreDNS, or the cluster, would not do; empty if none."""
    try:
        tree = read_corefile(corefile)
    except CorefileError as error:
        return error.seen
    return next((wrong for rule in _RULES for wrong in rule(tree)), "")


def remark(tree: Corefile) -> str:
    """Return what may be wrong with a Corefile for what it takes from elsewhere; or empty."""
    return "; ".join((*_repeated_by_files(tree), *_unknown_values(tree)))


def _repeated_by_files(tree: Corefile) -> Iterator[str]:
    for block in tree.blocks:
        once = dict.fromkeys(name for name in block.names if is_refused_twice(name))
        for one in block.imports:
            yield (
                f"line {one.line} imports {one.pattern}, which cannot be seen from here: if that "
                f"has {_either(list(once))} too, CoreDNS refuses the second one"
                if once
                else f"line {one.line} imports {one.pattern}, which cannot be seen from here"
            )
    inside = [one for block in tree.blocks for one in block.imports]
    for one in tree.imports:
        if one not in inside:
            yield f"line {one.line} imports {one.pattern}, which cannot be seen from here"


def _unknown_values(tree: Corefile) -> Iterator[str]:
    if tree.variables:
        yield f"the values of {', '.join(tree.variables)} cannot be seen from here"


def _either(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _says_nothing(tree: Corefile) -> Iterator[str]:
    if not tree.blocks and not tree.imports:
        yield "it has no server block"


def _unknown_plugins(tree: Corefile) -> Iterator[str]:
    for block in tree.blocks:
        for plugin in block.plugins:
            name = plugin.name
            if name not in known_plugins() and not _has_variable(name):
                near = difflib.get_close_matches(name, known_plugins(), 1)
                meant = f"; did you mean {near[0]!r}?" if near else ""
                yield f"line {plugin.line} has an unknown plugin: {name!r}{meant}"


def _has_variable(word: str) -> bool:
    return "{$" in word or "{%" in word


def _used_twice(tree: Corefile) -> Iterator[str]:
    for block in tree.blocks:
        for name in sorted(filter(is_refused_twice, set(block.names))):
            uses = block.uses(name)
            if len(uses) > 1:
                where = f", from the snippet {uses[1].snippet}" if uses[1].snippet else ""
                yield (f"line {uses[1].line} repeats the plugin {name} in a server block{where}")
            if line := _loose_brace(uses[0]):
                yield f"line {line} has the brace of {name} on a line of its own"


def _bound_twice(tree: Corefile) -> Iterator[str]:
    for block in tree.blocks:
        bound: set[str] = set()
        for plugin in block.uses("bind"):
            # What stands behind `except` is not looked at.
            addresses = set(plugin.lines[0][1:]) if not plugin.lines[1:] else set()
            for one in sorted(bound & addresses):
                yield f"line {plugin.line} binds a server block to {one} a second time"
            bound |= addresses


def _loose_brace(plugin: Plugin) -> int:
    """Return the line of a brace that stands below the plugin's line; 0 for none.

    The plugin takes it for a second use of itself: dispenser.go, NextBlock.
    """
    for before, token in zip(plugin.tokens, plugin.tokens[1:], strict=False):
        if token.text == "{":
            return token.line if before.last_line != token.line else 0
    return 0


def _late_entries(tree: Corefile) -> Iterator[str]:
    for block in tree.blocks:
        for plugin in block.uses("hosts"):
            if word := late_entry(plugin):
                yield f"hosts has an entry after fallthrough (unknown property '{word}')"


def _defined_twice(tree: Corefile) -> Iterator[str]:
    seen: set[tuple[str, str, str]] = set()
    for block in tree.blocks:
        # A file may tell them apart, and so may a variable.
        if _TELL_APART & set(block.names) or block.imports:
            continue
        for key in block.keys:
            if address(key) in seen and not _has_variable(key):
                scheme, zone, port = address(key)
                yield f"two server blocks have the key {scheme}://{zone}:{port}"
            seen.add(address(key))


def _lacks(tree: Corefile) -> Iterator[str]:
    for name in _NEEDED:
        if not tree.imports and not any(name in block.names for block in tree.blocks):
            yield f"no server block has the plugin {name}, which the cluster's DNS needs"


# What CoreDNS refuses, and after it what a cluster cannot do without.
_RULES: tuple[Rule, ...] = (
    _says_nothing,
    _unknown_plugins,
    _used_twice,
    _bound_twice,
    _late_entries,
    _defined_twice,
    _lacks,
)
