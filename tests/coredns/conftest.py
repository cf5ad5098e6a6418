"""The CoreDNS that the sandbox runs, started by hand: what it says of a Corefile."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import judging
import pytest

from eksnet.coredns.configuration import logged_configurations
from eksnet.sandbox import build
from eksnet.sandbox.pki import serving_certificate


@dataclass(frozen=True)
class Said:
    """What CoreDNS said of a Corefile.

    Attributes:
        started: Whether it started.
        hash: The hash that it logged; empty for none.
        log: All that it said.
    """

    started: bool
    hash: str
    log: str


Ask = Callable[..., Said]


@pytest.fixture(scope="session")
def ask_coredns(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Return a function that starts CoreDNS with a Corefile, and returns what it said."""
    program = next(one for one in build.status() if one.name == "coredns")
    assert program.state == "built", "`eksnet engine build` builds it"
    directory = tmp_path_factory.mktemp("corefile")

    def ask(corefile: str, environment: dict[str, str] | None = None) -> Said:
        (directory / "Corefile").write_bytes(corefile.encode())
        log = _run(program.path, directory, environment)
        hashes = logged_configurations(log)
        return Said(f"\nCoreDNS-{_release(log)}" in log, hashes[-1] if hashes else "", log)

    return ask


def _release(log: str) -> str:
    found = re.search(r"^CoreDNS-(\S+)", log, re.MULTILINE)
    return found[1] if found else "?"


def _run(program: Path, directory: Path, environment: dict[str, str] | None) -> str:
    with subprocess.Popen(
        [program, "-conf", "Corefile"], cwd=directory, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout
        log, deadline = b"", time.monotonic() + 30
        try:
            # Either it says which release it is, after its hash, or it ends.
            while b"\nCoreDNS-" not in log and (left := deadline - time.monotonic()) > 0:
                if not select.select([process.stdout], [], [], left)[0]:
                    break
                if not (read := os.read(process.stdout.fileno(), 65536)):
                    break
                log += read
        finally:
            process.kill()
    return log.decode()


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[judging.Judge]:
    """Return what says whether CoreDNS's parser and set-up refuse a Corefile, and why."""
    where = tmp_path_factory.mktemp("judge")
    (where / "ca.crt").write_text(serving_certificate("127.0.0.1")[0])
    found = judging.Judge(judging.build(where), where / "ca.crt")
    yield found
    found.end()
