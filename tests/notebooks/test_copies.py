"""The learner's copy: the rule that makes it, and that nothing of the learner's is ever lost."""

import ast
import errno
import json
import os
import shutil
import stat
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from eksnet.course import catalogue, copies
from eksnet.course.copies import emptied, learners, open_copies
from eksnet.errors import EksnetError

CASES = {
    'prediction = "forward"  # or "hosts"': 'prediction = ...  # or "hosts"',
    "prediction=7": "prediction= ...",
    "p = (1 +\n     2)  # a sum": "p = ...  # a sum",
    'p = [\n    "a",  # the first\n    "b",\n]  # names': "# the first\np = ...  # names",
    'p = {"a": 1, "b": [2,\n 3]}  # seconds': 'p = {"a": ..., "b": ...}  # seconds',
    'p = {\n    "a": 1,  # with\n    "b": 2,  # without\n}':
        'p = {\n    "a": ...,  # with\n    "b": ...,  # without\n}',
    'p = {"a": {"b": 1, "c": {}}}': 'p = {"a": {"b": ..., "c": ...}}',
    'p = {"a": [  # why\n 1]}': '# why\np = {"a": ...}',
    "p = {**other, 'a': 1}": "p = ...",
    "p = {}": "p = ...",
    "p = {n: 1 for n in names}": "p = ...",
    "a = b = 1  # both": "a = b = ...  # both",
    "a, b = 1, 2": "a, b = ..., ...",
    "a, (b, *c) = both()": "a, (b, *c) = ..., (..., ...)",
    "(a,) = [1]": "(a,) = ...,",
    "p: int = 3  # a number": "p: int = ...  # a number",
    "p: int": "p: int",
    "p['x'] = f(a=1)": "p['x'] = ...",
    "a = 1; b = 2  # two": "a = ...; b = ...  # two",
    'p = "가나다"  # 한국어, = 하나': "p = ...  # 한국어, = 하나",
    'p = """\n# no comment\n"""': "p = ...",
    "# a comment alone": "# a comment alone",
    "if True:\n    p = [1,  # one\n    2]\n": "if True:\n    # one\n    p = ...\n",
}  # fmt: skip


@pytest.mark.parametrize("source", CASES)
def test_the_rule_empties_each_value_and_keeps_the_rest(source):
    assert emptied(source) == CASES[source]


@pytest.mark.parametrize("source", CASES)
def test_what_is_emptied_can_be_run_and_emptied_again(source):
    again = emptied(source)
    assert emptied(again) == again
    tree = ast.parse(again)
    values = [
        constant.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
        for constant in leaves(node.value)
    ]
    assert set(values) <= {...}
    names: dict[str, object] = {"p": {}}
    exec(again, names)


def leaves(value):
    """Return the parts of a value that is written out, without the keys of its dicts."""
    if isinstance(value, ast.Dict):
        return [one for part in value.values for one in leaves(part)]
    if isinstance(value, ast.Tuple):
        return [one for part in value.elts for one in leaves(part)]
    return [value]


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(VALUES, st.text("가a# '\"\\\n", max_size=5))
def test_no_value_survives_and_no_comment_is_lost(value, text):
    comment = text.replace("\n", "")
    empty = emptied(f"prediction = {value!r}  # {comment}\nother = {text!r}\n")
    assert empty.splitlines()[0].endswith(f"  # {comment}")
    names: dict[str, object] = {}
    exec(empty, names)
    assert names["other"] is ...
    assert all(one is ... for one in flat(names["prediction"]))


def flat(value):
    return [one for part in value.values() for one in flat(part)] if value and isinstance(
        value, dict
    ) else [value]  # fmt: skip


def lesson(answer="forward"):
    """Return a small notebook of the course, as it is committed."""
    cells = [
        new_markdown_cell("# 05 A lesson", id="title"),
        new_code_cell(f'prediction = "{answer}"  # or "hosts"', id="predict"),
        new_code_cell("x = 1", id="apply", outputs=[new_output("stream", text="said")]),
        new_code_cell("x = 2", id="a-fix", metadata=catalogue.FOLDED),
        new_markdown_cell("It was `forward`.", id="apply-why"),
    ]
    cells[1].metadata = {"tags": ["predict"]}
    for cell in cells[1:-1]:
        cell.execution_count = 3
    return new_notebook(cells=cells)


def test_a_copy_has_no_outputs_no_counts_and_no_answer_and_stays_folded():
    notebook = lesson()
    before = nbformat.writes(notebook)
    copy = learners(notebook)
    assert nbformat.writes(notebook) == before
    assert [cell.source for cell in copy.cells] == [
        "# 05 A lesson", 'prediction = ...  # or "hosts"', "x = 1", "x = 2",
        "<details><summary>Why? Open this after you have run the cell above.</summary>\n\n"
        "It was `forward`.\n\n</details>",
    ]  # fmt: skip
    assert [(cell.outputs, cell.execution_count) for cell in copy.cells[1:-1]] == [([], None)] * 3
    assert [cell.metadata for cell in copy.cells] == [cell.metadata for cell in notebook.cells]


@pytest.mark.parametrize("path", catalogue.course(), ids=lambda path: path.stem)
def test_the_courses_own_notebooks_follow_the_rule(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(learners(notebook))
    for cell in notebook.cells:
        if catalogue.PREDICT in cell.metadata.get("tags", ()):
            assert cell.cell_type == "code"
            body = ast.parse(cell.source).body
            assert body and all(isinstance(node, ast.Assign | ast.AnnAssign) for node in body)
            # The choices, or the form.
            assert "#" in cell.source, cell.id
            assert "..." in emptied(cell.source)


@pytest.mark.parametrize("path", catalogue.course(), ids=lambda path: path.stem)
def test_no_copy_holds_a_prediction_that_is_answered_already(path):
    copy = learners(nbformat.read(path, as_version=4))
    code = [cell for cell in copy.cells if cell.cell_type == "code"]
    given = [
        (cell.id, ast.unparse(node))
        for cell in code
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and "prediction" in ast.unparse(node).partition("=")[0]
        and not all(getattr(one, "value", None) is ... for one in leaves(node.value))
    ]
    assert given == []


@pytest.mark.parametrize("path", catalogue.course(), ids=lambda path: path.stem)
def test_a_copy_says_which_words_a_prediction_takes(path):
    notebook = nbformat.read(path, as_version=4)
    seen = ""
    for cell, learners_cell in zip(notebook.cells, learners(notebook).cells, strict=True):
        seen += f"{learners_cell.source}\n"
        if catalogue.PREDICT in cell.metadata.get("tags", ()):
            used = [getattr(node, "value", None) for node in ast.walk(ast.parse(cell.source))]
            words = [one for one in used if isinstance(one, str)]
            # Learners put full names together themselves.
            unknown = [one for one in words if one not in seen and ".cluster.local" not in one]
            assert unknown == [], cell.id


@pytest.fixture
def the_course(tmp_path, monkeypatch):
    """A course of two notebooks, and what makes a newer one of a part of it."""
    place = tmp_path / "clone" / "notebooks"
    place.mkdir(parents=True)
    monkeypatch.setattr(catalogue, "directory", lambda: place)
    monkeypatch.setattr(copies, "directory", lambda: place)

    def put(name, answer="forward", more=""):
        notebook = lesson(answer)
        notebook.cells[0].source += more
        nbformat.write(notebook, place / f"{name}.ipynb")

    for name in ("01a_records", "01b_names", "05_lab"):
        put(name)
    return put


@pytest.fixture
def mine(tmp_path, the_course):
    return open_copies(tmp_path / "mine")


def change(path):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].source = "prediction = 'mine'"
    nbformat.write(notebook, path)
    return path.read_bytes()


def names(mine):
    return sorted(path.name for path in mine.folder.iterdir() if path.name != ".eksnet")


def test_the_first_time_all_is_copied_and_nothing_said(mine):
    assert mine.prepare() == []
    assert names(mine) == ["01a_records.ipynb", "01b_names.ipynb", "05_lab.ipynb"]
    copy = nbformat.read(mine.folder / "05_lab.ipynb", as_version=4)
    assert copy.cells[1].source == 'prediction = ...  # or "hosts"'
    assert mine.prepare() == []


def test_a_copy_that_was_not_touched_becomes_the_newer_one(mine, the_course):
    mine.prepare()
    the_course("05_lab", more=", better")
    assert mine.prepare() == []
    copy = nbformat.read(mine.folder / "05_lab.ipynb", as_version=4)
    assert copy.cells[0].source == "# 05 A lesson, better"


def test_a_new_example_answer_is_no_newer_lesson(mine, the_course):
    mine.prepare()
    kept = change(mine.folder / "05_lab.ipynb")
    the_course("05_lab", answer="hosts")
    assert mine.prepare() == []
    assert (mine.folder / "05_lab.ipynb").read_bytes() == kept


def test_a_changed_copy_is_kept_and_a_newer_one_is_told(mine, the_course):
    mine.prepare()
    kept = change(mine.folder / "05_lab.ipynb")
    assert mine.prepare() == []
    the_course("05_lab", more=", better")
    for _ in range(2):
        (line,) = mine.prepare()
        assert line.startswith("05_lab.ipynb is your edited copy; the course has a newer version")
        assert "`eksnet lab --fresh 05_lab`" in line
    assert mine.fresh("05") == ["05_lab-2.ipynb is new; your copy is next to it"]
    assert (mine.folder / "05_lab.ipynb").read_bytes() == kept
    # It has the newer one now.
    assert mine.prepare() == []


def test_fresh_copies_never_take_a_name_that_is_there(mine):
    mine.prepare()
    kept = change(mine.folder / "05_lab.ipynb")
    (mine.folder / "05_lab-2.ipynb").write_text("mine too")
    assert mine.fresh("05") == ["05_lab-3.ipynb is new; your copy is next to it"]
    assert (mine.folder / "05_lab.ipynb").read_bytes() == kept
    assert (mine.folder / "05_lab-2.ipynb").read_text() == "mine too"


def test_a_number_makes_all_its_parts_fresh(mine):
    mine.prepare()
    change(mine.folder / "01b_names.ipynb")
    assert mine.fresh("01") == [
        "01a_records.ipynb is fresh", "01b_names-2.ipynb is new; your copy is next to it",
    ]  # fmt: skip
    with pytest.raises(EksnetError, match="07 is not a notebook of the course"):
        mine.fresh("07")


def test_without_its_record_what_is_there_is_the_learners(mine, the_course):
    mine.prepare()
    for damage in ("", "[1]", '{"05_lab.ipynb": 3}'):
        mine.record.write_text(damage)
        kept = change(mine.folder / "05_lab.ipynb")
        (line,) = mine.prepare()
        assert line.startswith("05_lab.ipynb is your edited copy")
        assert (mine.folder / "05_lab.ipynb").read_bytes() == kept


@pytest.mark.parametrize("at", range(1, 5))
def test_a_crash_at_any_write_loses_nothing_and_the_next_start_goes_on(
    mine, the_course, monkeypatch, at
):
    mine.prepare()
    kept = change(mine.folder / "01a_records.ipynb")
    for name in ("01a_records", "01b_names", "05_lab"):
        the_course(name, more=", better")
    replace, written = os.replace, []

    def crash(source, target):
        written.append(target)
        if len(written) == at:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", crash)
    monkeypatch.setattr("pathlib.Path.replace", lambda self, target: crash(self, target))
    with pytest.raises(KeyboardInterrupt):
        mine.prepare()
    monkeypatch.undo()
    monkeypatch.setattr(catalogue, "directory", lambda: mine.folder.parent / "clone/notebooks")
    (line,) = mine.prepare()
    assert line.startswith("01a_records.ipynb is your edited copy")
    assert (mine.folder / "01a_records.ipynb").read_bytes() == kept
    assert names(mine) == ["01a_records.ipynb", "01b_names.ipynb", "05_lab.ipynb"]
    for name in ("01b_names", "05_lab"):
        copy = nbformat.read(mine.folder / f"{name}.ipynb", as_version=4)
        assert copy.cells[0].source.endswith("better")


def test_a_full_disk_leaves_the_copy_that_was_there(mine, the_course, monkeypatch):
    mine.prepare()
    before = {path.name: path.read_bytes() for path in mine.folder.glob("*.ipynb")}
    for name in ("01a_records", "01b_names", "05_lab"):
        the_course(name, more=", better")
    write = Path.write_bytes

    def full(path, content):
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EksnetError, match="No space left on device"):
        mine.prepare()
    assert {path.name: path.read_bytes() for path in mine.folder.glob("*")
            if path.name != ".eksnet"} == before  # fmt: skip


@pytest.mark.parametrize("inside", [".", "notebooks", "new/folder"])
def test_the_courses_own_directory_is_refused(tmp_path, the_course, inside):
    with pytest.raises(EksnetError, match="belongs to the course itself"):
        open_copies(tmp_path / "clone" / inside)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "clone")
    with pytest.raises(EksnetError, match="belongs to the course itself"):
        open_copies(link / inside)
    assert sorted(path.name for path in (tmp_path / "clone").iterdir()) == ["notebooks"]


def test_a_folder_that_cannot_be_had_is_one_message(tmp_path, the_course):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(EksnetError, match="cannot be made"):
        open_copies(file)
    mine = open_copies(tmp_path / "mine")
    (mine.folder / ".eksnet").write_text("a file where a directory has to be")
    with pytest.raises(EksnetError, match="cannot be written") as raised:
        mine.prepare()
    assert raised.value.next_step.endswith("lab --course DIRECTORY")


def test_the_clone_is_only_read(tmp_path, monkeypatch):
    clone = tmp_path / "clone" / "notebooks"
    shutil.copytree(catalogue.directory(), clone)
    monkeypatch.setattr(catalogue, "directory", lambda: clone)
    monkeypatch.setattr(copies, "directory", lambda: clone)
    before = {path.name: path.read_bytes() for path in clone.iterdir()}
    for path in (*clone.iterdir(), clone):
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    mine = open_copies(tmp_path / "mine")
    mine.prepare()
    for path in catalogue.course():
        change(mine.folder / path.name)
        mine.fresh(path.stem)
    assert {path.name: path.read_bytes() for path in clone.iterdir()} == before
    written = json.loads(mine.record.read_text())
    assert len(written) == 2 * len(before)
