"""Who is in the class: the instructor's roster, a CSV file."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from pathlib import Path

from eksnet.errors import EksnetError
from eksnet.grading.marking import Learner
from eksnet.grading.reading import name_fault, normalized

_LARGEST = 5_000_000
_FIX = "fix that line"


def read(path: Path) -> dict[str, Learner]:
    """Return the learners of a roster by their ids.

    Raises:
        EksnetError: It cannot be read, has no column `student_id`, or an id twice.
    """
    learners: dict[str, Learner] = {}
    for number, row in enumerate(rows(path, "student_id"), start=2):
        given = {one.name: row.get(one.name, "").strip() for one in fields(Learner)[1:]}
        name = normalized(row["student_id"])
        if fault := name_fault(name):
            raise EksnetError(f"{path}:{number}: {name!r} is no learner's name", fault, _FIX)
        if name in learners:
            raise EksnetError(f"{path}:{number}: {name} is there twice", "a line for each", _FIX)
        learners[name] = Learner(name, **given)
    return learners


def rows(path: Path, *wanted: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file, each with all columns; a cell that is missing is empty.

    Args:
        path: The file.
        wanted: Columns that it has to have.

    Raises:
        EksnetError: It cannot be read, or a column is missing.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        # A spreadsheet writes a mark of the byte order first.
        text = content.decode("utf-8-sig")
        found = list(csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True))
    except (OSError, ValueError, csv.Error) as error:
        why = getattr(error, "strerror", "") or error
        raise EksnetError(f"{path} cannot be read: {why}", "a CSV file in UTF-8") from error
    if len(content) > _LARGEST:
        raise EksnetError(f"{path} has more than {_LARGEST:,} bytes", "a CSV file of a class")
    columns = text.splitlines()[0] if text else ""
    missing = [one for one in wanted if not found or one not in found[0]]
    if missing and (found or any(one not in columns for one in wanted)):
        raise EksnetError(
            f"{path} has no column {missing[0]}", f"the columns {', '.join(wanted)}", _FIX
        )
    return [{key: value for key, value in row.items() if isinstance(key, str)} for row in found]
