"""A lesson that was cut off after any of its cells is run again, and ends as if it never had been.

Its kernel is killed: no `finally` of a cell, and no clean-up at the notebook's end, has a say.
"""

import json
import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

import eksnet
from eksnet import coredns
from eksnet.course import catalogue, runner

KILL = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
# Killed at the first thing that the cell waits for: what it made is there, and stays.
KILL_WITHIN = f"""
from eksnet.cluster import waiting

def kill(*_, **__):
    {KILL.replace(chr(10), "; ")}

waiting.until = kill
"""
# What a cell calls that makes something for a moment, or takes more than one step.
STEPS = (
    "try_corefile(",
    "cluster.run(",
    "look_up(",
    "count_added_rules(",
    "switch_mode(",
    "rollout_restart(",
)
SHORT = "05_lab_hosts"
CUT = "cut-off"


def code_cells(name):
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cut_off(name, cell_id, directory, *, within=False):
    """Run a notebook up to a cell, and kill its kernel after it, or within it."""
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    (last,) = [number for number, cell in enumerate(notebook.cells) if cell.id == cell_id]
    notebook.cells = [*notebook.cells[: last + 1], new_code_cell(KILL, id=CUT)]
    if within:
        cell = notebook.cells[last]
        cell.source = f"{KILL_WITHIN}\n{cell.source}"
    path = directory / f"{name}.ipynb"
    nbformat.write(notebook, path)
    said = []
    assert not runner.run_one(path, progress=said.append)
    assert re.search(rf"in cell ({cell_id if within else CUT}|{CUT})$", said[0]), said
    assert "died" in said[1].lower(), said


def run_again(name, directory):
    """Run a whole notebook and return its code cells as they are then, by id."""
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    path = directory / f"{name}.ipynb"
    nbformat.write(notebook, path)
    said = []
    assert runner.run_one(path, save=True, progress=said.append), said
    ran = nbformat.read(path, as_version=4)
    return {cell.id: cell for cell in ran.cells if cell.cell_type == "code"}


def judged(cell):
    """Return what the checkpoints of a cell said; empty for a cell without any."""
    if not re.search(r"\.(check|require)\(|eksnet\.progress\(", cell.source):
        return ""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )


def assert_ends_the_same(name, directory, cluster, before):
    ran = run_again(name, directory)
    for cell in code_cells(name):
        assert judged(ran[cell.id]) == judged(cell), cell.id
    assert state(cluster) == before


def state(cluster):
    """Return what is in the cluster, and what this computer keeps of it, without what passes."""
    found = {}
    for namespace in cluster.list("namespaces"):
        found[namespace.name] = ""
        for one in cluster.made_in(namespace.name):
            fields = {key: value for key, value in one.items() if key not in ("metadata", "status")}
            template = (fields.get("spec") or {}).get("template") or {}
            template.pop("metadata", None)
            # The record of faults stays, with none in it.
            if one.name != "eksnet-faults" or fields.get("data"):
                found[f"{namespace.name} {one.kind} {one.name}"] = fields
    for kind in ("clusterroles", "clusterrolebindings"):
        found[kind] = [one.name for one in cluster.list(kind)]
    found["running"] = sorted(set(coredns.running_configurations(cluster).values()))
    waits = cluster.saved("coredns", "kube-system")
    found["backup"] = waits and dict(waits)["data"]
    return found


_points = {}


def points(name, cluster, directory):
    """Return, for each code cell, the first one after which the cluster is the same.

    A kernel that is killed leaves nothing but that state, so one cell stands for all that have it.
    """
    if name not in _points:
        seen, first = {}, {}

        def note(cell, cell_index, execute_reply):
            text = json.dumps(state(cluster), sort_keys=True, default=str)
            first[cell.id] = seen.setdefault(text, cell.id)

        notebook = nbformat.read(catalogue.find(name), as_version=4)
        client = NotebookClient(
            notebook,
            timeout=runner.CELL_DEADLINE,
            resources={"metadata": {"path": str(directory)}},
            config=runner.private_kernel(directory),
            on_cell_executed=note,
        )
        client.execute()
        _points[name] = first
    return _points[name]


@pytest.fixture(scope="module")
def lessons_cluster(live_sandbox):
    """The suite's sandbox as a lesson finds it, and how that is."""
    from eksnet import sandbox

    sandbox.reset()
    found = eksnet.connect()
    eksnet.begin(found, SHORT)
    return found, state(found)


def test_a_lesson_begins_with_its_first_cell():
    """Each notebook's first code cell begins the lesson: that is what this file relies on."""
    for path in catalogue.course():
        (first, *_) = code_cells(path.stem)
        assert f'eksnet.begin(cluster, "{path.stem}")' in first.source


@pytest.mark.notebook
@pytest.mark.sandbox
def test_a_short_lesson_is_cut_off_where_it_changes_something(lessons_cluster, tmp_path):
    """Each further run begins where the one before was cut off, and comes further."""
    cluster, before = lessons_cluster
    cells = code_cells(SHORT)
    edits = [cell.id for cell in cells if "edit_configmap(" in cell.source]
    restart = next(cell.id for cell in cells if "rollout_restart(" in cell.source)
    assert [cell.id for cell in cells if cell.id in (*edits, restart)][1] == restart
    for cell_id, within in ((edits[0], False), (restart, True), (edits[-1], False)):
        cut_off(SHORT, cell_id, tmp_path, within=within)
        assert state(cluster) != before
    assert_ends_the_same(SHORT, tmp_path, cluster, before)


EVERY = [(path.stem, cell.id) for path in catalogue.course() for cell in code_cells(path.stem)]
STEPPING = [
    (path.stem, cell.id)
    for path in catalogue.course()
    for cell in code_cells(path.stem)
    if any(word in cell.source for word in STEPS)
]


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize(("name", "cell_id"), EVERY)
def test_a_lesson_that_is_cut_off_after_any_cell_ends_the_same(
    lessons_cluster, tmp_path, name, cell_id
):
    cluster, before = lessons_cluster
    same = points(name, cluster, tmp_path)[cell_id]
    if same != cell_id:
        pytest.skip(f"leaves the cluster as {same} does")
    cut_off(name, cell_id, tmp_path)
    assert_ends_the_same(name, tmp_path, cluster, before)


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize(("name", "cell_id"), STEPPING)
def test_a_lesson_that_is_cut_off_within_a_cell_ends_the_same(
    lessons_cluster, tmp_path, name, cell_id
):
    cluster, before = lessons_cluster
    cut_off(name, cell_id, tmp_path, within=True)
    assert_ends_the_same(name, tmp_path, cluster, before)
