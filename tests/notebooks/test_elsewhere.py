"""Notebooks on a cluster that is not the sandbox: they end with nothing left behind."""

import re

import nbformat
import over_eks
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from eksnet.course import catalogue, runner

READS = ("wait_for_rules(", "read_rules(", "read_connections(")
NEEDS_SANDBOX = (
    *("set_mode(", "switch_mode(", "rollout_restart(", "count_added_rules("),
    *("inject_fault(", "revert_faults("),
)
THROUGH = 'through = ""  # the sandbox needs none'
LEAVES = 'if cluster.target.kind != "sandbox":\n    print(cluster.delete("namespace", "shop"))'


def code_of(name):
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parted(name, first):
    """Return a notebook's code cells: those before the one that needs the sandbox, and the rest."""
    code = code_of(name)
    (at,) = [number for number, cell in enumerate(code) if cell.id == first]
    return code[:at], code[at:]


CELLS = {
    "03a": (code_of("03a"), []),
    "03b": parted("03b", "growth-real-iptables"),
    "03c": parted("03c", "fault-a"),
}


@pytest.mark.parametrize(
    ("name", "deletes"), [("03a", 'cluster.delete("namespace", "shop")'), ("03c", LEAVES)]
)
def test_the_clean_up_for_others_takes_away_all_that_was_made(name, deletes):
    before, _ = CELLS[name]
    assert [cell.source for cell in before if ".delete(" in cell.source] == [deletes]
    made = [
        line for cell in before for line in cell.source.splitlines() if "kind: Namespace" in line
    ]
    assert ["shop" in line for line in made] == [True]
    objects = [cell.source for cell in before if "metadata:" in cell.source]
    assert all("namespace: shop" in text or "kind: Namespace" in text for text in objects)
    assert len(objects) >= 3


def test_without_the_sandbox_the_modes_make_nothing():
    before, _ = CELLS["03b"]
    assert not [
        cell.id for cell in before if re.search(r"cluster\.(apply|patch|edit)", cell.source)
    ]


def test_what_is_measured_elsewhere_is_taken_away_again():
    cells = [cell.source for cell in code_of("02b")]
    made = re.findall(r"kind: (\w+)(?:, |\n)metadata: \{name: eksnet-memory\}", "\n".join(cells))
    (cleanup,) = [source for source in cells if ".delete(" in source]
    deleted = re.findall(r'cluster\.delete\("(\w+)", "eksnet-memory"', cleanup)
    assert sorted(map(str.lower, made)) == sorted(deleted)
    assert len(made) == 3


@pytest.mark.parametrize("name", CELLS)
def test_what_needs_the_sandbox_comes_last_and_first_refuses(name):
    before, after = CELLS[name]
    assert not [cell for cell in before for call in NEEDS_SANDBOX if call in cell.source]
    assert not after or any(
        call in after[0].source for call in ("count_added_rules(", "inject_fault(")
    )


@pytest.mark.parametrize("name", ["03a", "03c"])
def test_each_reading_of_a_node_before_it_takes_the_way_that_was_said(name):
    before, _ = CELLS[name]
    lines = [line for cell in before for line in cell.source.splitlines()]
    assert [line for line in lines if "through =" in line] == [THROUGH]
    reads = [line for line in lines if any(call in line for call in READS)]
    assert len(reads) >= 2
    assert [line for line in reads if "through=through" not in line] == []


def run_to_its_end(notebook, sockets):
    """Run cells in order up to one that raises; return the ids of those begun, and the error."""
    begun = []
    client = NotebookClient(
        notebook,
        timeout=runner.CELL_DEADLINE,
        resources={"metadata": {"path": str(catalogue.directory())}},
        config=runner.private_kernel(sockets),
        on_cell_execute=lambda cell, cell_index: begun.append(cell.id),
    )
    try:
        client.execute()
    except CellExecutionError as error:
        return begun, error
    return begun, None


@pytest.fixture
def elsewhere(fresh_sandbox, monkeypatch):
    """The sandbox as a learner's own cluster, in the words of its errors."""
    monkeypatch.setenv("KUBECONFIG", str(fresh_sandbox.kubeconfig))
    monkeypatch.setenv("EKSNET_TARGET", f"context:{fresh_sandbox.context}")
    monkeypatch.setenv("EKSNET_CHANGES", fresh_sandbox.context)
    return f"context:{fresh_sandbox.context}"


def with_way(name):
    """Return a notebook in which a way to read rules is said, where it asks for one."""
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(THROUGH, 'through = "kube-proxy"')
    return notebook


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize("name", ["01b", "03a"])
def test_a_context_runs_all_of_a_notebook_that_needs_no_sandbox(elsewhere, cluster, tmp_path, name):
    before = over_eks.those_there(cluster)
    begun, error = run_to_its_end(with_way(name), tmp_path)
    assert error is None
    assert begun == [cell.id for cell in code_of(name)]
    assert over_eks.those_there(cluster) == before


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
def test_a_context_runs_all_up_to_what_needs_the_sandbox(elsewhere, cluster, tmp_path):
    # The other notebooks that have such a section are refused over `eks:` in the same way.
    before = over_eks.those_there(cluster)
    begun, error = run_to_its_end(with_way("03c"), tmp_path)
    ids = [cell.id for cell in code_of("03c")]
    assert begun == ids[: ids.index("fault-a") + 1]
    assert "leave" in begun
    assert error.ename == "EksnetError"
    why = f"would harm the users of the cluster, and this is {elsewhere}"
    assert f"{why}\n  expected: the sandbox" in error.evalue
    assert over_eks.those_there(cluster) == before
