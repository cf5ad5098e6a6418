"""What is wrong with a Corefile, and what is likely to be: findings by rules, from the text alone.

An `error` is what CoreDNS refuses: it would not start with this text. A `warning` is what it
takes, and what a cluster's DNS should not have. `docs/corefile-rules.md` has a section for each
rule, whose examples are the tests of the rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from eksnet.coredns.corefile import Corefile, CorefileError, ServerBlock, Token, read_corefile
from eksnet.coredns.releases import PINNED, Release, plugins_of, release_of
from eksnet.coredns.setups import refusal
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
    """

    tree: Corefile
    release: Release = PINNED
    files: frozenset[str] = IN_A_POD
    own: tuple[str, ...] = CLUSTER_DNS
    faults: tuple[tuple[str, Token, Fault], ...] = field(default=())


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
    for block in tree.blocks:
        for name, tokens in _words_by_plugin(block).items():
            if name not in plugins_of(release):
                continue
            base = tokens[0].line
            words: tuple[Word, ...] = tuple(
                [(one.text, one.line - base, one.last_line - base) for one in tokens]
            )
            if fault := refusal(name, words, block.keys, files, release):
                yield name, tokens[min(fault.word, len(tokens) - 1)], fault


def _words_by_plugin(block: ServerBlock) -> dict[str, list[Token]]:
    """Return the words of each plugin in a server block, all its uses one after the other."""
    found: dict[str, list[Token]] = {}
    for plugin in block.plugins:
        found.setdefault(plugin.name, []).extend(plugin.tokens)
    return found
