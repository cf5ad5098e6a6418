from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_api import FakeApi, Request, failure

from eksnet.cluster import ApiError, Cluster, DeadlineError, manifests
from eksnet.errors import EksnetError

TWO = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {a: b}
---
# an empty document, and one with a namespace of its own
---
apiVersion: v1
kind: Service
metadata:
  name: two
  namespace: kube-system
"""
BASE = "/api/v1/namespaces/default"


def test_a_manifest_says_what_became_of_each_object(fake: Cluster, api: FakeApi) -> None:
    first = fake.apply(TWO)
    assert [(one.kind, one.name, one.namespace, one.result) for one in first] == [
        ("ConfigMap", "one", "default", "created"),
        ("Service", "two", "kube-system", "created"),
    ]
    second = fake.apply(TWO.replace("a: b", "a: c"))
    assert [one.result for one in second] == ["configured", "unchanged"]
    assert repr(second) == (
        "kind       name  namespace    result\n"
        "ConfigMap  one   default      configured\n"
        "Service    two   kube-system  unchanged"
    )
    write = api.writes[0]
    assert write.query == {"fieldManager": "eksnet", "fieldValidation": "Strict"}
    assert write.headers["content-type"] == "application/apply-patch+yaml"


def test_a_manifest_may_be_a_file(fake: Cluster, api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(TWO)
    assert len(fake.apply(file)) == 2
    assert [one.result for one in fake.apply(str(file))] == ["unchanged", "unchanged"]


def test_a_list_is_its_items(fake: Cluster, api: FakeApi) -> None:
    item = "{apiVersion: v1, kind: ConfigMap, metadata: {name: in-list}}"
    fake.apply(f"{{apiVersion: v1, kind: List, items: [{item}]}}")
    assert f"{BASE}/configmaps/in-list" in api.objects


def test_a_conflict_names_field_and_owner(fake: Cluster, api: FakeApi) -> None:
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl-edit" using v1',
        "field": ".data.Corefile",
    }

    def refuse(request: Request) -> tuple[int, dict[str, object]] | None:
        if request.method == "PATCH" and request.query.get("force") != "true":
            return 409, failure(409, "Conflict", "Apply failed", [cause])
        return None

    api.refuse = refuse
    with pytest.raises(ApiError) as caught:
        fake.apply(TWO)
    assert '.data.Corefile ("kubectl-edit" using v1)' in caught.value.seen
    assert "force=True" in caught.value.next_step
    assert caught.value.status == 409
    assert len(fake.apply(TWO, force=True)) == 2


def test_what_was_applied_before_an_error_is_named(fake: Cluster, api: FakeApi) -> None:
    with pytest.raises(EksnetError) as caught:
        fake.apply(TWO + "---\napiVersion: v1\nkind: Sevrice\nmetadata: {name: x}\n")
    assert "line 14, Sevrice x: context:lab has no kind Sevrice of v1" in caught.value.seen
    assert "already applied: ConfigMap one, Service two" in caught.value.seen


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: b\n c: d\n", "line 2"),
        ("kind: Pod\napiVersion: v1\n", "without metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n- 1\n", "line 5: an object without"),
        ("kind: [\n", "line 2"),
        ("# nothing\n", "has no object"),
        ("missing-file.yaml", "cannot be read: No such file"),
        ("a: \x07\n", "is not YAML"),
    ],
)
def test_a_bad_manifest_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(EksnetError, match=told):
        manifests.read(text)


def test_a_new_namespace_is_ready_for_pods(fake: Cluster, api: FakeApi) -> None:
    def react(path: str, one: dict[str, object]) -> None:
        if one["kind"] == "Namespace":
            api.put(f"{path}/serviceaccounts/default", {})

    api.react = react
    fake.apply("{apiVersion: v1, kind: Namespace, metadata: {name: ops-ns}}")
    asked = [request for request in api.requests if request.path.endswith("/serviceaccounts")]
    assert [request.path for request in asked] == ["/api/v1/namespaces/ops-ns/serviceaccounts"]


def test_delete_takes_a_manifest_away_the_last_first(fake: Cluster, api: FakeApi) -> None:
    fake.apply(TWO)
    gone = fake.delete_manifest(TWO)
    assert [(one.name, one.result) for one in gone] == [("two", "deleted"), ("one", "deleted")]
    assert f"{BASE}/configmaps/one" not in api.objects
    again = fake.delete_manifest(TWO)
    assert [one.result for one in again] == ["was not there", "was not there"]


def test_delete_takes_one_object(fake: Cluster, api: FakeApi) -> None:
    api.put(f"{BASE}/pods/web", {})
    assert fake.delete("pod", "web")[0].result == "deleted"
    assert fake.delete("po/web")[0].result == "was not there"


def test_delete_need_not_wait(fake: Cluster, api: FakeApi) -> None:
    api.put(f"{BASE}/pods/web", {})
    assert fake.delete("pod/web", wait=False)[0].result == "deleted"
    # Nobody looks afterwards whether it is gone.
    asked = api.requests[-1]
    assert (asked.method, asked.path) == ("DELETE", f"{BASE}/pods/web")
    assert json.loads(asked.body) == {"propagationPolicy": "Background"}
    assert fake.delete("pod/web", wait=False)[0].result == "was not there"


def test_delete_waits_until_it_is_gone(fake: Cluster, api: FakeApi) -> None:
    api.put(
        f"{BASE}/pods/web", {"metadata": {"finalizers": ["x/y"]}, "status": {"phase": "Running"}}
    )
    with pytest.raises(DeadlineError, match=r"was not Deleted after 0 s\n    phase: Running"):
        fake.delete("pod/web", timeout=0)


def test_delete_waits_for_the_object_not_for_its_name(fake: Cluster, api: FakeApi) -> None:
    path = f"{BASE}/pods/db-0"
    api.put(path, {})
    first = api.objects[path]["metadata"]["uid"]
    remove = api.remove

    def make_it_again(where: str) -> None:
        remove(where)
        api.put(where, {})

    # As a StatefulSet's controller does at once.
    api.remove = make_it_again  # type: ignore[method-assign]
    assert fake.delete("pod/db-0", timeout=5)[0].result == "deleted"
    assert api.objects[path]["metadata"]["uid"] != first


def test_a_kind_that_is_not_served_has_nothing_to_delete(fake: Cluster) -> None:
    text = "{apiVersion: example.com/v1, kind: Unknown, metadata: {name: x}}"
    assert len(fake.delete_manifest(text)) == 0


def test_patch_merges(fake: Cluster, api: FakeApi) -> None:
    api.put(f"{BASE}/configmaps/web", {"data": {"a": "1", "b": "2"}})
    patched = fake.patch("configmap", "web", {"data": {"a": None, "c": "3"}})
    assert patched["data"] == {"b": "2", "c": "3"}
    assert repr(patched) == "<ConfigMap web>"


def test_editing_a_configmap_shows_the_difference(fake: Cluster, api: FakeApi) -> None:
    api.put(f"{BASE}/configmaps/coredns", {"data": {"Corefile": ".:53 {\n    errors\n}\n"}})
    edit = fake.edit_configmap(
        "coredns", "Corefile", lambda text: text.replace("errors", "errors\n    log")
    )
    assert (
        repr(edit) == "--- before\n+++ after\n@@ -1,3 +1,4 @@\n .:53 {\n     errors\n+    log\n }"
    )
    assert api.objects[f"{BASE}/configmaps/coredns"]["data"]["Corefile"] == edit.after
    unchanged = fake.edit_configmap("coredns", "Corefile", edit.after)
    assert repr(unchanged) == "Corefile of ConfigMap coredns: unchanged"
    assert len(api.writes) == 1


def test_an_edit_does_not_overwrite_what_somebody_else_wrote(fake: Cluster, api: FakeApi) -> None:
    path = f"{BASE}/configmaps/coredns"
    api.put(path, {"data": {"Corefile": "old"}})

    def change(text: str) -> str:
        api.put(path, {"data": {"Corefile": "somebody's"}})
        return "mine"

    with pytest.raises(ApiError, match="has been modified"):
        fake.edit_configmap("coredns", "Corefile", change)
    assert api.objects[path]["data"]["Corefile"] == "somebody's"


def test_a_key_that_is_not_there_cannot_be_edited(fake: Cluster, api: FakeApi) -> None:
    api.put(f"{BASE}/configmaps/coredns", {"data": {"Corefile": "x"}})
    with pytest.raises(EksnetError, match="has no key 'corefile'") as caught:
        fake.edit_configmap("coredns", "corefile", str.upper)
    assert caught.value.expected == "one of Corefile"


@pytest.mark.parametrize("name", ["system:coredns", "a.yaml", "system:controller:a.yml"])
def test_a_name_is_never_taken_for_a_manifest(name: str, fake: Cluster, api: FakeApi) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}"
    api.put(path, {"rules": []})
    assert fake.delete(f"clusterrole/{name}")[0].result == "deleted"
    assert fake.delete("clusterrole", name)[0].result == "was not there"
    assert path not in api.objects


@pytest.mark.parametrize("what", [TWO, Path("two.yaml")])
def test_a_manifest_has_a_method_of_its_own(what: str | Path, fake: Cluster, api: FakeApi) -> None:
    with pytest.raises(EksnetError, match="what to delete is a manifest; nothing") as refused:
        fake.delete(what)  # type: ignore[arg-type]
    assert "cluster.delete_manifest(" in refused.value.next_step
    assert api.writes == []


NAMESPACE_PATH = "/api/v1/namespaces/shop"
MANIFEST = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: x}}}"
OURS = {"eksnet": "course", "eksnet-run": "run-1a", "eksnet-lesson": "01a_dns_records"}


@pytest.mark.parametrize(
    ("before", "marks", "mark", "labels"),
    [
        (None, OURS, True, {"team": "x", **OURS}),
        (None, OURS, False, {"team": "x"}),
        # What was there before is somebody else's, and stays so.
        ({}, OURS, True, {"team": "x"}),
        ({"eksnet": "other"}, OURS, True, {"team": "x"}),
        # What an earlier lesson has made stays that lesson's.
        (OURS, {"eksnet": "course", "eksnet-lesson": "05_lab_hosts"}, True, {"team": "x", **OURS}),
        (OURS, {"eksnet": "course"}, True, {"team": "x", **OURS}),
    ],
)
def test_a_namespace_is_marked_by_whoever_makes_it(
    api: FakeApi,
    fake: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    before: dict[str, str] | None,
    marks: dict[str, str],
    mark: bool,
    labels: dict[str, str],
) -> None:
    if before is not None:
        api.put(NAMESPACE_PATH, {"metadata": {"labels": before}})
    monkeypatch.setattr(Cluster, "marks", property(lambda _: marks))
    fake.apply(MANIFEST, mark=mark)
    (sent,) = [json.loads(one.body) for one in api.writes if one.path == NAMESPACE_PATH]
    assert sent["metadata"]["labels"] == labels


@pytest.mark.parametrize("kind", ["ConfigMap", "Node"])
def test_nothing_else_is_marked(api: FakeApi, fake: Cluster, kind: str) -> None:
    fake.apply(f"{{apiVersion: v1, kind: {kind}, metadata: {{name: x}}}}")
    (sent,) = [json.loads(one.body) for one in api.writes]
    assert "labels" not in sent["metadata"]
