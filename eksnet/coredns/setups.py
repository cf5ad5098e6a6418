"""What the set-up of each plugin takes: the words of its line, and the options of its block.

A row of `SETUPS` is a plugin; the rows stand by kind in `setups_serving`, `setups_changing` and
`setups_answering`. `tests/coredns/test_setups.py` holds the table to the set-up functions of the
engine's CoreDNS, with Corefiles that a grammar writes. What is left out is passed: what stands in a
file, the language of `view`, the inside of a template's actions, and whether an account of a cloud
answers.

Source: plugin/*/setup.go of CoreDNS 1.14.3.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from eksnet.coredns.releases import PINNED, Release
from eksnet.coredns.setup_reading import Setup, run
from eksnet.coredns.setups_answering import ANSWERING
from eksnet.coredns.setups_changing import CHANGING
from eksnet.coredns.setups_serving import SERVING
from eksnet.coredns.uses import Fault, RefusedError, Uses, Word

SETUPS: dict[str, Setup] = {**SERVING, **CHANGING, **ANSWERING}

TAKE_KEYS = frozenset({"kubernetes"})
"""The plugins whose set-up looks at the keys of the server block."""


def refusal(
    plugin: str,
    words: tuple[Word, ...],
    keys: tuple[str, ...],
    files: frozenset[str],
    release: Release = PINNED,
) -> Fault | None:
    """Return why a plugin's set-up refuses the words of its uses; None when it takes them.

    Args:
        plugin: The plugin's name.
        words: The words of its uses in a server block, the name first, with their lines counted
            from the first of them.
        keys: The keys of the server block.
        files: The files that CoreDNS finds.
        release: The release of CoreDNS.
    """
    setup = SETUPS.get(plugin)
    if setup is None:
        return None
    uses = Uses(plugin, words, keys, files_of(files), release=release)
    try:
        run(setup, uses)
    except RefusedError as error:
        return error.fault
    return None


def files_of(known: Collection[str]) -> Callable[[str], bool]:
    """Return what tells whether a file is among those that are known."""
    paths = frozenset(known)
    return lambda path: path in paths or f"/etc/coredns/{path.removeprefix('./')}" in paths
