"""What commands print through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet.commands import runnable
from eksnet.printable import cell

if TYPE_CHECKING:
    from rich.table import Table

    from eksnet.listing import Listing


class _Printer:
    """What the command prints through: its own name as the reader has to type it."""

    def print(self, what: object) -> None:
        """Print a text as it is, or something that rich lays out; see `eksnet.commands`."""
        if isinstance(what, str):
            print(runnable(what), flush=True)
            return
        # Loading it takes longer than the work of many a command, which prints lines alone.
        from rich.console import Console

        # Paths and URLs stay in one piece, to be copied; a name in brackets or colons is no markup.
        Console(highlight=False, soft_wrap=True, markup=False, emoji=False).print(what)


console = _Printer()


def new_table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table of rich, which loads it."""
    from rich.table import Table

    return Table(*columns, title=title, title_justify="left")


def listing_table(listing: Listing[Any]) -> Table:
    """Return a listing as a table of rich."""
    table = new_table(*listing.columns)
    for row in listing.rows:
        table.add_row(*map(cell, row))
    return table
