"""An error of the course as a reader meets it: in a notebook, in a program, and asked for whole."""

from __future__ import annotations

import re
import subprocess
import sys

import nbformat
import nbval_runs
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

import eksnet
from eksnet import EksnetError
from eksnet.checkpoints import CheckpointError
from eksnet.checkpoints.criteria import failed, then
from eksnet.checkpoints.results import Outcome, Result
from eksnet.cluster import ApiError
from eksnet.course import runner
from eksnet.errors import (
    ConflictError,
    DeadlineError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)

ANSI = re.compile(r"\x1b\[[\d;]*m")
ASKED = "The full traceback: eksnet.traceback()"
STEP = then("add it", "hosts = 'a'", "cluster.edit(hosts)")
RESULT = Result("x-01", "A", (Outcome("x-01.a", "It is", 1, failed("no", "yes", STEP)),))
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
PROLOGUE = "import eksnet\nfrom eksnet import EksnetError"


def shown(error: EksnetError) -> str:
    return ANSI.sub("", "\n".join(error._render_traceback_()))


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (EksnetError("it is so"), [" ✗ EksnetError ", "  seen:     it is so"]),
        (
            EksnetError("it is so", "that it is otherwise", "eksnet up"),
            [
                " ✗ EksnetError ",
                "  seen:     it is so",
                "  expected: that it is otherwise",
                "  next:     eksnet up",
            ],
        ),
        (
            DeadlineError("late", next_step="look again"),
            [" ✗ DeadlineError ", "  seen:     late", "  next:     look again"],
        ),
        (
            ApiError("refused", "yes", status=403),
            [" ✗ ApiRefusedError ", "  seen:     refused", "  expected: yes"],
        ),
        (
            CheckpointError(RESULT),
            [
                " ✗ CheckpointError ",
                "  seen:     x-01 A: FAIL, 0 of 1 point",
                "              x-01.a FAIL: no",
                "  expected: yes",
                "  next:     add it:",
                "hosts = 'a'",
                "cluster.edit(hosts)",
            ],
        ),
    ],
)  # fmt: skip
def test_an_error_is_its_lines(error: EksnetError, lines: list[str]) -> None:
    assert shown(error).splitlines() == [*lines, ASKED]


def test_the_labels_are_bold_and_the_name_has_a_ground_of_its_own() -> None:
    title, seen, *_ = EksnetError("it is so")._render_traceback_()
    # White on 256-colour 124, #af0000: a contrast of 7.5 on any ground.
    assert title == "\x1b[1;38;5;231;48;5;124m ✗ EksnetError \x1b[0m"
    assert seen == "  \x1b[1mseen:\x1b[0m     it is so"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What cells give in a real kernel: each cell's outputs; it goes on after an error."""
    cells = {
        "begin": PROLOGUE,
        "plain": '# a comment\nraise EksnetError("seen", "expected", "next")',
        "inside": 'eksnet.data.load_table("nosuch")',
        "asked": "eksnet.traceback()",
        "from": 'try:\n    1 / 0\nexcept ZeroDivisionError as error:\n'
                '    raise EksnetError("seen") from error',
        "from-asked": "print(eksnet.traceback())",
        "async": 'import asyncio\nasync def ask():\n    await asyncio.sleep(0)\n'
                 '    raise EksnetError("later")\nawait ask()',
        "shown": 'class Bad:\n    def _repr_html_(self):\n'
                 '        raise EksnetError("no view")\nBad()',
        "other": 'try:\n    raise EksnetError("first")\nexcept EksnetError as error:\n'
                 '    raise ValueError("second") from error',
        "own": "1 / 0",
    }  # fmt: skip
    notebook = new_notebook(
        cells=[new_code_cell(source) for source in cells.values()],
        metadata={"kernelspec": KERNEL},
    )
    sockets = tmp_path_factory.mktemp("sockets")
    NotebookClient(
        notebook, allow_errors=True, config=runner.private_kernel(str(sockets))
    ).execute()
    return {name: cell.outputs for name, cell in zip(cells, notebook.cells, strict=True)}


@pytest.mark.parametrize(
    ("cell", "value", "where", "lines"),
    [
        (
            "plain",
            "seen\n  expected: expected\n  next:     next",
            ' in line 2: raise EksnetError("seen", "expected", "next")',
            ["  seen:     seen", "  expected: expected", "  next:     next"],
        ),
        ("from", "seen", ' in line 4: raise EksnetError("seen") from error', ["  seen:     seen"]),
        ("async", "later", ' in line 4: raise EksnetError("later")', ["  seen:     later"]),
        ("shown", "no view", ' in line 3: raise EksnetError("no view")', ["  seen:     no view"]),
    ],
)
def test_a_cell_shows_the_lines_and_no_traceback(outputs, cell, value, where, lines) -> None:
    (error,) = [one for one in outputs[cell] if one.output_type == "error"]
    assert (error.ename, error.evalue) == ("EksnetError", value)
    text = ANSI.sub("", "\n".join(error.traceback)).splitlines()
    assert text == [f" ✗ EksnetError {where}", *lines, ASKED]


def test_the_learners_own_line_is_named_not_the_packages(outputs) -> None:
    (error,) = outputs["inside"]
    first, *_ = ANSI.sub("", "\n".join(error.traceback)).splitlines()
    assert first == ' ✗ EksnetError  in line 1: eksnet.data.load_table("nosuch")'


def test_the_full_traceback_comes_when_it_is_asked_for(outputs) -> None:
    (asked,) = outputs["asked"]
    text = asked.data["text/plain"]
    lines = text.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    # It begins at the learner's line and ends in the package.
    assert 'eksnet.data.load_table("nosuch")' in lines[2]
    assert "IPython" not in text
    assert "eksnet/data.py" in text
    assert "EksnetError: no table 'nosuch'" in text
    html = asked.data["text/html"]
    assert html.startswith("<details open><summary>Traceback of EksnetError</summary><pre")
    assert "&#x27;nosuch&#x27;" in html


def test_the_cause_of_an_error_is_in_its_full_traceback(outputs) -> None:
    (asked,) = outputs["from-asked"]
    assert "ZeroDivisionError: division by zero" in asked.text
    assert "direct cause" in asked.text


@pytest.mark.parametrize(
    ("cell", "name", "said"), [("other", "ValueError", "first"), ("own", "ZeroDivisionError", "1")]
)
def test_other_errors_keep_their_traceback(outputs, cell, name, said) -> None:
    (error,) = outputs[cell]
    assert error.ename == name
    text = ANSI.sub("", "\n".join(error.traceback))
    assert "Traceback (most recent call last)" in text
    assert said in text


def test_a_program_gets_pythons_own_traceback() -> None:
    script = f'{PROLOGUE}\nprint(eksnet.traceback())\nraise EksnetError("seen", "expected", "next")'
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == "There was no error so far.\n"
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("EksnetError: seen\n  expected: expected\n  next:     next\n")


def test_without_an_error_there_is_none_to_show(monkeypatch) -> None:
    monkeypatch.delattr(sys, "last_value", raising=False)
    nothing = eksnet.traceback()
    assert repr(nothing) == "There was no error so far."
    assert nothing._repr_html_() == "<p>There was no error so far.</p>"


@pytest.fixture
def failing(tmp_path):
    """A notebook that ends in an error of the course."""
    cell = new_code_cell(f'{PROLOGUE}\nraise EksnetError("seen", "expected", "next")')
    cell.execution_count = 1
    path = tmp_path / "failing.ipynb"
    metadata = {"kernelspec": KERNEL}
    nbformat.write(new_notebook(cells=[cell], metadata=metadata), path)
    return path


def test_the_courses_runner_sees_the_failure(failing) -> None:
    said: list[str] = []
    assert not runner.run_one(failing, progress=said.append)
    assert said[1] == "EksnetError: seen\n  expected: expected\n  next:     next"


def test_nbval_sees_the_failure(failing) -> None:
    done = nbval_runs.run("-q", failing)
    assert done.returncode == 1
    assert "Cell execution caused an exception" in done.stdout
    assert "seen:" in done.stdout
    assert "1 failed" in done.stdout


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0, UnreachableError),
        (403, RefusedError),
        (404, NotFoundError),
        (405, RefusedError),
        (409, ConflictError),
    ],
)
def test_a_status_makes_the_error_one_of_the_family(status: int, kind: type[EksnetError]) -> None:
    error = ApiError("no", "yes", "look", status=status, reason="Said")
    said = error.saying("line 3: no")
    for one in (error, said):
        assert isinstance(one, ApiError) and isinstance(one, kind)
    assert (said.status, said.reason, said.expected, said.next_step) == (
        status, "Said", "yes", "look",
    )  # fmt: skip


@pytest.mark.parametrize("status", [400, 401, 410, 422, 429, 500])
def test_other_statuses_are_of_no_kind(status: int) -> None:
    assert type(ApiError("no", status=status)) is ApiError
