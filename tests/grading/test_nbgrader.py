"""The bridge, with the real nbgrader: it makes the assignment, grades it and exports the scores."""

from __future__ import annotations

import copy
import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from typer.testing import CliRunner

sys.path += [str(Path(__file__).parents[1] / room) for room in ("cluster", "checkpoints")]
from fake_api import FakeApi
from lab_api import no_writes, write_kubeconfig
from test_checkpoints_name_resolution import LONG, asked, put_stage

from eksnet import cli
from eksnet.checkpoints import definitions
from eksnet.course.catalogue import PREDICT, course
from eksnet.grading import nbgrader as bridge
from eksnet.grading.gradebook import NBGRADER

WORTH = definitions.find("dns-03").points
ANSWERS = {
    "right": repr(LONG),
    "wrong": repr([(name, "X") for name, _ in LONG]),
    # As it was handed out.
    "untouched": "...",
}


def notebook() -> Any:
    """Return a small notebook as the course has them."""
    cells = [
        nbformat.v4.new_code_cell("import eksnet"),
        nbformat.v4.new_code_cell(f"prediction = {LONG!r}", metadata={"tags": [PREDICT]}),
        nbformat.v4.new_code_cell('eksnet.checkpoint("dns-03").check(prediction)'),
    ]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.mark.parametrize("path", course(), ids=lambda path: path.stem)
def test_each_checkpoint_of_a_notebook_is_one_graded_cell(path: Path) -> None:
    made = bridge.assignment(nbformat.read(path, as_version=4))
    nbformat.validate(made)
    graded = [cell for cell in made.cells if "nbgrader" in cell.metadata]
    told = {cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points for cell in graded}
    wanted = [one for one in definitions.every() if one.notebook == path.stem]
    assert told == {one.id: one.points for one in wanted}
    assert len(graded) == len(wanted)
    for cell in graded:
        assert ".require(" in cell.source and ".check(" not in cell.source
        assert cell.source.endswith(");")
    assert not [cell for cell in made.cells if cell.get("outputs")]
    predicted = [cell for cell in made.cells if PREDICT in cell.metadata.get("tags", ())]
    assert all("..." in cell.source for cell in predicted)


def test_the_command_writes_into_an_nbgrader_course_and_over_nothing(tmp_path: Path) -> None:
    words = ["assignment", "05", str(tmp_path)]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    written = tmp_path / "source" / "05_lab_hosts" / "05_lab_hosts.ipynb"
    assert "nbgrader generate_assignment 05_lab_hosts --create" in done.output
    before = written.read_bytes()
    again = CliRunner().invoke(cli.app, words)
    assert again.exit_code == 2 and "is there already" in again.output
    assert written.read_bytes() == before


@pytest.fixture
def lab(tmp_path: Path) -> Any:
    """An API server as the lesson leaves it, and the variables that lead a kernel to it."""
    server = FakeApi()
    server.refuse = no_writes
    put_stage(server)
    asked(server, "my-service.app-ns")
    write_kubeconfig(tmp_path / "kubeconfig", server.url)
    yield {
        **os.environ,
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "EKSNET_TARGET": "context:lab",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
    }
    server.close()


def test_nbgrader_scores_a_right_a_wrong_and_an_untouched_submission(
    tmp_path: Path, lab: dict[str, str]
) -> None:
    folder = tmp_path / "class"
    source = folder / "source" / "ps1" / "ps1.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(bridge.assignment(notebook()), source)

    def run(*words: str) -> None:
        command = [sys.executable, "-m", "nbgrader", *words, f"--CourseDirectory.root={folder}"]
        done = subprocess.run(command, cwd=folder, env=lab, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    run("generate_assignment", "ps1", "--create")
    released = nbformat.read(folder / "release" / "ps1" / "ps1.ipynb", as_version=4)
    for name, answer in ANSWERS.items():
        handed_in = copy.deepcopy(released)
        (predicted,) = [one for one in handed_in.cells if PREDICT in one.metadata.get("tags", ())]
        assert predicted.source == "prediction = ..."
        predicted.source = f"prediction = {answer}"
        target = folder / "submitted" / name / "ps1" / "ps1.ipynb"
        target.parent.mkdir(parents=True)
        nbformat.write(handed_in, target)
    run("autograde", "ps1", "--create")
    run("export", f"--CsvExportPlugin.to={folder / 'grades.csv'}")
    with (folder / "grades.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == NBGRADER
    scores = {row["student_id"]: float(row["score"]) for row in rows}
    assert scores == {"right": WORTH, "wrong": 0, "untouched": 0}
    assert {float(row["max_score"]) for row in rows} == {WORTH}
