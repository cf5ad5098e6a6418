"""The checkpoints room: what a learner has done, told from the state of the cluster.

A checkpoint reads and never writes. What it asks is data in `eksnet.checkpoints.definitions`;
docs/contributing.md says how to add one.
"""

from __future__ import annotations

import functools

from eksnet.checkpoints import definitions, evidence
from eksnet.checkpoints.checking import Checkpoint, seen_of, suppress_output
from eksnet.checkpoints.comparing import compare
from eksnet.checkpoints.criteria import State
from eksnet.checkpoints.results import CheckpointError, Result
from eksnet.checkpoints.standing import Progress, standings
from eksnet.checkpoints.trials import DryRunner
from eksnet.errors import EksnetError

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Progress",
    "Result",
    "State",
    "checkpoint",
    "compare",
    "progress",
]


def checkpoint(name: str, target: str | None, dry_run: DryRunner) -> Checkpoint:
    """Return a checkpoint of the course.

    Args:
        name: Its id, such as `hosts-01`.
        target: The cluster to look at, as `eksnet.connect` takes it; else what was connected to
            last.
        dry_run: What runs a Corefile dry, for the checkpoints that try one.

    Raises:
        EksnetError: There is no such checkpoint.
    """
    from eksnet.cluster import connect_read_only

    look = functools.partial(connect_read_only, target)
    return Checkpoint(definitions.find(name), look, dry_run)


def progress(notebook: str = "", target: str | None = None) -> Progress:
    """Return the best attempts at the course's checkpoints on this cluster.

    Args:
        notebook: A notebook, by the start of its name; the whole course when empty.
        target: As in `checkpoint`.

    Raises:
        EksnetError: There is no such notebook.
    """
    from eksnet.cluster import connect_read_only

    wanted = definitions.of_notebook(notebook)
    try:
        with suppress_output():
            binding = evidence.bind(connect_read_only(target))
        found = evidence.read(binding.path)
    except (EksnetError, OSError) as error:
        return Progress(standings(wanted, ()), f"Your points cannot be counted: {seen_of(error)}")
    counted = [attempt for attempt in found.attempts if attempt.binding == binding]
    note = f"{found.unreadable} lines of {binding.path.name} could not be read"
    return Progress(standings(wanted, counted), note if found.unreadable else "")
