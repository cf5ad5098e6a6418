"""The whole course on a sandbox that is used: nothing stands in the way of what comes after it.

In a random order each notebook is run twice. First as a learner's copy before anything is
predicted, each cell twice in a row, with the keys of another account around; then over `eks:`, by a
learner who has the course's rights alone, under nbval. So it prints the same the second time, after
whichever notebooks have been there.
"""

import copy
import os
import random
import uuid

import nbformat
import over_eks
import pytest
import recorded
from nbclient import NotebookClient

from eksnet.course import catalogue, copies, runner, times
from eksnet.sandbox import lifecycle

NAMES = [path.stem for path in catalogue.course()]
# Every worker of a run has to find the same tests.
SEED = os.environ.get("SOAK_SEED") or os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex


def dealt(seed, number):
    """Return the notebooks in a random order, dealt out so that each share takes about as long."""
    shares = [[] for _ in range(number)]
    seconds = {name: times.time_of(catalogue.find(name)).seconds for name in NAMES}
    for name in random.Random(seed).sample(NAMES, len(NAMES)):
        min(shares, key=lambda share: sum(map(seconds.get, share))).append(name)
    return shares


SHARES = dealt(SEED, 3)


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_each_notebook_is_in_one_share_and_no_share_is_much_longer(seed):
    shares = dealt(seed, 3)
    assert sorted(name for share in shares for name in share) == NAMES
    assert dealt(seed, 3) == shares
    took = [sum(times.time_of(catalogue.find(name)).seconds for name in one) for one in shares]
    assert max(took) < 1.5 * min(took)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cells_twice(name, directory):
    """Run a learner's copy, each cell twice in a row; return its cells, a pair for each."""
    begun = copies.learners(nbformat.read(catalogue.find(name), as_version=4))
    pairs = [(cell, copy.deepcopy(cell)) for cell in code_cells(begun)]
    for _, again in pairs:
        again.id += "-second-run"
    notebook = nbformat.v4.new_notebook(cells=[cell for pair in pairs for cell in pair])
    NotebookClient(
        notebook,
        timeout=runner.CELL_DEADLINE,
        # All that fails is worth more than the first of it.
        allow_errors=True,
        resources={"metadata": {"path": str(catalogue.directory())}},
        config=runner.private_kernel(directory),
    ).execute()
    return list(zip(notebook.cells[::2], notebook.cells[1::2], strict=True))


def failures(cells):
    """Return what the cells raised."""
    return [
        f"{cell.id}: {output.ename}: {output.evalue}"
        for cell in cells
        for output in cell.outputs
        if output.output_type == "error"
    ]


def verdict(cell):
    """Return the first line of what a checkpoint said."""
    texts = (
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )
    return "".join(texts).partition("\n")[0]


def verdict_of_a_copy(cell):
    """Return what a checkpoint says as long as nothing is predicted, in place of the committed."""
    said = verdict(cell)
    if ".check(prediction" not in cell.source:
        return said
    points = said.rpartition(" of ")[2]
    return f"{said.partition(': ')[0]}: NOT_STARTED, 0 of {points}"


def run_each_cell_twice(name, admin, learner, account, directory, patch):
    over_eks.set_variables(patch, account.variables)
    pairs = cells_twice(name, directory)
    failed = failures(cell for pair in pairs for cell in pair)
    assert failed == [], "\n".join(failed)
    committed = code_cells(nbformat.read(catalogue.find(name), as_version=4))
    expected = {
        cell.id: verdict_of_a_copy(cell)
        for cell in committed
        if "eksnet.checkpoint(" in cell.source
    }
    assert expected
    for once in (0, 1):
        said = {pair[0].id: verdict(pair[once]) for pair in pairs if pair[0].id in expected}
        assert said == expected
    account.assert_unused()


def run_over_eks(name, admin, learner, account, directory, patch):
    before, calls = over_eks.those_there(admin), directory / "calls"
    over_eks.set_variables(patch, over_eks.variables(directory / "bin"))
    over_eks.set_variables(patch, {**learner, **recorded.variables(calls)})
    over_eks.compare(name, directory, over_eks.ADA)
    recorded.keep(calls, name)
    assert recorded.outside(calls) == ([], [])
    # Also of a notebook whose last section is refused there.
    assert over_eks.those_there(admin) - before == set()


@pytest.fixture(scope="class")
def both(live_sandbox):
    """The cluster of a sandbox that begins fresh, and the variables of a learner there."""
    admin = over_eks.administrator(lifecycle.reset().name)
    return admin, over_eks.ada(admin)


class Share:
    """A part of the notebooks, on a sandbox that nobody resets between them.

    `make soak` gives each class to a worker of its own. The run over `eks:` comes second: there the
    controller, where a lesson begins without it, is its owners' business, and the run on the
    sandbox takes it away.
    """

    number: int

    def pytest_generate_tests(self, metafunc):
        runs = {"copy": run_each_cell_twice, "eks": run_over_eks}
        cases = [
            pytest.param(name, run, id=f"{name}-{word}")
            for name in SHARES[self.number]
            for word, run in runs.items()
        ]
        metafunc.parametrize(("name", "run"), cases)

    @pytest.mark.notebook
    @pytest.mark.sandbox
    @pytest.mark.soak
    def test_a_notebook(self, both, another_account, tmp_path, monkeypatch, name, run):
        print(f"SOAK_SEED={SEED}: {' '.join(SHARES[self.number])}")
        run(name, *both, another_account, tmp_path, monkeypatch)


class TestFirstShare(Share):
    number = 0


class TestSecondShare(Share):
    number = 1


class TestThirdShare(Share):
    number = 2
