"""Rows with named columns, shown as text, as HTML and as a data frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Self, TypeVar, overload

from eksnet.display import Mark, Shown, padded, table
from eksnet.printable import cell

if TYPE_CHECKING:
    import pandas as pd

Item = TypeVar("Item")


@dataclass(frozen=True, repr=False)
class Listing(Shown, Sequence[Item], Generic[Item]):
    """A sequence of items and how they are shown.

    Attributes:
        columns: The columns' names.
        rows: One row of cells per item, in the same order; verdicts among them are `Mark`.
        items: The items.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    items: tuple[Item, ...] = field(hash=False)

    @classmethod
    def of(cls, items: Iterable[Item], columns: Mapping[str, Callable[[Item], object]]) -> Self:
        """Return items, each with a row that the columns' functions make of it.

        Args:
            items: The items.
            columns: From a column's name to what stands in it for an item. None is an empty cell.

        Example:
            >>> Listing.of([3, None], {"number": str, "as it is": lambda one: one})
            number  as it is
            3       3
            None
        """
        kept = tuple(items)
        rows = tuple(tuple(_cell(value(one)) for value in columns.values()) for one in kept)
        return cls(tuple(columns), rows, kept)

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

    def _text(self, *, colours: bool) -> str:
        if not self.rows:
            return "(none)"
        lines = tuple(map(_shown, (self.columns, *self.rows)))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                padded(text, width, colours=colours)
                for text, width in zip(line, widths, strict=True)
            ).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        if not self.rows:
            return "<p>(none)</p>"
        return table(_shown(self.columns), list(map(_shown, self.rows)))

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a data frame of text, shape (items, columns)."""
        from eksnet.frames import Frame

        return Frame(list(self.rows), columns=list(self.columns))


def _cell(value: object) -> str:
    if value is None:
        return ""
    # A verdict is a text with a colour.
    return value if isinstance(value, str) else str(value)


def _shown(line: Sequence[str]) -> tuple[str, ...]:
    """Return a row's cells as they can be printed; a verdict is the course's own."""
    return tuple(text if isinstance(text, Mark) else cell(text) for text in line)
