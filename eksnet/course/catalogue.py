"""The course's notebooks: where they are, their order and their names."""

from __future__ import annotations

import re
from pathlib import Path

from eksnet.errors import EksnetError

_PACKAGE = Path(__file__).parent.parent
_NAME = re.compile(r"\d\d[a-z]?_\w+\.ipynb")
# A cell with one solution of an exercise: JupyterLab shows three dots until it is opened.
FOLDED = {"jupyter": {"source_hidden": True}}
# The tag of a cell in which the learner predicts; `copies` empties it.
PREDICT = "predict"


def directory() -> Path:
    """Return where the course's notebooks are: a clone's directory, or the installed copy."""
    installed = _PACKAGE / "_notebooks"
    return installed if installed.is_dir() else _PACKAGE.parent / "notebooks"


def course() -> list[Path]:
    """Return the course's notebooks in order."""
    return sorted(path for path in directory().glob("*.ipynb") if _NAME.fullmatch(path.name))


def named(name: str | Path) -> list[Path]:
    """Return the notebooks of the course that a name or a number means, in order.

    Args:
        name: The start of a name, its number at least: `01` means 01a, 01b and 01c.

    Raises:
        EksnetError: There is none.
    """
    start = str(name).removesuffix(".ipynb")
    matching = [one for one in course() if one.stem.startswith(start)]
    if not matching or not re.match(r"\d\d", start):
        known = ", ".join(one.stem for one in course())
        raise EksnetError(f"{name} is no notebook of the course", f"one of {known}", "eksnet run")
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
