"""File systems that are made for processes of the sandbox: what of the computer is in them.

Only the standard library: node processes start with this.
"""

from __future__ import annotations

import os
from pathlib import Path

from eksnet.sandbox import mounts

SYSTEM = ("usr", "bin", "sbin", "lib", "lib64")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What the machine's own programs (iptables, nft, conntrack) read besides /usr.
_SHARED_ETC = ("alternatives", "ld.so.cache", "os-release", "protocols", "services", "ssl")
_QUIET = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC


def own(place: Path, options: str, owner: int) -> None:
    """Mount an empty file system in memory.

    Args:
        place: Where.
        options: Its options, such as `mode=755`.
        owner: Whose it is, as an id here.
    """
    options = f"{options},uid={owner},gid={owner}"
    mounts.mount("tmpfs", place, "tmpfs", mounts.MS_NOSUID, options)


def give(root: Path, owner: int) -> None:
    """Give away what was made here; what is mounted from elsewhere stays the computer's."""
    device = root.stat().st_dev
    for directory, names, files in os.walk(root):
        made = [n for n in (*names, *files) if os.lstat(f"{directory}/{n}").st_dev == device]
        for name in made:
            os.lchown(f"{directory}/{name}", owner, owner)
        names[:] = [name for name in names if name in made]


def system(root: Path) -> None:
    """Show the computer's own programs and libraries, read-only."""
    for name in SYSTEM:
        source = Path("/") / name
        if source.is_symlink():
            link(root / name, os.readlink(source))
        elif source.is_dir():
            mounts.bind(source, root / name, mounts.MS_RDONLY)


def shared_configuration(root: Path) -> None:
    """Show what the computer's own programs read besides /usr, read-only."""
    for name in _SHARED_ETC:
        source = Path("/etc") / name
        if source.exists():
            mounts.bind(source.resolve(), root / "etc" / name, mounts.MS_RDONLY)


def kernel(root: Path) -> None:
    """Mount /proc and /sys of the namespaces that this process is in."""
    processes(root)
    (root / "sys").mkdir()
    try:
        mounts.mount("sysfs", root / "sys", "sysfs", _QUIET | mounts.MS_RDONLY)
    except PermissionError:
        # A container host that covers parts of /sys forbids a new one; its own is what is left.
        mounts.bind(Path("/sys"), root / "sys", mounts.MS_RDONLY)


def processes(root: Path) -> None:
    """Mount /proc of the PID namespace that this process is in."""
    (root / "proc").mkdir()
    mounts.mount("proc", root / "proc", "proc", _QUIET)


def devices(root: Path, owner: int, shared_memory: str = "mode=1777") -> None:
    """Make /dev with the few devices that any program may use, and with terminals of its own.

    Args:
        root: The root that it is for.
        owner: Whose it is, as an id here.
        shared_memory: The options of /dev/shm.
    """
    (root / "dev").mkdir()
    for name in _DEVICES:
        # They can be written to all the same; but their owner, where that is root of the node,
        # cannot change their mode.
        mounts.bind(Path("/dev") / name, root / "dev" / name, mounts.MS_RDONLY)
    for name, target in {"fd": "/proc/self/fd", "ptmx": "pts/ptmx"}.items():
        link(root / "dev" / name, target)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        link(root / "dev" / name, f"/proc/self/fd/{number}")
    (root / "dev" / "pts").mkdir()
    mounts.mount("devpts", root / "dev" / "pts", "devpts", data="newinstance,ptmxmode=0666")
    (root / "dev" / "shm").mkdir()
    own(root / "dev" / "shm", shared_memory, owner)


def inside(root: Path, path: Path) -> Path:
    """Return where an absolute path is below a root."""
    return root / path.relative_to("/")


def link(path: Path, target: str) -> None:
    """Make a link, unless it is there."""
    if not path.is_symlink():
        path.symlink_to(target)
