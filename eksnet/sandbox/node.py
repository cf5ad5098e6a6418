"""A node: its namespaces, and what a worker node's file system looks like from inside.

Run as `python -m eksnet.sandbox.node SPECIFICATION`. It builds the root, makes the node's
namespaces (user, network, host name, IPC, mounts, processes) and leaves a child there as the node's
process 1: when that ends, the node has died with all that ran on it. A pod's hostPath volume shows
this root, never the learner's home, and a pod with hostPID sees this node's processes alone.

The root is built before the user namespace is made. So the kernel locks its mounts: nobody on the
node, not even a privileged pod, can take one off or make it writable that is read-only. Where the
sandbox has ids to spare, root of a node is moreover nobody on the computer, and so has no right to
its files, devices and switches below /proc/sys, wherever they are mounted.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from eksnet.sandbox import mounts, namespaces, rootfs
from eksnet.sandbox.specification import NodeSpecification

PROGRAMS = Path("/opt/eksnet/bin")
BUSYBOX = Path("/opt/eksnet/busybox")
MUSL = Path("/opt/eksnet/musl")
PKI = Path("/etc/kubernetes/pki")
# Where a node's root stands on the stage: what it is built on, and leaves behind.
_ROOT = Path("/root")
# What of a node's root is on its disk and so outlives `down`; the rest is in memory.
_ON_DISK = ("data", "home", "mnt", "opt", "root", "srv", "var")


def main() -> None:
    """Build the root, make the namespaces, and leave a process there."""
    specification = NodeSpecification.from_json(sys.argv[1])
    namespaces.new_mounts()
    mounts.make_private()
    stage = specification.stage
    mounts.mount("tmpfs", stage, "tmpfs", mounts.MS_NOSUID, "mode=755")
    # Who may see these whole, may mount new ones in a user namespace.
    for name in ("proc", "sys"):
        mounts.bind(Path("/") / name, stage / name)
    build_root(rootfs.inside(stage, _ROOT), specification)
    # Of the computer, nothing else comes along: neither its mounts nor a path into them.
    mounts.pivot_root(stage)
    # Or a pod could mount the tree of control groups, a part of which may be the learner's own.
    Path("/proc/sys/user/max_cgroup_namespaces").write_text("0")
    namespaces.new_user(specification.ids)
    if os.fork() == 0:
        live(specification.hostname)


def live(hostname: str) -> None:
    """Enter the root as the node's process 1, say so on standard output, and stay."""
    # This /proc is the sandbox's still, and its numbers are those that the supervisor knows.
    pid = os.readlink("/proc/self")
    socket.sethostname(hostname)
    # A mount that is locked cannot become the root; a second one of the same can.
    mounts.bind(_ROOT, _ROOT)
    rootfs.kernel(_ROOT)
    mounts.pivot_root(_ROOT)
    # A node passes its pods' packets on.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    print("ready", pid, flush=True)
    # Nothing of Python stays. A shell that waits for a child collects every orphan meanwhile, and
    # that is all that a process 1 has to do. Nor do the learner's variables, which can be secrets
    # and which every pod that sees the node's processes could read.
    forever = ["sh", "-c", "while :; do sleep 2147483647; done"]
    os.execve(BUSYBOX / "sh", forever, {"PATH": str(BUSYBOX)})


def build_root(root: Path, specification: NodeSpecification) -> None:
    """Assemble a node's file system in a new directory, but for /proc and /sys.

    Args:
        root: The directory that becomes the root.
        specification: What goes into it.
    """
    owner = int(specification.ids.split()[1])
    root.mkdir()
    rootfs.own(root, "mode=755", owner)
    rootfs.system(root)
    rootfs.devices(root, owner)
    for directory in ("run", "tmp"):
        (root / directory).mkdir()
        rootfs.own(root / directory, "mode=1777", owner)
    for name in _ON_DISK:
        mounts.bind(_directory(specification.disk / name, owner), root / name)
    for name in ("lib", "log"):
        _directory(root / "var" / name, owner)
    # Programs look here for their locks (xtables) and sockets.
    rootfs.link(root / "var" / "run", "../run")
    mounts.bind(specification.programs, rootfs.inside(root, PROGRAMS), mounts.MS_RDONLY)
    mounts.bind(specification.busybox, rootfs.inside(root, BUSYBOX), mounts.MS_RDONLY)
    mounts.bind(specification.musl, rootfs.inside(root, MUSL), mounts.MS_RDONLY)
    _configuration(root, specification)
    rootfs.give(root, owner)


def _directory(place: Path, owner: int) -> Path:
    """Make a directory of the node's, if it is not there yet."""
    if not place.exists():
        place.mkdir(parents=True)
        os.lchown(place, owner, owner)
    return place


def _configuration(root: Path, specification: NodeSpecification) -> None:
    rootfs.shared_configuration(root)
    for name, text in specification.files.items():
        path = rootfs.inside(root, Path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    # Copies: the computer's own may be read by their owner alone, and that is not the node.
    keys = rootfs.inside(root, PKI)
    keys.mkdir(parents=True)
    for source in specification.pki.iterdir():
        (keys / source.name).touch(mode=0o600)
        (keys / source.name).write_bytes(source.read_bytes())


if __name__ == "__main__":
    main()
