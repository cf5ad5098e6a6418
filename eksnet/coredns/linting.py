"""What is wrong with a Corefile, and what is likely to be: findings by rules, from the text alone.

An `error` is what CoreDNS refuses: it would not start with this text. A `warning` is what it
takes, and what a cluster's DNS should not have. `docs/corefile-rules.md` has a section for each
rule, whose examples are the tests of the rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from eksnet.coredns.corefile import Corefile, CorefileError, Plugin, Token, read_corefile
from eksnet.coredns.releases import PINNED, Release, plugins_of, release_of
from eksnet.coredns.setups import TAKE_KEYS, refusal
from eksnet.coredns.uses import Fault, Word
from eksnet.listing import Listing

ERROR, WARNING = "error", "warning"
IN_A_POD = frozenset({"/etc/resolv.conf", "/etc/hosts", "/etc/coredns/Corefile"})
"""The files that CoreDNS finds in a pod of EKS, whose ConfigMap brings the Corefile alone."""
CLUSTER_DNS = ("10.100.0.10", "172.20.0.10")
"""The addresses that EKS gives the Service kube-dns."""


@dataclass(frozen=True)
class Finding:
    """Something that a rule found.

    Attributes:
        rule: The rule's id.
        severity: `error` where CoreDNS would not start, else `warning`.
        line: The line, from 1; 0 where it is about the whole.
        seen: What was found.
        fix: What to do about it.
    """

    rule: str
    severity: str
    line: int
    seen: str
    fix: str


@dataclass(frozen=True)
class Context:
    """A Corefile and what is known of where it is to run.

    Attributes:
        tree: The Corefile as it was read.
        release: The release of CoreDNS.
        files: The files that CoreDNS finds.
        own: Addresses that lead to this CoreDNS.
        faults: What the set-ups of plugins refuse: the plugin, the word and why.
    """

    tree: Corefile
    release: Release = PINNED
    files: frozenset[str] = IN_A_POD
    own: tuple[str, ...] = CLUSTER_DNS
    faults: tuple[tuple[str, Token, Fault], ...] = ()

    @functools.cached_property
    def unknown(self) -> tuple[Plugin, ...]:
        """The uses of plugins that the release does not have."""
        known = plugins_of(self.release)
        blocks = (*self.tree.blocks, *self.tree.nameless)
        return tuple([p for block in blocks for p in block.plugins if p.name not in known])


Found = tuple[int, str, str]
"""A line, what was seen there, and what to do."""


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        id: Its name; it stays.
        severity: `error` where CoreDNS refuses what the rule finds, else `warning`.
        title: What it finds, in a few words.
        find: Yields what it finds.
    """

    id: str
    severity: str
    title: str
    find: Callable[[Context], Iterator[Found]]


def lint(
    corefile: str,
    release: str = "",
    *,
    files: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
    own: Collection[str] = CLUSTER_DNS,
) -> Listing[Finding]:
    """Return what is wrong with a Corefile, in the order of its lines.

    Args:
        corefile: The Corefile's text.
        release: The release of CoreDNS, such as `1.11.4`; empty for the one of the engine.
        files: What is mounted beside the Corefile and what else an EKS pod has: paths.
        environment: The variables of CoreDNS's process; None when they are not known.
        own: Addresses that lead to this CoreDNS, such as that of the Service kube-dns.

    Raises:
        EksnetError: It is no text, or the release is not known.
    """
    wanted = release_of(release) if release else PINNED
    try:
        tree = read_corefile(corefile, environment)
    except CorefileError as error:
        return listed([unreadable(corefile, error)])
    known = IN_A_POD | frozenset(files)
    faults = tuple(_faults(tree, known, wanted))
    context = Context(tree, wanted, known, tuple(own), faults)
    return listed(
        [
            Finding(rule.id, rule.severity, line, seen, fix)
            for rule in _rules()
            for line, seen, fix in rule.find(context)
        ]
    )


def listed(findings: list[Finding]) -> Listing[Finding]:
    """Return findings by line; at one line an error before a warning."""
    findings.sort(key=lambda one: (one.line, one.severity, one.rule))
    rows = tuple(
        (str(one.line or "-"), one.severity, one.rule, one.seen, one.fix) for one in findings
    )
    return Listing(("line", "severity", "rule", "finding", "fix"), rows, tuple(findings))


def is_refused(findings: Collection[Finding]) -> bool:
    """Tell whether CoreDNS would not start with what was found."""
    return any(one.severity == ERROR for one in findings)


def summary(findings: Collection[Finding]) -> str:
    """Return in a sentence what was found."""
    errors = sum(one.severity == ERROR for one in findings)
    warnings = len(findings) - errors
    if not findings:
        return "Nothing was found."
    said = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}."
    return f"{said} CoreDNS would not start with this text." if errors else said


@functools.cache
def _rules() -> tuple[Rule, ...]:
    from eksnet.coredns.lint_rules import RULES

    return RULES


def unreadable(corefile: str, error: CorefileError) -> Finding:
    """Return the finding for a Corefile that CoreDNS's parser refuses."""
    from eksnet.coredns.lint_rules import explain_unreadable

    return explain_unreadable(corefile, error)


def _faults(
    tree: Corefile, files: frozenset[str], release: Release
) -> Iterator[tuple[str, Token, Fault]]:
    """Yield what the set-ups of plugins refuse: the plugin, the word and why."""
    known = plugins_of(release)
    for block in tree.blocks:
        for name, uses in block.by_name.items():
            if name not in known:
                continue
            tokens = uses[0].tokens
            if len(uses) > 1:
                tokens = tuple([token for one in uses for token in one.tokens])
            keys = block.keys if name in TAKE_KEYS else ()
            if fault := _fault(tree.text, name, tokens, keys, files, release):
                yield name, tokens[min(fault.word, len(tokens) - 1)], fault


def _fault(
    text: str,
    name: str,
    tokens: tuple[Token, ...],
    keys: tuple[str, ...],
    files: frozenset[str],
    release: Release,
) -> Fault | None:
    """Return what a plugin's set-up refuses; what it said of the same text before is kept.

    Most blocks of most Corefiles are alike, and of a text that is being written all but one stay
    as they were.
    """
    first, last = tokens[0], tokens[-1]
    written = text[first.start : last.end]
    # What variables and snippets bring is not in the text.
    if "{$" in written or "{%" in written or "import" in written or last.via or first.via:
        return refusal(name, _words(tokens), keys, files, release)
    asked = (written, name, len(tokens), keys, files, release)
    found = _KNOWN.get(asked, _NOTHING)
    if found is _NOTHING:
        if len(_KNOWN) > _MOST_KNOWN:
            _KNOWN.clear()
        found = _KNOWN[asked] = refusal(name, _words(tokens), keys, files, release)
    return found


_NOTHING = Fault("", "", 0)
_KNOWN: dict[tuple[object, ...], Fault | None] = {}
_MOST_KNOWN = 20_000


def _words(tokens: tuple[Token, ...]) -> tuple[Word, ...]:
    base = tokens[0].line
    return tuple(
        [
            (text, line - base, line - base + (text.count("\n") if "\n" in text else 0))
            for text, line, *_ in tokens
        ]
    )
