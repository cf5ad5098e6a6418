"""The course's notebooks: where they are, their order and their names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from eksnet.errors import EksnetError

_PACKAGE = Path(__file__).parent.parent
_NAME = re.compile(r"\d\d[a-z]?_\w+\.ipynb")
# A cell with one solution of an exercise: JupyterLab shows three dots until it is opened.
FOLDED = {"jupyter": {"source_hidden": True}}
# The tag of a cell in which the learner predicts; `copies` empties it.
PREDICT = "predict"
# How the id of a cell ends that explains a result; `copies` folds it.
WHY = "-why"


@dataclass(frozen=True)
class Cell:
    """A cell, as far as the course itself looks at it.

    Attributes:
        kind: `code` or `markdown`.
        source: Its text.
        tags: Its tags.
    """

    kind: str
    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Lesson:
    """A notebook as it speaks of itself.

    Attributes:
        name: Its file's name, without the ending.
        title: Its heading.
        before: The rows of its table *Before you start*: `Time`, `Teaches`, …
    """

    name: str
    title: str
    before: dict[str, str]

    @property
    def teaches(self) -> str:
        """What it teaches, in one line."""
        return self.before.get("Teaches", "")


def directory() -> Path:
    """Return where the course's notebooks are: a clone's directory, or the installed copy."""
    installed = _PACKAGE / "_notebooks"
    return installed if installed.is_dir() else _PACKAGE.parent / "notebooks"


def course() -> list[Path]:
    """Return the course's notebooks in order."""
    return sorted(path for path in directory().glob("*.ipynb") if _NAME.fullmatch(path.name))


def named(name: str | Path, command: str = "eksnet run") -> list[Path]:
    """Return the notebooks of the course that a name or a number means, in order.

    Args:
        name: The start of a name, its number at least: `01` means 01a, 01b and 01c.
        command: What was to be done with it: the next command of an error, with a right name.

    Raises:
        EksnetError: There is none.
    """
    start = str(name).removesuffix(".ipynb")
    matching = [one for one in course() if one.stem.startswith(start)]
    if not matching or not re.match(r"\d\d", start):
        known = [one.stem for one in course()]
        raise EksnetError(
            f"{name} is not a notebook of the course",
            f"one of {', '.join(known)}",
            f"{command} {known[-1]}",
        )
    return matching


def find(name: str | Path) -> Path:
    """Return the one notebook of the course that a name or a number means.

    Raises:
        EksnetError: There is none, or more than one.
    """
    matching = named(name)
    if len(matching) > 1:
        which = ", ".join(one.stem for one in matching)
        raise EksnetError(f"{name} means several notebooks", f"one of {which}", "eksnet run")
    return matching[0]


def read(notebook: Path) -> list[Cell]:
    """Return a notebook's cells."""
    cells = json.loads(notebook.read_text())["cells"]
    return [
        Cell(cell["cell_type"], "".join(cell["source"]), tuple(cell["metadata"].get("tags", ())))
        for cell in cells
    ]


def lesson(notebook: Path) -> Lesson:
    """Return what a notebook says of itself."""
    prose = [cell.source for cell in read(notebook) if cell.kind == "markdown"]
    heading = re.search(r"^# (.+)", "\n".join(prose), re.MULTILINE)
    table = next((text for text in prose if text.startswith("## Before you start")), "")
    rows = re.findall(r"^\| ([^|\n]+?) \| (.+) \|$", table, re.MULTILINE)
    return Lesson(notebook.stem, heading[1] if heading else notebook.stem, dict(rows))
