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


@dataclass
class _Work:
    """A grading that is under way."""

    rules: Rules
    learners: Mapping[str, Learner] | None
    found: Class
    again: Again | None
    copies: Copies = field(default_factory=Copies)

    def graded(self, folder: Path) -> Iterator[Graded]:
        """Yield each learner: those of the roster and those of the submissions, sorted."""
        submissions = find(folder)
        for name, reason in submissions.faults:
            self.found.unreadable.append(Flag(name, "not at all", reason))
        given = self.learners or {}
        foreign = {one.nonce: one.id for one in given.values() if one.nonce}
        for name in sorted({*submissions.learners, *given}):
            learner = given.get(name, Learner(name))
            files = submissions.learners.get(name)
            graded = self._one(learner, files, foreign) if files else self._absent(learner)
            self.copies.add(graded)
            if self.again:
                graded = self.again(graded, files or [])
            self.found.add(graded)
            yield graded
        self.found.flags += self.copies.flags()
        self.found.flags.sort(key=lambda flag: flag.learner)

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
    """
    earlier = _earlier(places.csv)
    found = Class(tuple(map(Tally, rules.checkpoints)))
    work = _Work(rules, learners, found, again)
    try:
        places.feedback.mkdir(parents=True, exist_ok=True)
        with _replacing(places.csv) as book, _replacing(places.criteria) as details:
            writer = csv.DictWriter(
                book, [*gradebook.NBGRADER, *gradebook.OWN, *earlier.columns], lineterminator="\n"
            )
            writer.writeheader()
            criteria = csv.writer(details, lineterminator="\n")
            criteria.writerow(gradebook.CRITERIA)
            for graded in work.graded(folder):
                writer.writerows(map(earlier.merged, gradebook.rows(graded)))
                criteria.writerows(gradebook.criteria(graded))
                _write(places.feedback / f"{graded.learner.id}.html", feedback(graded))
            writer.writerows(
                {key: value for key, value in row.items() if key in writer.fieldnames}
                for row in earlier.left()
            )
        found.conflicts += earlier.conflicts
        _write(places.overview, overview(found))
    except OSError as error:
        raise EksnetError(
            f"{error.filename or places.csv} cannot be written: {error.strerror}",
            "files and a folder that you can write",
            _COMMAND,
        ) from error
    return found


def _earlier(path: Path) -> Earlier:
    """Return the gradebook as the instructor has left it."""
    if not path.exists():
        return Earlier()
    return Earlier.of(roster.rows(path, "assignment", "student_id", "raw_score", "score"))


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """Open a draft, which takes a file's place when all that was written into it is there."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".eksnet-grade-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            yield file
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
