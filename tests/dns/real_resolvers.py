"""Real resolvers, each lookup in a network of its own with a scripted server on port 53."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from eksnet.dns import ResolvConf
from eksnet.sandbox import build as engine
from eksnet.sandbox import userland
from eksnet.sandbox.build import toolchain
from eksnet.sandbox.paths import Paths

SOURCES = Path(__file__).parent / "resolvers"
BUSYBOX = next(filter(None, map(shutil.which, ("busybox", "busybox-static"))), "busybox")


@dataclass(frozen=True)
class Case:
    """One lookup: the resolver, the name, the file, and what the server is to say.

    `answers` holds "NAME KIND" and a reply; to all else the server says NXDOMAIN. `file` is the
    resolv.conf as it is, where what the model makes of it is what matters. `servers` are the
    addresses at which there is a server, and `silent` those of them that do not answer.
    """

    profile: str
    name: str
    conf: ResolvConf
    answers: Mapping[str, str] = field(hash=False)
    file: str = ""
    servers: tuple[str, ...] = ("127.0.0.1",)
    silent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What a lookup did: its exit code, its output, and (kind, name, protocol) of each query.

    `longest` is how long at most a query lay at the server before its reply left, in seconds;
    `servers` is where each query came.
    """

    code: int
    output: str
    queries: tuple[tuple[str, str, str], ...]
    longest: float
    servers: tuple[str, ...] = ()


def build(where: Path) -> dict[str, list[str]]:
    """Return for each profile the command that looks a name up; the programs are built there."""
    musl, go = userland.musl(Paths(where)) / "getent", where / "lookup-go"
    found = toolchain.find(engine.engine_directory(), engine.MODULE.go_directive)
    assert found, "no Go; `make test` builds the engine first, and that installs one"
    subprocess.run(
        [found.path, "build", "-trimpath", "-buildvcs=false", "-o", go, SOURCES / "lookup.go"],
        env=toolchain.environment(engine.engine_directory()),
        check=True,
    )
    return {
        "glibc": ["getent", "ahosts"],
        "musl": [str(musl), "ahosts"],
        "go": [str(go)],
        "busybox": [BUSYBOX, "nslookup"],
    }


def musl_version() -> tuple[int, ...]:
    """Return the version of this computer's musl, which the lookup program is linked with."""
    loader = next(Path("/lib").glob("ld-musl-*.so.1"))
    said = subprocess.run([loader], capture_output=True, text=True).stderr
    return tuple(map(int, re.search(r"Version (\d+)\.(\d+)\.(\d+)", said).groups()))


class Networks:
    """Several networks side by side, since lookups mostly wait."""

    def __init__(self, commands: dict[str, list[str]], where: Path, count: int) -> None:
        self._commands = commands
        self._all = [_enter(where / f"network-{n}") for n in range(count)]
        self._free: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
        for network in self._all:
            assert network.stdout.readline() == "ready\n"
            self._free.put(network)

    def look_up(self, cases: Iterable[Case]) -> list[Seen]:
        with ThreadPoolExecutor(len(self._all)) as threads:
            return list(threads.map(self._look_up, cases))

    def _look_up(self, case: Case) -> Seen:
        network = self._free.get()
        try:
            line = {
                "command": [*self._commands[case.profile], case.name],
                "resolv_conf": case.file or case.conf.render(),
                "answers": case.answers,
                "servers": case.servers,
                "silent": case.silent,
            }
            network.stdin.write(f"{json.dumps(line)}\n")
            network.stdin.flush()
            code, output, queries, longest, servers = json.loads(network.stdout.readline())
        finally:
            self._free.put(network)
        return Seen(code, output, tuple(map(tuple, queries)), longest, tuple(servers))

    def end(self) -> None:
        for network in self._all:
            network.stdin.close()
        for network in self._all:
            assert network.wait(30) == 0
            network.stdout.close()


def _enter(where: Path) -> subprocess.Popen[str]:
    where.mkdir()
    (where / "resolv.conf").touch()
    (where / "nsswitch.conf").touch()
    namespaces = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--uts"]
    inside = [sys.executable, str(SOURCES / "inside.py")]
    files = [str(where / "resolv.conf"), str(where / "nsswitch.conf")]
    return subprocess.Popen(
        [*namespaces, *inside, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
