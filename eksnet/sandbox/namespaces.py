"""Processes in other PID namespaces, as system calls: what a node's processes are started with.

`nsenter --pid` would leave a process of its own beside each component, which dies and is killed
apart from it. Only children enter a PID namespace; so the supervisor names the namespace of its
next children, starts them, and stays their parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWPID = 0x20000000


@contextlib.contextmanager
def new_pids_for_children() -> Iterator[None]:
    """Give the first child that is started in this context a PID namespace, as its process 1.

    No thread may be started meanwhile: the kernel refuses it.

    Raises:
        OSError: The kernel refused.
    """
    with _own_pids_afterwards():
        _check(_libc.unshare(_CLONE_NEWPID), "make a PID namespace")
        yield


@contextlib.contextmanager
def children_beside(pid: int) -> Iterator[None]:
    """Start children in the PID namespace of another process.

    Args:
        pid: A process of that namespace, which must be one below this process's own.

    Raises:
        OSError: There is no such process any more, or the kernel refused.
    """
    with _own_pids_afterwards():
        _enter_pids(f"/proc/{pid}/ns/pid")
        yield


@contextlib.contextmanager
def _own_pids_afterwards() -> Iterator[None]:
    try:
        yield
    finally:
        _enter_pids("/proc/self/ns/pid")


def _enter_pids(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, _CLONE_NEWPID), f"enter {path}")
    finally:
        os.close(descriptor)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
