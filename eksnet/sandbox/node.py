"""A node's root: what a worker node's file system looks like from inside.

Run as `python -m eksnet.sandbox.node SPECIFICATION` in namespaces of its own (network, host name,
IPC, mounts, processes). It builds the root, moves into it and stays as the node's process 1: when
it ends, the node has died with all that ran on it. A pod's hostPath volume shows this root, never
the learner's home, and a pod with hostPID sees this node's processes and no others.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from eksnet.sandbox import mounts

PROGRAMS = Path("/opt/eksnet/bin")
CONTROLLER = Path("/opt/eksnet/controller")
BUSYBOX = Path("/opt/eksnet/busybox")
MUSL = Path("/opt/eksnet/musl")
PKI = Path("/etc/kubernetes/pki")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What the machine's own programs (iptables, nft, conntrack) read besides /usr.
_SHARED_ETC = ("alternatives", "ld.so.cache", "os-release", "protocols", "services", "ssl")


def main() -> None:
    """Build the root, enter it, say so on standard output, and hold the namespaces."""
    specification = json.loads(sys.argv[1])
    mounts.make_private()
    socket.sethostname(specification["hostname"])
    # A node passes its pods' packets on.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    root = Path(specification["root"])
    build_root(root, specification)
    mounts.pivot_root(root)
    print("ready", flush=True)
    # Nothing of Python stays. A shell that waits for a child collects every orphan meanwhile, and
    # that is all that a process 1 has to do.
    os.execv(BUSYBOX / "sh", ["sh", "-c", "while :; do sleep 2147483647; done"])


def build_root(root: Path, specification: dict[str, str]) -> None:
    """Assemble a node's file system below an empty directory.

    Args:
        root: The directory that becomes the root.
        specification: `disk` (what outlives a restart), `programs`, `controller`, `busybox`,
            `musl`, `pki` (source directories), `hostname`, and the texts of `/etc` under their file
            names.
    """
    mounts.mount("tmpfs", root, "tmpfs", mounts.MS_NOSUID, "mode=755")
    _system(root)
    _devices(root)
    for directory in ("run", "tmp"):
        (root / directory).mkdir()
        mounts.mount("tmpfs", root / directory, "tmpfs", mounts.MS_NOSUID, "mode=1777")
    mounts.bind(Path(specification["disk"]), root / "var")
    # Programs look here for their locks (xtables) and sockets.
    _link(root / "var" / "run", "../run")
    mounts.bind(Path(specification["programs"]), _inside(root, PROGRAMS), read_only=True)
    mounts.bind(Path(specification["controller"]), _inside(root, CONTROLLER), read_only=True)
    mounts.bind(Path(specification["busybox"]), _inside(root, BUSYBOX), read_only=True)
    mounts.bind(Path(specification["musl"]), _inside(root, MUSL), read_only=True)
    mounts.bind(Path(specification["pki"]), _inside(root, PKI), read_only=True)
    _configuration(root, specification)


def _system(root: Path) -> None:
    mounts.bind(Path("/usr"), root / "usr", read_only=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        source = Path("/") / name
        if source.is_symlink():
            _link(root / name, os.readlink(source))
        elif source.is_dir():
            mounts.bind(source, root / name, read_only=True)
    (root / "proc").mkdir()
    quiet = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
    mounts.mount("proc", root / "proc", "proc", quiet)
    (root / "sys").mkdir()
    try:
        mounts.mount("sysfs", root / "sys", "sysfs", quiet | mounts.MS_RDONLY)
    except PermissionError:
        # A container host that covers parts of /sys forbids a new one; its own is what is left.
        mounts.bind(Path("/sys"), root / "sys")


def _devices(root: Path) -> None:
    (root / "dev").mkdir()
    mounts.mount("tmpfs", root / "dev", "tmpfs", mounts.MS_NOSUID, "mode=755")
    for name in _DEVICES:
        mounts.bind(Path("/dev") / name, root / "dev" / name)
    for name, target in {"fd": "/proc/self/fd", "ptmx": "pts/ptmx"}.items():
        _link(root / "dev" / name, target)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _link(root / "dev" / name, f"/proc/self/fd/{number}")
    (root / "dev" / "pts").mkdir()
    mounts.mount("devpts", root / "dev" / "pts", "devpts", data="newinstance,ptmxmode=0666")
    (root / "dev" / "shm").mkdir()
    mounts.mount("tmpfs", root / "dev" / "shm", "tmpfs", mounts.MS_NOSUID, "mode=1777")


def _configuration(root: Path, specification: dict[str, str]) -> None:
    for name in _SHARED_ETC:
        source = Path("/etc") / name
        if source.exists():
            mounts.bind(source.resolve(), root / "etc" / name, read_only=True)
    files = {name: text for name, text in specification.items() if name.startswith("/etc/")}
    for name, text in files.items():
        path = _inside(root, Path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _link(path: Path, target: str) -> None:
    if not path.is_symlink():
        path.symlink_to(target)


if __name__ == "__main__":
    main()
