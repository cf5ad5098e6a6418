import re
from configparser import ConfigParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from eksnet import notebooks
from eksnet.errors import EksnetError

RULES = ConfigParser()
RULES.read(Path(__file__).with_name("sanitize.cfg"))
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
    assert notebooks.run_all([path], say=said.append)
    assert re.fullmatch(r"07_small: ran in \d+ s", "\n".join(said))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_failure_names_cell_and_reason_and_is_not_saved(write):
    path = write("1", "from eksnet import EksnetError\nraise EksnetError('no such pod')", "2")
    before, said = path.read_bytes(), []
    assert not notebooks.run_all([path], save=True, say=said.append)
    assert re.fullmatch(r"07_small: failed after \d+ s in cell cell-2", said[0])
    assert said[1] == "EksnetError: no such pod"
    assert path.read_bytes() == before


def test_a_kernel_that_dies_is_a_failure(write):
    said = []
    assert not notebooks.run_all([write("import os\nos._exit(3)")], say=said.append)
    assert said[0].endswith("in cell cell-1")


def test_what_is_saved_holds_nothing_of_the_run_but_its_outputs(write):
    path = write(SHOWN_THEN_EMPTIED, "2")
    assert notebooks.run_one(path, save=True, say=lambda _: None)
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
    assert notebooks.find(name).name == "05_lab_hosts.ipynb"


@pytest.mark.parametrize("name", ["0", "nothing", "/no/such/05x.ipynb"])
def test_no_notebook_or_more_than_one_is_an_error(name):
    with pytest.raises(EksnetError) as raised:
        notebooks.find(name)
    assert "01_kubernetes_dns" in raised.value.expected


def sanitised(text):
    for rule in RULES.sections():
        text = re.sub(RULES[rule]["regex"], RULES[rule]["replace"], text)
    return text


@pytest.mark.parametrize("gap", ["\n", "\n\n", "\n\n\n"])
def test_blank_lines_of_nslookup_do_not_count_but_its_words_do(gap):
    header = "Server:\t\t10.100.0.10\nAddress:\t10.100.0.10:53"
    said = f"{header}{gap}Name:\tmyapp.local\nAddress: 10.43.0.1"
    assert sanitised(said) == f"{header}\nName:\tmyapp.local\nAddress: 10.43.0.1"
    assert sanitised("a\n\nb") == "a\n\nb"
