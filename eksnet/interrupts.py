"""Ctrl-C and its like: an exception where work can be interrupted, held back where it cannot."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, TypeVar

from eksnet.entry import INTERRUPTED, NUMBERS

T = TypeVar("T")

# How long after an interrupt was lost in a place that lets no exception out it comes again.
_AGAIN = 0.01


def orderly(work: Callable[[], T]) -> T:
    """Do the work of a command; a signal interrupts it by an exception, so that it can end things.

    Only the first one does. While things are ended, and after the work, signals do what they did
    before it.

    Raises:
        SystemExit: It was interrupted, which has been said; with 128 and the signal's number.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    signals = _Signals()
    hook, sys.unraisablehook = sys.unraisablehook, signals.come_again
    try:
        signals.set_all(signals.interrupt)
        return work()
    except (KeyboardInterrupt, Exception) as error:
        # An import that is interrupted can fail with an error of its own; an exit code is meant.
        if signals.heard[:1] != [signal.SIGINT] or hasattr(error, "exit_code"):
            raise
        sys.stderr.write(INTERRUPTED)
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        signals.set_all()
        sys.unraisablehook = hook


def code_of(stop: KeyboardInterrupt | SystemExit) -> int:
    """Return the exit code of a command that a signal has interrupted."""
    code = stop.code if isinstance(stop, SystemExit) else None
    return code if isinstance(code, int) else 128 + signal.SIGINT


class _Signals:
    """The handlers of a command's signals, before its work and during it.

    Attributes:
        heard: The numbers of those that interrupted the work; one at most.
    """

    def __init__(self) -> None:
        self.heard: list[int] = []
        self._delay = _AGAIN
        self._in_hook = False
        before = {number: signal.getsignal(number) for number in NUMBERS}
        self._before = {n: one for n, one in before.items() if one is not signal.SIG_IGN}

    def set_all(self, handler: Any = None) -> None:
        """Have a handler for all of them, or those from before the work."""
        for number, before in self._before.items():
            signal.signal(number, handler or before)

    def interrupt(self, number: int, _frame: FrameType | None) -> None:
        """Interrupt the work; once, for what is heard next ends the process."""
        if self._in_hook:
            # The hook lets no exception out either.
            self._send_later()
            return
        self.set_all()
        self.heard.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def come_again(self, lost: sys.UnraisableHookArgs) -> None:
        """Send an interrupt again that was lost in a place that lets no exception out."""
        if lost.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(lost)
            return
        self._in_hook = True
        self.set_all(self.interrupt)
        self._send_later()
        self._in_hook = False

    def _send_later(self) -> None:
        # Later each time: on a busy computer it can come before this has returned.
        delay, self._delay = self._delay, 2 * self._delay
        threading.Timer(delay, signal.raise_signal, [signal.SIGINT]).start()


def accompany(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program that decides itself what Ctrl-C means, to its end.

    A terminal sends Ctrl-C to both, so it is ignored here; other signals are passed on.

    Args:
        command: The program and its arguments.
        environment: Its variables.

    Returns:
        Its exit code, as a shell would have it: 128 and the number of a signal that ended it.
    """
    child: list[subprocess.Popen[bytes]] = []
    came: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        for one in child:
            one.send_signal(number)

    before = {number: signal.getsignal(number) for number in NUMBERS}
    heard = {number: one for number, one in before.items() if one is not signal.SIG_IGN}
    try:
        for number in heard:
            ignored = number == signal.SIGINT
            signal.signal(number, (lambda *_: None) if ignored else pass_on)
        child.append(subprocess.Popen(command, env=environment))
        # What came before there was a process to pass it on to.
        for missed in came:
            child[0].send_signal(missed)
        code = child[0].wait()
    finally:
        for number, one in heard.items():
            signal.signal(number, one)
    return 128 - code if code < 0 else code


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
        number: handler for number in NUMBERS if callable(handler := signal.getsignal(number))
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
