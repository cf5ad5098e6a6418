"""Snapshots: taken before each risky change, whoever makes it, and put back by number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_api import FakeApi, failure

import eksnet
from eksnet.cluster import Cluster, snapshots
from eksnet.cluster.snapshots import ADDON, CONFIGMAP
from eksnet.errors import EksnetError

SYSTEM = "/api/v1/namespaces/kube-system/configmaps"
COREDNS = f"{SYSTEM}/coredns"
MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data: {Corefile: applied}
"""
REPLACEMENT = {"apiVersion": "v1", "kind": "ConfigMap",
               "metadata": {"name": "coredns", "namespace": "kube-system"},
               "data": {"Corefile": "replaced"}}  # fmt: skip
CHANGES: dict[str, tuple[Callable[[Cluster], object], str]] = {
    "edit": (
        lambda cluster: cluster.edit_configmap("coredns", "Corefile", "new", "kube-system"),
        "an edit",
    ),
    "patch": (
        lambda cluster: cluster.patch(
            "configmap", "coredns", {"data": {"Corefile": "new"}}, "kube-system"
        ),
        "an edit",
    ),
    "apply": (lambda cluster: cluster.apply(MANIFEST), "an edit"),
    "replace": (lambda cluster: cluster.replace(REPLACEMENT), "an edit"),
    "delete": (
        lambda cluster: cluster.delete("configmap/coredns", namespace="kube-system"),
        "its deletion",
    ),
    "delete_manifest": (lambda cluster: cluster.delete_manifest(MANIFEST), "its deletion"),
}


@pytest.fixture
def fake(fake: Cluster) -> Cluster:
    """A cluster that takes any text for a Corefile."""
    fake.checks = {}
    return fake


@pytest.fixture
def coredns(api: FakeApi) -> FakeApi:
    api.put(COREDNS, {"data": {"Corefile": "first"}})
    return api


@pytest.mark.parametrize("what", CHANGES)
def test_every_way_to_change_the_corefile_keeps_what_was_there(
    what: str, fake: Cluster, coredns: FakeApi
) -> None:
    change, before = CHANGES[what]
    change(fake)
    (one,) = fake.snapshots.all()
    assert (one.number, one.what, one.before) == (1, "ConfigMap coredns in kube-system", before)
    assert one.content == {"data": {"Corefile": "first"}}
    assert one.path.stat().st_mode & 0o777 == 0o600
    fake.restore(one.path)
    assert coredns.objects[COREDNS]["data"] == {"Corefile": "first"}


def test_what_is_put_back_can_be_taken_back(fake: Cluster, coredns: FakeApi) -> None:
    fake.edit_configmap("coredns", "Corefile", "second", "kube-system")
    fake.restore(fake.snapshots.numbered(1).path)
    assert [one.content["data"]["Corefile"] for one in fake.snapshots.all()] == ["first", "second"]
    fake.restore(fake.snapshots.numbered(2).path)
    assert coredns.objects[COREDNS]["data"] == {"Corefile": "second"}


def test_the_same_state_is_kept_once(fake: Cluster, coredns: FakeApi) -> None:
    for _ in range(3):
        fake.patch("configmap", "coredns", {"metadata": {"labels": {"a": "b"}}}, "kube-system")
    assert len(fake.snapshots.all()) == 1


@pytest.mark.parametrize("name", ["eksnet-faults", "eksnet-course"])
def test_the_courses_own_records_are_none(fake: Cluster, coredns: FakeApi, name: str) -> None:
    coredns.put(f"{SYSTEM}/{name}", {"data": {"a": "b"}})
    fake.patch("configmap", name, {"data": {"a": "c"}}, "kube-system")
    assert len(fake.snapshots.all()) == 0


def test_other_namespaces_and_dry_runs_are_none(fake: Cluster, coredns: FakeApi) -> None:
    coredns.put("/api/v1/namespaces/default/configmaps/web", {"data": {"a": "b"}})
    fake.patch("configmap", "web", {"data": {"a": "c"}})
    fake.replace(REPLACEMENT, dry_run=True)
    assert len(fake.snapshots.all()) == 0


def test_a_change_that_the_guard_refuses_leaves_none(coredns: FakeApi, config: Path) -> None:
    unnamed = eksnet.connect("context:lab")
    unnamed.checks = {}
    with pytest.raises(EksnetError, match="its name was not given"):
        unnamed.edit_configmap("coredns", "Corefile", "new", "kube-system")
    assert len(unnamed.snapshots.all()) == 0


def test_what_cannot_be_kept_is_not_changed(fake: Cluster, coredns: FakeApi) -> None:
    fake.snapshots.directory.parent.mkdir(parents=True)
    fake.snapshots.directory.write_text("a file where a folder should be")
    with pytest.raises(EksnetError, match="nothing was changed"):
        fake.edit_configmap("coredns", "Corefile", "new", "kube-system")
    assert coredns.objects[COREDNS]["data"] == {"Corefile": "first"}


def test_who_may_write_and_not_read_may_write(fake: Cluster, coredns: FakeApi) -> None:
    coredns.refuse = lambda request: (
        (403, failure(403, "Forbidden", "no")) if str(request) == f"GET {COREDNS}" else None
    )
    fake._client.send("PUT", COREDNS, {"metadata": {"name": "coredns"}, "data": {"a": "b"}})
    assert coredns.objects[COREDNS]["data"] == {"a": "b"}


def test_another_clusters_snapshots_are_not_seen(fake: Cluster, coredns: FakeApi) -> None:
    fake.edit_configmap("coredns", "Corefile", "new", "kube-system")
    (one,) = fake.snapshots.all()
    record = json.loads(one.path.read_text())
    record["cluster"]["uid"] = "another"
    one.path.write_text(json.dumps(record))
    assert len(fake.snapshots.all()) == 0


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "eksnet configmap backup 1"}'])
def test_a_file_that_is_not_whole_is_passed_over(
    text: str, fake: Cluster, coredns: FakeApi
) -> None:
    fake.edit_configmap("coredns", "Corefile", "new", "kube-system")
    (fake.snapshots.directory / "0009-x.json").write_text(text)
    assert [one.number for one in fake.snapshots.all()] == [1]
    fake.edit_configmap("coredns", "Corefile", "newer", "kube-system")
    assert [one.number for one in fake.snapshots.all()] == [1, 2]


def test_the_oldest_go(fake: Cluster, coredns: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_MOST", 3)
    for number in range(5):
        fake.edit_configmap("coredns", "Corefile", f"text {number}", "kube-system")
    assert [one.number for one in fake.snapshots.all()] == [3, 4, 5]


def test_a_number_that_another_kernel_took_is_not_taken_again(
    fake: Cluster, coredns: FakeApi
) -> None:
    fake.snapshots.directory.mkdir(parents=True)
    (fake.snapshots.directory / "0001-other.json").write_text("")
    fake.edit_configmap("coredns", "Corefile", "new", "kube-system")
    assert [one.number for one in fake.snapshots.all()] == [2]


def test_a_number_that_is_none_is_told(fake: Cluster, coredns: FakeApi) -> None:
    with pytest.raises(EksnetError, match="no snapshot 7") as error:
        fake.snapshots.numbered(7)
    assert "rollback" in error.value.next_step


def test_an_add_on_is_kept_with_its_version_and_values(fake: Cluster) -> None:
    addon = {"metadata": {"name": "coredns"}, "version": "v1", "values": '{"a": 1}'}
    fake.snapshots.take(ADDON, addon, "an update")
    (one,) = fake.snapshots.all()
    assert (one.kind, one.what) == (ADDON, "add-on coredns")
    assert one.content == {"version": "v1", "values": '{"a": 1}'}
    assert CONFIGMAP not in one.what
