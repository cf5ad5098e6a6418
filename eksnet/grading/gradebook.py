"""The gradebook: nbgrader's columns, and the marks that an instructor has written into it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from eksnet.grading.marking import Flag, Graded, Learner, Rules, nothing
from eksnet.printable import cell

# Those of `nbgrader export`, in its order.
NBGRADER = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
    "raw_score", "late_submission_penalty", "score", "max_score",
)  # fmt: skip
MANUAL = "manual_score"
UNGRADED = "not graded"
OWN = ("source", MANUAL)
CRITERIA = (
    "assignment", "student_id", "checkpoint", "criterion", "description", "state", "score",
    "max_score", "source", "timestamp", "observed", "expected",
)  # fmt: skip
# With one of these at its start a cell is a formula to a spreadsheet.
_FORMULA = tuple("=+-@\t\r")

Row = dict[str, str]


@dataclass
class Earlier:
    """The gradebook as it was before, with what the instructor has written into it.

    Attributes:
        rows: Its rows, by assignment and learner.
        columns: Columns that the instructor has added.
        conflicts: What of it cannot stand as it is.
        taken: The rows that were met in this grading.
    """

    rows: Mapping[tuple[str, str], Row] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    conflicts: list[Flag] = field(default_factory=list)
    taken: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Earlier:
        """Return it from the rows of the file."""
        columns = [one for one in rows[0] if one not in (*NBGRADER, *OWN)] if rows else ()
        earlier = cls({(row["assignment"], row["student_id"]): row for row in rows}, tuple(columns))
        if len(earlier.rows) < len(rows):
            seen: set[tuple[str, str]] = set()
            for row in rows:
                key = (row["assignment"], row["student_id"])
                if key in seen:
                    earlier._conflict(*key, "it has two rows: the second one was taken")
                seen.add(key)
        return earlier

    def merged(self, row: Row) -> Row:
        """Return a row with the manual mark of before; what is in doubt becomes a conflict."""
        key = (row["assignment"], row["student_id"])
        before = self.rows.get(key)
        if before is None:
            return row
        self.taken.add(key)
        row |= {column: before.get(column, "") for column in self.columns}
        manual = self._manual(before)
        row[MANUAL] = manual
        if not manual:
            return row
        mark, most = _number(manual), _number(row["max_score"])
        if mark is None or most is None or mark > most:
            self._conflict(*key, f"the manual mark {manual[:20]!r} is no number from 0 to {most:g}"
                           ": not counted")  # fmt: skip
            return row
        row["score"] = manual
        if _number(before.get("raw_score", "")) != _number(row["raw_score"]):
            self._conflict(
                *key,
                f"the manual mark {manual} was given when the evidence gave "
                f"{before.get('raw_score', '')[:20] or 'nothing'}; it gives {row['raw_score']} "
                "now: the manual mark stays",
            )
        return row

    def kept(self, row: Row) -> Row:
        """Return a row as it was before, for a learner who is not graded now."""
        key = (row["assignment"], row["student_id"])
        self.taken.add(key)
        return row | self.rows.get(key, {})

    def left(self) -> Iterator[Row]:
        """Yield rows with a manual mark that nothing of this grading stands beside."""
        for key, row in self.rows.items():
            if key not in self.taken and (manual := self._manual(row)):
                self._conflict(*key, "there is a manual mark, but no such learner or assignment: "
                               "the row stays")  # fmt: skip
                yield row | {MANUAL: manual}

    def _manual(self, row: Row) -> str:
        """Return the manual mark of a row: its own column, else a score that was written over."""
        manual, score = row.get(MANUAL, "").strip(), row.get("score", "").strip()
        if not score or _number(score) == _number(row.get("raw_score", "")):
            return manual
        if manual and _number(manual) != _number(score):
            self._conflict(
                row["assignment"],
                row["student_id"],
                f"the manual mark is {manual[:20]!r} and the score {score[:20]!r}: "
                "the manual mark was taken",
            )
        return manual or score

    def _conflict(self, assignment: str, learner: str, reason: str) -> None:
        self.conflicts.append(Flag(cell(learner)[:100], cell(assignment)[:100], cell(reason)))


def rows(graded: Graded) -> Iterator[Row]:
    """Yield a row for each assignment: a notebook with checkpoints."""
    for notebook, group in groupby(graded.marks, key=lambda mark: mark.definition.notebook):
        marks = list(group)
        points = str(sum(mark.standing.points for mark in marks))
        learner = graded.learner
        yield {
            "assignment": notebook,
            "duedate": "",
            "timestamp": _timestamp(max(mark.at for mark in marks)),
            "student_id": learner.id,
            "last_name": harmless(learner.last_name),
            "first_name": harmless(learner.first_name),
            "email": harmless(learner.email),
            "raw_score": points,
            "late_submission_penalty": "0",
            "score": points,
            "max_score": str(sum(mark.definition.points for mark in marks)),
            "source": replace(graded, marks=tuple(marks)).sources,
            MANUAL: "",
        }


def ungraded(learner: Learner, rules: Rules) -> Iterator[Row]:
    """Yield the rows of a learner that an interrupted grading has not looked at."""
    for row in rows(nothing(learner, rules)):
        yield row | {"raw_score": "", "score": "", "source": UNGRADED}


def criteria(graded: Graded) -> Iterator[Sequence[object]]:
    """Yield a row for each criterion, in the order of `CRITERIA`."""
    for mark in graded.marks:
        about = (mark.definition.notebook, graded.learner.id, mark.definition.id)
        at = _timestamp(mark.at)
        for one in mark.criteria or mark.unseen(graded.source):
            yield (
                *about,
                one.criterion.id,
                one.criterion.description,
                one.state,
                one.points,
                one.criterion.points,
                one.source,
                at,
                harmless(one.observed),
                harmless(one.expected),
            )


def harmless(text: str) -> str:
    """Return a text that a spreadsheet shows and does not compute."""
    text = cell(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _timestamp(at: str) -> str:
    """Return a time as nbgrader writes it: in UTC, without saying so."""
    return at[:19].replace("T", " ")


def _number(text: str) -> float | None:
    """Return a mark; None for what is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
