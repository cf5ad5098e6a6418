"""Locks: who may start or end a sandbox, and whether it lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from eksnet.sandbox.paths import Paths


@contextlib.contextmanager
def start_lock(paths: Paths, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the right to start or end a sandbox; wait for whoever holds it."""
    while True:
        paths.run.mkdir(parents=True, exist_ok=True)
        with paths.start_lock.open("a") as file:
            if not _try_lock(file):
                progress("another command is starting or stopping this sandbox; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            # A command that removed the sandbox has taken the file away that this one waited for.
            if is_at(file.fileno(), paths.start_lock):
                yield
                return


def is_alive(paths: Paths) -> bool:
    """Tell whether any process of the sandbox lives: it holds the lock, whatever its pid.

    One that is lent lives: its processes are out of sight here.
    """
    if paths.lent.exists():
        return True
    if not paths.alive_lock.exists():
        return False
    with paths.alive_lock.open("a") as file:
        # Shared: those who only look are in nobody's way, nor in each other's.
        return not _try_lock(file, fcntl.LOCK_SH)


def is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still the one at its path: it may have been deleted.

    Args:
        descriptor: The open file.
        path: Where it was opened.
    """
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(file: IO[str], how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
