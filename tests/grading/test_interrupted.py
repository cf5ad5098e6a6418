"""A replay that is interrupted, by the command: what was graded stays, and the rest comes later.

The runs are made up: what they say is the lines of evidence that each test gives. A real one is
interrupted in `test_replay`.
"""

from __future__ import annotations

import contextlib
import csv
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made
import pytest
from typer.testing import CliRunner

from eksnet import cli
from eksnet.checkpoints.criteria import State
from eksnet.checkpoints.evidence import Attempt, Binding
from eksnet.course import replay
from eksnet.errors import EksnetError
from eksnet.grading import again
from eksnet.grading.marking import Source

LEARNERS = ("ada", "bob", "carol")


def hand_in(folder: Path, learner: str, source: str) -> None:
    made.hand_in(folder, learner, made.notebook(source))


@dataclass
class Runs:
    """Stands where notebooks are run.

    Attributes:
        made: The sources of those that were run.
        stops: What happens at a source, in place of a run.
        is_down: Whether the sandbox was ended.
    """

    made: list[str] = field(default_factory=list)
    stops: dict[str, Callable[[], None]] = field(default_factory=dict)
    is_down: bool = False

    def run(self, content: bytes, told: replay.Told, most: Any) -> replay.Replay:
        source = "".join(json.loads(content)["cells"][0]["source"])
        self.made.append(source)
        if stop := self.stops.get(source):
            stop()
        line = {
            "format": "eksnet attempt 1", "checkpoint": "hosts-01", "at": "", "cluster": "",
            "nonce": "", "criteria": [],
        }  # fmt: skip
        told([json.dumps(line)], {})
        return replay.Replay(errors=[f"{source}: an error"])

    @contextlib.contextmanager
    def sandbox(self) -> Iterator[None]:
        self.is_down = False
        try:
            yield
        finally:
            self.is_down = True


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, interruptible: None) -> Runs:
    found = Runs()

    def asked(definition: Any, *_: object, **__: object) -> Attempt:
        states = {one.id: State.PASS for one in definition.criteria}
        told = [{"id": name, "observed": "seen", "expected": "=1"} for name in states]
        sources = dict.fromkeys(states, Source.REPLAY)
        return Attempt(definition.id, "", Binding(), states, 0, told, [["1"]], dict(sources))

    monkeypatch.setattr(replay, "replay", found.run)
    monkeypatch.setattr(replay, "sandbox", found.sandbox)
    monkeypatch.setattr(again, "ask", asked)
    return found


def grade(folder: Path, *more: str) -> Any:
    words = [
        "grade", str(folder / "submissions"), "--csv", str(folder / "gradebook.csv"), "--feedback",
        str(folder / "out"), "--notebook", "05", "--replay",
    ]  # fmt: skip
    return CliRunner().invoke(cli.app, [*words, *more])


def rows(folder: Path, name: str = "gradebook.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def scores(folder: Path) -> dict[str, tuple[str, str]]:
    return {row["student_id"]: (row["score"], row["source"]) for row in rows(folder)}


@pytest.fixture
def interrupted(tmp_path: Path, runs: Runs) -> Path:
    """The folder of a class whose grading was interrupted at its second learner."""
    for learner in LEARNERS:
        hand_in(tmp_path, learner, learner)
    runs.stops["bob"] = lambda: signal.raise_signal(signal.SIGINT)
    done = grade(tmp_path)
    assert done.exit_code == 130, done.output
    runs.stops.clear()
    return tmp_path


def test_what_was_graded_is_written_and_the_rest_is_listed(interrupted: Path, runs: Runs) -> None:
    assert runs.made == ["ada", "bob"] and runs.is_down
    assert scores(interrupted) == {
        "ada": ("6", "replay"), "bob": ("", "not graded"), "carol": ("", "not graded"),
    }  # fmt: skip
    assert {row["student_id"] for row in rows(interrupted, "gradebook-criteria.csv")} == {"ada"}
    assert [one.name for one in (interrupted / "out").iterdir()] == ["ada.html"]
    page = (interrupted / "gradebook-overview.html").read_text()
    assert "Not graded: 2" in page and "the mean of 1 learners" in page
    assert not list(interrupted.glob(".eksnet-grade-*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_last_line_says_how_it_goes_on(
    number: signal.Signals, code: int, tmp_path: Path, runs: Runs
) -> None:
    for learner in LEARNERS:
        hand_in(tmp_path, learner, learner)
    runs.stops["carol"] = lambda: signal.raise_signal(number)
    done = grade(tmp_path)
    assert done.exit_code == code
    assert done.stderr.splitlines()[-1] == (
        "eksnet: interrupted: 2 of 3 learners are graded; the same command goes on with what is "
        "left"
    )
    assert "carol: not graded: the grading was interrupted" in done.stdout


def test_the_same_command_goes_on_with_what_is_left(interrupted: Path, runs: Runs) -> None:
    whole = rows(interrupted, "gradebook-criteria.csv")
    runs.made.clear()
    done = grade(interrupted)
    assert done.exit_code == 1, "each run has a cell that failed"
    assert runs.made == ["bob", "carol"]
    assert "ada: 05_lab_hosts: was replayed before the interrupt" in done.stderr
    assert {one for one, _ in scores(interrupted).values()} == {"6"}
    # All that was seen is as it was in the first run, flags included.
    of_ada = [row for row in rows(interrupted, "gradebook-criteria.csv")
              if row["student_id"] == "ada"]  # fmt: skip
    assert of_ada == whole
    assert "ada: replay: 05_lab_hosts: cells failed" in done.stdout
    # Nothing is kept for a third one.
    assert not list(interrupted.glob("*.jsonl"))
    grade(interrupted)
    assert runs.made == ["bob", "carol", *LEARNERS]


@pytest.mark.parametrize("what", ["notebook", "limit", "file"])
def test_what_has_changed_meanwhile_is_run_again(what: str, interrupted: Path, runs: Runs) -> None:
    runs.made.clear()
    (kept,) = interrupted.glob("*.jsonl")
    more = ("--limit", "800") if what == "limit" else ()
    if what == "notebook":
        hand_in(interrupted, "ada", "ada, another one")
    if what == "file":
        kept.write_bytes(b'{"format": "eksnet replay 1", "key": []}\n\xff\n[]\n7\n{"format"')
    assert grade(interrupted, *more).exit_code == 1
    assert len(runs.made) == 3 and runs.made[1:] == ["bob", "carol"]


def test_marks_of_before_stay_with_who_is_not_graded(tmp_path: Path, runs: Runs) -> None:
    for learner in LEARNERS:
        hand_in(tmp_path, learner, learner)
    grade(tmp_path)
    before = rows(tmp_path)
    before[1]["manual_score"] = "3"
    with (tmp_path / "gradebook.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, before[0])
        writer.writeheader()
        writer.writerows(before)
    runs.stops["bob"] = lambda: signal.raise_signal(signal.SIGINT)
    assert grade(tmp_path).exit_code == 130
    assert rows(tmp_path)[1:] == before[1:]
    runs.stops.clear()
    grade(tmp_path)
    assert scores(tmp_path)["bob"] == ("3", "replay")


def test_what_this_computer_cannot_run_is_marked_by_evidence_and_says_what_to_do(
    tmp_path: Path, runs: Runs
) -> None:
    def full() -> None:
        raise EksnetError("the disk is full", "300 MB", "df -h shows full disks")

    for learner in LEARNERS:
        hand_in(tmp_path, learner, learner)
    runs.stops["bob"] = full
    done = grade(tmp_path)
    reason = "05_lab_hosts: by evidence: the disk is full; next: df -h shows full disks"
    assert f"bob: not replayed: {reason}" in done.stdout
    assert scores(tmp_path)["bob"] == ("0", "evidence")
    assert {scores(tmp_path)[one] for one in ("ada", "carol")} == {("6", "replay")}


@pytest.mark.parametrize(("option", "named"), [("csv", "/proc/g.csv"), ("feedback", "/proc")])
def test_where_nothing_can_be_written_is_named_before_the_first_run(
    option: str, named: str, tmp_path: Path, runs: Runs
) -> None:
    hand_in(tmp_path, "ada", "ada")
    done = grade(tmp_path, f"--{option}", named)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"eksnet: {named} cannot be written: ")
    assert runs.made == []


def test_an_interrupt_before_anybody_was_looked_at_changes_nothing(
    tmp_path: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(tmp_path, "ada", "ada")
    grade(tmp_path)
    before = (tmp_path / "gradebook.csv").read_text()
    monkeypatch.setattr("eksnet.grading.grading.find", lambda _: signal.raise_signal(signal.SIGINT))
    done = grade(tmp_path)
    assert done.exit_code == 130 and done.stderr == "eksnet: interrupted\n"
    assert (tmp_path / "gradebook.csv").read_text() == before
