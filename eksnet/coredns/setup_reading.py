"""How the set-up of a plugin reads its uses: the words of each, and the options of its block."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from eksnet.coredns.releases import Release, options_of
from eksnet.coredns.takes import ignored, nothing
from eksnet.coredns.uses import Check, Uses, is_open

NO_BLOCK = "no block"
"""The note of a use that reads no block, although the plugin has options."""


@dataclass(frozen=True)
class Setup:
    """What a plugin's set-up takes.

    Attributes:
        line: The words after its name.
        options: The options of its block, by name; None for a plugin that reads no block.
        single: Whether a second use is refused.
        first_only: Whether it looks at its first use alone.
        until: The note with which it looks at no further use; empty for none.
        lower: Whether options are the same in capitals.
        lenient: Whether an option that it does not know is passed.
        end: What is looked at after the last use.
        each: What is looked at after each use.
    """

    line: Check = ignored
    options: Mapping[str, Check] | None = None
    single: bool = False
    first_only: bool = False
    until: str = ""
    lower: bool = False
    lenient: bool = False
    end: Check = nothing
    each: Check = nothing


def run(setup: Setup, uses: Uses) -> None:
    """Take the words of a plugin's uses in a server block.

    Raises:
        RefusedError: The set-up refuses a word.
    """
    while uses.next():
        if uses.count and setup.single:
            uses.refuse(f"{uses.plugin} is used a second time", kind="twice", about=uses.plugin)
        uses.count += 1
        setup.line(uses)
        read_block(setup, uses)
        setup.each(uses)
        if setup.first_only or setup.until in uses.notes:
            break
    setup.end(uses)


def read_block(setup: Setup, uses: Uses) -> None:
    """Take the options of the block of a use."""
    if uses.notes.pop(NO_BLOCK, False):
        return
    while setup.options is not None and uses.next_in_block():
        name = uses.word.lower() if setup.lower else uses.word
        check = setup.options.get(name, nothing) if setup.lenient else _option(setup, name, uses)
        check(uses)


def _option(setup: Setup, name: str, uses: Uses) -> Check:
    """Return what takes the words of an option of a release.

    Raises:
        RefusedError: The release has no such option.
    """
    options = _options_of(uses.plugin, uses.release)
    if found := options.get(name) if name else None:
        return found
    if "" in options:
        return options[""]
    if is_open(name):
        return ignored
    uses.refuse(f"{uses.plugin} has no option {uses.word!r}", kind="option", about=uses.word)


@functools.cache
def _options_of(plugin: str, release: Release) -> Mapping[str, Check]:
    """Return the options of a release; of those that the table does not have any words are taken.

    The empty name stands for any other word.
    """
    # The table is made of what this module is for.
    from eksnet.coredns.setups import SETUPS

    options = SETUPS[plugin].options or {}
    known = options_of(plugin, release)
    return {
        **{name: options.get(name, ignored) for name in known},
        **({"": options[""]} if "" in options else {}),
    }
