"""Go's race detector: pods that are removed while they start, and the load balancers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from eksnet.sandbox.build import engine_directory, toolchain
from eksnet.sandbox.build.modules import MODULE as ENGINE

pytestmark = pytest.mark.soak

PODS = 200
STRANGER = 20001
# How many texts and patterns are drawn for the load balancers' wildcards.
DRAWN = 100_000


@pytest.fixture(scope="module")
def go():
    found = toolchain.find(engine_directory(), ENGINE.go_directive)
    assert found is not None, "no Go: `eksnet engine build --keep-caches` leaves one"
    return found.path


@pytest.fixture(scope="module")
def runtime_tests(go):
    """The runtime's tests as one program with the race detector, where every user may run it."""
    folder = Path(tempfile.mkdtemp(prefix="eksnet-race-"))
    folder.chmod(0o755)
    program = folder / "runtime.test"
    subprocess.run(
        [go, "test", "-race", "-c", "-trimpath", "-o", program, "./cmd/runtime"],
        cwd=ENGINE.source, check=True,
        env=toolchain.environment(engine_directory()) | {"CGO_ENABLED": "1"},
    )  # fmt: skip
    yield program
    shutil.rmtree(folder)


@pytest.mark.parametrize("uid", [0, STRANGER], ids=["root", "an ordinary user"])
def test_pods_that_are_removed_while_they_start_leave_nothing(runtime_tests, uid):
    assert os.geteuid() == 0, "only root can become another user"
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
    said = subprocess.run(
        [*become, runtime_tests, "-test.v", "-test.run=^TestPodsAreRemovedWhileTheyStart$"],
        cwd=runtime_tests.parent, stdin=subprocess.DEVNULL, text=True,
        env={"PATH": os.environ["PATH"], "EKSNET_STARTS": str(PODS), "GORACE": "halt_on_error=1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout
    assert "--- PASS: TestPodsAreRemovedWhileTheyStart" in said.stdout
    assert "DATA RACE" not in said.stdout


def say(go: Path, *words: str, cgo: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [go, "test", "-count=1", "-trimpath", *words], cwd=ENGINE.source,
        env=toolchain.environment(engine_directory()) | {"CGO_ENABLED": cgo},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip


def test_load_balancers_have_no_race(go):
    said = say(go, "-race", "./internal/loadbalancer/...", cgo="1")
    assert said.returncode == 0, said.stdout
    assert "ok  \teksnet.dev/engine/internal/loadbalancer\t" in said.stdout


def test_wildcards_agree_with_regular_expressions(go):
    fuzz = ("-run=^$", "-fuzz=^FuzzWildcards$", f"-fuzztime={DRAWN}x")
    said = say(go, *fuzz, "./internal/loadbalancer/rules")
    assert said.returncode == 0, said.stdout
    assert f"execs: {DRAWN}" in said.stdout
