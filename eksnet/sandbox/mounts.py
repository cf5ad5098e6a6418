"""Mounting, as system calls: the few that the roots of nodes and components need.

The `mount` program would do, but a node's root takes some thirty mounts and each call of the
program costs more than the mount. Only the standard library: node processes start with this.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_RELATIME = 1 << 21
_MNT_DETACH = 2
# How a mount table writes a blank in a name, and what else would be taken for the end of it.
_ESCAPED = re.compile(r"\\([0-7]{3})")
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

# A mount that came from outside the user namespace keeps these: a remount has to repeat them.
_LOCKED = {
    os.ST_NOSUID: MS_NOSUID,
    os.ST_NODEV: MS_NODEV,
    os.ST_NOEXEC: MS_NOEXEC,
    os.ST_NOATIME: MS_NOATIME,
    os.ST_NODIRATIME: MS_NODIRATIME,
    os.ST_RELATIME: MS_RELATIME,
}


def mount(source: str, target: Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a file system of a kind.

    Raises:
        OSError: The kernel refused; the message names the target.
    """
    arguments = (source, str(target), kind, data)
    result = _libc.mount(
        arguments[0].encode(),
        arguments[1].encode(),
        arguments[2].encode() or None,
        ctypes.c_ulong(flags),
        arguments[3].encode() or None,
    )
    _check(result, f"mount {kind or source} at {target}")


def bind(source: Path, target: Path, flags: int = 0) -> None:
    """Show a file or directory at a second place; the place is made if it is missing.

    Args:
        source: What to show.
        target: Where to show it.
        flags: What is to hold there and for all that is mounted below it, such as `MS_RDONLY`.
    """
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(str(source), target, flags=MS_BIND | MS_REC)
    for place in _mounts_from(target) if flags else ():
        remount(place, flags)


def remount(target: Path, flags: int) -> None:
    """Give a mount other flags; those that it has locked it keeps."""
    present = os.statvfs(target).f_flag
    locked = sum(flag for bit, flag in _LOCKED.items() if present & bit)
    mount("", target, flags=MS_REMOUNT | MS_BIND | flags | locked)


def make_private() -> None:
    """Keep all later mounts of this namespace from being seen anywhere else."""
    mount("", Path("/"), flags=MS_REC | MS_PRIVATE)


def pivot_root(root: Path) -> None:
    """Make a mounted directory the root, and let go of the old one."""
    os.chdir(root)
    number = _PIVOT_ROOT[platform.machine()]
    _check(_libc.syscall(number, b".", b"."), f"pivot_root to {root}")
    _check(_libc.umount2(b".", _MNT_DETACH), "detach the old root")
    os.chdir("/")


def _mounts_from(target: Path) -> list[Path]:
    """Return a place where something is mounted, and where something is mounted below it."""
    # The kernel names each without a link in its path.
    place = target.resolve()
    lines = os.fsdecode(Path("/proc/thread-self/mountinfo").read_bytes()).splitlines()
    points = (Path(_ESCAPED.sub(_character, line.split()[4])) for line in lines)
    return [place, *(point for point in points if place in point.parents)]


def _character(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 8))


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
