"""What a plugin's set-up is handed: the words of its uses in a server block, and how it takes them.

Set-up functions do not see lines: they take words from the rest of a line, or the next word of a
block wherever it stands. What they leave counts as the next option, or as another use. So the same
few steps are here as in CoreDNS.

Source: caddyfile/dispenser.go of github.com/coredns/caddy at 15135a999495.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from eksnet.coredns.releases import PINNED, Release

_VARIABLE = re.compile(r"\{\$[^}]+\}|\{%.+?%\}")

Word = tuple[str, int, int]
"""A word, the line on which it begins, and the one on which it ends."""


@dataclass(frozen=True)
class Fault:
    """Why a set-up refuses the words of a plugin.

    Attributes:
        kind: `option` for an option that it does not know, `twice` for a second use, `late` for an
            entry after `fallthrough`, `file` for a file that is not there, else `words`.
        seen: What is wrong, in words.
        word: The place among the words, from 0.
        expected: What it takes instead; empty where the text says it.
        about: The option, file or word that it is about.
    """

    kind: str
    seen: str
    word: int
    expected: str = ""
    about: str = ""


class RefusedError(Exception):
    """A set-up refuses what it was handed."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.seen)
        self.fault = fault


@dataclass
class Uses:
    """The words of all uses of a plugin in a server block, one after the other, and a cursor.

    Attributes:
        plugin: The plugin's name.
        words: The words.
        keys: The zones of the server block.
        has_file: Tells whether CoreDNS finds a file.
        release: The release of CoreDNS.
        notes: What one option leaves for another, or for the end.
        count: How many uses were begun.
    """

    plugin: str
    words: Sequence[Word]
    keys: tuple[str, ...] = ()
    has_file: Callable[[str], bool] = lambda _: True
    release: Release = PINNED
    notes: dict[str, object] = field(default_factory=dict)
    count: int = 0
    _cursor: int = -1
    _inside: bool = False

    @property
    def word(self) -> str:
        """Source: Val."""
        return self.words[self._cursor][0] if 0 <= self._cursor < len(self.words) else ""

    @property
    def place(self) -> int:
        """The place of the word among the words; -1 before the first."""
        return self._cursor

    def next(self) -> bool:
        """Source: Next."""
        if self._cursor >= len(self.words) - 1:
            return False
        self._cursor += 1
        return True

    def next_on_line(self) -> bool:
        """Source: NextArg."""
        here = self._cursor
        if here + 1 >= len(self.words) or self.words[here][2] != self.words[here + 1][1]:
            return False
        self._cursor += 1
        return True

    def next_in_block(self) -> bool:
        """Source: NextBlock."""
        if self._inside:
            self._cursor += 1
            if self._cursor >= len(self.words):
                self._cursor -= 1
                return False
            self._inside = self.words[self._cursor][0] != "}"
            return self._inside
        if not self.next_on_line():
            return False
        if self.word != "{":
            self._cursor -= 1
            return False
        if not self.next() or self.word == "}":
            return False
        self._inside = True
        return True

    def rest(self) -> list[str]:
        """Source: RemainingArgs."""
        words, here = self.words, self._cursor
        found: list[str] = []
        for following in range(here + 1, len(words)):
            text, line, _ = words[following]
            if words[here][2] != line or text == "{":
                break
            found.append(text)
            here = following
        self._cursor = here
        return found

    def refuse(
        self, seen: str, expected: str = "", *, kind: str = "words", about: str = ""
    ) -> NoReturn:
        """Refuse what is under the cursor.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(Fault(kind, seen, max(self._cursor, 0), expected, about))


Check = Callable[[Uses], None]
"""Takes the words of an option, or of a plugin's own line, and refuses them or not."""

Value = Callable[[str], str]
"""Tells what is wrong with one word: what is expected instead; empty when nothing is."""


def is_open(word: str) -> bool:
    """Tell whether a word has a variable in it whose value is not known."""
    return "{" in word and _VARIABLE.search(word) is not None
