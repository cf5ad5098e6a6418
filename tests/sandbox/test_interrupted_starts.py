"""Starts that are cut off or fail half way, and what they leave alone; no sandbox runs here."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from eksnet.errors import EksnetError
from eksnet.sandbox import holder, launching, lifecycle, locks, preflight
from eksnet.sandbox.paths import Paths

LAUNCHED = 4711


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the start ended: of a sandbox whose parts are stand-ins, `launch` the process 4711."""
    done: list[str] = []
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(preflight, "check_computer", lambda: None)
    monkeypatch.setattr(lifecycle, "engine", lambda progress: tmp_path)
    monkeypatch.setattr(launching, "launch", lambda *words: LAUNCHED)
    monkeypatch.setattr(holder, "recorded", lambda paths: LAUNCHED)
    monkeypatch.setattr(holder, "stop", lambda paths: done.append("stopped"))
    return done


def failing(error: BaseException) -> Callable[..., str]:
    def wait(*words: object) -> str:
        raise error

    return wait


def test_an_interrupt_during_the_launch_ends_what_was_launched(
    ended: list[str], monkeypatch: pytest.MonkeyPatch, interruptible: None
):
    def launch(*words: object) -> int:
        signal.raise_signal(signal.SIGINT)
        return LAUNCHED

    monkeypatch.setattr(launching, "launch", launch)
    with pytest.raises(KeyboardInterrupt):
        lifecycle.up("cut")
    assert ended == ["stopped"]


@pytest.mark.parametrize("error", [EksnetError("etcd exits again and again"), KeyboardInterrupt()])
def test_a_start_that_does_not_become_ready_is_ended(
    error: BaseException, ended: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lifecycle, "wait_until_ready", failing(error))
    with pytest.raises(type(error)):
        lifecycle.up("cut")
    assert ended == ["stopped"]


def test_what_another_command_started_since_is_left_alone(
    ended: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lifecycle, "wait_until_ready", failing(EksnetError("it ended")))
    monkeypatch.setattr(holder, "recorded", lambda paths: LAUNCHED + 1)
    with pytest.raises(EksnetError, match="it ended"):
        lifecycle.up("cut")
    assert ended == []


def test_a_launch_that_fails_leaves_nothing_to_end(
    ended: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(launching, "launch", failing(EksnetError("the port is taken")))
    with pytest.raises(EksnetError, match="the port is taken"):
        lifecycle.up("cut")
    assert ended == []


def test_namespaces_that_nobody_could_find_again_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # The disk is full just when it is to be written down which process holds them.
    own = Paths(tmp_path / "full")
    started: list[subprocess.Popen[bytes]] = []

    def unshare(paths: Paths, descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
        own.pid.mkdir()
        started.append(subprocess.Popen(["sleep", "infinity"], pass_fds=descriptors))
        return started[0]

    monkeypatch.setattr(launching, "unshare", unshare)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: started[0].kill())
        with pytest.raises(OSError, match="pid"):
            launching.launch(own, tmp_path, 0)
        assert started[0].returncode == -signal.SIGKILL
        assert not locks.is_alive(own)


def test_an_unshare_that_ends_at_once_is_told():
    with (
        subprocess.Popen(["false"], stdin=subprocess.PIPE) as process,
        pytest.raises(EksnetError, match="unshare exited with exit code 1"),
    ):
        launching._map_ids(process)
