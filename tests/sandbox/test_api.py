"""What the supervisor reads from the cluster before it calls it ready."""

import pytest

from eksnet.errors import UnreachableError
from eksnet.sandbox import api, pki, seed
from eksnet.sandbox.vpc import plan

BEGAN = "2026-01-01T10:00:00Z"
LABELS = {"app": "dns"}


class Canned(api.Api):
    """An API server with answers prepared by the test."""

    def __init__(self, directory):
        pki.ensure(directory, plan())
        super().__init__(directory, "192.0.2.1")
        self.items = {}
        self.asked = []
        self.created, self.deleted = 201, 200

    def request(self, method, path, body=None, content_type=""):
        self.asked.append((method, path))
        if method == "DELETE":
            return self.deleted, {"message": "a webhook refuses"}
        if method == "PATCH":
            return self.created, {"message": "no such namespace"}
        return (200, {"items": self.items[path]}) if path in self.items else (404, {})


@pytest.fixture
def cluster(tmp_path):
    return Canned(tmp_path)


def node(ready="True", *taints, heard=BEGAN):
    said = {"type": "Ready", "status": ready, "lastHeartbeatTime": heard}
    return {
        "spec": {"taints": [{"key": key, "effect": "NoSchedule"} for key in taints]},
        "status": {"conditions": [said]},
    }


def pod(started=BEGAN, ready="True", labels=LABELS, **metadata):
    state = {"running": {"startedAt": started}} if started else {"waiting": {}}
    return {
        "metadata": {"labels": {**labels, "pod-template-hash": "x"}, **metadata},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"state": state}],
        },
    }


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (node(), []),
        (node("False"), ["1 of 2 nodes Ready"]),
        # The scheduler still passes such a node by: both CoreDNS replicas would go to the other.
        (node("True", "node.kubernetes.io/not-ready"), ["1 of 2 nodes Ready"]),
        (node("True", "a-learners/own"), []),
        # The store still says Ready from the last time, or nobody has ever said it.
        (node(heard="2026-01-01T09:59:59Z"), ["1 of 2 nodes Ready"]),
        (node(heard=None), ["1 of 2 nodes Ready"]),
    ],
)
def test_a_node_counts_when_pods_can_go_there(cluster, second, says):
    cluster.items[api.NODES] = [node(), second]
    assert cluster.nodes_not_ready(2, BEGAN) == says


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (node(), []),
        (node("False"), []),
        (node("True", "node.kubernetes.io/not-ready"), []),
        (node(heard="2026-01-01T09:59:59Z"), ["1 of 2 nodes report"]),
        (node(heard=None), ["1 of 2 nodes report"]),
        ({"status": {}}, ["1 of 2 nodes report"]),
    ],
)
def test_a_node_reports_when_its_kubelet_has_said_anything(cluster, second, says):
    cluster.items[api.NODES] = [node(), second]
    assert cluster.nodes_not_reporting(2, BEGAN) == says


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (pod(), []),
        (pod(ready="False"), ["coredns: 1 of 2 pods Ready"]),
        (pod(started=""), ["coredns: 1 of 2 pods Ready"]),
        (pod(started="2026-01-01T09:59:59Z"), ["coredns: 1 of 2 pods Ready"]),
        (pod(labels={"app": "other"}), ["coredns: 1 of 2 pods Ready"]),
        (pod(deletionTimestamp=BEGAN), ["coredns: 1 of 2 pods Ready"]),
    ],
)
def test_a_pod_counts_when_this_start_brought_it_up(cluster, second, says):
    apps = "/apis/apps/v1/namespaces/kube-system"
    spec = {"selector": {"matchLabels": LABELS}, "replicas": 2}
    cluster.items = {
        api.NODES: [node(), node()],
        f"{apps}/daemonsets": [],
        f"{apps}/deployments": [
            {"metadata": {"name": "coredns"}, "spec": spec},
            # A learner's own, which may select in other ways and wait for ever.
            {"metadata": {"name": "mine"}, "spec": {"selector": {"matchExpressions": []}}},
        ],
        "/api/v1/namespaces/kube-system/pods": [pod(), second],
    }
    assert cluster.pods_not_ready(BEGAN) == says


def test_the_clusters_own_workloads_are_those_of_the_manifests():
    kinds = ("DaemonSet", "Deployment")
    names = [one["metadata"]["name"] for one in api.documents(seed.MANIFESTS)
             if one["kind"] in kinds]  # fmt: skip
    assert sorted(names) == sorted(api.WORKLOADS)


def test_every_object_of_kube_system_is_asked_for_and_then_made(cluster):
    objects = list(api.documents(seed.MANIFESTS))
    assert cluster.create_missing(objects) == []
    made = [path for method, path in cluster.asked if method == "PATCH"]
    assert all(path.endswith("?fieldManager=eks") for path in made)
    assert len(made) == len(objects) > 10


def test_what_is_gone_is_named_and_not_made(cluster):
    objects = list(api.documents(seed.MANIFESTS))
    there = [manifest for manifest in objects if manifest["kind"] != "Service"]
    cluster.items = {api.object_path(manifest): [] for manifest in there}
    assert cluster.absent(objects) == ["Service kube-dns is missing"]
    assert {method for method, _ in cluster.asked} == {"GET"}


def test_what_cannot_be_made_yet_is_named(cluster):
    cluster.created = 404
    problems = cluster.create_missing(api.documents(seed.MANIFESTS))
    assert "Deployment coredns: no such namespace" in problems


@pytest.mark.parametrize(
    ("second", "says"), [("node2", []), ("", ["1 of 2 pods are bound to a node"])]
)
def test_a_pod_is_bound_when_it_has_a_node(cluster, second, says):
    specs = [{"nodeName": "node1"}, {"nodeName": second} if second else {}]
    pods = [{"spec": spec} for spec in specs]
    cluster.items["/api/v1/namespaces/kube-system/pods"] = pods
    assert cluster.pods_unbound(2) == says


def shell_pod(name, made):
    return {"metadata": {"name": name, "namespace": "shop", "creationTimestamp": made}}


SHELLS = "/api/v1/pods?labelSelector=app.kubernetes.io/managed-by=eksnet-shell"
OLD_AND_NEW = [shell_pod("shell-1", "2026-01-01T09:59:59Z"), shell_pod("shell-2", BEGAN)]


@pytest.mark.parametrize(("status", "left"), [(200, 0), (404, 0), (403, 1), (0, 1)])
def test_pods_of_shells_from_before_the_start_are_deleted(cluster, status, left):
    cluster.items[SHELLS], cluster.deleted = OLD_AND_NEW, status
    assert len(cluster.delete_shells(BEGAN)) == left
    assert [one for one in cluster.asked if one[0] == "DELETE"] == [
        ("DELETE", "/api/v1/namespaces/shop/pods/shell-1?gracePeriodSeconds=0")
    ]


@pytest.mark.parametrize(
    "look",
    [
        lambda a: a.delete_shells(""),
        lambda a: a.nodes_not_ready(2, ""),
        lambda a: a.nodes_not_reporting(2, ""),
        lambda a: a.pods_not_ready(""),
        lambda a: a.pods_unbound(1),
    ],
)
def test_no_answer_is_not_the_answer_that_there_is_nothing(cluster, look):
    with pytest.raises(UnreachableError, match="404"):
        look(cluster)


def test_nobody_answers(tmp_path, monkeypatch):
    def refuse(_connection):
        raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr(api.http.client.HTTPSConnection, "connect", refuse)
    pki.ensure(tmp_path, plan())
    asked = api.Api(tmp_path, "192.0.2.1")
    assert asked.request("GET", "/readyz") == (0, "nobody there")
    assert asked.not_ready() == ["API server: no answer, nobody there"]
    assert asked.not_answering() == asked.not_ready()
    with pytest.raises(UnreachableError, match="nobody there"):
        asked.absent(api.documents(seed.MANIFESTS))
