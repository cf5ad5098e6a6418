"""Text that comes from outside, made fit to be printed.

A name, a log or an API server's message may hold what a terminal obeys instead of showing it: it
moves the cursor, hides a line or turns the direction of writing round. Text is kept as it came, and
goes through here where it is shown: in errors, in tables, in what a command prints.
"""

from __future__ import annotations

import unicodedata

# Controls, format characters such as those of writing direction, halves of surrogate pairs, and
# separators of lines that only some programs take for such.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_KEPT = "\n\t"


def printable(text: str, kept: str = _KEPT) -> str:
    r"""Return a text with all that cannot be seen written as Python writes it.

    Args:
        text: The text.
        kept: The control characters that stay as they are: the ends of lines, and tabs.

    Example:
        >>> print(printable("red \x1b[31m, and back \u202e"))
        red \x1b[31m, and back \u202e
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        one if one in kept or unicodedata.category(one) not in _UNSEEN else _escaped(one)
        for one in text
    )


def cell(text: str) -> str:
    r"""Return a text for one cell of a table: a line of it ends a row.

    Example:
        >>> print(cell("one\ntwo"))
        one\ntwo
    """
    return printable(text, kept="")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
