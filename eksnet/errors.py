"""The errors of the package: what was seen, what was expected, the next command.

`EksnetError` is all of them. Below it is a small family of what callers have to tell apart: they
catch the class, and never read the message.
"""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from html import escape
from traceback import format_exception
from types import TracebackType

from eksnet import display
from eksnet.commands import runnable
from eksnet.printable import printable

_WIDTH = len("expected: ")


class EksnetError(Exception):
    """Something could not be done, and the reader learns what to do next.

    Attributes:
        seen: What was observed, in one sentence.
        expected: What should have been there instead.
        next_step: The command or action that fixes it.
    """

    def __init__(self, seen: str, expected: str = "", next_step: str = "") -> None:
        self.seen = runnable(seen)
        self.expected = runnable(expected)
        self.next_step = runnable(next_step)
        super().__init__(self.seen)

    def __str__(self) -> str:
        """Return the message as three labelled lines; empty ones are left out."""
        lines = [self.seen]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.next_step:
            lines.append(f"  next:     {self.next_step}")
        return printable("\n".join(lines))

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython, and with it a notebook, shows in place of a traceback."""
        inside = " " * (_WIDTH + 2)
        lines = [f"{display.error_title(type(self).__name__)}{_where(self.__traceback__)}"]
        lines.append(_labelled("seen", self.seen.replace("\n", f"\n{inside}")))
        if self.expected:
            lines.append(_labelled("expected", self.expected.replace("\n", f"\n{inside}")))
        if self.next_step:
            # Lines of code after a sentence stay at the margin, where they can be copied from.
            lines.append(_labelled("next", self.next_step))
        return [*lines, "The full traceback: eksnet.traceback()"]


class NotFoundError(EksnetError):
    """There is no such thing."""


class ConflictError(EksnetError):
    """Somebody else has made or changed it meanwhile."""


class RefusedError(EksnetError):
    """The right to do it is missing."""


class DeadlineError(EksnetError):
    """Something that was waited for did not come in time, or can no longer come."""


class UnreachableError(EksnetError):
    """There was no answer."""


def _labelled(label: str, text: str) -> str:
    return f"  {display.bold(label + ':')}{' ' * (_WIDTH - len(label) - 1)}{printable(text)}"


def _where(way: TracebackType | None) -> str:
    """Return the learner's own line that an error came through last; empty when there is none."""
    line = ""
    while way:
        frame = way.tb_frame
        if frame.f_globals.get("__name__") == "__main__":
            code = linecache.getline(frame.f_code.co_filename, way.tb_lineno).strip()
            line = f" in line {way.tb_lineno}: {printable(code)}" if code else ""
        way = way.tb_next
    return line


@dataclass(frozen=True, repr=False)
class Traceback:
    """The way that an error took through the code.

    Attributes:
        title: What it is of.
        text: The traceback; empty when there was no error.
    """

    title: str
    text: str = ""

    def __repr__(self) -> str:
        return self.text or self.title

    def _repr_html_(self) -> str:
        if not self.text:
            return f"<p>{escape(self.title)}</p>"
        return display.fold(self.title, display.code(self.text), unfolded=True)


def traceback() -> Traceback:
    """Return the full traceback of the last error, of which a notebook shows the message alone."""
    error = getattr(sys, "last_value", None)
    if not isinstance(error, BaseException):
        return Traceback("There was no error so far.")
    text = "".join(format_exception(type(error), error, _from_the_cell_on(error.__traceback__)))
    return Traceback(f"Traceback of {type(error).__name__}", text.rstrip("\n"))


def _from_the_cell_on(way: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the notebook's own machinery above the learner's line."""
    begin = way
    while begin and begin.tb_frame.f_globals.get("__name__") != "__main__":
        begin = begin.tb_next
    return begin or way
