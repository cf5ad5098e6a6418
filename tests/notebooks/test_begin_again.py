"""A lesson that was cut off after any of its cells is run again, and ends as if it never had been.

Its kernel is killed: no `finally` of a cell, and no clean-up at the notebook's end, has a say.
"""

import contextlib
import os
import re
import signal

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

import eksnet
from eksnet import coredns
from eksnet.cluster.pods import not_terminating
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


def judged(cell):
    """Return what the checkpoints of a cell said; empty for a cell without any."""
    if not re.search(r"\.(check|require)\(|eksnet\.progress\(", cell.source):
        return ""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )


def assert_ends_the_same(name, ran, cluster, before):
    for cell in code_cells(name):
        assert judged(ran[cell.id]) == judged(cell), cell.id
    assert state(cluster) == before


def state(cluster):
    """Return what is in the cluster, and what this computer keeps of it, without what passes."""
    found = {}
    for namespace in not_terminating(cluster.list("namespaces")):
        found[namespace.name] = ""
        for one in cluster.objects_in(namespace.name):
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


def left(before, now):
    """Return what of a cluster is not as before, by name: of a new namespace its name alone."""
    differing = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    return frozenset(key for key in differing if " " not in key or key.split()[0] in before)


class CutOffError(Exception):
    """A kernel was killed on purpose."""


def run_cells(name, directory, is_last):
    """Run a notebook and return its code cells by id; kill its kernel after a cell that is last.

    Raises:
        CutOffError: It was killed.
    """
    notebook = nbformat.read(catalogue.find(name), as_version=4)

    def look(cell, cell_index, execute_reply):
        if is_last(cell):
            os.kill(client.km.provisioner.pid, signal.SIGKILL)
            raise CutOffError(cell.id)

    client = NotebookClient(
        notebook,
        timeout=runner.CELL_DEADLINE,
        resources={"metadata": {"path": str(catalogue.directory())}},
        config=runner.private_kernel(directory),
        on_cell_executed=look,
    )
    client.execute()
    ran = runner.normalised(notebook)
    return {cell.id: cell for cell in ran.cells if cell.cell_type == "code"}


@pytest.fixture(scope="module")
def lessons_cluster(live_sandbox):
    """The suite's sandbox as a lesson finds it, and how that is."""
    from eksnet.sandbox import lifecycle

    lifecycle.reset()
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
    ran = run_cells(SHORT, tmp_path, lambda cell: False)
    assert_ends_the_same(SHORT, ran, cluster, before)


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize("name", [path.stem for path in catalogue.course()])
def test_a_lesson_that_is_cut_off_after_any_cell_ends_the_same(lessons_cluster, tmp_path, name):
    """A killed kernel leaves nothing but the cluster's state.

    So after each cell it is looked at, and each run is cut off where it leaves what no run before
    it has left: the next one finds that, puts it back, and comes further. The last one comes
    through to the end.
    """
    cluster, before = lessons_cluster
    (first, *_) = code_cells(name)
    begun_with = {frozenset()}

    def leaves_something_new(cell):
        found = state(cluster)
        if cell.id == first.id:
            assert found == before
        is_new = left(before, found) not in begun_with
        begun_with.add(left(before, found))
        return is_new

    ran = None
    while ran is None:
        with contextlib.suppress(CutOffError):
            ran = run_cells(name, tmp_path, leaves_something_new)
    assert len(begun_with) > 1
    assert_ends_the_same(name, ran, cluster, before)


def soonest(word):
    """Return the notebook and the cell that calls something after the fewest other cells."""
    calls = [
        (number, path.stem, cell.id)
        for path in catalogue.course()
        for number, cell in enumerate(code_cells(path.stem))
        if word in cell.source
    ]
    return min(calls)[1:]


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize("word", STEPS)
def test_a_lesson_that_is_cut_off_within_a_cell_begins_the_same(lessons_cluster, tmp_path, word):
    cluster, before = lessons_cluster
    name, cell_id = soonest(word)
    cut_off(name, cell_id, tmp_path, within=True)
    eksnet.begin(cluster, name)
    assert state(cluster) == before
