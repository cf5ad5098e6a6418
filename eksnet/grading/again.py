"""A class looked at again: each learner's cluster, or their notebooks run on a fresh one.

Both begin with what evidence says, and give marks whose sources are named.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from eksnet.checkpoints import evidence
from eksnet.checkpoints.criteria import Definition, State
from eksnet.checkpoints.evidence import Attempt
from eksnet.checkpoints.standing import standing
from eksnet.cluster import Cluster
from eksnet.cluster.connecting import connect_read_only
from eksnet.course import catalogue, replay
from eksnet.course.copies import is_untouched
from eksnet.errors import EksnetError
from eksnet.grading import kept, reading
from eksnet.grading.asking import ask, confirmed
from eksnet.grading.kept import Kept, Run
from eksnet.grading.marking import Flag, Graded, Learner, Marked, Rules, Source, replayed
from eksnet.printable import cell

_SHOWN, _MOST_NAMED = 200, 8
_LIVE, _REPLAY = (Source.LIVE, Source.EVIDENCE), (Source.REPLAY, Source.NOTEBOOK)
# More than any notebook has; each asks the cluster.
_MOST_ATTEMPTS = 200

Progress = Callable[[str], None]


class Again(Protocol):
    """Looks at a learner again."""

    def __call__(self, graded: Graded, files: Sequence[Path]) -> Graded:
        """Return the learner's marks.

        Args:
            graded: The learner by evidence.
            files: What the learner has handed in.
        """


@dataclass(frozen=True)
class Live:
    """Looks at the clusters that the roster names, and only reads them.

    Attributes:
        connect: Opens a target for reading.
    """

    connect: Callable[[str], Cluster] = connect_read_only

    def __call__(self, graded: Graded, files: Sequence[Path]) -> Graded:
        """Return the marks with the cluster's word where it shows what was asked."""
        if not graded.learner.target:
            return graded
        try:
            cluster = self.connect(graded.learner.target)
            place = evidence.bind(cluster).cluster
        except EksnetError as error:
            return _flagged(graded, "not reached", f"{graded.learner.target}: {error.seen}")
        others = _clusters(graded) - {place}
        if others:
            seen = f"{graded.learner.target} is {place[:40]}, the evidence is of "
            reason = f"{seen}{min(others)[:40]}: not looked at"
            return _flagged(graded, "another cluster", reason)
        return _live(graded, cluster)


def _clusters(graded: Graded) -> set[str]:
    """Return the clusters that a learner's marks are of, and that the roster wants."""
    attempts = [mark.attempt for mark in graded.marks if mark.attempt]
    named = {attempt.binding.cluster for attempt in attempts}
    return {one for one in (*named, graded.learner.cluster) if one}


def _live(graded: Graded, cluster: Cluster) -> Graded:
    marks: list[Marked] = []
    unconfirmed: list[str] = []
    for mark in graded.marks:
        asked = ask(mark.definition, lambda: cluster, mark.attempt, _LIVE, wait=False)
        merged, missing = confirmed(mark.attempt, asked)
        unconfirmed += missing
        found = Marked(standing(mark.definition, merged), merged)
        # Where there is nothing on either side, that nobody has begun says more.
        marks.append(found if mark.attempt or found.standing.points else mark)
    looked = replace(graded, source=Source.LIVE, marks=tuple(marks))
    if unconfirmed:
        reason = f"passed by evidence, and not there now: {_named(unconfirmed)}: counted"
        return _flagged(looked, "not confirmed", reason)
    return looked


@dataclass
class Replays:
    """Runs the notebooks of each learner on a fresh sandbox.

    Attributes:
        rules: What counts.
        run: Runs a notebook, within its limits.
        kept: The runs of an interrupted grading, which are not made again.
        limit: How long a run may take, in seconds.
        progress: Called with a line for each run.
        seconds: How long each run took.
    """

    rules: Rules
    run: Callable[[bytes, replay.Told], replay.Replay]
    kept: Kept
    limit: float
    progress: Progress = print
    seconds: list[float] = field(default_factory=list)

    def __call__(self, graded: Graded, files: Sequence[Path]) -> Graded:
        """Return the marks that the runs give; those by evidence where this computer failed."""
        flags = list(graded.flags)
        attempts: list[Attempt] = []
        for stem, checkpoints in self._notebooks().items():
            copies, faults = reading.notebooks(files, stem)
            flags += [Flag(graded.learner.id, "not replayed", one) for one in faults]
            if files and not copies and not faults:
                flags.append(Flag(graded.learner.id, "no notebook", f"{stem} was not handed in"))
            touched = [one for one in copies if not is_untouched(one, catalogue.find(stem))]
            if copies and not touched:
                reason = f"{stem} is as it was handed out: not run, and no points"
                flags.append(Flag(graded.learner.id, "untouched", reason))
            for content in touched:
                try:
                    run = self._run_once(graded.learner.id, stem, content, checkpoints)
                except (EksnetError, OSError) as error:
                    why = _why(error)
                    return _flagged(graded, "not replayed", f"{stem}: by evidence: {why}")
                attempts += run.attempts
                said = (f"{stem}: {one}" for one in run.remarks)
                flags += [Flag(graded.learner.id, "replay", one) for one in said]
        found = replayed(graded.learner, attempts, self.rules, flags)
        if not files:
            return replace(found, source=Source.NONE)
        if missing := _differences(graded, found):
            reason = f"passed by evidence, and not in the replay: {_named(missing)}: not counted"
            return _flagged(found, "differs", reason)
        return found

    def _notebooks(self) -> dict[str, dict[str, Definition]]:
        found: dict[str, dict[str, Definition]] = {}
        for one in self.rules.checkpoints:
            found.setdefault(one.notebook, {})[one.id] = one
        return found

    def _run_once(
        self, learner: str, stem: str, content: bytes, checkpoints: Mapping[str, Definition]
    ) -> Run:
        """Return what a run gives, or gave before the grading was interrupted."""
        key = kept.key(learner, content, checkpoints, self.limit)
        if found := self.kept.find(key):
            self.progress(f"{learner}: {stem}: was replayed before the interrupt")
            return found
        found = self._run(learner, stem, content, checkpoints)
        self.kept.add(key, found)
        return found

    def _run(
        self, learner: str, stem: str, content: bytes, checkpoints: Mapping[str, Definition]
    ) -> Run:
        attempts: list[Attempt] = []

        def told(lines: list[str], backups: dict[str, str]) -> None:
            look = functools.partial(_fresh, backups, Path(folder))
            said = evidence.parse("\n".join(lines).encode(errors="replace")).attempts
            for one in said[: _MOST_ATTEMPTS - len(attempts)]:
                if definition := checkpoints.get(one.checkpoint):
                    attempts.append(ask(definition, look, one, _REPLAY, wait=True))

        with tempfile.TemporaryDirectory(prefix="eksnet-grade-") as folder:
            run = self.run(content, told)
        self.seconds.append(run.seconds)
        ended = f": {run.ended}" if run.ended else ""
        self.progress(
            f"{learner}: {stem}: replayed in {run.seconds:.0f} s, of these {run.reset:.0f} s for "
            f"a fresh sandbox{ended}"
        )
        return Run(tuple(attempts), tuple(run.remarks()))


def _why(error: EksnetError | OSError) -> str:
    """Return why this computer could not run a notebook, and what to do, in one line."""
    if not isinstance(error, EksnetError):
        return str(error)
    return f"{error.seen}; next: {error.next_step}" if error.next_step else error.seen


def _fresh(backups: Mapping[str, str], folder: Path) -> Cluster:
    """Open the sandbox for reading, with the backups that the notebook has made of it."""
    cluster = connect_read_only("sandbox")
    cluster.keep_backups_in(folder)
    shutil.rmtree(cluster.directory, ignore_errors=True)
    cluster.directory.mkdir()
    for name, text in backups.items():
        (cluster.directory / name).write_text(text, encoding="utf-8", errors="replace")
    return cluster


def _differences(by_evidence: Graded, by_replay: Graded) -> list[str]:
    """Return the criteria that evidence has passed, and a replay has not."""
    return [
        one.criterion.id
        for before, after in zip(by_evidence.marks, by_replay.marks, strict=True)
        for one in before.criteria
        if one.state is State.PASS
        and not (after.attempt and after.attempt.states.get(one.criterion.id) is State.PASS)
    ]


def _flagged(graded: Graded, kind: str, reason: str) -> Graded:
    flag = Flag(graded.learner.id, kind, cell(reason)[: 2 * _SHOWN])
    return replace(graded, flags=(*graded.flags, flag))


def _named(criteria: Sequence[str]) -> str:
    more = len(criteria) - _MOST_NAMED
    return ", ".join(criteria[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class How:
    """How a class is looked at again.

    Attributes:
        live: Whether at the learners' clusters.
        replay: Whether by running their notebooks.
        seconds: How long one run may take.
        kept: Where runs are kept until all is graded.
        progress: Called with a line for each run, and one for all.
    """

    live: bool
    replay: bool
    seconds: float
    kept: Path
    progress: Progress = print


@contextlib.contextmanager
def looking(how: How, rules: Rules, learners: Mapping[str, Learner]) -> Iterator[Again]:
    """Have what looks at learners again; a sandbox that it needs is down afterwards.

    Args:
        how: How.
        rules: What counts.
        learners: The roster.

    Raises:
        EksnetError: It cannot be done so.
    """
    if how.live and how.replay:
        raise EksnetError("--live and --replay were given", "one of the two", "grade twice")
    if how.live:
        if not any(one.target for one in learners.values()):
            raise EksnetError(
                "no learner has a target: nobody knows where to look",
                "a roster with a column `target`, such as context:NAME",
                "eksnet grade DIRECTORY --csv gradebook.csv --feedback out/ --live --roster FILE",
            )
        yield Live()
        return
    limits = replay.limits(how.seconds)
    with replay.sandbox():
        run = functools.partial(replay.replay, most=limits)
        runs = Replays(rules, run, Kept(how.kept), how.seconds, how.progress)
        yield runs
        runs.kept.forget()
        if runs.seconds:
            mean = sum(runs.seconds) / len(runs.seconds)
            how.progress(f"{len(runs.seconds)} notebooks were replayed, in {mean:.0f} s each")
