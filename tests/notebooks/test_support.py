"""Where each notebook runs: the table, the heads that show it, and the code that holds to it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import heads
import nbformat
import pytest

import eksnet
from eksnet.cluster import Target
from eksnet.course import catalogue, support
from eksnet.course.support import COLUMNS, ROWS
from eksnet.errors import EksnetError

NAMES = [path.stem for path in catalogue.course()]
# The calls of a section that refuse it: each has a test of its own that nothing was changed.
REFUSING = (
    "coredns.inject_fault(", "kubeproxy.inject_fault(", "loadbalancer.inject_fault(",
    "kubeproxy.count_added_rules(", "cluster.run(", "faults.require_sandbox(",
)  # fmt: skip


def cluster_of(column):
    """Return as much of a cluster of a kind as the table asks for."""
    kind = column if column in ("sandbox", "context") else "eks"
    compute = column if column in ("auto", "fargate") else "nodes"
    return SimpleNamespace(target=Target(kind, "lab"), compute=compute)


def test_every_notebook_has_a_row():
    assert [one.notebook for one in ROWS] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_head_shows_the_row(name):
    notebook = nbformat.read(catalogue.find(name), as_version=4)
    cell = heads.head(notebook)
    assert cell.source == heads.with_row(cell.source, name), "run tests/notebooks/heads.py"
    assert catalogue.lesson(catalogue.find(name)).before["Runs on"] == support.line(name)


def test_the_document_has_the_whole_table():
    text = heads.DOCUMENT.read_text()
    assert heads.with_table(text) == text, "run tests/notebooks/heads.py"
    assert all(f"\n| {name} |" in text for name in NAMES)


def test_the_row_is_written_once_and_at_the_end_of_the_table():
    text = "## Before you start\n\n| | |\n|---|---|\n| Time | 5 |\n\nMore."
    said = heads.with_row(text, "02c_corefile")
    assert said == text.replace("| 5 |", "| 5 |\n| Runs on | every target |")
    assert heads.with_row(said, "02c_corefile") == said


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", NAMES)
def test_begin_refuses_what_does_not_run_there(name, column):
    cluster, reason = cluster_of(column), support.row(name).missing(column)
    if not reason:
        support.require(cluster, name)
        return
    # Nothing of the cluster was asked: this one has nothing that could answer.
    with pytest.raises(EksnetError, match=f"{name} does not run on {COLUMNS[column]}") as caught:
        eksnet.begin(cluster, name)
    assert reason in caught.value.seen


def test_a_context_that_leads_to_auto_mode_is_both():
    cluster = cluster_of("auto")
    cluster.target = Target("context", "lab")
    assert support.columns(cluster) == ("context", "auto")
    with pytest.raises(EksnetError, match="names no AWS account"):
        support.require(cluster, "02a_coredns_addon")
    with pytest.raises(EksnetError, match="CoreDNS is a part of each node"):
        support.require(cluster, "05_lab_hosts")


@pytest.mark.parametrize(
    ("name", "section"), [(row.notebook, one) for row in ROWS for one in row.sections]
)
def test_a_section_begins_with_a_cell_that_refuses(name, section):
    cells = nbformat.read(catalogue.find(name), as_version=4).cells
    (at,) = [number for number, cell in enumerate(cells) if cell.id == section.cell]
    assert any(call in cells[at].source for call in REFUSING)
    headings = [
        text.removeprefix("## ").partition(" [")[0]
        for cell in cells[:at]
        if cell.cell_type == "markdown"
        for text in cell.source.splitlines()
        if text.startswith("## ")
    ]
    assert headings[-1] == section.title


def test_a_line_names_each_kind_of_cluster_once():
    for name in NAMES:
        said = support.line(name)
        if said != "every target":
            # The shorter name stands in the longer one, too.
            words = said.replace("EKS Auto Mode", "auto mode")
            assert all(words.count(f"{one}") for one in COLUMNS.values() if one != "EKS Auto Mode")


def test_a_reason_is_that_of_the_kind_of_cluster():
    row = dataclasses.replace(support.row("03c_service_faults"))
    assert row.missing("eks") == "" and "rules" in row.missing("fargate")
    assert [one.title for one in row.skipped("eks")] == ["Break and fix"]
    assert row.skipped("sandbox") == ()
