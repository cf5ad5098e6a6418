"""How results look: verdicts with sign and colour, tables, folds and diffs.

In a notebook they are HTML. What JupyterLab's sanitiser takes out of a notebook that is not trusted
is not used: `var(…)`, style sheets, ARIA attributes. So a colour is a pair of text and ground with
its contrast in itself, or a tint over the theme's own ground, whose text keeps the theme's colour.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from enum import Enum
from html import escape
from typing import Any

# A table of more rows is folded.
FOLD = 30
_NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?%?")
_NO_NUMBER = ("", "-", "NaN", "None")
_CODE = re.compile(r"`([^`\n]+)`")
_RESET = "\x1b[0m"
_TINTS = {"+": "rgba(46, 160, 67, 0.25)", "-": "rgba(248, 81, 73, 0.25)"}
_ANSI = {"+": "32", "-": "31", "@": "36"}
# Of use in a widget; the sanitiser takes it out of what was saved, where a sign says the same.
_HERE = ' aria-current="step"'
# JupyterLab sets the cells of tables flush right and in the middle.
LEFT = "text-align: left; vertical-align: top"
_RIGHT = "text-align: right; vertical-align: top"
_WRAPPED = "white-space: pre-wrap"


class Tone(Enum):
    """What a verdict means: its sign, its ground below white text, its ANSI colour."""

    GOOD = ("✓", "#1a7f37", "32")
    BAD = ("✗", "#b3261e", "31")
    OPEN = ("○", "#57606a", "34")
    UNKNOWN = ("?", "#8a5a00", "33")

    def __init__(self, sign: str, ground: str, ansi: str) -> None:
        self.sign = sign
        self.ground = ground
        self.ansi = ansi


class Mark(str):
    """A verdict, such as PASS: a text that is shown with the sign and colour of its tone."""

    tone: Tone

    def __new__(cls, text: str, tone: Tone) -> Mark:
        """Take the text and its tone."""
        mark = super().__new__(cls, text)
        mark.tone = tone
        return mark

    @property
    def html(self) -> str:
        """The sign and the text in white on the tone's ground."""
        style = (
            f"background-color: {self.tone.ground}; color: #ffffff; font-weight: bold; "
            "padding: 1px 6px; border-radius: 4px; white-space: nowrap"
        )
        return f'<span style="{style}">{self.tone.sign} {escape(self.replace("_", " "))}</span>'

    @property
    def ansi(self) -> str:
        """The text in the tone's colour, for a terminal."""
        return f"\x1b[1;{self.tone.ansi}m{self}{_RESET}"

    def text(self, *, colours: bool) -> str:
        """Return the text, in the tone's colour or without."""
        return self.ansi if colours else str(self)


def padded(text: str, width: int, *, colours: bool) -> str:
    """Return a cell of a table in text, as wide as its column: a colour takes no room."""
    shown = text.text(colours=colours) if isinstance(text, Mark) else text
    return shown + " " * (width - len(text))


class Shown:
    """What is shown in colour on a terminal with IPython, and as plain text everywhere else."""

    def __repr__(self) -> str:
        return self._text(colours=False)

    def coloured(self) -> str:
        """Return the text with ANSI colours."""
        return self._text(colours=True)

    def _text(self, *, colours: bool) -> str:
        """Return the text, with ANSI colours or without."""
        raise NotImplementedError

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self._text(colours=_takes_colours()))


def _takes_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def bold(text: str) -> str:
    """Return a text in bold, for a terminal and for the outputs that JupyterLab treats as one."""
    return f"\x1b[1m{text}{_RESET}"


def error_title(name: str) -> str:
    """Return an error's name with its sign: white on dark red, whatever the ground around it."""
    return f"\x1b[1;38;5;231;48;5;124m {Tone.BAD.sign} {name} {_RESET}"


def cell(text: str) -> str:
    """Return what stands in a cell, as HTML."""
    return text.html if isinstance(text, Mark) else escape(text)


def prose(text: str) -> str:
    """Return a sentence as HTML; what stands between backticks is code."""
    html = escape(text, quote=False)
    return _CODE.sub(r"<code>\1</code>", html) if "`" in html else html


def code(text: str) -> str:
    """Return lines of code as HTML, to be copied as they are."""
    style = (
        f"margin: 2px 0; padding: 4px 8px; {_WRAPPED}; background-color: rgba(128, 128, 128, 0.15)"
    )
    return f'<pre style="{style}">{escape(text)}</pre>'


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    named: bool = False,
    current: int | None = None,
    folded: bool = True,
) -> str:
    """Return a table as HTML: numbers flush right, all else left; folded when it is long.

    Args:
        columns: The columns' names.
        rows: The cells, a row each; verdicts among them are `Mark`.
        caption: What the table is, in a few words; empty for none.
        named: Whether the first cell of a row is the row's name.
        current: The index of the row where things stand, from 0; None where no row is.
        folded: Whether a table of more than `FOLD` rows is folded.
    """
    styles = [_style(row[index] for row in rows) for index in range(len(columns))]
    head = "".join(
        f'<th scope="col" style="{style}">{escape(column)}</th>' if column else "<td></td>"
        for column, style in zip(columns, styles, strict=True)
    )
    body = "".join(
        f"<tr{_HERE * (number == current)}>{_cells(row, styles, named=named)}</tr>"
        for number, row in enumerate(rows)
    )
    title = f'<caption style="{LEFT}">{escape(caption)}</caption>' if caption else ""
    whole = f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    if not folded or len(rows) <= FOLD:
        return whole
    return fold(f"{len(rows)} rows: {', '.join(filter(None, columns))}", whole)


def _cells(row: Sequence[str], styles: Sequence[str], *, named: bool) -> str:
    cells = [
        f'<td style="{style}">{cell(text)}</td>' for text, style in zip(row, styles, strict=True)
    ]
    if named:
        cells[0] = f'<th scope="row" style="{LEFT}">{cell(row[0])}</th>'
    return "".join(cells)


def _style(cells: Iterable[str]) -> str:
    """Return how a column is aligned: numbers are compared by their ends."""
    given = [text for text in cells if text not in _NO_NUMBER]
    return _RIGHT if given and all(map(_NUMBER.fullmatch, given)) else LEFT


def fold(summary: str, html: str, *, unfolded: bool = False) -> str:
    """Return HTML that is folded away below a summary."""
    state = " open" if unfolded else ""
    return f"<details{state}><summary>{escape(summary)}</summary>{html}</details>"


def diff(text: str) -> str:
    """Return a unified diff as HTML: what came and what went tinted, beside their signs."""
    lines = "".join(
        f'<span style="{_diff_style(kind)}">{escape(line)}</span>' for kind, line in _kinds(text)
    )
    return f'<pre style="margin: 0; {_WRAPPED}">{lines}</pre>'


def diff_coloured(text: str) -> str:
    """Return a unified diff with ANSI colours."""
    return "\n".join(
        f"\x1b[{_ANSI[kind]}m{line}{_RESET}" if kind in _ANSI else line
        for kind, line in _kinds(text)
    )


def _kinds(text: str) -> list[tuple[str, str]]:
    """Return the lines of a diff, each with the sign that it begins with; of a header none."""
    header = 2
    return [
        ("" if number < header else line[:1], line) for number, line in enumerate(text.splitlines())
    ]


def _diff_style(kind: str) -> str:
    tint = f"; background-color: {_TINTS[kind]}" if kind in _TINTS else ""
    return f"display: block{tint}"
