"""Processes and sockets in other namespaces, as system calls: how the supervisor reaches a node.

`nsenter --pid` would leave a process of its own beside each component, which dies and is killed
apart from it. Only children enter a PID namespace; so the supervisor names the namespace of its
next children, starts them, and stays their parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000


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


def udp_socket(pid: int) -> socket.socket:
    """Return a UDP socket in the network of a process: it stays there wherever it is used.

    Raises:
        OSError: There is no such process any more, or the kernel refused.
    """
    with open("/proc/thread-self/ns/net") as own, open(f"/proc/{pid}/ns/net") as other:
        # Only this thread goes there, and comes back before anything else runs on it.
        _check(_libc.setns(other.fileno(), _CLONE_NEWNET), f"enter the network of {pid}")
        try:
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        finally:
            _check(_libc.setns(own.fileno(), _CLONE_NEWNET), "come back to the own network")


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
