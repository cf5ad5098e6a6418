"""The process that holds a sandbox's namespaces: recorded, found again, ended with the rest."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

from eksnet.errors import EksnetError
from eksnet.sandbox import locks
from eksnet.sandbox.paths import Paths, write_private

_STOP_DEADLINE = 20.0
_POLL = 0.05


def record(paths: Paths, pid: int) -> None:
    """Write down which process holds the namespaces."""
    write_private(paths.pid, f"{pid} {start_time(pid)}")


def recorded(paths: Paths) -> int | None:
    """Return the pid that was written at the start, if it is still that process."""
    try:
        pid, started = paths.pid.read_text().split()
        return int(pid) if start_time(int(pid)) == started else None
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_ending(paths: Paths) -> bool:
    """Tell whether a sandbox has lost its first process, whose last word may be that all is well.

    Before that process has said anything, the sandbox is not ending but starting.
    """
    if not paths.status.exists():
        return False
    holder = recorded(paths)
    return holder is None or not any(map(_lives, children(holder)))


def wait_if_ending(paths: Paths) -> None:
    """Wait for a sandbox that is on its way out: there is nothing to join in it."""
    if locks.is_alive(paths) and is_ending(paths):
        wait_until_gone(paths)


def stop(paths: Paths, number: signal.Signals = signal.SIGTERM) -> bool:
    """End a sandbox's processes, in good order if they can, and wait until all are gone.

    Args:
        paths: The sandbox's paths.
        number: What the supervisor is told: SIGTERM has it end the store in good order first.

    Returns:
        Whether any was running.
    """
    if not locks.is_alive(paths):
        return False
    holder = recorded(paths)
    if holder is None:
        raise EksnetError(
            f"the sandbox {paths.state.name} is running, but {paths.pid} does not name its process",
            "the process that holds its namespace",
            f"find it with `fuser {paths.alive_lock}` and stop it",
        )
    descriptor = os.pidfd_open(holder)
    try:
        for child in children(holder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        if not _ends(descriptor, _STOP_DEADLINE):
            # Ends the supervisor (--kill-child) and with it the whole namespace.
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _ends(descriptor, _STOP_DEADLINE)
    finally:
        os.close(descriptor)
    _collect(holder)
    wait_until_gone(paths)
    paths.status.unlink(missing_ok=True)
    return True


def wait_until_gone(paths: Paths) -> bool:
    """Wait until no process of the sandbox holds its lock; False after twenty seconds."""
    deadline = time.monotonic() + _STOP_DEADLINE
    while locks.is_alive(paths):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def start_time(pid: int) -> str:
    """Return a process's start time in clock ticks: with the pid, it names one process for good."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    return text.rpartition(")")[2].split()[19]


def children(pid: int) -> list[int]:
    """Return the pids of a process's children; none when it has ended."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        # It was gone, or it went between opening and reading.
        return False
    return state not in "ZX"


def _ends(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


def _collect(pid: int) -> None:
    # When this very process started the sandbox, its exit status waits to be read.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
