"""Cells that are run a second time: a learner repeats what looked wrong, and no cell minds it."""

from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

import eksnet
from eksnet import coredns
from eksnet.course import catalogue, runner

NAMES = [path.stem for path in catalogue.course()]
HOSTS = "hosts {\n    10.43.0.1 myapp.local\n    fallthrough\n}\n"
EKS = ".:53 {\n    errors\n    forward . /etc/resolv.conf\n    cache 30\n    reload\n}\n"


def code_of(name):
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


class Cluster:
    """A cluster of one Corefile, which says what each edit made of it."""

    def __init__(self):
        self.target = SimpleNamespace(kind="sandbox")
        self.corefile, self.seen = EKS, []

    def edit_configmap(self, name, key, change, namespace):
        assert (name, key, namespace) == ("coredns", "Corefile", "kube-system")
        self.corefile = change(self.corefile)
        self.seen.append(self.corefile)


EDITS = [cell for cell in code_of("05") if "edit_configmap(" in cell.source]


def test_an_edit_that_is_run_twice_makes_the_same_text():
    cluster = Cluster()
    for cell in EDITS:
        for _ in range(2):
            exec(cell.source, {"cluster": cluster, "coredns": coredns, "eksnet": eksnet})
    first, again, second, at_last = cluster.seen
    assert first == again == coredns.add_plugin(EKS, HOSTS)
    assert second == at_last == first.replace("myapp.local", "myapp.local www.myapp.local")


def test_the_first_edit_can_be_run_after_the_second():
    cluster = Cluster()
    for cell in [*EDITS, EDITS[0]]:
        exec(cell.source, {"cluster": cluster, "coredns": coredns, "eksnet": eksnet})
    assert cluster.seen[0] == cluster.seen[-1] != cluster.seen[1]


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_every_cell_can_be_run_twice_in_a_row(fresh_sandbox, tmp_path, name):
    once = code_of(name)
    notebook = nbformat.v4.new_notebook(cells=[cell.copy() for cell in once for _ in range(2)])
    NotebookClient(
        notebook,
        timeout=runner.CELL_DEADLINE,
        resources={"metadata": {"path": str(catalogue.directory())}},
        config=runner.private_kernel(tmp_path),
    ).execute()
    checks = [n for n, cell in enumerate(once) if "eksnet.checkpoint(" in cell.source]
    assert checks
    for number in checks:
        committed, *now = once[number], *notebook.cells[2 * number : 2 * number + 2]
        assert [verdict(cell) for cell in now] == [verdict(committed)] * 2


def verdict(cell):
    """Return the first line of what a checkpoint said."""
    return said(cell).splitlines()[0]


def said(cell):
    """Return what a cell printed, and what it returned, as text."""
    return "".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )
