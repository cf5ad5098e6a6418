"""Builds the walls around a confined program, and starts it within; see `confined`.

Run with the number of a connected socket, over which it is told what to build. The root is built
before the user namespace is made, as a node's is: so the kernel locks its mounts.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

from eksnet.sandbox import mounts, namespaces, rootfs
from eksnet.sandbox.confined import HOME, Confinement

# Where the program's root stands on the stage: what it is built on, and leaves behind.
_ROOT = Path("/root")
_FILE = 256 * 2**20
# What it may keep in files, all of it in memory.
_SIZES = {str(HOME): "256m", "/tmp": "256m", "/run": "16m"}
_SHARED_MEMORY = "mode=1777,size=64m"
_OPEN_FILES = 4096
_FIRST_TO_GO = "1000"
# Whoever collects orphans waits for the program alone: with it, all ends.
_FIRST_PROCESS = ("/bin/sh", "-c", '"$@"; exit $?', "sh")


def main() -> None:
    """Build the walls, start the program, and wait for it."""
    namespaces.end_with_parent()
    connection = socket.socket(fileno=int(sys.argv[1]))
    given = _received(connection)
    # Before this computer runs out of memory, the kernel ends this and all below it.
    Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    namespaces.new_mounts()
    mounts.make_private()
    mounts.mount("tmpfs", given.stage, "tmpfs", mounts.MS_NOSUID, "mode=755")
    # Who may see these whole, may mount new ones in a user namespace.
    for name in ("proc", "sys"):
        mounts.bind(Path("/") / name, given.stage / name)
    _build_root(rootfs.inside(given.stage, _ROOT), given)
    mounts.pivot_root(given.stage)
    namespaces.new_user(given.ids)
    if (first := os.fork()) == 0:
        _live(given, connection)
    connection.close()
    os.waitpid(first, 0)
    os._exit(0)


def _received(connection: socket.socket) -> Confinement:
    with connection.makefile("rb") as stream:
        return Confinement.from_json(stream.read(int.from_bytes(stream.read(4), "big")).decode())


def _build_root(root: Path, given: Confinement) -> None:
    """Assemble the file system, but for /proc."""
    owner = int(given.ids.split()[1])
    root.mkdir()
    rootfs.own(root, "mode=755,size=16m", owner)
    rootfs.system(root)
    rootfs.devices(root, owner, _SHARED_MEMORY)
    rootfs.shared_configuration(root)
    for name, size in _SIZES.items():
        place = rootfs.inside(root, Path(name))
        place.mkdir(parents=True)
        rootfs.own(place, f"mode=1777,size={size}", owner)
    for name, source in given.shown.items():
        mounts.bind(Path(source), rootfs.inside(root, Path(name)), mounts.MS_RDONLY)
    rootfs.give(root, owner)


def _live(given: Confinement, connection: socket.socket) -> None:
    """Enter the root as the first process, and become the program's shell; never returns."""
    namespaces.end_with_parent()
    socket.sethostname("confined")
    # A mount that is locked cannot become the root; a second one of the same can.
    mounts.bind(_ROOT, _ROOT)
    rootfs.processes(_ROOT)
    mounts.pivot_root(_ROOT)
    # In a user namespace of its own it could mount memory without an end.
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, env=given.environment)
    for name, text in given.files.items():
        place = Path(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(0o600 if place.is_relative_to(HOME) else 0o644)
    listeners = [socket.create_server(("127.0.0.1", port)) for port in given.listening]
    lender = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lender.bind(given.lent)
    lender.listen()
    connection.set_inheritable(True)
    os.chdir(HOME)
    _limit(given)
    socket.send_fds(connection, [b"\0"], [one.fileno() for one in (*listeners, lender)])
    # From here on it is the program that would speak.
    nowhere = os.open("/dev/null", os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    namespaces.give_up_rights()
    words = [*_FIRST_PROCESS, *given.command, str(connection.fileno())]
    os.execve(words[0], words, given.environment)


def _limit(given: Confinement) -> None:
    """Set what no process from here on can have more of."""
    for what, most in {
        resource.RLIMIT_NPROC: given.processes,
        resource.RLIMIT_DATA: given.memory,
        resource.RLIMIT_FSIZE: _FILE,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 64 * 1024,
    }.items():
        resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    main()
