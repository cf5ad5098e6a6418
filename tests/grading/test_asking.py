"""Checkpoints asked again: what is looked at, what stays the learner's word, and what follows."""

from __future__ import annotations

from typing import Any

import pytest

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    State,
    failed,
    passed,
)
from eksnet.checkpoints.evidence import Attempt, Binding
from eksnet.errors import EksnetError
from eksnet.grading.asking import ask, confirmed
from eksnet.grading.marking import Source

PASS, FAIL, NOT = State.PASS, State.FAIL, State.NOT_STARTED
REPLAY = (Source.REPLAY, Source.NOTEBOOK)
LIVE = (Source.LIVE, Source.EVIDENCE)
HINTS = ("", "", "")


class Cluster:
    """What the checks of these tests look at."""

    def __init__(self, entry: str = "10.0.0.7", replicas: int = 2) -> None:
        self.entry, self.replicas = entry, replicas


def has_entry(cluster: Any) -> Observation:
    if cluster.entry == "10.0.0.7":
        return passed(cluster.entry)
    return failed(cluster.entry, "10.0.0.7", "add it")


LAB = Definition(
    id="lab-01",
    notebook="05_lab_hosts",
    title="A lab",
    criteria=(
        Criterion("lab-01.entry", "The entry is there", 2, has_entry),
        Prediction("lab-01.replicas", "Your replicas", 1, "how many?", "prediction = …",
                   lambda cluster, _: cluster.replicas),
        Prediction("lab-01.answer", "Your answer", 1, "which?", "prediction = …",
                   lambda _, answer: answer, takes="answer", needs=("lab-01.entry",)),
    ),
    hints=HINTS,
    solution="",
)  # fmt: skip


def said(*states: State, answer: Any = (("2",),)) -> Attempt:
    names = [one.id for one in LAB.criteria]
    return Attempt(
        "lab-01", "2026-11-30T10:00:00+00:00", Binding("ca:ada", ""),
        dict(zip(names, states, strict=True)), 0,
        [{"id": name, "observed": "seen then"} for name in names],
        [list(row) for row in answer] if isinstance(answer, tuple) else answer,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cluster", "attempt", "expected"),
    [
        (Cluster(), said(PASS, PASS, PASS), (PASS, PASS, PASS)),
        # What the cluster shows counts, whatever was said of it.
        (Cluster(entry=""), said(PASS, PASS, PASS), (FAIL, PASS, NOT)),
        (Cluster(), said(FAIL, PASS, PASS), (PASS, PASS, PASS)),
        # A prediction is compared again, but never better than it was said.
        (Cluster(replicas=3), said(PASS, PASS, PASS), (PASS, FAIL, PASS)),
        (Cluster(), said(PASS, NOT, PASS), (PASS, NOT, PASS)),
        (Cluster(), said(PASS, FAIL, FAIL, answer=(("7",),)), (PASS, FAIL, FAIL)),
        # What is no answer cannot be compared: it stays the word of who said it.
        (Cluster(), said(PASS, PASS, PASS, answer="2"), (PASS, PASS, PASS)),
        (Cluster(), said(PASS, PASS, PASS, answer=[[2]]), (PASS, PASS, PASS)),
        (Cluster(), None, (PASS, NOT, NOT)),
    ],
    ids=["as said", "gone", "there now", "another number", "not taken", "wrong", "a text",
         "a number", "never tried"],
)  # fmt: skip
def test_the_cluster_is_asked_and_a_trial_is_believed(
    cluster: Any, attempt: Attempt | None, expected: tuple[State, ...]
) -> None:
    found = ask(LAB, lambda: cluster, attempt, REPLAY, wait=False)
    assert tuple(found.states.values()) == expected
    assert found.sources["lab-01.entry"] == Source.REPLAY
    assert found.sources["lab-01.answer"] == Source.NOTEBOOK


def test_a_prediction_that_was_compared_here_is_named_so() -> None:
    found = ask(LAB, Cluster, said(PASS, PASS, PASS), REPLAY, wait=False)  # type: ignore[arg-type]
    assert found.sources["lab-01.replicas"] == Source.REPLAY
    found = ask(LAB, Cluster, said(PASS, FAIL, PASS), REPLAY, wait=False)  # type: ignore[arg-type]
    assert found.sources["lab-01.replicas"] == Source.NOTEBOOK


def test_a_cluster_that_does_not_answer_cannot_be_checked() -> None:
    def unreached() -> Any:
        raise EksnetError("it does not answer")

    found = ask(LAB, unreached, said(PASS, PASS, PASS), LIVE, wait=False)
    assert set(found.states.values()) == {State.CANNOT_CHECK}


@pytest.mark.parametrize(
    ("cluster", "attempt", "states", "sources", "missing"),
    [
        # What the cluster shows is live, whether it was said or not.
        (Cluster(), said(PASS, PASS, PASS), (PASS, PASS, PASS), "live live evidence", []),
        (Cluster(), said(FAIL, FAIL, FAIL), (PASS, FAIL, FAIL), "live evidence evidence", []),
        (Cluster(), None, (PASS, NOT, NOT), "live evidence evidence", []),
        # What it does not show any more was there once: the lesson cleans up.
        (Cluster(entry=""), said(PASS, PASS, PASS), (PASS, PASS, PASS), "evidence live evidence",
         ["lab-01.entry"]),
        (Cluster(entry=""), said(FAIL, NOT, NOT), (FAIL, NOT, NOT), "evidence evidence evidence",
         []),
    ],
    ids=["all there", "there now", "never tried", "cleaned up", "never there"],
)  # fmt: skip
def test_a_live_look_takes_no_point_away(
    cluster: Any,
    attempt: Attempt | None,
    states: tuple[State, ...],
    sources: str,
    missing: list[str],
) -> None:
    asked = ask(LAB, lambda: cluster, attempt, LIVE, wait=False)
    merged, unconfirmed = confirmed(attempt, asked)
    assert tuple(merged.states.values()) == states
    assert " ".join(merged.sources.values()) == sources
    assert unconfirmed == missing
    if attempt:
        assert merged.at == attempt.at
