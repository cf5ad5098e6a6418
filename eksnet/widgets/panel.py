"""What a widget shows at one moment: a sentence, and tables and texts below it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from eksnet.listing import Listing
from eksnet.printable import printable

MARK = "▶"


class Part(Protocol):
    """One thing of a panel, as text and as HTML."""

    def __repr__(self) -> str:
        """Return it as text, caption first."""

    def _repr_html_(self) -> str: ...


@dataclass(frozen=True, repr=False)
class Table:
    """A listing with a caption; one of its rows may be the one where things stand.

    Attributes:
        caption: What the table is, in a few words.
        rows: The listing.
        marked: The index of the row where things stand, from 0; None where no row is.
    """

    caption: str
    rows: Listing[Any]
    marked: int | None = None

    @property
    def listing(self) -> Listing[Any]:
        """The rows with a sign before the marked one, so that it is not colour that marks it."""
        if self.marked is None:
            return self.rows
        signs = (MARK if index == self.marked else "" for index in range(len(self.rows)))
        cells = tuple((sign, *row) for sign, row in zip(signs, self.rows.rows, strict=True))
        return Listing(("here", *self.rows.columns), cells, self.rows.items)

    def __repr__(self) -> str:
        return f"{printable(self.caption)}\n{self.listing!r}"

    def _repr_html_(self) -> str:
        listing = self.listing
        if not listing.rows:
            return f"<p>{escape(self.caption)}: (none)</p>"
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in listing.columns)
        body = "".join(map(self._row, range(len(listing.rows)), listing.rows))
        return (
            f"<table><caption>{escape(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _row(self, index: int, cells: tuple[str, ...]) -> str:
        here = ' aria-current="step"' if index == self.marked else ""
        return f"<tr{here}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


@dataclass(frozen=True, repr=False)
class Text:
    """A file or a dump under a caption, in type of one width."""

    caption: str
    text: str

    def __repr__(self) -> str:
        return printable(f"{self.caption}\n{self.text}")

    def _repr_html_(self) -> str:
        caption, text = escape(self.caption), escape(self.text)
        return f"<figure><figcaption>{caption}</figcaption><pre>{text}</pre></figure>"


@dataclass(frozen=True, repr=False)
class Panel:
    """What a widget shows.

    Attributes:
        sentence: The outcome in words. A screen reader reads it out whenever it changes.
        parts: What stands below it, in order; side by side where there is room.
    """

    sentence: str
    parts: tuple[Part, ...] = ()

    def __repr__(self) -> str:
        return printable("\n\n".join((self.sentence, *map(repr, self.parts))))

    def _repr_html_(self) -> str:
        return "".join(f"<div>{part._repr_html_()}</div>" for part in self.parts)
