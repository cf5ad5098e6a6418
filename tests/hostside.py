"""A sandbox as the computer sees it from outside: processes, mounts, interfaces, sockets."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from pathlib import Path

_LISTENING = "0A"
_NS_GET_PARENT = 0xB702  # ioctl_ns(2)


def namespace_of(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/user")


def members(user_namespace: str) -> list[int]:
    """Return the pids of all processes in or below a user namespace that have not ended."""
    found = []
    for pid in _pids():
        try:
            ended = "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
            if user_namespace in _user_namespaces(pid) and not ended:
                found.append(pid)
        except OSError:  # it ended meanwhile, or is not for us to look at
            continue
    return found


def programs(user_namespace: str) -> list[int]:
    """Return the members, without those that are their parent's copies as yet.

    A process that was forked a moment ago has its parent's command line and descriptors.
    """
    found = members(user_namespace)
    return [
        pid
        for pid in found
        if (above := parent(pid)) not in found or arguments(above) != arguments(pid)
    ]


def state(pid: int) -> str:
    """Return a process's state, as the kernel writes it; nothing, when it is gone."""
    return (_stat(pid) or [""])[0]


def parent(pid: int) -> int:
    """Return a process's parent; 0, when it is gone."""
    return int((_stat(pid) or ["", "0"])[1])


def _stat(pid: int) -> list[str]:
    """Return the fields of a process's `stat` from its state on; none, when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _user_namespaces(pid: int) -> list[str]:
    """Return a process's user namespace and those above it, as far as they are ours to see."""
    found = []
    descriptor = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    try:
        while True:
            found.append(f"user:[{os.fstat(descriptor).st_ino}]")
            above = fcntl.ioctl(descriptor, _NS_GET_PARENT)
            os.close(descriptor)
            descriptor = above
    except PermissionError:
        return found
    finally:
        os.close(descriptor)


def arguments(pid: int) -> list[str]:
    """Return a process's command line; nothing, when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def naming(path: Path) -> list[int]:
    """Return the pids of all processes whose command line names a path."""
    return [pid for pid in _pids() if any(str(path) in word for word in arguments(pid))]


def mounts_and_links() -> tuple[str, list[str]]:
    """Return what an ended sandbox must have left as it was."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = [line.split(":")[1] for line in links.splitlines()]
    return Path("/proc/self/mountinfo").read_text(), names


def listening(pids: list[int]) -> list[str]:
    """Return `address:port`, as the kernel writes it, of the host's ports that processes hold."""
    inodes = {f"socket:[{row[9]}]": row[1] for row in _open_ports()}
    return sorted({inodes[link] for pid in pids for link in _descriptors(pid) if link in inodes})


def inotify_instances(pids: list[int]) -> int:
    """Return how many inotify instances processes hold."""
    return sum(_descriptors(pid).count("anon_inode:inotify") for pid in pids)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _descriptors(pid: int) -> list[str]:
    found = []
    # The process may end meanwhile, or close one of them.
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(link))
    return found


def _open_ports() -> list[list[str]]:
    """Return the rows of TCP sockets that listen and of all UDP sockets."""
    rows = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = Path("/proc/net") / table
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        found = [line.split() for line in lines]
        rows += [row for row in found if table.startswith("udp") or row[3] == _LISTENING]
    return rows
