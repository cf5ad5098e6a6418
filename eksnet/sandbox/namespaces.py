"""Namespaces, as system calls: how a node gets its own, and how the supervisor reaches it.

`nsenter --pid` would leave a process of its own beside each component, which dies and is killed
apart from it. Only children enter a PID namespace; so the supervisor names the namespace of its
next children, starts them, and stays their parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
# prctl(2)
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38


def new_mounts() -> None:
    """Give this process a mount namespace of its own."""
    _check(_libc.unshare(_CLONE_NEWNS), "make a mount namespace")


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, and what is in its PID namespace.

    `unshare --kill-child` asks for the same, but the kernel forgets it when the exec into a
    program gains capabilities.
    """
    _check(_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "end with the parent")


def leave() -> None:
    """Give this thread mounts and IPC of its own, and its next child a PID namespace of its own.

    The other threads stay where they are; so the thread has to be one that ends afterwards.
    """
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWPID), "leave the sandbox")


def give_up_rights() -> None:
    """Have what this thread starts from now on be root without a single capability."""
    capability = 0
    while _prctl(_PR_CAPBSET_READ, capability) >= 0:
        _check(_prctl(_PR_CAPBSET_DROP, capability), f"give up capability {capability}")
        capability += 1
    _check(_prctl(_PR_SET_NO_NEW_PRIVS, 1), "give up what programs could give")


def new_user(ids: str) -> None:
    """Become root of a user namespace, and of all the others that a node has.

    The next child is process 1 of the PID namespace.

    Args:
        ids: The line of its maps, as user_namespaces(7) has it: `INSIDE OUTSIDE HOW-MANY`.

    Raises:
        OSError: The kernel refused.
    """
    process = os.getpid()
    unshared, done = os.pipe()
    # Who has left a user namespace has no right to say which of its ids come along.
    mapper = os.fork()
    if mapper == 0:
        os.close(done)
        os.read(unshared, 1)
        for kind in ("uid", "gid"):
            Path(f"/proc/{process}/{kind}_map").write_text(ids)
        os._exit(0)
    everything = _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWIPC | _CLONE_NEWPID | _CLONE_NEWNET
    _check(_libc.unshare(_CLONE_NEWUSER | everything), "make a node's namespaces")
    os.close(done)
    os.waitpid(mapper, 0)
    if not one_id():
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def one_id() -> bool:
    """Tell whether this process's user namespace is one that an ordinary user made."""
    return Path("/proc/self/setgroups").read_text() == "deny\n"


@contextlib.contextmanager
def children_beside(pid: int) -> Iterator[None]:
    """Start children in the PID namespace of another process.

    Args:
        pid: A process of that namespace, which must be one below this process's own.

    Raises:
        OSError: There is no such process any more, or the kernel refused.
    """
    try:
        _enter_pids(f"/proc/{pid}/ns/pid")
        yield
    finally:
        _enter_pids("/proc/self/ns/pid")


def new_network() -> int:
    """Return a new network namespace, which lasts as long as this descriptor or a mount of it.

    Raises:
        OSError: The kernel refused.
    """

    def make() -> int:
        _check(_libc.unshare(_CLONE_NEWNET), "make a network")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    # This thread goes there, and ends.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(make).result()


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


def _enter_pids(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, _CLONE_NEWPID), f"enter {path}")
    finally:
        os.close(descriptor)


def _prctl(option: int, argument: int) -> int:
    nothing = ctypes.c_ulong(0)
    result: int = _libc.prctl(option, ctypes.c_ulong(argument), nothing, nothing, nothing)
    return result


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
