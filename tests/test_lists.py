"""Lists that the command prints: names stay whole on a terminal of 80 columns, and in a pipe."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pexpect
import pytest
from interrupting import COMMAND

from eksnet.course.catalogue import course

NAMESPACE = "a-namespace-with-a-name-that-is-longer-than-forty-letters"
ASKED = f"api.{NAMESPACE}.example"
COREFILE = f".:53 {{\n  hosts {{\n    10.0.0.7 {ASKED}\n  }}\n}}\n"


def submitted(folder: Path) -> tuple[list[str], list[str]]:
    """Return what hands in long names of notebooks, and these names."""
    names = [f"{path.stem}-2026-11-30-of-a-learner.ipynb" for path in course()[:3]]
    for name in names:
        (folder / name).write_text('{"cells": []}')
    words = ["submit", str(folder / "ada.zip"), "--course", str(folder)]
    return words, [f"notebooks/{name}" for name in names]


def resolved(folder: Path) -> tuple[list[str], list[str]]:
    words = ["resolve", "api.example", "--from", NAMESPACE]
    return words, [f"api.example.{NAMESPACE}.svc.cluster.local"]


def tried(folder: Path) -> tuple[list[str], list[str]]:
    (folder / "Corefile").write_text(COREFILE)
    return ["corefile", "test", str(folder / "Corefile"), "--query", ASKED], [ASKED]


@pytest.mark.parametrize(
    "listing", [submitted, resolved, pytest.param(tried, marks=pytest.mark.sandbox)]
)
@pytest.mark.parametrize("printed", ["on a terminal", "in a pipe"])
def test_names_are_whole(printed, listing, tmp_path: Path) -> None:
    words, names = listing(tmp_path)
    run = on_a_terminal if printed == "on a terminal" else in_a_pipe
    text = run(words, tmp_path)
    cells = {cell for line in text.splitlines() for cell in line.split()}
    assert set(names) <= cells, text
    assert "…" not in text


def on_a_terminal(words: list[str], home: Path) -> str:
    command = pexpect.spawn(
        COMMAND[0], [*COMMAND[1:], *words], env=environment(home), timeout=60, encoding="utf-8",
        dimensions=(24, 80),
    )  # fmt: skip
    text = command.read()
    command.close()
    assert command.exitstatus == 0, text
    return text


def in_a_pipe(words: list[str], home: Path) -> str:
    done = subprocess.run(
        [*COMMAND, *words], env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a learner whose terminal has its own width."""
    own = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return {**own, "XDG_STATE_HOME": str(home / "state"), "TERM": "xterm"}
