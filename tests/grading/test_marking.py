from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from made import NONCE, attempt, lines

from eksnet.checkpoints import definitions, evidence
from eksnet.checkpoints.criteria import State
from eksnet.grading.copying import Copies
from eksnet.grading.marking import Flag, Graded, Learner, Rules, Which, grade

LAB = definitions.of_notebook("05")
FIRST, SECOND = LAB[0], next(one for one in LAB[1:] if len(one.criteria) > 1)
PASS, FAIL, OPEN, BLIND = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK
ADA = Learner("ada")
EARLY, LATE = "2026-11-30T10:00:00+00:00", "2026-11-30T11:00:00+00:00"


def graded(
    *records: dict[str, Any],
    learner: Learner = ADA,
    which: Which = Which.BEST,
    nonces: Sequence[str] = (),
    foreign: dict[str, str] | None = None,
) -> Graded:
    attempts = evidence.parse(lines(records)).attempts
    return grade(learner, attempts, Rules(LAB, which, tuple(nonces)), foreign or {})


def state_of(found: Graded, checkpoint: str = FIRST.id) -> tuple[State, int]:
    mark = next(one for one in found.marks if one.definition.id == checkpoint)
    return mark.standing.state, mark.standing.points


@pytest.mark.parametrize(
    ("tried", "best", "last"),
    [
        ([(PASS, EARLY), (FAIL, LATE)], PASS, FAIL),
        ([(FAIL, EARLY), (PASS, LATE)], PASS, PASS),
        # The order of the file is not that of the times.
        ([(FAIL, LATE), (PASS, EARLY)], PASS, FAIL),
        ([(PASS, EARLY), (FAIL, EARLY)], PASS, FAIL),
        # Where nobody could look nothing is lost.
        ([(PASS, EARLY), (BLIND, LATE)], PASS, PASS),
        ([(BLIND, LATE)], BLIND, BLIND),
        ([(PASS, "9999"), (FAIL, EARLY)], PASS, FAIL),
        ([], OPEN, OPEN),
    ],
)
def test_the_best_or_the_last_attempt_counts(
    tried: list[tuple[State, str]], best: State, last: State
) -> None:
    records = [attempt(FIRST, state, at) for state, at in tried]
    assert state_of(graded(*records))[0] is best
    assert state_of(graded(*records, which=Which.LAST))[0] is last


def test_points_are_those_of_the_criteria_and_not_of_what_a_line_claims() -> None:
    states = [PASS, *[FAIL] * (len(SECOND.criteria) - 1)]
    claimed = attempt(SECOND, states) | {"points": 1000, "of": 1000, "state": "PASS"}
    more = [{"id": f"{SECOND.id}.invented", "state": "PASS", "of": 50}]
    claimed["criteria"] += more
    assert state_of(graded(claimed), SECOND.id) == (FAIL, SECOND.criteria[0].points)
    unknown = attempt(FIRST) | {"checkpoint": "invented-01"}
    assert graded(unknown).points == 0


def flags(found: Graded) -> list[tuple[str, str]]:
    return [(one.kind, one.reason) for one in found.flags]


@pytest.mark.parametrize(
    ("nonce", "learner", "nonces", "kind", "said"),
    [
        ("old", ADA, [NONCE], "stale nonce", "with the nonce 'old', not with 'autumn-7'"),
        ("", ADA, [NONCE], "stale nonce", "without a nonce, not with 'autumn-7'"),
        ("b-1", Learner("ada", nonce="a-1"), [], "copied", "that was given to bob"),
        (NONCE, Learner("ada", nonce="a-1"), [NONCE], "stale nonce", "not with 'a-1'"),
    ],
)  # fmt: skip
def test_an_attempt_with_another_nonce_does_not_count_and_is_flagged(
    nonce: str, learner: Learner, nonces: list[str], kind: str, said: str
) -> None:
    foreign = {"a-1": "ada", "b-1": "bob"}
    found = graded(attempt(FIRST, nonce=nonce), learner=learner, nonces=nonces, foreign=foreign)
    assert found.points == 0
    ((flagged, reason),) = flags(found)
    assert flagged == kind
    assert said in reason and "1 attempt was" in reason and "not counted" in reason


def test_the_right_nonce_counts_without_a_flag() -> None:
    for learner, nonces in ((Learner("ada"), [NONCE, "b"]), (Learner("ada", nonce=NONCE), [])):
        found = graded(attempt(FIRST), learner=learner, nonces=nonces)
        assert (found.points, found.flags) == (FIRST.points, ())


def test_evidence_of_another_cluster_does_not_count_and_is_flagged() -> None:
    records = [attempt(FIRST), attempt(SECOND), attempt(SECOND, cluster="uid:other")]
    found = graded(*records)
    assert found.points == FIRST.points + SECOND.points
    ((kind, reason),) = flags(found)
    assert kind == "another cluster"
    assert reason == (
        "1 attempt was made on uid:other, not on ca:ada: not counted, "
        f"{SECOND.points} points"
    )  # fmt: skip
    told = graded(*records, learner=Learner("ada", cluster="uid:other"))
    assert told.points == SECOND.points
    assert "2 attempts were made on ca:ada" in flags(told)[0][1]


def test_without_a_cluster_nothing_can_have_passed() -> None:
    found = graded(attempt(FIRST, BLIND, cluster="", nonce=""), nonces=[NONCE])
    assert (state_of(found)[0], found.flags) == (BLIND, ())
    forged = graded(attempt(FIRST, PASS, cluster=""))
    assert forged.points == 0
    assert "on no cluster with something passed" in flags(forged)[0][1]


def test_no_attempt_is_flagged() -> None:
    assert [kind for kind, _ in flags(graded())] == ["no attempt"]


def copies(**classes: list[dict[str, Any]]) -> list[Flag]:
    found = Copies()
    for name, records in classes.items():
        found.add(graded(*records, learner=Learner(name)))
    return list(found.flags())


def course(cluster: str, minute: int = 0) -> list[dict[str, Any]]:
    return [
        attempt(one, at=f"2026-11-30T10:{minute:02}:{n:02}+00:00", cluster=cluster)
        for n, one in enumerate(LAB)
    ]


def test_evidence_of_the_same_sandbox_is_flagged_for_both() -> None:
    found = copies(ada=course("ca:ada"), bob=course("ca:bob", 1), eve=course("ca:ada", 2))
    assert [(one.learner, one.kind) for one in found] == [("ada", "copied"), ("eve", "copied")]
    assert (
        "is also that of eve: counted" in found[0].reason
        and "is also that of ada: counted" in found[1].reason
    )


def test_a_copy_with_another_cluster_written_into_it_is_flagged() -> None:
    found = copies(ada=course("ca:ada"), eve=course("ca:eve"))
    assert [one.learner for one in found] == ["ada", "eve"]
    assert f"{len(LAB)} of {len(LAB)} counted attempts" in found[0].reason
    assert "those of eve" in found[0].reason


def test_a_cluster_that_a_class_shares_is_no_copy() -> None:
    assert copies(ada=course("uid:class"), bob=course("uid:class", 1)) == []
    once = course("uid:class", 1)
    once[0]["at"] = course("uid:class")[0]["at"]
    assert copies(ada=course("uid:class"), bob=once) == []


def test_a_whole_class_of_copies_is_told_without_end_of_flags() -> None:
    found = copies(**{f"l{n:03}": course("ca:one") for n in range(60)})
    assert {one.learner for one in found} == {f"l{n:03}" for n in range(60)}
    assert len(found) < 60 * 8
    assert max(len(one.reason) for one in found) < 200
