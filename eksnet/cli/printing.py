"""What commands print through."""

from __future__ import annotations

from eksnet.commands import runnable


class _Printer:
    """What the command prints through: its own name as the reader has to type it."""

    def print(self, what: object) -> None:
        """Print a text or a listing, each line as long as it is; see `eksnet.commands`.

        Nothing is fitted to the terminal: a name, a path or a URL stays whole, to be copied.
        """
        print(runnable(str(what)), flush=True)


console = _Printer()
