"""Cells that are run a second time: a learner repeats what looked wrong, and no cell minds it.

Every cell of the course, on a live sandbox, is in test_course_soak.py.
"""

from types import SimpleNamespace

import nbformat

import eksnet
from eksnet import coredns
from eksnet.course import catalogue

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
