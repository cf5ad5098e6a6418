"""The countdown that a reader sees while something is waited for.

A committed notebook must not hold a time, so the countdown takes itself away: in a notebook its
display ends empty, as it began; on a terminal its line is wiped. Where the output goes elsewhere, a
long wait says once what it waits for, if standard error is a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from eksnet import inputs

# After so many seconds a wait is told where nothing can be shown meanwhile.
_LONG = 5


class Countdown:
    """A line that tells what is waited for and how long still; use it in a `with` statement."""

    def __init__(self, what: str) -> None:
        """Remember what is waited for; nothing is shown before the first `show`."""
        self._what = what
        self._screen: _Screen | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._screen:
            self._screen.write("")

    def show(self, seconds_left: float, state: str = "") -> None:
        """Show the time left, in seconds, and in a few words what is to be seen."""
        self._screen = self._screen or _screen()
        seen = f"; {state}" if state else ""
        self._screen.write(f"waiting for {self._what}, {max(0, round(seconds_left))} s left{seen}")


def until(what: str, holds: Callable[[], bool], timeout: float, poll: float = 0.5) -> bool:
    """Look until something holds; return whether it did in time.

    Args:
        what: What is waited for, as the countdown says it.
        holds: Looks.
        timeout: How long at most, in seconds.
        poll: How long between two looks, in seconds.

    Raises:
        EksnetError: The timeout is no time to wait.
    """
    deadline = time.monotonic() + inputs.seconds(timeout)
    with Countdown(what) as countdown:
        while not holds():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            countdown.show(left)
            time.sleep(poll)
    return True


class _Screen:
    """No screen: output goes to a file, where a changing line has no place.

    A long wait is told to who sits before standard error, such as that of `… | jq`.
    """

    def __init__(self) -> None:
        self._began: float | None = time.monotonic()

    def write(self, text: str) -> None:
        """Show the text in place of the one before; an empty one leaves no trace."""
        # Not sys.stderr, which checks keep silent. The course's notebooks never come here.
        errors = sys.__stderr__
        if errors and errors.isatty() and text and self._is_due():
            self._began = None
            print(text, file=errors, flush=True)

    def _is_due(self) -> bool:
        return self._began is not None and time.monotonic() - self._began > _LONG


class _Terminal(_Screen):
    def write(self, text: str) -> None:
        sys.stdout.write(f"\r\x1b[K{text}")
        sys.stdout.flush()


class _Notebook(_Screen):
    def __init__(self) -> None:
        super().__init__()
        from IPython.display import display

        # Notebook tests compare the display as it began with the one that was committed at the
        # end, so both are empty.
        self._handle: Any = display({}, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def write(self, text: str) -> None:
        self._handle.update({"text/plain": text} if text else {}, raw=True)


def _screen() -> _Screen:
    if _is_notebook():
        return _Notebook()
    return _Terminal() if sys.stdout.isatty() else _Screen()


def _is_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")
