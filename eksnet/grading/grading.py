"""A class graded: submissions in, a gradebook, feedback and an overview out.

One learner is looked at after the other and then forgotten, so that memory does not grow with the
class; what is compared between learners is kept as numbers. A file that is there already is only
replaced when its successor is complete.
"""

from __future__ import annotations

import contextlib
import csv
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from eksnet import interrupts
from eksnet.errors import EksnetError
from eksnet.grading import gradebook, roster
from eksnet.grading.copying import Copies
from eksnet.grading.feedback import feedback
from eksnet.grading.gradebook import Earlier
from eksnet.grading.marking import Flag, Graded, Learner, Rules, grade, nothing
from eksnet.grading.overview import Class, Tally, overview
from eksnet.grading.reading import find, read

if TYPE_CHECKING:
    from eksnet.grading.again import Again

_COMMAND = "eksnet grade DIRECTORY --csv gradebook.csv --feedback out/"


@dataclass(frozen=True)
class Places:
    """Where the results of a grading go.

    Attributes:
        csv: The gradebook.
        feedback: The folder of the learners' pages.
    """

    csv: Path
    feedback: Path

    @property
    def criteria(self) -> Path:
        """The second file: a row per criterion."""
        return self.csv.with_name(f"{self.csv.stem}-criteria.csv")

    @property
    def overview(self) -> Path:
        """The class as a page; it is the instructor's, and stands apart from the feedback."""
        return self.csv.with_name(f"{self.csv.stem}-overview.html")

    @property
    def replays(self) -> Path:
        """The replays of a grading that was interrupted; there is none once all is graded."""
        return self.csv.with_name(f"{self.csv.stem}-replays.jsonl")


class StoppedError(Exception):
    """A grading that looks again was interrupted; what was graded by then is written.

    Attributes:
        found: What it found out.
        code: The command's exit code.
    """

    def __init__(self, found: Class, code: int) -> None:
        super().__init__("interrupted")
        self.found = found
        self.code = code


@dataclass
class _Work:
    """A grading that is under way."""

    rules: Rules
    learners: Mapping[str, Learner] | None
    found: Class
    again: Again | None
    copies: Copies = field(default_factory=Copies)
    left: dict[str, Learner] = field(default_factory=dict)

    def graded(self, folder: Path) -> Iterator[Graded]:
        """Yield each learner: those of the roster and those of the submissions, sorted."""
        submissions = find(folder)
        for name, reason in submissions.faults:
            self.found.unreadable.append(Flag(name, "not at all", reason))
        given = self.learners or {}
        foreign = {one.nonce: one.id for one in given.values() if one.nonce}
        names = sorted({*submissions.learners, *given})
        self.left = {name: given.get(name, Learner(name)) for name in names}
        for name in names:
            learner, files = self.left[name], submissions.learners.get(name)
            graded = self._one(learner, files, foreign) if files else self._absent(learner)
            self.copies.add(graded)
            yield self.again(graded, files or []) if self.again else graded

    def count(self, graded: Graded) -> None:
        """Count a learner who is done."""
        self.found.add(graded)
        del self.left[graded.learner.id]

    def end(self) -> None:
        """Tell what the learners have in common, and who was not looked at."""
        self.found.flags += self.copies.flags()
        self.found.flags.sort(key=lambda flag: flag.learner)
        reason = "the grading was interrupted"
        self.found.ungraded += [Flag(name, gradebook.UNGRADED, reason) for name in self.left]

    def _one(self, learner: Learner, files: list[Path], foreign: Mapping[str, str]) -> Graded:
        given = read(learner.id, files)
        counted = "the rest" if given.files else "zero"
        for fault in given.faults:
            self.found.unreadable.append(Flag(learner.id, counted, fault))
        if given.unreadable:
            lines = f"{given.unreadable} lines of the evidence are no attempt"
            self.found.unreadable.append(Flag(learner.id, "the rest", lines))
        if self.learners is not None and learner.id not in self.learners:
            self.found.flags.append(Flag(learner.id, "not on the roster", "the marks are counted"))
        if given.files > 1:
            self.found.flags.append(
                Flag(learner.id, "several files", f"all attempts of {given.files} files count")
            )
        if not given.files and not given.faults:
            reason = "it has notebooks, and no evidence"
            self.found.unreadable.append(Flag(learner.id, counted, reason))
        if not given.files:
            return nothing(learner, self.rules)
        return grade(learner, given.attempts, self.rules, foreign)

    def _absent(self, learner: Learner) -> Graded:
        return nothing(
            learner, self.rules, [Flag(learner.id, "nothing handed in", "all points are zero")]
        )


def grade_class(
    folder: Path,
    places: Places,
    rules: Rules,
    learners: Mapping[str, Learner] | None = None,
    again: Again | None = None,
) -> Class:
    """Grade the submissions of a folder, and write what comes of it.

    Args:
        folder: The submissions.
        places: Where the results go.
        rules: What counts.
        learners: The roster; None without one.
        again: Looks at each learner again; None takes what evidence says.

    Raises:
        EksnetError: The folder cannot be read, or a result cannot be written.
        StoppedError: It was interrupted while it looked again.
    """
    work = _Work(rules, learners, Class(tuple(map(Tally, rules.checkpoints))), again)
    try:
        stopped = _graded(work, folder, places)
    except OSError as error:
        raise EksnetError(
            f"{error.filename or places.csv} cannot be written: {error.strerror}",
            "files and a folder that you can write",
            _COMMAND,
        ) from error
    if stopped:
        raise StoppedError(work.found, stopped)
    return work.found


def _graded(work: _Work, folder: Path, places: Places) -> int:
    """Grade, and write the results; return the code of an interrupt that has cut it short."""
    earlier, code = _earlier(places.csv), 0
    _make(places.feedback)
    with contextlib.ExitStack() as drafts:
        book = drafts.enter_context(_replacing(places.csv))
        details = drafts.enter_context(_replacing(places.criteria))
        columns = [*gradebook.NBGRADER, *gradebook.OWN, *earlier.columns]
        rows = csv.DictWriter(book, columns, extrasaction="ignore", lineterminator="\n")
        rows.writeheader()
        criteria = csv.writer(details, lineterminator="\n")
        criteria.writerow(gradebook.CRITERIA)
        try:
            for graded in work.graded(folder):
                # A learner is written whole or not at all.
                with interrupts.held():
                    rows.writerows(map(earlier.merged, gradebook.rows(graded)))
                    criteria.writerows(gradebook.criteria(graded))
                    _write(places.feedback / f"{graded.learner.id}.html", feedback(graded))
                    work.count(graded)
        except (KeyboardInterrupt, SystemExit) as stop:
            # By evidence it is a matter of seconds: there is nothing to be kept.
            if not work.again or not (work.left or work.found.totals):
                raise
            code = interrupts.code_of(stop)
        with interrupts.held():
            work.end()
            for learner in work.left.values():
                rows.writerows(map(earlier.kept, gradebook.ungraded(learner, work.rules)))
            rows.writerows(earlier.left())
            work.found.conflicts += earlier.conflicts
            drafts.close()
            _write(places.overview, overview(work.found))
    return code


def _earlier(path: Path) -> Earlier:
    """Return the gradebook as the instructor has left it."""
    if not path.exists():
        return Earlier()
    return Earlier.of(roster.rows(path, "assignment", "student_id", "raw_score", "score"))


def _make(folder: Path) -> None:
    """Make a folder, and find out now whether it takes files: a replay takes minutes.

    Raises:
        OSError: It does not; the error names the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _naming(folder), tempfile.TemporaryFile(dir=folder):
        pass


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have an error name a path of the instructor's, not a draft's."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """Open a draft, which takes a file's place when all that was written into it is there."""
    with _naming(path):
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".eksnet-grade-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            yield file
        with _naming(path):
            os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def _write(path: Path, text: str) -> None:
    with _replacing(path) as file:
        file.write(text)


def to_json(found: Class) -> dict[str, Any]:
    """Return the totals and all that has to be looked at."""
    notices = [
        {"notice": title, "learner": one.learner, "about": one.kind, "reason": one.reason}
        for title, _, flags in found.notices
        for one in flags
    ]
    totals = [
        {"student_id": name, "source": source, "points": points, "of": found.possible}
        for name, source, points in found.totals
    ]
    return {"learners": totals, "notices": notices}
