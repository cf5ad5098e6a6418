"""What a learner predicted, read from whatever form it has, beside what was observed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, is_dataclass, replace
from numbers import Real
from typing import Any

from eksnet.checkpoints.criteria import Observation, failed, not_started, passed
from eksnet.errors import EksnetError
from eksnet.listing import Listing

FORMS = "a table, a list or tuple of rows, a dict, a number or text"
# What stands in the learner's copy where a prediction is to be written.
PLACEHOLDER = "..."
# Where the data frames come from that the course makes; loaded, it would load pandas.
_FRAMES = "eksnet.frames"
_MARKS = {"o": True, "yes": True, "true": True, "x": False, "no": False, "false": False}
# A learner's 1 and 0 are marks beside an observed mark; beside a number they are numbers.
_SAID = {**_MARKS, "1": True, "0": False}


class NotUnderstoodError(EksnetError):
    """An answer in a form that cannot be compared."""


@dataclass(frozen=True)
class Rows:
    """An answer as rows of text.

    Attributes:
        rows: The rows, each a tuple of cells.
        columns: The columns' names; empty when it has none.
        keyed: Whether each row is found by its first cell, not by its place.
        computed: Whether it is a table that the course made, and no learner wrote.
    """

    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()
    keyed: bool = False
    computed: bool = False


def understand(answer: Any, what: str = "your prediction") -> Rows:
    """Read an answer.

    A first column that only counts the rows is left out.

    Args:
        answer: The answer, in one of the forms.
        what: What to call it when it is not understood.

    Raises:
        NotUnderstoodError: It has none of the forms, or a part of it has not.
    """
    found = _read(answer, what)
    counting = [row[0] for row in found.rows if len(row) > 1]
    if counting and counting == [str(n) for n in range(1, len(found.rows) + 1)]:
        rows = tuple(row[1:] for row in found.rows)
        return replace(found, rows=rows, columns=found.columns[1:])
    return found


def _read(answer: Any, what: str) -> Rows:
    if isinstance(answer, Listing):
        return Rows(answer.rows, tuple(answer.columns), computed=True)
    if isinstance(answer, str):
        return _from_text(answer)
    if isinstance(answer, Real) or answer is ...:
        return Rows(((_cell(answer, "it"),),))
    if isinstance(answer, Mapping):
        return _from_mapping(
            {_cell(key, "a key"): _cell(value, key) for key, value in answer.items()}
        )
    if isinstance(answer, Sequence) and not isinstance(answer, bytes | bytearray):
        return Rows(tuple(_row(item, n) for n, item in enumerate(answer, start=1)))
    if hasattr(answer, "itertuples") and hasattr(answer, "columns"):
        return _from_frame(answer)
    if hasattr(answer, "tolist"):  # a column of a data frame, an array
        return _read(answer.tolist(), what)
    raise NotUnderstoodError(
        f"{what} has the type {type(answer).__name__}, which cannot be read as an answer",
        FORMS,
        "use one of these, and check again",
    )


def _from_frame(frame: Any) -> Rows:
    rows = frame.itertuples(index=False, name=None)
    return Rows(
        tuple(_row(row, n) for n, row in enumerate(rows, start=1)),
        tuple(map(str, frame.columns)),
        computed=type(frame).__module__ == _FRAMES,
    )


def _from_mapping(cells: Mapping[str, str]) -> Rows:
    """Return rows that are found by their key; keys that count the rows say their order."""
    for first in (0, 1):
        order = [str(number) for number in range(first, first + len(cells))]
        if cells and cells.keys() == set(order):
            return Rows(tuple((cells[number],) for number in order))
    return Rows(tuple(cells.items()), (), True)


def _from_text(text: str) -> Rows:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1:
        return Rows(tuple((part.strip(),) for part in lines[0].split(",")))
    return Rows(tuple(tuple(filter(None, re.split(r"[\s,|]+", line))) for line in lines))


def _row(item: Any, number: int) -> tuple[str, ...]:
    where = f"row {number}"
    if is_dataclass(item) and not isinstance(item, type):
        item = astuple(item)
    if isinstance(item, Sequence) and not isinstance(item, str | bytes | bytearray):
        return tuple(_cell(cell, where) for cell in item) or ("",)
    return (_cell(item, where),)


def _cell(value: Any, where: object) -> str:
    if value is ...:
        return PLACEHOLDER
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if getattr(value, "shape", None) == ():  # numpy's own True, 30, "a"
        value = value.item()
    if isinstance(value, bool):
        return "O" if value else "X"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Real):
        return f"{float(value):.15g}"
    if isinstance(value, str):
        return value.strip()
    raise NotUnderstoodError(
        f"in the answer, {where} has a value of type {type(value).__name__}, which cannot be read",
        FORMS,
        "use text and numbers only, and check again",
    )


def without_units(answer: Rows, units: Sequence[str]) -> Rows:
    """Return an answer whose numbers stand alone: `30` for `30s`."""
    number = re.compile(rf"([-+]?\d+(?:\.\d+)?)\s*(?:{'|'.join(units)})", re.IGNORECASE)

    def bare(cell: str) -> str:
        match = number.fullmatch(cell)
        return match[1] if match else cell

    return replace(answer, rows=tuple(tuple(map(bare, row)) for row in answer.rows))


def compare(answer: Rows, observed: Rows, column: int) -> Observation:
    """Compare a column of an answer with what was observed, and say at which row they part.

    The next step is empty where nothing is to be said but to look again.
    """
    answer = _without_header(answer, observed)
    if observed.keyed:
        return _compare_keyed(answer, observed)
    name = observed.columns[column] if column < len(observed.columns) else ""
    place = answer.columns.index(name) if name in answer.columns else column
    if answer.rows and all(len(row) <= place for row in answer.rows):
        return not_started(
            f"your answer has no column for {name or f'part {column + 1}'}",
            f"rows with {', '.join(observed.columns) or f'{column + 1} parts'}",
            "add it to each row, and check again",
        )
    seen = [row[column] for row in observed.rows]
    said = [row[place] if place < len(row) else "" for row in answer.rows]
    for number, (one, other) in enumerate(zip(said, seen, strict=False), start=1):
        if not same(one, other):
            return _parted(number, one, other, single=len(said) == len(seen) == 1)
    if len(said) != len(seen):
        shorter = min(len(said), len(seen))
        return _ended(shorter, said[shorter:], seen[shorter:])
    return passed(f"as you predicted: {seen[0]}" if len(seen) == 1 else _agree(len(seen)))


def _compare_keyed(answer: Rows, observed: Rows) -> Observation:
    keys = [key for key, _ in observed.rows]
    said = {}
    if answer.keyed or all(len(row) == 2 and row[0] in keys for row in answer.rows):
        said = {row[0]: row[1] for row in answer.rows}
    elif len(answer.rows) == len(keys):
        said = {key: row[-1] for key, row in zip(keys, answer.rows, strict=True)}
    if keys and not said:
        return not_started(
            "your answer does not say which value belongs to which key",
            f"a dict with the key{'s' * (len(keys) > 1)} {' and '.join(map(repr, keys))}",
            "",
        )
    for key, seen in observed.rows:
        if key not in said:
            return failed(
                f"your answer has no value for {key!r}",
                f"a prediction for each of {', '.join(map(repr, keys))}",
                "add it, and check again",
            )
        if not same(said[key], seen):
            return _differs(f"{key}: ", said[key], seen)
    return passed(_agree(len(observed.rows)))


def same(one: str, other: str) -> bool:
    """Tell whether two cells say the same: letter case and a final dot of a name do not count."""
    plain, seen = (text.strip().lower().rstrip(".") for text in (one, other))
    if plain == seen:
        return True
    if plain in _SAID and seen in _MARKS:
        return _SAID[plain] == _MARKS[seen]
    try:
        return float(plain) == float(seen)
    except ValueError:
        return False


def _without_header(answer: Rows, observed: Rows) -> Rows:
    """Drop a first row that repeats the columns' names, as in a table that was copied as text."""
    if answer.rows and observed.columns and not answer.columns:
        first = "".join(answer.rows[0]).replace(" ", "").lower()
        if first.endswith("".join(observed.columns).replace(" ", "").lower()):
            return understand([list(row) for row in answer.rows[1:]])
    return answer


def _agree(rows: int) -> str:
    return f"all {_rows(rows)} as you predicted"


def _parted(number: int, said: str, seen: str, *, single: bool) -> Observation:
    if single:
        return _differs("", said, seen)
    before = number - 1
    agree = f"; {_rows(before)} before it {'matches' if before == 1 else 'match'}" if before else ""
    return _differs(f"row {number}: ", said, seen, f"compare row {number}{agree}")


def _differs(where: str, said: str, seen: str, next_step: str = "") -> Observation:
    # What was right is what was observed, and that stands in the row above.
    parted = failed(f"{where}{seen or 'nothing'}", "", next_step)
    return replace(parted, predicted=said or "nothing")


def _ended(agreeing: int, said: list[str], seen: list[str]) -> Observation:
    where = f"row {agreeing + 1}: "
    if seen:
        return _differs(
            where, "", seen[0], f"find the {_rows(len(seen))} missing from your prediction"
        )
    return _differs(where, said[0], "", f"find out why you predicted {_rows(len(said))} too many")


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"
