from __future__ import annotations

import csv
from pathlib import Path

import pytest

from eksnet.checkpoints import definitions
from eksnet.errors import EksnetError
from eksnet.grading import gradebook, roster
from eksnet.grading.gradebook import MANUAL, NBGRADER, Earlier, Row
from eksnet.grading.marking import Learner, Rules, nothing

LAB = definitions.of_notebook("05")


def row(raw: str = "3", score: str = "", manual: str = "", **more: str) -> Row:
    about = {"assignment": "05_lab_hosts", "student_id": "ada", "max_score": "10"}
    return about | {"raw_score": raw, "score": score or raw, MANUAL: manual} | more


@pytest.mark.parametrize(
    ("before", "now", "score", "manual", "conflict"),
    [
        (row(), "5", "5", "", ""),
        (row(manual="7"), "3", "7", "7", ""),
        (row(manual="0"), "3", "0", "0", ""),
        (row(score="7"), "3", "7", "7", ""),
        (row(score="7", manual="7"), "3", "7", "7", ""),
        (row(score="7", manual="7"), "5", "7", "7", "when the evidence gave 3; it gives 5 now"),
        (row(score="3.0", manual="2.5"), "3", "2.5", "2.5", ""),
        (row(score="6", manual="7"), "3", "7", "7", "'7' and the score '6'"),
        (row(manual="a lot"), "3", "3", "a lot", "is no number from 0 to 10"),
        (row(manual="11"), "3", "3", "11", "is no number from 0 to 10"),
        (row(manual="-1"), "3", "3", "-1", "is no number from 0 to 10"),
        (row(manual="nan"), "3", "3", "nan", "is no number from 0 to 10"),
    ],
)
def test_a_manual_mark_survives_and_a_conflict_is_told(
    before: Row, now: str, score: str, manual: str, conflict: str
) -> None:
    earlier = Earlier.of([before])
    merged = earlier.merged(row(now))
    assert (merged["raw_score"], merged["score"], merged[MANUAL]) == (now, score, manual)
    assert list(earlier.left()) == []
    if conflict:
        (found,) = earlier.conflicts
        assert (found.learner, found.kind) == ("ada", "05_lab_hosts")
        assert conflict in found.reason
    else:
        assert earlier.conflicts == []


def test_a_conflict_is_told_once_for_each_change() -> None:
    first = Earlier.of([row("3", manual="7")])
    merged = first.merged(row("5"))
    second = Earlier.of([merged])
    assert second.merged(row("5"))["score"] == "7"
    assert (len(first.conflicts), second.conflicts) == (1, [])


def test_a_mark_without_a_learner_stays_and_is_told_and_columns_of_ones_own_stay() -> None:
    earlier = Earlier.of([row(note="good"), row(manual="4", student_id="gone", note="came late")])
    assert earlier.columns == ("note",)
    assert earlier.merged(row())["note"] == "good"
    (left,) = earlier.left()
    assert (left["student_id"], left["note"]) == ("gone", "came late")
    assert "no such learner" in earlier.conflicts[0].reason


def test_two_rows_of_one_learner_are_told() -> None:
    earlier = Earlier.of([row(manual="1"), row(manual="2")])
    assert earlier.merged(row())["score"] == "2"
    assert "two rows" in earlier.conflicts[0].reason


def test_the_columns_are_those_of_nbgrader_and_a_name_is_no_formula() -> None:
    learner = Learner("ada", "=1+1", 'Love"lace, A', "@x")
    (made,) = gradebook.rows(nothing(learner, Rules(LAB)))
    assert list(made)[: len(NBGRADER)] == list(NBGRADER)
    assert (made["first_name"], made["last_name"], made["email"]) == (
        "'=1+1",
        'Love"lace, A',
        "'@x",
    )
    assert (made["score"], made["raw_score"], made["timestamp"]) == ("0", "0", "")
    assert made["max_score"] == str(sum(one.points for one in LAB))


def test_the_roster_is_read(tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_text(
        '\ufeffstudent_id,last_name,nonce,room\nada,"Lovelace, A",n-1,7\nbob,,,\n', encoding="utf-8"
    )
    assert roster.read(path) == {
        "ada": Learner("ada", last_name="Lovelace, A", nonce="n-1"),
        "bob": Learner("bob"),
    }
    path.write_text("student_id\n")
    assert roster.read(path) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\nada\n", "no column student_id"),
        ("name\n", "no column student_id"),
        ("", "no column student_id"),
        ("student_id\nada\nada\n", "ada is there twice"),
        ("student_id\n../eve\n", "no learner's name"),
        ('student_id\n"ada\n', "cannot be read"),
        ("student_id\n" + "x" * 200_000, "cannot be read"),
        ("student_id,name\nx,\udcff\n", "cannot be read"),
    ],
)
def test_a_wrong_roster_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(EksnetError, match=said):
        roster.read(path)
    assert csv.field_size_limit() == 131072
