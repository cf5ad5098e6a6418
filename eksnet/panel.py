"""What a widget shows at one moment: a sentence, and tables and texts below it. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol, runtime_checkable

from eksnet.display import table
from eksnet.listing import Listing
from eksnet.printable import printable

MARK = "▶"


class Part(Protocol):
    """One thing of a panel, as text and as HTML."""

    def __repr__(self) -> str:
        """Return it as text, caption first."""

    def _repr_html_(self) -> str: ...


@runtime_checkable
class Drawn(Part, Protocol):
    """A part with a drawing, which takes the colours of the page that it is put into."""

    @property
    def inline(self) -> str:
        """The drawing alone, as a part of the page."""


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
        # Each step of a widget draws it anew: a fold would close again.
        return table(
            listing.columns, listing.rows, caption=self.caption, current=self.marked, folded=False
        )


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
        columns: How many of them stand below each other, for each column; empty for one in each.
    """

    sentence: str
    parts: tuple[Part, ...] = ()
    columns: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return printable("\n\n".join((self.sentence, *map(repr, self.parts))))

    @property
    def live(self) -> str:
        """The parts in HTML for a page that shows drawings as they are."""
        return self._html(
            part.inline if isinstance(part, Drawn) else part._repr_html_() for part in self.parts
        )

    def _repr_html_(self) -> str:
        return self._html(part._repr_html_() for part in self.parts)

    def _html(self, parts: Iterable[str]) -> str:
        each = iter([f"<div>{part}</div>" for part in parts])
        columns = ("".join(itertools.islice(each, count)) for count in self.columns)
        whole = "".join(f'<div class="eksnet-column">{one}</div>' for one in columns)
        return whole + "".join(each)
