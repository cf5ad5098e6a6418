"""Write where each notebook runs into its head, and its times into the instructor's document.

`uv run python tests/notebooks/heads.py`
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat

from eksnet.course import catalogue, support, times

CELL = "before-you-start"
DOCUMENT = Path(support.__file__).parents[2] / "docs" / "own-cluster.md"
INSTRUCTOR = DOCUMENT.with_name("instructor.md")
_TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)", re.DOTALL)
_ROW = re.compile(r"^\| Runs on \| .+ \|$", re.MULTILINE)
_LAST = re.compile(r"(?:^\|.*\|$\n?)+", re.MULTILINE)


def with_row(source: str, notebook: str) -> str:
    """Return the text of a head with the row that says where a notebook runs, at its table's end.

    Args:
        source: The head's text.
        notebook: The notebook's name.
    """
    row = f"| Runs on | {support.line(notebook)} |"
    if _ROW.search(source):
        return _ROW.sub(lambda _: row, source)
    table = _LAST.search(source)
    assert table, f"{notebook} has no table in its head"
    end = table.end() - table[0].endswith("\n")
    return f"{source[:end]}\n{row}{source[end:]}"


def with_table(text: str) -> str:
    """Return the document with the whole table in its place."""
    return _TABLE.sub(lambda _: f"{support.table()}\n", text)


def with_times(text: str) -> str:
    """Return the instructor's document with the table of times in its place."""
    return _TABLE.sub(lambda _: f"{times.table()}\n", text)


def head(notebook: Any) -> Any:
    """Return the cell that is a notebook's head."""
    return next(cell for cell in notebook.cells if cell.id == CELL)


def main() -> None:
    """Write every notebook whose head says something else, and the document."""
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
    INSTRUCTOR.write_text(with_times(INSTRUCTOR.read_text()))
    for path in catalogue.course():
        notebook = nbformat.read(path, as_version=4)
        cell = head(notebook)
        said = with_row(cell.source, path.stem)
        if said != cell.source:
            cell.source = said
            nbformat.write(notebook, path)
            print(Path(path).name)


if __name__ == "__main__":
    main()
