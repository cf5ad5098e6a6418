"""The bridge to nbgrader: a notebook of the course as an assignment. Pure apart from `write`.

The cells that check become graded cells: locked, with the checkpoint's points, and they call
`require`, which raises on anything but a pass. That is what nbgrader takes for a wrong answer, so a
checkpoint gives all of its points or none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from eksnet.checkpoints import definitions
from eksnet.course.catalogue import find
from eksnet.course.copies import learners
from eksnet.errors import EksnetError

_NAMED = re.compile(r'\beksnet\.checkpoint\("([\w-]+)"\)')
_CHECK = ".check("


def assignment(notebook: Any) -> Any:
    """Return a notebook as nbgrader's source version: what learners get, its checks graded.

    Args:
        notebook: A notebook of the course.
    """
    made = learners(notebook)
    for cell in made.cells:
        named = _NAMED.search(cell.source)
        if cell.cell_type == "code" and named and _CHECK in cell.source:
            # Without an output: nbgrader takes one for points, and warns when it is no number.
            cell.source = f"{cell.source.replace(_CHECK, '.require(').rstrip()};"
            cell.metadata["nbgrader"] = _graded(named[1])
    return made


def _graded(checkpoint: str) -> dict[str, Any]:
    """Return what nbgrader keeps in the metadata of a graded cell, in its schema 3."""
    return {
        "grade": True,
        "grade_id": checkpoint,
        "locked": True,
        "points": definitions.find(checkpoint).points,
        "schema_version": 3,
        "solution": False,
        "task": False,
        "cell_type": "code",
    }


def write(name: str, folder: Path) -> Path:
    """Write a notebook into the `source` folder of an nbgrader course, and return its path.

    Args:
        name: A notebook of the course, by the start of its name.
        folder: The course's folder.

    Raises:
        EksnetError: There is no such notebook, it is there already, or cannot be written.
    """
    import nbformat

    path = find(name)
    target = folder / "source" / path.stem / path.name
    made = assignment(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            nbformat.write(made, file)  # type: ignore[no-untyped-call]
    except FileExistsError as error:
        raise EksnetError(
            f"{target} is there already", "a new assignment", "move it away first"
        ) from error
    except OSError as error:
        raise EksnetError(
            f"{target} cannot be written: {error.strerror}",
            "a folder that you can write",
            "eksnet assignment NOTEBOOK DIRECTORY",
        ) from error
    return target
