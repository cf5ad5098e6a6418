"""A program that nobody trusts, run with a sandbox lent to it, and with nothing else.

It has namespaces of its own: a network of a loopback device alone, a file system in which of this
computer are only programs, read-only, no other process, and ids that are nobody's where there are
some to spare. On its 127.0.0.1 are the API server and the AWS services of the lent sandbox, and a
socket through which it has connections made on that sandbox's internet; see `lending`. Memory,
processes, files and time are limited. It says what it has to say over one socket.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from eksnet import data, interrupts
from eksnet.bootstrap import engine_directory
from eksnet.errors import EksnetError
from eksnet.sandbox import build, launching, lending, preflight, rootfs
from eksnet.sandbox.aws import interpreter
from eksnet.sandbox.aws.access import access_of
from eksnet.sandbox.paths import Paths, known_port
from eksnet.sandbox.specification import Report, Specification

HOME = Path("/opt/eksnet/home")
_ENGINE = Path("/opt/eksnet/engine")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POLL = 0.1
_BEGIN, _END = 30.0, 20.0
_LONGEST_LINE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What a confined program may use.

    Attributes:
        seconds: How long it may run.
        memory: The memory of all its processes together, in bytes; its files have as much again
            at the most.
        processes: How many processes and threads it may have.
    """

    seconds: float = 900.0
    memory: int = 2 * 2**30
    processes: int = 512


@dataclass(frozen=True)
class Confinement(Specification):
    """What the process that builds the walls is told.

    Attributes:
        stage: An empty directory of this computer, over which the root is built.
        ids: The map of the program's ids to this computer's, as in /proc/PID/uid_map.
        shown: Files and directories of this computer, read-only, by their place inside.
        files: The texts of files, by their place inside.
        listening: The ports of 127.0.0.1 that lead to the lent sandbox.
        lent: Where the socket of the lender is, inside.
        command: The program and its words; the number of its socket comes after them.
        environment: All its variables.
        memory: The memory of one process, in bytes.
        processes: How many processes and threads there may be.
    """

    stage: Path
    ids: str
    shown: dict[str, str]
    files: dict[str, str]
    listening: list[int]
    lent: str
    command: list[str]
    environment: dict[str, str]
    memory: int
    processes: int


class Confined:
    """A confined program that runs; use what `confined` gives.

    Attributes:
        ended: Why it was ended, in words; empty while it was not.
    """

    def __init__(self, process: subprocess.Popen[bytes], own: socket.socket, limits: Limits):
        self.ended = ""
        self._process = process
        self._own = own
        self._limits = limits
        self._said = b""
        self._over = threading.Event()
        self._deadline = time.monotonic() + limits.seconds
        self._watch = threading.Thread(target=self._keep_within, daemon=True)
        self._watch.start()

    def send(self, content: bytes) -> None:
        """Send something; what has ended meanwhile hears nothing."""
        with contextlib.suppress(OSError):
            self._own.sendall(content)

    def line(self) -> bytes | None:
        """Return the next line that it says; None when it has ended, or says no lines."""
        while b"\n" not in self._said:
            if len(self._said) > _LONGEST_LINE:
                self.end("it said a line without an end")
                return None
            try:
                chunk = self._own.recv(65536)
            except OSError:
                chunk = b""
            if not chunk:
                return None
            self._said += chunk
        line, _, self._said = self._said.partition(b"\n")
        return line

    def end(self, why: str = "") -> None:
        """End it with all that it has started, and wait until that is so."""
        self.ended = self.ended or why
        self._over.set()
        self._process.kill()
        self._process.wait()
        # Its first process ends with the one that was waiting for it, and all others with that.
        self._own.settimeout(_END)
        with contextlib.suppress(OSError):
            while self._own.recv(65536):
                pass

    def _keep_within(self) -> None:
        while not self._over.wait(_POLL):
            if time.monotonic() > self._deadline:
                why = f"it took more than {self._limits.seconds:.0f} s"
            elif _memory(self._process.pid) > self._limits.memory:
                why = f"it took more than {self._limits.memory // 2**20} MiB of memory"
            else:
                continue
            self.ended = self.ended or why
            self._process.kill()
            return


@contextlib.contextmanager
def confined(paths: Paths, command: Sequence[str], limits: Limits) -> Iterator[Confined]:
    """Run a program confined, with a sandbox that is up lent to it; it has ended afterwards.

    Args:
        paths: The sandbox's paths.
        command: The program and its words; as the last one it gets the number of its socket.
        limits: What it may use.

    Raises:
        EksnetError: This computer lets no namespaces be made, or the walls could not be built.
    """
    preflight.check_namespaces()
    own, inside = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.callback(own.close)
        stage = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eksnet-confined-")))
        log = stack.enter_context(tempfile.TemporaryFile())
        with interrupts.held():
            process = subprocess.Popen(
                [*_entered(), sys.executable, "-m", "eksnet.sandbox.confined_inside",
                 str(inside.fileno()), str(os.getpid())],
                pass_fds=(inside.fileno(),), cwd="/", env={"PATH": preflight.search_path()},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                start_new_session=True,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
        inside.close()
        own.settimeout(_BEGIN)
        given = _confinement(paths, stage, command, limits).to_json().encode()
        listeners = _begun(own, given, log.fileno())
        stack.enter_context(lending.lent(paths, *listeners))
        own.settimeout(None)
        running = Confined(process, own, limits)
        stack.callback(running.end)
        yield running


def _entered() -> list[str]:
    """Return the command that gives another command the right to mount, where it has none."""
    return [] if launching.owns_ids() else ["unshare", "--user", "--map-root-user", "--"]


def _begun(own: socket.socket, given: bytes, log: int) -> list[socket.socket]:
    """Return the sockets that listen inside, once the walls stand.

    Raises:
        EksnetError: They do not.
    """
    descriptors: list[int] = []
    with contextlib.suppress(OSError):
        own.sendall(len(given).to_bytes(4, "big") + given)
        _, descriptors, _, _ = socket.recv_fds(own, 1, 3)
    if len(descriptors) != 3:
        said = os.pread(log, 100_000, 0).decode(errors="replace").strip()
        raise EksnetError(
            f"no walls could be built for a program: {said.rpartition(chr(10))[2]}",
            "a computer that runs the sandbox",
            "`eksnet up` says what is missing",
        )
    return [socket.socket(fileno=one) for one in descriptors]


def _confinement(paths: Paths, stage: Path, command: Sequence[str], limits: Limits) -> Confinement:
    state = Paths(HOME / ".local" / "state" / "eksnet" / paths.state.name)
    programs = build.program("kube")
    engine = engine_directory() / programs.relative_to(engine_directory()).parts[0]
    own = interpreter.shown().items()
    shown = {
        # What the system's own directories have is there already.
        **{name: str(place) for name, place in own if place.parts[1] not in rootfs.SYSTEM},
        str(data.directory()): str(data.directory()),
        str(_ENGINE / engine.name): str(engine),
    }
    return Confinement(
        stage=stage,
        ids=launching.confined_ids(),
        shown=shown,
        files=_files(paths, state),
        listening=[known_port(paths, "api"), known_port(paths, "aws")],
        lent=str(state.lent),
        command=list(command),
        environment={
            "PATH": f"{Path(sys.executable).parent}:{_PATH}",
            "HOME": str(HOME),
            "LANG": "C.UTF-8",
            "EKSNET_ENGINE_DIR": str(_ENGINE),
            "EKSNET_SANDBOX": paths.state.name,
        },
        memory=limits.memory,
        processes=limits.processes,
    )


def _files(paths: Paths, state: Paths) -> dict[str, str]:
    """Return the files by which a program finds the lent sandbox, and the few of /etc."""
    found = {
        str(state.state / one.relative_to(paths.state)): one.read_text()
        for one in (paths.version, paths.authority, paths.aws_keys, paths.certificates_ca,
                    paths.port("api"), paths.port("aws"))
        if one.exists()
    }  # fmt: skip
    return {
        **found,
        str(state.status): Report("ready", "").to_json(),
        # The keys are at another place there, and all else is as here.
        str(state.kubeconfig): access_of(paths).kubeconfig().replace(
            str(paths.aws_keys), str(state.aws_keys)
        ),
        "/etc/passwd": f"root:x:0:0:learner:{HOME}:/bin/sh\n",
        "/etc/group": "root:x:0:\n",
        "/etc/hosts": "127.0.0.1 localhost\n",
        "/etc/nsswitch.conf": "hosts: files\n",
        "/etc/resolv.conf": "",
    }  # fmt: skip


def _memory(first: int) -> int:
    """Return the memory of a process and of all below it, in bytes."""
    below: dict[int, list[int]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            below.setdefault(int(stat[1]), []).append(int(pid))
    found, waiting = 0, [first]
    while waiting:
        one = waiting.pop()
        waiting += below.get(one, ())
        found += _own_memory(one)
    return found


def _own_memory(pid: int) -> int:
    """Return what of a process's memory is no file's, in bytes; none of one that has ended."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        held = [line.split() for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
        return sum(int(one[1]) for one in held) * 1024
    return 0
