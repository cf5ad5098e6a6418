from __future__ import annotations

import pytest
from fake_api import FakeApi

from eksnet.cluster import ApiError, Cluster
from eksnet.errors import EksnetError

BASE = "/api/v1/namespaces/default"


@pytest.mark.parametrize(
    "names", [("deployment", "web"), ("deploy/web",), ("Deployments.apps/web",)]
)
def test_an_object_is_found_by_any_of_its_names(
    names: tuple[str, ...], fake: Cluster, api: FakeApi
) -> None:
    api.put("/apis/apps/v1/namespaces/default/deployments/web", {"spec": {"replicas": 2}})
    found = fake.get(*names)
    assert repr(found) == "<Deployment web>"
    assert found["spec"] == {"replicas": 2}
    assert "replicas: 2" in found.to_yaml()


def test_an_object_without_namespace_is_found(fake: Cluster) -> None:
    assert fake.get("node/one").namespace == ""


def test_what_is_not_there_is_told(fake: Cluster) -> None:
    with pytest.raises(ApiError, match='pods "nope" not found') as caught:
        fake.get("pod/nope")
    assert caught.value.status == 404
    assert " get pods -A` lists the names" in caught.value.next_step


@pytest.mark.parametrize("names", [("pod",), ("",), ("/web",), ("pod/",)])
def test_half_a_name_is_refused(names: tuple[str, ...], fake: Cluster) -> None:
    with pytest.raises(EksnetError, match="is not the name of an object"):
        fake.get(*names)


def test_an_unknown_kind_is_told(fake: Cluster) -> None:
    with pytest.raises(EksnetError, match="has no kind gadget"):
        fake.get("gadget/x")


def test_a_list_is_sorted_and_tells_no_times(fake: Cluster, api: FakeApi) -> None:
    for name in ("b", "a"):
        api.put(f"{BASE}/pods/{name}", {"metadata": {"labels": {"app": "x"}}})
    api.put(f"{BASE}/pods/c", {})
    found = fake.list("pods", selector="app=x")
    assert repr(found) == "name  restarts\na     2\nb     2"
    assert [one.name for one in found] == ["a", "b"]
    assert found._repr_html_().count("<tr>") == 3
    frame = found.to_frame()
    assert list(frame.columns) == ["name", "restarts"]
    assert frame.shape == (2, 2)


def test_a_list_of_all_namespaces_names_them(fake: Cluster, api: FakeApi) -> None:
    api.put("/api/v1/namespaces/kube-system/pods/z", {})
    api.put(f"{BASE}/pods/a", {})
    found = fake.list("pods", all_namespaces=True, wide=True)
    assert found.columns == ("namespace", "name", "restarts", "node")
    assert [row[:2] for row in found.rows] == [("default", "a"), ("kube-system", "z")]


def test_an_empty_list_says_so(fake: Cluster) -> None:
    assert repr(fake.list("pods")) == "(none)"


def test_html_is_escaped(fake: Cluster, api: FakeApi) -> None:
    api.put(f"{BASE}/events/one", {"message": "<b>", "involvedObject": {"kind": "Pod"}})
    assert "&lt;b&gt;" in fake.events()._repr_html_()


def test_events_come_in_their_order(fake: Cluster, api: FakeApi) -> None:
    for name, reason, when, about in (
        ("b", "Scheduled", "2026-01-01T00:00:01Z", "web"),
        ("a", "Started", "2026-01-01T00:00:02Z", "web"),
        ("c", "Pulled", "2026-01-01T00:00:00Z", "other"),
    ):
        api.put(
            f"{BASE}/events/{name}",
            {
                "type": "Normal",
                "reason": reason,
                "message": "it is",
                "lastTimestamp": when,
                "involvedObject": {"kind": "Pod", "name": about},
            },
        )
    assert [one.reason for one in fake.events()] == ["Pulled", "Scheduled", "Started"]
    assert [one.reason for one in fake.events("pod/web")] == ["Scheduled", "Started"]
    assert fake.events("pod/web")[0].object == "pod/web"


def test_logs_are_text(fake: Cluster, api: FakeApi) -> None:
    api.put(f"{BASE}/pods/web", {})
    api.logs[f"{BASE}/pods/web"] = "one\ntwo\n"
    assert fake.logs("pod/web", container="main", previous=True, tail=3) == "one\ntwo\n"
    assert api.requests[-1].query == {"container": "main", "previous": "true", "tailLines": "3"}
