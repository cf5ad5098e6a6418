"""Ctrl-C and its like, held back while something is begun that has to be ended again."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let no handler of SIGINT, SIGTERM or SIGHUP run before the end of the block.

    Those that came meanwhile are heard there. Starting a process takes a moment in which it runs
    already and its starter has no name for it: an interrupt then would leave it running. Handlers
    are replaced, no signal is blocked, for a started program would inherit a mask, while it gets
    no handler. Keep the block short, and let nothing in it wait without a bound.
    """
    if threading.current_thread() is not threading.main_thread():
        # Only there do handlers run.
        yield
        return
    came: list[int] = []
    holding = False

    def hear(number: int, frame: FrameType | None) -> None:
        if holding:
            came.append(number)
        else:
            handlers[signal.Signals(number)](number, frame)

    handlers = {
        number: handler for number in _NUMBERS if callable(handler := signal.getsignal(number))
    }
    try:
        for number in handlers:
            signal.signal(number, hear)
        holding = True
        yield
    finally:
        # From here on each is passed on: one that cuts off what follows leaves no signal unheard.
        holding = False
        try:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        finally:
            _raise_all(came)


def _raise_all(numbers: Sequence[int]) -> None:
    """Raise signals in turn, whatever their handlers raise."""
    if numbers:
        try:
            signal.raise_signal(numbers[0])
        finally:
            _raise_all(numbers[1:])
