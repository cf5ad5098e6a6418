"""The course document, line by line: which cell of which notebook teaches it."""

import json
from collections import Counter
from pathlib import Path

import pytest

from eksnet import data
from eksnet.course import catalogue

ROWS = data.rows("document")
COUNTS = {
    "heading": 32, "table": 6, "picture": 7, "link": 11, "command": 14, "step": 10, "example": 9,
}  # fmt: skip
# What no notebook teaches yet. A row is taken out of here when its notebook lands; none comes in.
PLANNED: Counter[str] = Counter()
TAUGHT = [row for row in ROWS if row["state"] == "taught"]


def where(name: str) -> Path:
    return catalogue.directory() / f"{name}.ipynb"


def cell(path: Path, name: str) -> str:
    """Return the text of a cell."""
    cells = json.loads(path.read_text())["cells"]
    found = ["".join(one["source"]) for one in cells if one["id"] == name]
    assert len(found) == 1, f"{path.name} has {len(found)} cells {name}"
    return found[0]


def named(row: dict[str, str]) -> str:
    return f"{row['kind']} {row['document']}"


def test_every_line_of_the_document_has_its_row():
    assert Counter(row["kind"] for row in ROWS) == COUNTS
    assert len({named(row) for row in ROWS}) == len(ROWS)


def test_nothing_is_planned_beyond_what_was():
    planned = [row for row in ROWS if row["state"] == "planned"]
    print(*(f"{row['notebook']}: {named(row)}" for row in planned), sep="\n")
    assert Counter(row["notebook"] for row in planned) <= PLANNED


@pytest.mark.parametrize("name", sorted(PLANNED))
def test_what_is_planned_for_a_notebook_is_taught_once_it_is_there(name):
    planned = [named(row) for row in ROWS if (row["state"], row["notebook"]) == ("planned", name)]
    assert not planned or not where(name).exists(), planned


@pytest.mark.parametrize("row", TAUGHT, ids=named)
def test_the_cell_is_there_and_carries_it(row):
    assert row["carries"]
    assert row["carries"] in cell(where(row["notebook"]), row["cell"])


def test_what_no_notebook_teaches_says_why():
    for row in ROWS:
        assert row["state"] in ("taught", "planned", "none")
        if row["state"] == "none":
            assert row["why"] and not row["notebook"], named(row)
        else:
            assert row["notebook"], named(row)


@pytest.mark.parametrize("kind", ["link", "command"])
def test_links_and_commands_are_carried_by_their_own_words(kind):
    # A cell that happens to have a common word does not teach a link.
    for row in TAUGHT:
        if row["kind"] == kind:
            assert len(row["carries"]) > 10, named(row)
