"""Checkpoints asked again by the instructor: what a cluster shows now, beside what was said of it.

What a criterion asks of the cluster is looked at. So is a prediction that is compared with the
cluster itself. A prediction that is compared with a trial, whose result the learner hands in, is
the word of whoever ran the trial: it stays what it was, and is named so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.checking import Checkpoint
from eksnet.checkpoints.criteria import Criterion, Definition, Observation, Prediction, State
from eksnet.checkpoints.evidence import Attempt, Binding
from eksnet.grading.marking import Source

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_MOST_CELLS = 2500


def ask(
    definition: Definition,
    look: Callable[[], Cluster],
    said: Attempt | None,
    sources: tuple[Source, Source],
    *,
    wait: bool,
) -> Attempt:
    """Return an attempt as the instructor sees it.

    Args:
        definition: The checkpoint.
        look: Opens the cluster for reading.
        said: The learner's attempt; None without one.
        sources: What to name beside what was looked at, and beside what was only said.
        wait: Whether to wait for what comes by itself.
    """
    looked, only_said = sources
    asked: list[Criterion | Prediction] = []
    of: dict[str, str] = {}
    for one in definition.criteria:
        if isinstance(one, Criterion) or _can_be_asked(one, said):
            of[one.id] = looked
            asked.append(one)
        else:
            of[one.id] = only_said
            asked.append(_as_said(one, said))
    checkpoint = Checkpoint(replace(definition, criteria=tuple(asked)), look)
    found = checkpoint.look(_rows(said.answer) if said else None, wait=wait)
    return Attempt(
        definition.id,
        datetime.now(UTC).isoformat(timespec="seconds"),
        Binding(),
        {one.id: one.state for one in found.outcomes},
        found.points,
        tuple(
            {
                "id": one.id,
                "observed": one.observation.observed,
                "expected": one.observation.expected,
            }
            for one in found.outcomes
        ),
        said.answer if said else None,
        of,
    )


def _can_be_asked(prediction: Prediction, said: Attempt | None) -> bool:
    """Tell whether a prediction can be compared here: by the cluster alone, and with an answer.

    What the check on the learner's side did not take for a right prediction is none here either:
    a table of the course's own looks like one when it has been written down.
    """
    if said is None or said.states.get(prediction.id) is not State.PASS:
        return False
    return not prediction.takes and _rows(said.answer) is not None


def _as_said(prediction: Prediction, said: Attempt | None) -> Criterion:
    """Return a criterion that is as the learner's attempt has it."""
    state = said.states.get(prediction.id, State.NOT_STARTED) if said else State.NOT_STARTED
    observed, expected = said.seen.get(prediction.id, ("", "")) if said else ("", "")
    seen = Observation(state, observed, expected)
    return Criterion(
        prediction.id, prediction.description, prediction.points, lambda _: seen, prediction.needs
    )


def _rows(answer: Any) -> list[list[str]] | None:
    """Return a prediction as a line of evidence has it; None when it is none."""
    if not isinstance(answer, list) or not all(isinstance(row, list) for row in answer):
        return None
    cells = [cell for row in answer for cell in row]
    is_text = all(isinstance(cell, str) for cell in cells)
    return answer if cells and is_text and len(cells) <= _MOST_CELLS else None


def confirmed(said: Attempt | None, asked: Attempt) -> tuple[Attempt, list[str]]:
    """Return an attempt with the cluster's word where that is a pass, else with the learner's.

    A lesson cleans up after itself: that something is gone now does not tell that it never was.

    Args:
        said: The learner's attempt; None without one.
        asked: The same as the cluster shows it now.

    Returns:
        The attempt, and the criteria that the learner passed and the cluster does not show.
    """
    said = said or replace(asked, states={}, told=())
    passed = {name for name, state in asked.states.items() if state is State.PASS}
    kept = [name for name in said.states if name in asked.states and name not in passed]
    merged = replace(
        asked,
        at=said.at,
        states=asked.states | {name: said.states[name] for name in kept},
        told=(
            *(one for one in asked.told if one["id"] not in kept),
            *(one for one in said.told if one["id"] in kept),
        ),
        sources=asked.sources | dict.fromkeys(kept, Source.EVIDENCE),
    )
    unconfirmed = [
        name
        for name in kept
        if said.states[name] is State.PASS and asked.sources[name] == Source.LIVE
    ]
    return merged, unconfirmed
