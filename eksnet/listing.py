"""Rows with named columns, shown as text, as HTML and as a data frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Generic, TypeVar, overload

from eksnet.printable import cell

if TYPE_CHECKING:
    import pandas as pd

Item = TypeVar("Item")


@dataclass(frozen=True, repr=False)
class Listing(Sequence[Item], Generic[Item]):
    """A sequence of items and how they are shown.

    Attributes:
        columns: The columns' names.
        rows: One row of cells per item, in the same order.
        items: The items.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    items: tuple[Item, ...] = field(hash=False)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        """Return an item, or the items of a slice."""
        return self.items[index]

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        if not self.rows:
            return "(none)"
        lines = tuple(tuple(map(cell, line)) for line in (self.columns, *self.rows))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        if not self.rows:
            return "<p>(none)</p>"
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell(text))}</td>" for text in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a data frame of text, shape (items, columns)."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(self.columns))
