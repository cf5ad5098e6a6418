"""A class looked at again, by the command: at clusters that answer, and by running notebooks."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made import attempt, submission
from typer.testing import CliRunner

sys.path += [str(Path(__file__).parents[1] / room) for room in ("cluster", "checkpoints")]
from fake_api import FakeApi
from lab_api import no_writes, write_kubeconfig
from test_checkpoints_lab_hosts import SOLVED, UNTOUCHED, put_lab

from eksnet import cli
from eksnet.checkpoints import definitions, evidence
from eksnet.checkpoints.criteria import State
from eksnet.cluster import connect_read_only

HOSTS = definitions.of_notebook("05")
ENTRY, PASS, FAIL = "hosts-01.entry", State.PASS, State.FAIL
LATER = "2026-11-30T11:00:00+00:00"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """A learner's cluster, which refuses every request that could change anything."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    server = FakeApi()
    server.refuse = no_writes
    write_kubeconfig(tmp_path / "kubeconfig", server.url)
    yield server
    server.close()


def grade(folder: Path, roster: str, *more: str) -> tuple[Any, dict[str, Any]]:
    """Grade 05 with a roster; return what the command did, and what it said as JSON."""
    (folder / "roster.csv").write_text(roster)
    words = [
        "grade", str(folder / "submissions"), "--csv", str(folder / "gradebook.csv"), "--feedback",
        str(folder / "out"), "--notebook", "05", "--roster", str(folder / "roster.csv"), "--json",
    ]  # fmt: skip
    done = CliRunner().invoke(cli.app, [*words, *more])
    said = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return done, said


def criteria(folder: Path, learner: str) -> dict[str, dict[str, str]]:
    with (folder / "gradebook-criteria.csv").open(newline="", encoding="utf-8") as file:
        return {row["criterion"]: row for row in csv.DictReader(file)
                if row["student_id"] == learner}  # fmt: skip


def hand_in(folder: Path, learner: str, states: State, cluster: str) -> None:
    records = [attempt(one, states, cluster=cluster, nonce="") for one in HOSTS]
    submission(folder / "submissions" / f"{learner}.zip", records)


def test_a_live_look_names_what_the_cluster_shows_and_what_only_evidence_says(
    api: FakeApi, tmp_path: Path
) -> None:
    put_lab(api, SOLVED)
    place = evidence.bind(connect_read_only("context:lab")).cluster
    hand_in(tmp_path, "ada", PASS, place)
    hand_in(tmp_path, "bob", FAIL, place)
    hand_in(tmp_path, "carol", PASS, "uid:another")
    hand_in(tmp_path, "dan", PASS, "uid:dans")
    hand_in(tmp_path, "eve", FAIL, "uid:eves")
    api.requests.clear()
    roster = (
        "student_id,target\nada,context:lab\nbob,context:lab\ncarol,context:lab\n"
        "dan,context:nowhere\neve,\n"
    )
    done, said = grade(tmp_path, roster, "--live")
    assert done.exit_code == 1, done.output
    assert not [one for one in api.requests if one.writes]
    learners = {one["student_id"]: one for one in said["learners"]}
    # Nobody loses a point, and who had not begun has what is there.
    assert learners["ada"]["points"] == sum(one.points for one in HOSTS)
    assert learners["bob"]["points"] == criterion_points("hosts-01.entry", "hosts-01.fallthrough",
                                                         "hosts-01.running")  # fmt: skip
    assert learners["eve"]["points"] == 0
    ada = criteria(tmp_path, "ada")
    assert ada[ENTRY]["source"] == "live" and ada[ENTRY]["state"] == PASS
    assert ada["hosts-02.plugin"]["source"] == "evidence"
    assert learners["ada"]["source"] == "evidence + live"
    assert criteria(tmp_path, "eve")[ENTRY]["source"] == "evidence"
    flags = {(one["learner"], one["about"]): one["reason"] for one in said["notices"]}
    reason = flags["ada", "not confirmed"]
    assert "hosts-01.backup" in reason and ENTRY not in reason
    assert "not looked at" in flags["carol", "another cluster"]
    assert "nowhere" in flags["dan", "not reached"]
    assert "Source" not in (tmp_path / "out" / "ada.html").read_text()
    assert "live" in (tmp_path / "out" / "ada.html").read_text()


def criterion_points(*names: str) -> int:
    return sum(one.points for lab in HOSTS for one in lab.criteria if one.id in names)


def test_a_cluster_that_was_put_back_confirms_little_and_costs_nothing(
    api: FakeApi, tmp_path: Path
) -> None:
    put_lab(api, UNTOUCHED)
    place = evidence.bind(connect_read_only("context:lab")).cluster
    hand_in(tmp_path, "ada", PASS, place)
    done, said = grade(tmp_path, "student_id,target\nada,context:lab\n", "--live")
    assert said["learners"][0]["points"] == sum(one.points for one in HOSTS), done.output
    assert criteria(tmp_path, "ada")[ENTRY]["source"] == "evidence"
    (reason,) = (one["reason"] for one in said["notices"] if one["about"] == "not confirmed")
    assert ENTRY in reason


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--live", "--replay"], "one of the two"),
        (["--live"], "no learner has a target"),
        (["--replay", "--limit", "1"], "10 at least"),
        (["--replay", "--limit", "nan"], "10 at least"),
    ],
    ids=["both", "nowhere to look", "no time", "no number"],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    words: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "submissions").mkdir()
    done, _ = grade(tmp_path, "student_id\nada\n", *words)
    assert done.exit_code == 2 and said in done.output
    assert not (tmp_path / "gradebook.csv").exists()
