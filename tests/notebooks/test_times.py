"""The times that are told: computed from a notebook and what its cells took."""

import re
from decimal import Decimal

import heads
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from eksnet import data
from eksnet.aws import prices
from eksnet.course import catalogue, runner, times
from eksnet.course.times import Time, time_of

PATHS = catalogue.course()
each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


@pytest.mark.parametrize(
    ("time", "minutes"),
    [
        (Time(0, None, 0, 0), 0),
        (Time(150, None, 0, 0), 1),
        (Time(3000, 60, 2, 3), 26),
        (Time(3000, 29, 0, 0), 20),
        (Time(3000, 31, 0, 0), 21),
    ],
)
def test_the_parts_of_a_time_add_up(time, minutes):
    assert time.minutes == minutes


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A course of one notebook, and its table of seconds."""
    cells = [
        new_markdown_cell("# Title of five words"),
        new_code_cell('# no prose\neksnet.checkpoint("a-01").check(x)', id="check"),
        new_code_cell("prediction = 1  # a number", metadata={"tags": ["predict"]}, id="predict"),
        new_code_cell("lab = eksnet.checkpoint('a-02')\nlab.check()", id="again"),
    ]
    path = tmp_path / "07_small.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    (tmp_path / "notebooks.csv").write_text("notebook,seconds\n06_gone,9\n")
    monkeypatch.setattr(catalogue, "directory", lambda: tmp_path)
    monkeypatch.setattr(data, "directory", lambda: tmp_path)
    return path


def test_a_time_is_read_from_the_notebook_and_the_table(small):
    assert time_of(small) == Time(words=5, seconds=None, predictions=1, checkpoints=2)
    times.record(small, 12.6)
    assert time_of(small).seconds == 13


def test_what_is_no_more_in_the_course_leaves_the_table(small, tmp_path):
    table = tmp_path / "notebooks.csv"
    times.record(tmp_path / "elsewhere.ipynb", 3)
    assert table.read_text() == "notebook,seconds\n06_gone,9\n"
    times.record(small, 3)
    assert table.read_text() == "notebook,seconds\n07_small,3\n"


@pytest.mark.parametrize("save", [False, True])
def test_saving_a_run_keeps_its_time(small, save):
    nbformat.write(new_notebook(cells=[new_code_cell("1", id="one")]), small)
    said = []
    assert runner.run_one(small, save=save, progress=said.append)
    seconds = time_of(small).seconds
    assert said == [f"07_small: ran in {seconds} s"] if save else seconds is None


@each
def test_a_notebook_takes_twenty_to_thirty_five_minutes_and_says_so(path):
    time, lesson = time_of(path), catalogue.lesson(path)
    assert time.seconds is not None, "not measured: eksnet run --save"
    assert 20 <= time.minutes <= 35, time
    assert lesson.before["Time"].startswith(f"about {time.minutes} minutes")


def test_the_instructors_document_has_these_times_and_no_other():
    text = heads.INSTRUCTOR.read_text()
    assert heads.with_times(text) == text, "uv run python tests/notebooks/heads.py"
    table = times.table()
    for path in PATHS:
        assert f"| `{path.stem}` | {time_of(path).minutes} | {time_of(path).seconds} |" in table
    assert re.findall(r"\d+ minutes", text.replace(table, "")) == []


MAKES = ("What it creates", "What it makes", "What it changes")


@each
def test_a_notebook_says_what_it_makes_and_what_that_costs(path):
    before = catalogue.lesson(path).before
    assert any(len(before.get(row, "")) > 20 for row in MAKES)
    cost = before["Cost on EKS"]
    # A load balancer, and its public address in each of two zones, where its price is known.
    known = (prices.price(item, "us-east-1").usd for item in
             ("application load balancer", prices.ADDRESS, prices.ADDRESS))  # fmt: skip
    said = re.findall(r"([\d.]+) USD an hour", cost)
    assert [Decimal(one) for one in said] == [round(sum(known), 2)] * len(said)
    assert said or re.search(r"no additional|nothing|none", cost), cost


@each
def test_a_notebook_says_what_it_teaches(path):
    lesson = catalogue.lesson(path)
    assert 20 <= len(lesson.teaches) <= 160
    assert lesson.title[:2] == path.stem[:2]
    readme = (catalogue._PACKAGE.parent / "README.md").read_text()
    assert f"| `{path.stem}` | {lesson.teaches} |" in readme
