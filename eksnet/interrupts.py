"""Ctrl-C and its like, held back while something is begun that has to be ended again."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let no signal's handler raise before the end of the block; there, those that came run.

    Starting a process takes a moment in which it runs already and its starter has no name for it:
    an interrupt then would leave it running. Handlers are replaced, no signal is blocked, for a
    started program would inherit a mask, while it gets no handler.
    """
    if threading.current_thread() is not threading.main_thread():
        # Only there do handlers run.
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handlers = {
        number: handler for number in _NUMBERS if callable(handler := signal.getsignal(number))
    }
    for number in handlers:
        signal.signal(number, lambda *signalled: came.append(signalled))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for which, frame in came:
            handlers[signal.Signals(which)](which, frame)
