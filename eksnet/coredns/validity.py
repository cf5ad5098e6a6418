"""Whether a CoreDNS can start with a Corefile, and then be the DNS of a cluster.

It is told from the text alone: a real CoreDNS takes a pod and some seconds, which an edit should
not, and on other clusters a pod is a change of its own (`try_corefile` starts one). What CoreDNS
refuses, lint knows; the tests hold what is refused here, and what is passed, to the real program.
Files cannot be seen, neither those that are imported nor those that a plugin reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from eksnet import versions
from eksnet.coredns.corefile import Corefile, CorefileError, read_corefile
from eksnet.coredns.linting import ERROR, lint
from eksnet.coredns.plugins import is_refused_twice

_RELEASE = f"CoreDNS {versions.COREDNS.removeprefix('v')}"
# Without the first no pod finds a Service; the probes of its pods ask the other two.
_NEEDED = ("kubernetes", "ready", "health")
# The rule of lint about files: what is mounted into the pods is not known here.
_ABOUT_FILES = "not-mounted"


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
    for seen, expected in _wrong_with(corefile):
        raise CorefileError(f"this is not a valid Corefile for {_RELEASE}: {seen}", expected)
    return remark(read_corefile(corefile))


def _wrong_with(corefile: str) -> Iterator[tuple[str, str]]:
    """Yield what CoreDNS refuses, and then what a cluster cannot do without; with what is right."""
    for one in lint(corefile):
        if one.severity == ERROR and one.rule != _ABOUT_FILES:
            yield f"line {one.line}: {one.seen}" if one.line else one.seen, one.fix
    tree = read_corefile(corefile)
    as_on_eks = "server blocks with plugins, as in the Corefile of EKS"
    if not tree.blocks and not tree.imports:
        yield "it has no server block", as_on_eks
    for name in _NEEDED:
        if not tree.imports and not any(name in block.names for block in tree.blocks):
            yield f"no server block has the plugin {name}, which the cluster's DNS needs", as_on_eks


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
