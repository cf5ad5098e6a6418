"""The cluster room on a live sandbox: what only a real API server and kubelet can show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eksnet import versions
from eksnet.cluster import ApiError, Cluster, DeadlineError
from eksnet.cluster.pods import NoProgramError, not_terminating
from eksnet.errors import EksnetError

pytestmark = pytest.mark.sandbox

NAMESPACE = "cluster-room"
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: "busybox:1.36", command: [sh, -c, "echo started; sleep 1000"]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    cluster.apply(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}")
    yield NAMESPACE
    cluster.delete("namespace", NAMESPACE)


@pytest.fixture(scope="module")
def web(cluster: Cluster, namespace: str) -> str:
    """The name of a running pod."""
    cluster.apply(WEB, namespace)
    cluster.wait("deployment/web", condition="Available", namespace=namespace)
    return cluster.list("pods", namespace, selector="app=web")[0].name


def test_the_cluster_says_what_it_is(cluster: Cluster) -> None:
    assert repr(cluster) == f"<Cluster sandbox: Kubernetes {versions.KUBERNETES}, 2 nodes>"


def test_a_second_apply_changes_nothing(cluster: Cluster, namespace: str, web: str) -> None:
    assert [one.result for one in cluster.apply(WEB, namespace)] == ["unchanged", "unchanged"]


def test_a_misspelt_field_is_refused(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(ApiError, match="replica: field not declared") as caught:
        cluster.apply(WEB.replace("spec:\n  sel", "spec:\n  replica: 2\n  sel"), namespace)
    assert "explain deployment" in caught.value.next_step


def test_a_field_of_another_manager_is_a_conflict(cluster: Cluster, namespace: str) -> None:
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: owned}, data: {a: b}}"
    cluster.apply(manifest, namespace)
    cluster.edit_configmap("owned", "a", "edited", namespace)
    with pytest.raises(ApiError, match=r'\.data\.a \("eksnet-edit"'):
        cluster.apply(manifest, namespace)
    assert cluster.apply(manifest, namespace, force=True)[0].result == "configured"


def test_a_service_gets_its_endpoints(
    cluster: Cluster, namespace: str, web: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.wait("service/web", condition="EndpointsReady", namespace=namespace)
    assert capsys.readouterr().out == "service/web in cluster-room is EndpointsReady\n"


def test_a_command_runs_in_a_pod_of_its_own(cluster: Cluster, namespace: str) -> None:
    ran = cluster.run("busybox:1.36", "hostname", namespace, name="op-pod-1")
    assert (ran.output, ran.exit_code) == ("op-pod-1\n", 0)
    # The name is free again at once.
    again = cluster.run("busybox:1.36", ["sh", "-c", "exit 3"], namespace, name="op-pod-1")
    assert again.exit_code == 3


def test_an_image_that_is_not_there_is_told(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(DeadlineError, match=r"ErrImagePull|ImagePullBackOff"):
        cluster.run("no-such-image:1", "true", namespace)


def test_a_program_that_is_not_there_is_told(cluster: Cluster, namespace: str, web: str) -> None:
    with pytest.raises(NoProgramError, match="no-such-program could not be started"):
        cluster.run("busybox:1.36", "no-such-program", namespace)
    with pytest.raises(NoProgramError, match="no-such-program in pod"):
        cluster.exec(web, "no-such-program", namespace)


def test_a_program_that_may_not_be_started_is_none_that_is_missing(
    cluster: Cluster, namespace: str, web: str
) -> None:
    for start in (
        lambda: cluster.run("busybox:1.36", "/etc/hostname", namespace),
        lambda: cluster.exec(web, "/etc/hostname", namespace),
    ):
        with pytest.raises(EksnetError, match="permission denied") as refused:
            start()
        assert not isinstance(refused.value, NoProgramError)


def test_exec_gives_both_outputs_and_the_exit_code(
    cluster: Cluster, namespace: str, web: str
) -> None:
    done = cluster.exec(web, ["sh", "-c", "echo out; echo err >&2; exit 5"], namespace)
    assert (done.stdout, done.stderr, done.exit_code) == ("out\n", "err\n", 5)


def test_exec_gives_all_of_a_long_output(cluster: Cluster, namespace: str, web: str) -> None:
    done = cluster.exec(web, "seq 1 100000", namespace)
    assert done.stdout.splitlines() == [str(n) for n in range(1, 100001)]


def test_exec_has_a_deadline(cluster: Cluster, namespace: str, web: str) -> None:
    with pytest.raises(DeadlineError, match="had not ended"):
        cluster.exec(web, "sleep 60", namespace, timeout=0.5)


def test_logs_and_events_are_there(cluster: Cluster, namespace: str, web: str) -> None:
    assert cluster.logs(web, namespace) == "started\n"
    assert "Started" in [one.reason for one in cluster.events(f"pod/{web}", namespace)]


def test_a_restart_replaces_the_pods(
    cluster: Cluster, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.apply(WEB, namespace)
    cluster.rollout_status("deployment/web", namespace)
    before = {pod.name for pod in cluster.list("pods", namespace, selector="app=web")}
    cluster.rollout_restart("deployment/web", namespace)
    cluster.rollout_status("deployment/web", namespace)
    assert "deployment/web in cluster-room is rolled out" in capsys.readouterr().out
    running = {
        pod.name for pod in not_terminating(cluster.list("pods", namespace, selector="app=web"))
    }
    assert len(running) == 1
    assert not running & before


def test_a_configmap_comes_back_as_it_was(cluster: Cluster, namespace: str) -> None:
    cluster.apply(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings},"
        ' data: {text: "a\\n  b\\n"}, binaryData: {b: AAE=}}',
        namespace,
    )
    before = cluster.get("configmap/settings", namespace=namespace)
    cluster.backup("settings", namespace)
    cluster.edit_configmap("settings", "text", str.upper, namespace)
    cluster.restore("settings", namespace)
    after = cluster.get("configmap/settings", namespace=namespace)
    assert (after["data"], after["binaryData"]) == (before["data"], before["binaryData"])


def test_delete_takes_away_what_an_object_owned(cluster: Cluster, namespace: str) -> None:
    manifest = WEB.replace("name: web}", "name: gone}").replace("app: web", "app: gone")
    cluster.apply(manifest, namespace)
    cluster.wait("deployment/gone", condition="Available", namespace=namespace)
    cluster.delete_manifest(manifest, namespace=namespace)
    assert len(cluster.list("pods", namespace, selector="app=gone")) == 0
