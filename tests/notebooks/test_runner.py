import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from eksnet.course import catalogue, runner
from eksnet.errors import EksnetError

SHOWN_THEN_EMPTIED = """
from IPython.display import display
print("first")
handle = display("waiting", display_id=True)
print("second")
display({}, raw=True)
"""


@pytest.fixture
def write(tmp_path):
    def write(*sources):
        cells = [new_code_cell(text, id=f"cell-{n}") for n, text in enumerate(sources, start=1)]
        path = tmp_path / "07_small.ipynb"
        nbformat.write(new_notebook(cells=cells), path)
        return path

    return write


def test_a_run_says_so_and_leaves_the_file(write):
    path = write("print(6 * 7)")
    before, said = path.read_bytes(), []
    assert runner.run_all([path], progress=said.append)
    assert re.fullmatch(r"07_small: ran in \d+ s", "\n".join(said))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_failure_names_cell_and_reason_and_is_not_saved(write):
    path = write("1", "from eksnet import EksnetError\nraise EksnetError('no such pod')", "2")
    before, said = path.read_bytes(), []
    assert not runner.run_all([path], save=True, progress=said.append)
    assert re.fullmatch(r"07_small: failed after \d+ s in cell cell-2", said[0])
    assert said[1] == "EksnetError: no such pod"
    assert path.read_bytes() == before


def test_a_kernel_that_dies_is_a_failure(write):
    said = []
    dies = "import os\nos.write(2, b'out of memory')\nos._exit(3)"
    assert not runner.run_all([write(dies)], progress=said.append)
    assert said[0].endswith("in cell cell-1")
    assert said[1] == "Kernel died\nout of memory"


def test_what_is_saved_holds_nothing_of_the_run_but_its_outputs(write):
    path = write(SHOWN_THEN_EMPTIED, "2")
    assert runner.run_one(path, save=True, progress=lambda _: None)
    saved = nbformat.read(path, as_version=4)
    assert saved.metadata.language_info == {"name": "python"}
    assert [cell.metadata for cell in saved.cells] == [{}, {}]
    assert [cell.execution_count for cell in saved.cells] == [1, 2]
    kinds = [(output.output_type, output.get("text")) for output in saved.cells[0].outputs]
    assert kinds == [
        ("stream", "first\n"), ("display_data", None), ("stream", "second\n"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["05", "05_lab", "05_lab_hosts", "05_lab_hosts.ipynb"])
def test_a_notebook_is_found_by_the_start_of_its_name(name):
    assert catalogue.find(name).name == "05_lab_hosts.ipynb"


@pytest.mark.parametrize("name", ["0", "nothing", "/no/such/05x.ipynb"])
def test_no_notebook_or_more_than_one_is_an_error(name):
    with pytest.raises(EksnetError) as raised:
        catalogue.find(name)
    assert "01a_dns_records" in raised.value.expected


@pytest.fixture
def three_parts(tmp_path, monkeypatch):
    """A course whose first chapter is in three parts."""
    names = ["05_lab_hosts", "01c_faults", "01a_records", "notes", "01b_names", "1_x", "a01_x"]
    for name in names:
        nbformat.write(new_notebook(), tmp_path / f"{name}.ipynb")
    monkeypatch.setattr(catalogue, "directory", lambda: tmp_path)


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("01", "01a_records 01b_names 01c_faults"),
        ("01b", "01b_names"),
        ("01c_faults.ipynb", "01c_faults"),
        ("05", "05_lab_hosts"),
    ],
)
def test_a_number_means_all_its_parts_in_order(three_parts, name, means):
    assert [path.stem for path in catalogue.named(name)] == means.split()


def test_the_course_is_in_order_and_holds_nothing_else(three_parts):
    assert [path.stem for path in catalogue.course()] == [
        "01a_records", "01b_names", "01c_faults", "05_lab_hosts",
    ]  # fmt: skip


def test_where_one_is_wanted_several_are_an_error(three_parts):
    with pytest.raises(EksnetError, match="01 means several notebooks") as raised:
        catalogue.find("01")
    assert raised.value.expected == "one of 01a_records, 01b_names, 01c_faults"


def test_the_cells_metadata_that_is_the_courses_is_saved(write):
    path = write("prediction = 1", "2", "3")
    notebook = nbformat.read(path, as_version=4)
    kept = [{"tags": ["predict"]}, {"jupyter": {"source_hidden": True}}, {}]
    others = {"trusted": True, "jupyter": {"outputs_hidden": True}}
    for cell, own in zip(notebook.cells, kept, strict=True):
        cell.metadata = {**others, **own}
    nbformat.write(notebook, path)
    assert runner.run_one(path, save=True, progress=lambda _: None)
    assert [cell.metadata for cell in nbformat.read(path, as_version=4).cells] == kept


def processes_below(pid):
    """Return the ids of a process's children and theirs."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []  # it has ended meanwhile
    return [one for child in map(int, children) for one in (child, *processes_below(child))]


@pytest.mark.parametrize("stopped_in", ["its start", "cell cell-1"])
def test_an_interrupt_ends_the_kernel_says_one_line_and_130(write, tmp_path, stopped_in):
    begun = tmp_path / "begun"
    path = write(f"import time, pathlib\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(600)")
    process = subprocess.Popen(
        [sys.executable, "-m", "eksnet.cli", "run", path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        kernels = []
        while not kernels or (stopped_in != "its start" and not begun.exists()):
            assert process.poll() is None
            kernels = processes_below(process.pid)
        # As a terminal sends it: the kernel has a session of its own, and hears nothing.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert out == ""
    assert re.fullmatch(rf"07_small: interrupted after \d+ s in {stopped_in}\n", err)
    assert [one for one in kernels if Path(f"/proc/{one}").exists()] == []


def test_an_interrupt_of_one_begins_no_other(write, monkeypatch):
    begun = []

    def interrupted(path, **_):
        begun.append(path.stem)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.run_all([write("1"), write("2")])
    assert begun == ["07_small"]


def test_only_the_command_grading_and_the_package_itself_know_the_course():
    package = Path(catalogue.__file__).parent.parent
    knowing = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if re.search(r"(from|import) eksnet(\.| import )course\b", path.read_text())
    }
    assert knowing == {"__init__.py", "cli", "course", "grading"} & knowing
    assert "cli" in knowing
