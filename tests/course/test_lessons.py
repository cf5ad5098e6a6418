"""What lessons expect: the table of lessons, and how a difference is said."""

import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from eksnet.cluster.contents import MARKED
from eksnet.course.begin import Beginning, Left, begin
from eksnet.course.lessons import (
    LESSONS,
    PARTS,
    differences,
    lesson,
    lessons_that_change,
    picked,
    with_fields,
)
from eksnet.errors import EksnetError
from eksnet.sandbox.api import documents
from eksnet.sandbox.seed import MANIFESTS

COREFILE = ".:53 {\n    errors\n    cache 30\n}\n"
UDP, TCP = {"name": "dns", "port": 53}, {"name": "dns-tcp", "port": 53}


@pytest.mark.parametrize(
    ("current", "expected", "said"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"replicas": 0}, {"replicas": 2}, ["spec.replicas is 0, not 2"]),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, ["spec.a.b is x, not y"]),
        ({"a": {"b": "x"}}, {"a": {}}, ["spec.a.b is x, not absent"]),
        ({}, {"a": {"b": "x"}}, ["spec.a is absent, not {'b': 'x'}"]),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ["spec.a is 1, not 2", "spec.b is 1, not 2"]),
        ({"ports": [TCP]}, {"ports": [UDP, TCP]}, ["spec.ports: missing dns"]),
        ({"ports": [TCP, UDP]}, {"ports": [UDP, TCP]}, ["spec.ports: different order"]),
        ({}, {"rules": ["list", "watch"]}, ["spec.rules: missing list, watch"]),
        ({"rules": list("abcde")}, {"rules": []}, ["spec.rules: extra a, b, c and 2 more"]),
        (
            {"text": COREFILE.replace("30", "10")},
            {"text": COREFILE},
            ["spec.text: cache 10, not cache 30"],
        ),
        (
            {"text": COREFILE.replace("errors", "errors\n    logg")},
            {"text": COREFILE},
            ["spec.text: extra logg"],
        ),
        (
            {"text": ""},
            {"text": COREFILE},
            ["spec.text: missing .:53 {, errors, cache 30 and 1 more"],
        ),
        ({"a": "x" * 99}, {"a": ""}, [f"spec.a is {'x' * 60}…, not "]),
    ],
)
def test_a_difference_is_said_field_by_field(current, expected, said):
    assert list(differences(current, expected, "spec")) == said


def test_fields_are_picked_and_put_by_their_names():
    one = {"spec": {"replicas": 0, "paused": True}, "data": {"a": "b"}}
    assert picked(one, ("spec.replicas", "spec.none", "data")) == {
        "spec.replicas": 0, "spec.none": None, "data": {"a": "b"},
    }  # fmt: skip
    changed = with_fields(one, {"spec.replicas": 2, "data": {"c": "d"}, "new.field": 1})
    assert changed["spec"] == {"replicas": 2, "paused": True}
    assert (changed["data"], changed["new"]) == ({"c": "d"}, {"field": 1})
    assert with_fields(one, {"spec.paused": None, "data": None}) == {"spec": {"replicas": 0}}
    assert one == {"spec": {"replicas": 0, "paused": True}, "data": {"a": "b"}}


def test_the_parts_are_what_the_sandbox_installs():
    installed = {(one["kind"].lower(), one["metadata"]["name"]) for one in documents(MANIFESTS)}
    assert {(part.kind, part.name) for part in PARTS} == installed


def test_the_rows_name_parts_that_there_are():
    titles = {part.title for part in PARTS}
    assert {title for one in LESSONS for title in one.changes} <= titles
    assert lessons_that_change("the Corefile") == (
        "02a_coredns_addon", "05_lab_hosts", "06_lab_cname",
    )  # fmt: skip
    names = [one.notebook for one in LESSONS]
    assert sorted(set(names)) == names


def test_a_clean_up_knows_the_kinds_of_what_lessons_make_outside_of_namespaces():
    made = {what.partition("/")[0] for one in LESSONS for what in one.objects}
    assert made < {kind.lower() for kind in MARKED}


@pytest.mark.parametrize("name", ["", "05", "no such", "05_lab_hosts.ipynb"])
def test_what_is_no_lesson_is_said(name):
    with pytest.raises(EksnetError, match="there is no lesson") as refused:
        lesson(name)
    assert "05_lab_hosts" in refused.value.expected


def test_a_beginning_is_shown_as_text_and_as_html():
    clean = Beginning("05_lab_hosts", ())
    assert repr(clean) == "05_lab_hosts: the cluster is in the state that this lesson expects"
    assert clean._repr_html_() == f"<p>{clean!r}</p>"
    ready = Beginning("08a_lab_ingress", (), ready=("the controller is ready",))
    assert repr(ready).splitlines() == [
        "08a_lab_ingress: the cluster is in the state that this lesson expects",
        "the controller is ready",
    ]
    edited = Left("the Corefile", "", "cache 10, <not> 30")
    waits = Beginning("05_lab_hosts", (edited,))
    assert repr(waits).splitlines() == [
        "left          by       seen                now",
        "the Corefile  unknown  cache 10, <not> 30  unchanged",
        "05_lab_hosts: the cluster is not in the state that this lesson expects; nothing was "
        "changed",
    ]
    mine = Left("the namespace shop", "03a", "it exists", "stays: delete it yourself")
    done = Beginning("05_lab_hosts", (replace(edited, done="put back"), mine), Path("/kept.yaml"))
    assert repr(done).splitlines()[-2:] == [
        "05_lab_hosts: the cluster is ready; 1 of 2 restored",
        "The replaced objects are saved in /kept.yaml",
    ]
    assert "&lt;not&gt;" in done._repr_html_()
    assert list(done.to_frame()["now"]) == ["put back", "stays: delete it yourself"]


@pytest.mark.parametrize("word", ["no", 0.5, [], "False"])
def test_a_restore_that_is_no_yes_or_no_is_refused_before_anything(word):
    with pytest.raises(EksnetError, match="nothing was changed"):
        begin(None, "05_lab_hosts", word)


def begun():
    """Return the notebooks that begin with `eksnet.begin`, by the name that they give it."""
    found = {}
    for path in sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        if "eksnet.begin(" in source:
            found[path.stem] = source
    return found


@pytest.mark.parametrize("name", begun())
def test_each_notebook_begins_as_itself_and_makes_what_its_row_says(name):
    source = begun()[name]
    assert re.findall(r'eksnet\.begin\(cluster, "([^"]+)"\)', source) == [name]
    row = lesson(name)
    made = re.findall(r"kind: Namespace, metadata: \{name: ([\w-]+)\}", source)
    assert set(made) <= set(row.namespaces)
    outside = re.findall(r"kind: ClusterRoleBinding\nmetadata: \{name: ([\w-]+)\}", source)
    assert {f"clusterrolebinding/{one}" for one in outside} <= set(row.objects)
    roles = re.findall(r"kind: ClusterRole\nmetadata: \{name: ([\w-]+)\}", source)
    assert {f"clusterrole/{one}" for one in roles} <= set(row.objects)
    assert ("coredns.addon.install(" in source) == row.addon
    assert ("autoscaling.start_clock(" in source) == row.simulates
    assert bool(row.faults) == ("inject_fault(" in source)
    # What a call of AWS makes: of the controller's identities, `uninstall_controller` knows.
    by_hand = re.findall(r"\.((?:create|request)_(?!policy|open_id|role)\w+)\(", source)
    assert bool(by_hand) == (row.by_hand or row.empty_account), by_hand
    assert ("iam.create_policy(" in source) == row.installs_controller
