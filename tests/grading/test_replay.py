"""Notebooks run again, confined, on a real sandbox, whose checkpoints are asked from outside."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made import CHECK, SOLVED, attempt, hand_in, lines, notebook
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "sandbox"))
import faults
import hostside
from interrupting import COMMAND, hear_all
from test_confined import serving

from eksnet import cli
from eksnet.checkpoints import definitions
from eksnet.checkpoints.definitions.corefile import _ORDER_COREFILE, ASKED
from eksnet.course.replay import SANDBOX
from eksnet.sandbox import lifecycle

pytestmark = pytest.mark.sandbox

HOSTS = {one.id: one for one in definitions.of_notebook("05")}
REPLAY_INSIDE = "eksnet.course.replay_inside"
# Every criterion of the notebook as a pass, in the file that the checks write.
FORGED = f"""
from pathlib import Path
place = Path.home() / ".local/state/eksnet-evidence"
place.mkdir(parents=True, exist_ok=True)
(place / "ca-forged.jsonl").write_bytes({lines(attempt(one) for one in HOSTS.values())!r})
"""
# What would be on the instructor's computer, and what answers there.
PROBE = """
import os, socket
found = [os.environ["HOME"], os.path.exists({home!r})]
try:
    socket.create_connection(("127.0.0.1", {port}), 3)
    found.append("connected")
except OSError as error:
    found.append(type(error).__name__)
raise RuntimeError(found)
"""


# Two dry runs: one of the lesson's, and one that its check makes itself.
TRIED = """
import eksnet
cluster = eksnet.connect()
prediction = {answers!r}
corefile = {corefile!r}
assert eksnet.dry_run(corefile, "api.shop.example", cluster=cluster).answers[0].plugin == "template"
eksnet.checkpoint("corefile-01").check(prediction, corefile)
"""


@pytest.fixture
def learners_own(tmp_path: Path, live_sandbox: Any) -> Iterator[Path]:
    """The instructor's folder; the instructor's own sandbox is up, and stays so."""
    yield tmp_path
    assert lifecycle.status().phase == "ready"
    assert lifecycle.status(SANDBOX).phase == "down"


def words(folder: Path, notebook: str = "05") -> list[str]:
    return [
        "grade", str(folder / "submissions"), "--csv", str(folder / "gradebook.csv"), "--feedback",
        str(folder / "out"), "--notebook", notebook, "--replay", "--json",
    ]  # fmt: skip


def grade(
    folder: Path, *more: str, notebook: str = "05"
) -> tuple[Any, dict[str, Any], dict[str, dict[str, str]]]:
    done = CliRunner().invoke(cli.app, [*words(folder, notebook), *more])
    assert done.exit_code in (0, 1), done.output
    return done, json.loads(done.stdout), criteria(folder)


def criteria(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "gradebook-criteria.csv").open(newline="", encoding="utf-8") as file:
        return {f"{row['student_id']} {row['criterion']}": row for row in csv.DictReader(file)}


def flagged(said: dict[str, Any]) -> dict[str, str]:
    """Return what was said of each learner's runs."""
    found: dict[str, str] = {}
    for one in said["notices"]:
        if one["about"] == "replay":
            found[one["learner"]] = f"{found.get(one['learner'], '')}{one['reason']}; "
    return found


def test_a_class_is_replayed_and_no_submission_stops_it(learners_own: Path) -> None:
    folder = learners_own
    with serving() as port:
        probe = PROBE.format(home=str(folder), port=port)
        hand_in(folder, "a-probe", notebook(probe, "import os; os.kill(os.getppid(), 9)", CHECK))
        hand_in(folder, "b-broken", b"no notebook")
        hand_in(folder, "c-forger", notebook(FORGED, CHECK))
        hand_in(folder, "d-right", notebook(SOLVED, "1 / 0", CHECK, FORGED))
        done, said, rows = grade(folder)
    points = {one["student_id"]: one["points"] for one in said["learners"]}
    flags = flagged(said)
    # Where it ran there is no file of this computer, and nothing answers.
    assert "['/opt/eksnet/home', False, 'ConnectionRefusedError']" in flags["a-probe"]
    assert "its processes were ended from inside" in flags["a-probe"]
    assert points["a-probe"] == 0 and "a-probe: 05_lab_hosts: replayed in" in done.stderr
    assert points["b-broken"] == 0 and "NotJSONError" in flags["b-broken"]
    # The cluster was asked: what nobody did is not there, whatever was written down.
    facts = [one.id for lab in HOSTS.values() for one in lab.criteria if not hasattr(one, "takes")]
    forged = [rows[f"c-forger {one}"] for one in facts]
    assert {row["source"] for row in forged} == {"replay"}
    # Where the Corefile is as it was in the beginning, what says so is true.
    earned = {row["criterion"] for row in forged if row["score"] != "0"}
    assert earned <= {"hosts-06.restored", "hosts-06.running"}, earned
    # A cell that fails does not end the run.
    assert "ZeroDivisionError" in flags["d-right"]
    right = [rows[f"d-right {one.id}"] for one in HOSTS["hosts-01"].criteria]
    assert {(row["state"], row["source"]) for row in right} == {("PASS", "replay")}
    # A trial of the notebook's own is its own word, and is named so.
    assert rows["d-right hosts-02.plugin"]["source"] == "notebook"
    assert "4 notebooks were replayed, in" in done.stderr


def test_a_run_that_does_not_end_is_ended_and_the_next_one_is_on_a_fresh_cluster(
    learners_own: Path,
) -> None:
    folder = learners_own
    hand_in(folder, "a-loop", notebook(SOLVED, CHECK, "while True: pass"))
    hand_in(folder, "b-next", notebook(CHECK))
    done, said, rows = grade(folder, "--limit", "60")
    assert "it took more than 60 s, after cell c1" in flagged(said)["a-loop"]
    # What was done before it counts.
    assert rows["a-loop hosts-01.entry"]["state"] == "PASS", done.output
    assert rows["b-next hosts-01.entry"]["state"] == "NOT_STARTED"


def test_a_corefile_is_run_dry_in_a_replay(learners_own: Path) -> None:
    folder = learners_own
    right = ["template", "template", "template", "hosts", "forward"]
    for learner, plugins in {"a-right": right, "b-wrong": right[::-1]}.items():
        source = TRIED.format(
            answers=dict(zip(ASKED, plugins, strict=True)), corefile=_ORDER_COREFILE
        )
        hand_in(folder, learner, notebook(source), "02c_corefile")
    _, said, rows = grade(folder, notebook="02c")
    assert flagged(said) == {}, "no cell failed"
    found = {learner: rows[f"{learner} corefile-01.plugins"] for learner in ("a-right", "b-wrong")}
    assert {learner: row["state"] for learner, row in found.items()} == {
        "a-right": "PASS", "b-wrong": "FAIL",
    }  # fmt: skip
    assert found["a-right"]["source"] == "notebook"


def test_ctrl_c_keeps_what_was_replayed_and_ends_the_sandbox(learners_own: Path) -> None:
    folder = learners_own
    hand_in(folder, "a-right", notebook(SOLVED, CHECK))
    hand_in(folder, "b-loop", notebook("while True: pass"))
    hand_in(folder, "c-next", notebook(CHECK))
    command = subprocess.Popen(
        [*COMMAND, *words(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=hear_all,
    )  # fmt: skip
    assert command.stderr is not None
    assert command.stderr.readline().startswith("a-right: 05_lab_hosts: replayed in")
    # The second one is under way: its fresh sandbox is up, and its kernel runs.
    faults.until("b-loop runs", lambda: is_running(REPLAY_INSIDE))
    command.send_signal(signal.SIGINT)
    out, complaints = command.communicate(timeout=120)
    assert command.returncode == 130, complaints
    assert complaints.splitlines() == [
        "eksnet: interrupted: 1 of 3 learners are graded; the same command goes on with what is "
        "left"
    ]
    assert lifecycle.status(SANDBOX).phase == "down" and not is_running(REPLAY_INSIDE)
    listed = {one["learner"] for one in json.loads(out)["notices"] if one["about"] == "not graded"}
    assert listed == {"b-loop", "c-next"}
    assert criteria(folder)["a-right hosts-01.entry"]["state"] == "PASS"
    assert [one.name for one in (folder / "out").iterdir()] == ["a-right.html"]

    hand_in(folder, "b-loop", notebook(CHECK))
    done, _, rows = grade(folder)
    assert "a-right: 05_lab_hosts: was replayed before the interrupt" in done.stderr
    assert "2 notebooks were replayed, in" in done.stderr
    assert rows["a-right hosts-01.entry"]["state"] == "PASS"
    assert {row["source"] for row in rows.values()} <= {"replay", "notebook"}


def is_running(module: str) -> bool:
    return bool(hostside.naming(Path(module)))
