"""The engine's own Go sources: formatted, vetted, and their tests green."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from interrupting import hear_all

from eksnet.sandbox import preflight
from eksnet.sandbox.build import engine_directory, toolchain
from eksnet.sandbox.build.modules import MODULE as ENGINE
from eksnet.sandbox.build.toolchain import Go

# The flags of the build, so that Go finds in its cache what the build has compiled.
SAME = ("-trimpath", "-buildvcs=false")


@pytest.fixture(scope="module")
def go() -> Go:
    found = toolchain.find(engine_directory(), ENGINE.go_directive)
    assert found is not None, "no Go: `eksnet engine build --keep-caches` leaves one"
    return found


def say(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments], cwd=ENGINE.source, text=True,
        env=toolchain.environment(engine_directory()),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        preexec_fn=hear_all,
    )  # fmt: skip


def test_sources_are_formatted(go: Go):
    said = say(go.path.resolve().with_name("gofmt"), "-l", ".")
    assert said.stdout == ""


def test_vet_finds_nothing(go: Go):
    said = say(go.path, "vet", *SAME, "./...")
    assert said.returncode == 0, said.stdout


def test_go_tests(go: Go):
    # The test before this one vets.
    said = say(go.path, "test", "-vet=off", "-v", *SAME, "./...")
    assert said.returncode == 0, said.stdout
    assert "ok  \teksnet.dev/engine/" in said.stdout
    # Where a sandbox runs, nothing is in the way of any test.
    preflight.check_computer()
    assert [line for line in said.stdout.splitlines() if "--- SKIP" in line] == []
