"""How long a notebook takes somebody who reads and does all of it.

`python -m eksnet.course.times` prints it for the whole course, and docs/instructor.md has it.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from eksnet import data
from eksnet.course.catalogue import PREDICT, course, read

# Of technical prose in a second language.
_WORDS_A_MINUTE = 150
_LOOKED_UP = "| Runs on |"
_TABLE = "notebooks"
_COLUMNS = ("notebook", "seconds")


@dataclass(frozen=True)
class Time:
    """What a notebook's time is made of.

    Attributes:
        words: The words of its prose.
        seconds: What its cells took when its outputs were saved; None when that was never measured.
        predictions: The cells in which the learner predicts; one takes a minute.
        checkpoints: The calls of a checkpoint; one takes a minute.
    """

    words: int
    seconds: int | None
    predictions: int
    checkpoints: int

    @property
    def minutes(self) -> int:
        """The whole, in minutes."""
        reading, running = self.words / _WORDS_A_MINUTE, (self.seconds or 0) / 60
        return round(reading + running + self.predictions + self.checkpoints)


def time_of(notebook: Path) -> Time:
    """Return the time that a notebook takes."""
    cells = read(notebook)
    code = [cell for cell in cells if cell.kind == "code"]
    return Time(
        words=sum(_words(cell.source) for cell in cells if cell.kind == "markdown"),
        seconds=_measured().get(notebook.stem),
        predictions=sum(PREDICT in cell.tags for cell in code),
        checkpoints=sum(cell.source.count("eksnet.checkpoint(") for cell in code),
    )


def table() -> str:
    """Return the times of the whole course as a table in Markdown, for who plans a class."""
    found = {path.stem: time_of(path) for path in course()}
    lines = [
        "| notebook | minutes for a learner | of these, seconds of its cells |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | {one.minutes} | {one.seconds or '-'} |" for name, one in found.items()]
    minutes = sum(one.minutes for one in found.values())
    seconds = sum(one.seconds or 0 for one in found.values())
    return "\n".join([*lines, f"| all {len(found)} | {minutes} | {seconds} |"])


def _words(text: str) -> int:
    """Return the words that are read; the row of all kinds of clusters is looked up, not read."""
    return sum(len(line.split()) for line in text.splitlines() if not line.startswith(_LOOKED_UP))


def record(notebook: Path, seconds: float) -> None:
    """Write down what the cells of one of the course's notebooks took; others are passed over."""
    names = [path.stem for path in course()]
    if notebook not in course():
        return
    measured = {**_measured(), notebook.stem: round(seconds)}
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    rows.writerows((name, measured[name]) for name in names if name in measured)
    _file().write_text(text.getvalue())


def _measured() -> dict[str, int]:
    with _file().open(newline="") as file:
        return {row["notebook"]: int(row["seconds"]) for row in csv.DictReader(file)}


def _file() -> Path:
    return data.directory() / f"{_TABLE}.csv"


if __name__ == "__main__":
    for path in course():
        print(f"{path.stem}: {time_of(path).minutes} minutes, {time_of(path)}")
