"""`require` where programs run notebooks: it fails the cell, and standard error stays clean."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import nbval_runs
import pytest
from fake_api import FakeApi
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from eksnet.course import runner

FAILS = "import eksnet\neksnet.checkpoint('dns-01').require()"


@pytest.fixture
def notebook(api: FakeApi, tmp_path: Path) -> Path:
    """A notebook of one cell, on a cluster that nobody has touched."""
    path = tmp_path / "07_small.ipynb"
    cells = [new_code_cell(FAILS, id="cell-1", execution_count=1)]  # type: ignore[no-untyped-call]
    nbformat.write(new_notebook(cells=cells), path)  # type: ignore[no-untyped-call]
    return path


def test_the_courses_runner_names_cell_and_reason(notebook: Path) -> None:
    said: list[str] = []
    assert not runner.run_one(notebook, progress=said.append)
    assert said[0].endswith("in cell cell-1")
    assert "CheckpointError: dns-01 A pod, a Service and a witness: NOT_STARTED" in said[1]


def test_the_cell_raises_and_writes_nothing_to_standard_error(notebook: Path) -> None:
    read: Any = nbformat.read(notebook, as_version=4)
    with tempfile.TemporaryDirectory() as sockets:
        client = NotebookClient(read, timeout=60, config=runner.private_kernel(sockets))
        with pytest.raises(CellExecutionError, match="CheckpointError"):
            client.execute()
    assert [output.output_type for output in read.cells[0].outputs] == ["error"]


def test_nbval_counts_it_as_a_failure(notebook: Path) -> None:
    done = nbval_runs.run("-c", "/dev/null", notebook.name, cwd=notebook.parent)
    assert done.returncode == 1, done.stdout
    said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    assert "1 failed" in said
    assert "CheckpointError" in said
    assert "dns-01 A pod, a Service and a witness: NOT_STARTED" in said
    assert "stderr" not in said
