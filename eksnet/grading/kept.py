"""Replays that are done, kept beside the gradebook until their grading is: an interrupt costs none.

One line of JSON each. A run counts again for the same learner, the same notebook as it was handed
in, the same checkpoints and the same limit; whatever else is in the file is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eksnet.checkpoints.criteria import State
from eksnet.checkpoints.evidence import Attempt, Binding
from eksnet.grading.marking import Source

_FORMAT = "eksnet replay 1"


@dataclass(frozen=True)
class Run:
    """What a replay of one notebook gave.

    Attributes:
        attempts: The attempts, as they were asked meanwhile.
        remarks: What has to be said about it.
    """

    attempts: tuple[Attempt, ...] = ()
    remarks: tuple[str, ...] = ()


class Kept:
    """The runs of a grading, in a file.

    Args:
        path: The file; it is made with the first run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs = dict(_read(path))

    def find(self, key: str) -> Run | None:
        """Return a run that was kept; None when it was not."""
        return self._runs.get(key)

    def add(self, key: str, run: Run) -> None:
        """Keep a run.

        Raises:
            OSError: It could not be written.
        """
        line = json.dumps({"format": _FORMAT, "key": key, **_record(run)})
        with self._path.open("a", encoding="utf-8") as file:
            # A line that was cut short is ended first.
            file.write(f"\n{line}\n")

    def forget(self) -> None:
        """Forget all runs: their grading is done."""
        self._path.unlink(missing_ok=True)


def key(learner: str, notebook: bytes, checkpoints: Mapping[str, Any], seconds: float) -> str:
    """Return the name of a run: what it gives depends on nothing else.

    Args:
        learner: The learner.
        notebook: The notebook as it was handed in.
        checkpoints: The checkpoints that count, by their ids.
        seconds: How long it may take.
    """
    said = json.dumps([learner, sorted(checkpoints), seconds]).encode()
    return hashlib.sha256(said + b"\n" + notebook).hexdigest()


def _record(run: Run) -> dict[str, Any]:
    return {
        "remarks": run.remarks,
        "attempts": [
            {
                "checkpoint": one.checkpoint, "at": one.at, "states": one.states,
                "points": one.points, "told": one.told, "answer": one.answer,
                "sources": one.sources,
            }
            for one in run.attempts
        ],
    }  # fmt: skip


def _read(path: Path) -> Iterator[tuple[str, Run]]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            record = json.loads(line)
            if record["format"] == _FORMAT:
                attempts = tuple(map(_attempt, record["attempts"]))
                yield record["key"], Run(attempts, tuple(record["remarks"]))


def _attempt(record: Mapping[str, Any]) -> Attempt:
    return Attempt(
        record["checkpoint"],
        record["at"],
        Binding(),
        {name: State(state) for name, state in record["states"].items()},
        record["points"],
        tuple(record["told"]),
        record["answer"],
        {name: Source(source) for name, source in record["sources"].items()},
    )
