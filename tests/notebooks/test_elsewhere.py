"""Notebooks on a cluster that is not the sandbox: they end with nothing left behind."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from eksnet.course import catalogue, runner

READS = ("wait_for_rules(", "read_rules(", "read_connections(")
NEEDS_SANDBOX = ("set_mode(", "switch_mode(", "grow(", "bring_fault(", "take_back_faults(")
LEAVES = 'if cluster.target.kind != "sandbox":\n    print(cluster.delete("namespace", "shop"))'


@pytest.fixture(scope="module")
def cells():
    """The code cells of the notebook: those up to the one that leaves, and those after it."""
    notebook = nbformat.read(catalogue.find("03"), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (at,) = [number for number, cell in enumerate(code) if cell.id == "leave"]
    return code[: at + 1], code[at + 1 :]


def test_the_clean_up_for_others_takes_away_all_that_was_made(cells):
    before, _ = cells
    assert before[-1].source == LEAVES
    made = [
        line for cell in before for line in cell.source.splitlines() if "kind: Namespace" in line
    ]
    assert ["shop" in line for line in made] == [True]
    objects = [cell.source for cell in before if "metadata:" in cell.source]
    assert all("namespace: shop" in text or "kind: Namespace" in text for text in objects)
    assert len(objects) >= 5


def test_what_needs_the_sandbox_comes_after_it_and_first_refuses(cells):
    before, after = cells
    assert not [name for cell in before for name in NEEDS_SANDBOX if name in cell.source]
    assert after[0].source == 'kubeproxy.set_mode(cluster, "nftables")'


def test_each_reading_of_a_node_before_it_takes_the_way_that_was_said(cells):
    before, _ = cells
    said = [line for cell in before for line in cell.source.splitlines() if "through =" in line]
    assert said == ['through = ""  # the sandbox needs none']
    reads = [
        line
        for cell in before
        for line in cell.source.splitlines()
        if any(name in line for name in READS)
    ]
    assert len(reads) >= 5
    assert [line for line in reads if "through=through" not in line] == []


def those_there(cluster):
    """Return the names of all that is outside namespaces and that the notebooks may make."""
    kinds = ("namespaces", "clusterrolebindings")
    return {(kind, one.name) for kind in kinds for one in cluster.list(kind)}


def run_to_an_error(notebook, sockets):
    """Run cells in order up to one that raises; return the ids of those begun, and the error."""
    begun = []
    client = NotebookClient(
        notebook,
        timeout=runner.CELL_DEADLINE,
        resources={"metadata": {"path": str(catalogue.directory())}},
        config=runner.private_kernel(sockets),
        on_cell_execute=lambda cell, cell_index: begun.append(cell.id),
    )
    with pytest.raises(CellExecutionError) as caught:
        client.execute()
    return begun, caught.value


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "through", "leaves", "refused", "why"),
    [
        ("01c", "", "cleanup", "a-fault", "would harm all its pods"),
        ("03", "kube-proxy", "leave", "nft-edit", "starts it anew on every node"),
    ],
)
def test_a_context_runs_all_up_to_what_needs_the_sandbox(
    fresh_sandbox, cluster, monkeypatch, tmp_path, name, through, leaves, refused, why
):
    monkeypatch.setenv("KUBECONFIG", str(fresh_sandbox.kubeconfig))
    monkeypatch.setenv("EKSNET_TARGET", f"context:{fresh_sandbox.context}")
    monkeypatch.setenv("EKSNET_CHANGES", fresh_sandbox.context)
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if through:
        assert 'through = ""' in code[0].source
        code[0].source = code[0].source.replace('through = ""', f'through = "{through}"')
    before = those_there(cluster)
    begun, error = run_to_an_error(notebook, tmp_path)
    ids = [cell.id for cell in code]
    assert begun == ids[: ids.index(refused) + 1]
    assert leaves in begun
    assert error.ename == "EksnetError"
    assert f"{why}, and this is context:{fresh_sandbox.context}\n  expected: the sandbox" in (
        error.evalue
    )
    assert those_there(cluster) == before


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize("name", ["01a", "01b"])
def test_a_context_runs_all_of_what_needs_no_sandbox(fresh_sandbox, cluster, monkeypatch, name):
    monkeypatch.setenv("KUBECONFIG", str(fresh_sandbox.kubeconfig))
    monkeypatch.setenv("EKSNET_TARGET", f"context:{fresh_sandbox.context}")
    monkeypatch.setenv("EKSNET_CHANGES", fresh_sandbox.context)
    before, said = those_there(cluster), []
    assert runner.run_one(catalogue.find(name), say=said.append), said
    assert those_there(cluster) == before
