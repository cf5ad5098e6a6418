"""Builds that are killed, and builds that meet."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eksnet.sandbox.build import cache, progress
from eksnet.sandbox.build.builder import Engine

Builder = Callable[..., subprocess.Popen[str]]
DEADLINE = 60


def test_a_killed_build_leaves_nothing_that_is_believed(
    engine: Engine, gate: Any, builder: Builder, run: Callable[[Path], str], tmp_path: Path
):
    killed = builder(gate.directory)
    gate.wait_until_begun()
    killed.send_signal(signal.SIGKILL)
    killed.wait(DEADLINE)
    half = engine.base / "drafts" / "hello"
    assert half.read_text() == "half-a-program"
    assert [found.state for found in engine.status()] == ["missing", "missing"]

    # The compiler that outlives its builder still holds the lock; no second one starts beside it.
    with cache.lock(engine.base) as lock:
        assert lock is None

    half.with_name("bye").write_text("left by a builder and a compiler that both were killed")
    gate.open()
    engine.build(progress=lambda line: None)
    assert run(engine.program("hello")) == f"hello {tmp_path}"
    assert [found.state for found in engine.status(verify=True)] == ["built", "built"]
    assert not (engine.base / "drafts").exists()


def test_an_interrupted_build_ends_its_compiler_and_sweeps_up(
    engine: Engine, gate: Any, builder: Builder
):
    interrupted = builder(gate.directory)
    gate.wait_until_begun()
    interrupted.send_signal(signal.SIGINT)
    interrupted.wait(DEADLINE)
    with cache.lock(engine.base) as lock:
        assert lock is not None
    assert not (engine.base / "drafts").exists()
    assert not (engine.base / "progress.json").exists()
    assert not (engine.base / "drafts").exists()


def test_an_interrupt_while_the_compiler_is_being_started_ends_it_too(
    engine: Engine, gate: Any, monkeypatch: pytest.MonkeyPatch, interruptible: None
):
    popen = subprocess.Popen

    def begin_and_be_interrupted(command: list[str], **options: Any) -> subprocess.Popen[str]:
        process = popen(command, **options)
        if command[1] == "build":
            gate.wait_until_begun()
            signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setenv("PATH", f"{gate.directory}:{os.environ['PATH']}")
    monkeypatch.setattr(subprocess, "Popen", begin_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.build(progress=lambda line: None)
    with cache.lock(engine.base) as lock:
        assert lock is not None
    assert not (engine.base / "drafts").exists()


def test_two_builds_at_once_build_once_and_show_the_same_progress(
    engine: Engine, gate: Any, builder: Builder, tmp_path: Path
):
    first = builder(gate.directory)
    gate.wait_until_begun()
    second = builder(gate.directory)
    assert second.stdout is not None
    assert select.select([second.stdout], [], [], DEADLINE)[0], "the second build says nothing"
    assert second.stdout.readline() == "building hello: 0 of 3 packages (0 %)\n"

    gate.open()
    assert first.wait(DEADLINE) == 0, first.communicate()[1]
    assert second.wait(DEADLINE) == 0, second.communicate()[1]
    assert gate.builds() == ["./cmd/hello", "./cmd/bye"]
    assert [found.state for found in engine.status(verify=True)] == ["built", "built"]


def test_a_build_that_waits_takes_over_from_one_that_is_killed(
    engine: Engine, gate: Any, builder: Builder
):
    first = builder(gate.directory)
    gate.wait_until_begun()
    second = builder(gate.directory)
    assert second.stdout is not None
    assert select.select([second.stdout], [], [], DEADLINE)[0], "the second build says nothing"
    first.send_signal(signal.SIGKILL)
    first.wait(DEADLINE)
    gate.open()
    assert second.wait(DEADLINE) == 0, second.communicate()[1]
    assert [found.state for found in engine.status(verify=True)] == ["built", "built"]
    assert not (engine.base / "drafts").exists()


def test_a_bar_is_shown_on_a_terminal(engine: Engine, builder: Builder, tmp_path: Path):
    ours, theirs = pty.openpty()
    process = builder(tmp_path, stderr=theirs)
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], DEADLINE)[0]:
        try:
            shown += os.read(ours, 4096)
        except OSError:
            break
    os.close(ours)
    assert process.wait(DEADLINE) == 0
    assert b"building bye" in shown
    assert b"3/3" in shown
    assert process.communicate()[0] == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"program": "hello"}'])
def test_a_progress_file_of_another_kind_is_no_progress(tmp_path: Path, text: str):
    (tmp_path / "progress.json").write_text(text)
    assert progress.read_progress(tmp_path / "progress.json") is None


def test_progress_is_read_as_it_was_written(tmp_path: Path):
    report = progress.Progress("kube", 812, 1530)
    progress.write_progress(tmp_path / "progress.json", report)
    assert progress.read_progress(tmp_path / "progress.json") == report
    assert str(report) == "building kube: 812 of 1530 packages (53 %)"


def test_lines_come_with_each_tenth_and_each_program():
    said: list[str] = []
    with progress.shown(said.append) as watch:
        for done in range(101):
            watch(progress.Progress("kube" if done < 55 else "helm", done, 100))
    assert len(said) == 12
    assert said[5:8] == [
        "building kube: 50 of 100 packages (50 %)",
        "building helm: 55 of 100 packages (55 %)",
        "building helm: 60 of 100 packages (60 %)",
    ]
