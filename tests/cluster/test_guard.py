"""The guard: a walk over every public method of Cluster, and each way a context can change."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_api import FakeApi, kubeconfig

import eksnet
from eksnet.aws import Account
from eksnet.cluster import Cluster
from eksnet.errors import EksnetError

MANIFEST = "{apiVersion: v1, kind: ConfigMap, metadata: {name: new}, data: {a: b}}"


def ask_aws(cluster: Cluster) -> object:
    account = Account("http://127.0.0.1:1", "ap-northeast-2", "AKIA", "secret", "workbook")
    cluster.account = lambda: account
    return cluster.aws("eks")


# Each method of Cluster stands in one of these; the test below fails for one that does not.
READING: dict[str, Callable[[Cluster], object]] = {
    # What its client changes passes the guard too: tests/aws.
    "aws": ask_aws,
    "backup": lambda cluster: cluster.backup("web"),
    # They change a record on this computer.
    "begin_lesson": lambda cluster: cluster.begin_lesson("00_setup"),
    "end_run": lambda cluster: cluster.end_run(),
    "events": lambda cluster: cluster.events(),
    "find": lambda cluster: cluster.find("configmap/none"),
    "get": lambda cluster: cluster.get("configmap/web"),
    "keep_backups_in": lambda cluster: cluster.keep_backups_in(cluster.directory.parent),
    "list": lambda cluster: cluster.list("pods"),
    "logs": lambda cluster: cluster.logs("web"),
    "marked": lambda cluster: cluster.marked(),
    "may": lambda cluster: cluster.may("create", "pods/exec", "default"),
    "objects_in": lambda cluster: cluster.objects_in("default"),
    "owners": lambda cluster: cluster.owners("pod/web"),
    "rollout_status": lambda cluster: cluster.rollout_status("deployment/web"),
    "saved": lambda cluster: cluster.saved("web"),
    # A dry run: the API server judges it and stores nothing.
    "try_create": lambda cluster: cluster.try_create(MANIFEST),
    "archive_backup": lambda cluster: cluster.archive_backup("web"),
    "wait": lambda cluster: cluster.wait("pod/web", condition="Ready"),
}
WRITING: dict[str, Callable[[Cluster], object]] = {
    "apply": lambda cluster: cluster.apply(MANIFEST),
    "delete": lambda cluster: cluster.delete("configmap/web"),
    "delete_manifest": lambda cluster: cluster.delete_manifest(MANIFEST),
    "edit_configmap": lambda cluster: cluster.edit_configmap("web", "Corefile", "new"),
    "exec": lambda cluster: cluster.exec("web", "true"),
    "hand_over": lambda cluster: cluster.hand_over(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}, "eks"
    ),
    "patch": lambda cluster: cluster.patch("configmap", "web", {"data": {"x": "y"}}),
    "replace": lambda cluster: cluster.replace(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"x": "y"}}
    ),
    "restore": lambda cluster: cluster.restore("web"),
    "rollout_restart": lambda cluster: cluster.rollout_restart("deployment/web"),
    "run": lambda cluster: cluster.run("busybox", "true", timeout=0),
}


# Neither asks the API server itself: test_cluster_helm.py holds Helm's commands to the guard, and a
# connection to a load balancer changes nothing (tests/loadbalancer/test_balancer_answers.py).
APART = {"helm", "dial"}


@pytest.fixture
def filled(api: FakeApi, config: Path) -> FakeApi:
    return fill(api, "context:lab")


def fill(api: FakeApi, target: str) -> FakeApi:
    """Put what the methods need into a cluster, and return its API server."""
    base = "/api/v1/namespaces/default"
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    owned = {"managedFields": [{"manager": "helm", "operation": "Update"}]}
    api.put(f"{base}/pods/web", {"metadata": owned, "status": ready})
    api.put(f"{base}/configmaps/web", {"data": {"Corefile": "old"}})
    api.logs[f"{base}/pods/web"] = "hello"
    done = {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    api.put(f"{deployments}/web", {"spec": {"replicas": 1}, "status": done})
    # What restore would put back is not what is there.
    eksnet.connect(target).backup("web")
    api.put(f"{base}/configmaps/web", {"data": {"Corefile": "edited"}})
    return api


def test_every_public_method_is_known_as_reading_or_writing() -> None:
    public = {name for name, _ in inspect.getmembers(Cluster, callable) if not name.startswith("_")}
    assert public == READING.keys() | WRITING.keys() | APART
    assert not READING.keys() & WRITING.keys()


@pytest.mark.parametrize("name", sorted(WRITING))
def test_no_writing_method_sends_a_write_to_a_cluster_that_was_not_named(
    name: str, filled: FakeApi
) -> None:
    cluster = eksnet.connect("context:lab")
    with pytest.raises(EksnetError, match="its name was not given"):
        WRITING[name](cluster)
    assert filled.writes == []


@pytest.mark.parametrize("name", sorted(WRITING))
def test_every_writing_method_sends_a_write_to_a_named_cluster(name: str, filled: FakeApi) -> None:
    cluster = eksnet.connect("context:lab", changes="lab")
    try:
        WRITING[name](cluster)
    except EksnetError as error:
        # The fake has no kubelet, so that these two cannot come to a good end.
        assert name in ("exec", "run"), error
    assert filled.writes != []


@pytest.mark.parametrize("name", sorted(READING))
def test_reading_needs_no_name_and_writes_nothing(name: str, filled: FakeApi) -> None:
    cluster = eksnet.connect("context:lab")
    READING[name](cluster)
    assert filled.writes == []


def test_the_environment_names_the_cluster(
    filled: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = eksnet.connect("context:lab")
    monkeypatch.setenv("EKSNET_CHANGES", "lab")
    cluster.apply(MANIFEST)
    assert [str(write) for write in filled.writes] == [
        "PATCH /api/v1/namespaces/default/configmaps/new"
    ]


def test_another_name_is_refused(filled: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = eksnet.connect("context:lab")
    monkeypatch.setenv("EKSNET_CHANGES", "other")
    with pytest.raises(EksnetError, match="'other' was named instead"):
        cluster.apply(MANIFEST)
    assert filled.writes == []


def test_connect_refuses_a_name_that_is_not_the_targets(filled: FakeApi) -> None:
    with pytest.raises(EksnetError, match="'other' was named instead") as caught:
        eksnet.connect("context:lab", changes="other")
    assert 'changes="lab"' in caught.value.next_step


def test_a_name_is_said_once_in_a_kernel(filled: FakeApi) -> None:
    eksnet.connect("context:lab", changes="lab").apply(MANIFEST)
    filled.requests.clear()
    eksnet.connect("context:lab").delete("configmap/new")
    assert [str(write) for write in filled.writes] == [
        "DELETE /api/v1/namespaces/default/configmaps/new"
    ]


def test_a_name_that_no_write_followed_holds_for_its_own_connection_only(filled: FakeApi) -> None:
    eksnet.connect("context:lab", changes="lab")
    with pytest.raises(EksnetError, match="its name was not given"):
        eksnet.connect("context:lab").apply(MANIFEST)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"user": "somebody"}, "another user"),
        ({"token": "t2"}, "another user"),
        ({"url": "http://127.0.0.1:1"}, "another API server"),
    ],
)
def test_a_context_that_changed_underneath_is_refused(
    change: dict[str, str], told: str, filled: FakeApi, config: Path
) -> None:
    cluster = eksnet.connect("context:lab", changes="lab")
    config.write_text(kubeconfig(**{"url": filled.url, **change}))
    with pytest.raises(EksnetError, match=told):
        cluster.apply(MANIFEST)
    assert filled.writes == []


def test_another_certificate_authority_is_refused(filled: FakeApi, config: Path) -> None:
    cluster = eksnet.connect("context:lab", changes="lab")
    text = config.read_text()
    config.write_text(text.replace("server:", "certificate-authority-data: eA==\n    server:"))
    with pytest.raises(EksnetError, match="another certificate authority"):
        cluster.apply(MANIFEST)
    assert filled.writes == []


def test_another_cluster_at_the_same_address_is_refused(filled: FakeApi) -> None:
    cluster = eksnet.connect("context:lab", changes="lab")
    cluster.apply(MANIFEST)
    filled.requests.clear()
    filled.remove("/api/v1/namespaces/kube-system")
    filled.put("/api/v1/namespaces/kube-system", {})
    with pytest.raises(EksnetError, match="another UID of kube-system"):
        cluster.delete("configmap/new")
    assert filled.writes == []


def test_a_context_that_is_gone_is_refused(filled: FakeApi, config: Path) -> None:
    cluster = eksnet.connect("context:lab", changes="lab")
    config.write_text(kubeconfig(filled.url, context="renamed"))
    with pytest.raises(EksnetError, match="no context 'lab'"):
        cluster.apply(MANIFEST)
    assert filled.writes == []


def test_who_may_not_read_kube_system_can_still_work(filled: FakeApi) -> None:
    from fake_api import failure

    def refuse(request: object) -> object:
        if str(request) == "GET /api/v1/namespaces/kube-system":
            return 403, failure(403, "Forbidden", "no")
        return None

    filled.refuse = refuse  # type: ignore[assignment]
    cluster = eksnet.connect("context:lab", changes="lab")
    assert cluster.identity.uid == ""
    assert cluster.apply(MANIFEST)[0].result == "created"
