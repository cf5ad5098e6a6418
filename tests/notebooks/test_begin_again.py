"""A lesson that was cut off after any of its cells is run again, and ends as if it never had been.

Its kernel is killed: no `finally` of a cell, and no clean-up at the notebook's end, has a say.
"""

import contextlib
import os
import re
import signal
from dataclasses import dataclass

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell
from needed_cells import needed
from standing_state import left, state

import eksnet
from eksnet.cluster import Cluster
from eksnet.course import catalogue, runner
from eksnet.course.lessons import Lesson, lesson

# With what it has started: so Jupyter does, which restarts a kernel.
KILL = "import os, signal\nos.killpg(0, signal.SIGKILL)"
# Killed at the first thing that the cell waits for: what it made is there, and stays.
KILL_WITHIN = f"""
from eksnet.cluster.countdown import Countdown

def kill(*_, **__):
    {KILL.replace(chr(10), "; ")}

Countdown.show = kill
"""
# Killed as soon as Helm has written down that it begins.
KILL_WITHIN_HELM = f"""
import subprocess
from types import SimpleNamespace
from eksnet.cluster import helm

def releases():
    found = cluster.list("secrets", "kube-system", selector="owner=helm")
    return {{one.name: one["metadata"]["resourceVersion"] for one in found}}

def kill(*arguments, env, **_):
    before = releases()
    running = subprocess.Popen(*arguments, env=env, stdout=subprocess.DEVNULL)
    while releases() == before:
        assert running.poll() is None
    {KILL.replace(chr(10), "; ")}

helm.subprocess = SimpleNamespace(**{{**vars(subprocess), "run": kill}})
"""
SHORT = "05_lab_hosts"
CUT = "cut-off"
# What a cell calls that makes something for a moment, or takes more than one step: the lesson that
# comes to it soonest, a word of the cell, and how it is cut off.
STEPS = (
    ("01b_name_resolution", "cluster.run(", KILL_WITHIN),
    ("01c_dns_troubleshooting", "inject_fault(", KILL_WITHIN),
    ("02a_coredns_addon", "addon.install(", KILL_WITHIN),
    ("02a_coredns_addon", '"PRESERVE")', KILL_WITHIN),
    ("02a_coredns_addon", "addon.reset(", KILL_WITHIN),
    ("02d_coredns_autoscaling", "autoscaling.grow(", KILL_WITHIN),
    ("03b_modes_and_growth", "count_added_rules(", KILL_WITHIN),
    ("03b_modes_and_growth", "switch_mode(", KILL_WITHIN),
    ("05_lab_hosts", "rollout_restart(", KILL_WITHIN),
    ("05_lab_hosts", "try_corefile(", KILL_WITHIN),
)
STEPS_WITH_CONTROLLER = (
    ("04b_annotations", "condition=loadbalancer.provisioned", KILL_WITHIN),
    ("04b_annotations", 'cluster.delete("ingress/web"', KILL_WITHIN),
    ("07_lab_install_controller", "install aws-load-balancer-controller", KILL_WITHIN_HELM),
    ("07_lab_install_controller", "upgrade aws-load-balancer-controller", KILL_WITHIN_HELM),
    ("07_lab_install_controller", "uninstall_controller(", KILL_WITHIN),
    ("08a_lab_ingress", 'wait_for_targets(cluster, "web"', KILL_WITHIN),
    ("08b_ingress_https_and_faults", "inject_fault(", KILL_WITHIN),
    ("09_lab_target_group_binding", "wait_for_targets(cluster, web", KILL_WITHIN),
    ("99_cleanup", 'helm("uninstall aws-load-balancer-controller', KILL_WITHIN_HELM),
    ("99_cleanup", "loadbalancer.install_controller(", KILL_WITHIN),
    ("99_cleanup", "eksnet.clean_up(", KILL_WITHIN),
)


def code_cells(name):
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cut_off(name, cell_id, directory, *, within=""):
    """Run a notebook up to a cell, and kill its kernel after it, or within it."""
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    (last,) = [number for number, cell in enumerate(notebook.cells) if cell.id == cell_id]
    notebook.cells = [*notebook.cells[: last + 1], new_code_cell(KILL, id=CUT)]
    if within:
        cell = notebook.cells[last]
        cell.source = f"{within}\n{cell.source}"
    path = directory / f"{name}.ipynb"
    nbformat.write(notebook, path)
    said = []
    assert not runner.run_one(path, progress=said.append)
    # What it would wait for may be there already.
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


class CutOffError(Exception):
    """A kernel was killed on purpose."""


def run_cells(name, directory, is_last, wanted=None):
    """Run a notebook and return its code cells by id; kill its kernel after a cell that is last.

    Args:
        name: The notebook.
        directory: A directory for the kernel's sockets.
        is_last: Tells whether a cell is, by its id.
        wanted: The ids of the code cells to run; all of them when None.

    Raises:
        CutOffError: It was killed.
    """
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells = [cell for cell in cells if wanted is None or cell.id in wanted]

    def look(cell, cell_index, execute_reply):
        if is_last(cell.id):
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
    return {cell.id: cell for cell in runner.normalised(notebook).cells}


@dataclass(frozen=True)
class Found:
    """The suite's sandbox as no lesson has begun there, and how that is."""

    cluster: Cluster
    untouched: dict

    def begun(self, name):
        """Begin a lesson, and return what is there then."""
        eksnet.begin(self.cluster, name)
        return state(self.cluster)

    def at_the_end(self, name, before):
        """Return what is there when a lesson has come to its end: the last one removes all."""
        cleans = any("eksnet.clean_up(" in cell.source for cell in code_cells(name))
        return self.untouched if cleans else before


@pytest.fixture(scope="module")
def found(live_sandbox):
    """The suite's sandbox, and how it is when it was only just started."""
    from eksnet.sandbox import lifecycle

    lifecycle.reset()
    cluster = eksnet.connect()
    eksnet.begin(cluster, SHORT)
    return Found(cluster, state(cluster))


def assert_ends_the_same(found, name, ran, before):
    for cell in code_cells(name):
        assert judged(ran[cell.id]) == judged(cell), cell.id
    assert state(found.cluster) == found.at_the_end(name, before)


def test_a_lesson_begins_with_its_first_cell():
    """Each notebook's first code cell begins the lesson: that is what this file relies on."""
    for path in catalogue.course():
        (first, *_) = code_cells(path.stem)
        assert f'eksnet.begin(cluster, "{path.stem}")' in first.source


@pytest.mark.notebook
@pytest.mark.sandbox
def test_a_short_lesson_is_cut_off_where_it_changes_something(found, tmp_path):
    """Each further run begins where the one before was cut off, and comes further."""
    before = found.begun(SHORT)
    cells = code_cells(SHORT)
    edits = [cell.id for cell in cells if "edit_configmap(" in cell.source]
    restart = next(cell.id for cell in cells if "rollout_restart(" in cell.source)
    assert [cell.id for cell in cells if cell.id in (*edits, restart)][1] == restart
    for cell_id, within in ((edits[0], ""), (restart, KILL_WITHIN), (edits[-1], "")):
        cut_off(SHORT, cell_id, tmp_path, within=within)
        assert state(found.cluster) != before
    ran = run_cells(SHORT, tmp_path, lambda cell: False)
    assert_ends_the_same(found, SHORT, ran, before)


class Cuts:
    """Where the runs of a lesson are cut off: after each cell that leaves what none before has.

    A run is looked at where the one before it did not come to; and of what came before, it repeats
    what leaves something or gives names. The last run is whole.

    Attributes:
        made: The cells after which a run was cut off.
    """

    def __init__(self, found, name, before):
        self.made = []
        self._found, self._name, self._before = found, name, before
        cells = code_cells(name)
        self._order = [cell.id for cell in cells]
        self._sources = [cell.source for cell in cells]
        # What cells have left, what the last one has, and which of them changed something.
        self._known = {frozenset()}
        self._state, self._looked = before, 0
        # A backup is a file of the learner's: nothing of it is seen in the cluster.
        self._changing = {0, *(n for n, one in enumerate(self._sources) if ".backup(" in one)}

    def _is_new(self, cell_id):
        """Look at what a cell has left, if no run before has come to it."""
        number = self._order.index(cell_id)
        if 0 < number < self._looked:
            return False
        now = state(self._found.cluster)
        if number == 0:
            assert now == self._before, self.made
            self._looked = max(self._looked, 1)
            return False
        if now != self._state:
            self._changing.add(number)
        self._state, self._looked = now, number + 1
        new = left(self._before, now)
        if new in self._known:
            return False
        self._known.add(new)
        self.made.append(cell_id)
        return True

    def _wanted(self):
        return {
            self._order[number] for number in needed(self._sources, self._changing, self._looked)
        }

    def run(self, directory):
        """Run the lesson until no run is cut off any more; return the cells of a whole run."""
        while True:
            wanted = self._wanted()
            with contextlib.suppress(CutOffError):
                ran = run_cells(self._name, directory, self._is_new, wanted)
                break
            print(f"{self._name}: cut off after {self.made[-1]}")
        if len(wanted) < len(self._order):
            ran = run_cells(self._name, directory, lambda _: False)
        return ran


class LessonsCutOff:
    """Lessons that are cut off after their cells; a class goes to one worker.

    A killed kernel leaves nothing but the state of the cluster and of its account. So after each
    cell these are looked at, and each run is cut off where it leaves what no run before it has
    left: the next one finds that, puts it back, and comes further. The last one comes through to
    the end.
    """

    names: tuple[str, ...] = ()

    @pytest.mark.notebook
    @pytest.mark.sandbox
    @pytest.mark.soak
    def test_it_ends_the_same(self, found, tmp_path, name):
        before = found.begun(name)
        cuts = Cuts(found, name, before)
        ran = cuts.run(tmp_path)
        assert bool(cuts.made) == (lesson(name) != Lesson(name))
        assert_ends_the_same(found, name, ran, before)


class TestLessonsOfTheDns(LessonsCutOff):
    names = (
        "00_setup", "01a_dns_records", "01b_name_resolution", "01c_dns_troubleshooting",
        "02c_corefile", "05_lab_hosts",
    )  # fmt: skip


class TestLessonsOfTheAddonAndOfKubeProxy(LessonsCutOff):
    names = (
        "02a_coredns_addon", "02b_coredns_scaling", "02d_coredns_autoscaling",
        "03a_rules_and_packets", "03b_modes_and_growth", "03c_service_faults",
    )  # fmt: skip


class TestLessonsOfTheController(LessonsCutOff):
    names = (
        "04a_load_balancer_controller", "04b_annotations", "06_lab_cname", "08a_lab_ingress",
        "09_lab_target_group_binding",
    )  # fmt: skip


class TestLessonsOfItsEndAndFaults(LessonsCutOff):
    names = ("07_lab_install_controller", "08b_ingress_https_and_faults", "99_cleanup")


def test_every_lesson_is_cut_off():
    names = [name for one in LessonsCutOff.__subclasses__() for name in one.names]
    assert sorted(names) == [path.stem for path in catalogue.course()]


class CutOffWithinACell:
    """A cell is cut off when what it has made is there, and it begins to wait."""

    steps: tuple[tuple[str, str, str], ...] = ()

    @pytest.mark.notebook
    @pytest.mark.sandbox
    @pytest.mark.soak
    def test_its_lesson_begins_the_same(self, found, tmp_path, name, word, within):
        before = found.begun(name)
        cell_id = next(cell.id for cell in code_cells(name) if word in cell.source)
        cut_off(name, cell_id, tmp_path, within=within)
        assert found.begun(name) == before


class TestCutOffWithinACell(CutOffWithinACell):
    steps = STEPS


class TestCutOffWithinACellOfTheController(CutOffWithinACell):
    steps = STEPS_WITH_CONTROLLER

    @pytest.mark.notebook
    @pytest.mark.sandbox
    @pytest.mark.soak
    def test_a_lesson_that_installs_the_controller_when_it_begins(self, found, tmp_path):
        name = "08a_lab_ingress"
        before = found.begun(name)
        found.begun(SHORT)
        (first, *_) = code_cells(name)
        cut_off(name, first.id, tmp_path, within=KILL_WITHIN)
        assert found.begun(name) == before


def pytest_generate_tests(metafunc):
    """Give each class its lessons, or the steps in them."""
    if "word" in metafunc.fixturenames:
        metafunc.parametrize(("name", "word", "within"), metafunc.cls.steps)
    elif "name" in metafunc.fixturenames:
        metafunc.parametrize("name", metafunc.cls.names)
