from __future__ import annotations

from pathlib import Path

import pytest
from fake_api import FakeApi, failure, kubeconfig, sandbox_access

import eksnet
from eksnet.cluster import ApiError, Target, targets, waits
from eksnet.cluster import kubeconfig as kubeconfig_reader
from eksnet.errors import EksnetError


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("sandbox", Target("sandbox", "sandbox")),
        ("context:kind-lab", Target("context", "kind-lab")),
        ("context:arn:aws:eks:x:1:cluster/y", Target("context", "arn:aws:eks:x:1:cluster/y")),
        ("eks:prod", Target("eks", "prod")),
        ("eks:prod@us-east-1", Target("eks", "prod", "us-east-1")),
    ],
)
def test_targets_are_read_and_written(text: str, target: Target) -> None:
    assert targets.parse(text) == target
    assert str(target) == text


@pytest.mark.parametrize("text", ["", "prod", "context:", "eks:", "eks:@us-east-1", "sandbox:x"])
def test_what_is_no_target_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(EksnetError) as caught:
        targets.parse(text)
    assert "context:NAME" in caught.value.expected


def test_the_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert targets.chosen(None).kind == "sandbox"
    monkeypatch.setenv("EKSNET_TARGET", "context:a")
    assert targets.chosen(None).name == "a"
    assert targets.chosen("context:b").name == "b"


def test_a_cluster_says_what_it_is(config: Path) -> None:
    cluster = eksnet.connect("context:lab")
    assert repr(cluster) == "<Cluster lab: Kubernetes v1.35.4, 2 nodes>"
    assert cluster.namespace == "default"


def test_the_sandbox_is_started_and_free_to_change(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eksnet.sandbox import lifecycle
    from eksnet.sandbox.aws import access

    # Nothing of the learner's own set-up counts.
    for name in ("HTTP_PROXY", "http_proxy", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "another"))
    monkeypatch.setenv("AWS_PROFILE", "company")
    own = sandbox_access(api.url, tmp_path)

    def own_access(name: str) -> access.Access:
        assert name == "own"
        return own

    monkeypatch.setattr(lifecycle, "ensure_up", lambda: lifecycle.Sandbox("own", tmp_path / "none"))
    monkeypatch.setattr(access, "access", own_access)
    cluster = eksnet.connect()
    assert cluster.eks_name == "workbook"
    assert repr(cluster) == "<Cluster sandbox: Kubernetes v1.35.4, 2 nodes>"
    assert cluster.identity.ca == kubeconfig_reader.digest(own.authority_data)
    cluster.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: new}}")
    # Signed in with a token that this process made.
    assert api.writes[0].headers["authorization"].startswith("Bearer k8s-aws-v1.")
    assert [str(write) for write in api.writes] == [
        "PATCH /api/v1/namespaces/default/configmaps/new"
    ]


def test_a_context_that_is_not_there_is_refused_with_those_that_are(config: Path) -> None:
    with pytest.raises(EksnetError, match="no context 'other'") as caught:
        eksnet.connect("context:other")
    assert caught.value.expected == "one of these contexts: lab"


def test_without_a_kubeconfig_there_is_no_context() -> None:
    with pytest.raises(EksnetError) as caught:
        eksnet.connect("context:lab")
    assert caught.value.expected == "one of these contexts: none"


@pytest.mark.parametrize("text", ["contexts: [", "contexts: [{name: lab, context: {cluster: x}}]"])
def test_a_broken_kubeconfig_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(EksnetError) as caught:
        eksnet.connect("context:lab")
    assert "kubeconfig" in caught.value.expected


def test_the_first_of_several_files_wins(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").write_text(kubeconfig(api.url))
    (tmp_path / "two").write_text(kubeconfig("http://127.0.0.1:1"))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    assert eksnet.connect("context:lab").identity.server == api.url


def test_the_users_token_travels(api: FakeApi, config: Path) -> None:
    eksnet.connect("context:lab")
    assert {request.headers["authorization"] for request in api.requests} == {"Bearer t1"}


def test_an_api_server_that_is_down_is_told(
    api: FakeApi, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "PATIENCE", 0.0)
    cluster = eksnet.connect("context:lab")
    api.close()
    with pytest.raises(ApiError, match=r"did not answer: Connection refused") as caught:
        cluster.get("pod/web")
    assert caught.value.status == 0
    assert "cluster-info" in caught.value.next_step


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (401, "Unauthorized", "credentials"),
        (403, "Forbidden", "the right"),
        (429, "TooManyRequests", "fewer requests"),
        (500, "InternalError", ""),
    ],
)
def test_what_the_api_server_refuses_is_told(
    status: int, reason: str, expected: str, api: FakeApi, config: Path
) -> None:
    cluster = eksnet.connect("context:lab")
    api.refuse = lambda request: (status, failure(status, reason, "because"))
    with pytest.raises(ApiError, match="context:lab says: because") as caught:
        cluster.get("pod/web")
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert expected in caught.value.expected
    assert caught.value.next_step


def test_what_is_no_kubernetes_is_told(api: FakeApi, config: Path) -> None:
    api.refuse = lambda request: (200, "<html>a proxy</html>")  # type: ignore[return-value]
    with pytest.raises(EksnetError, match="sent an answer that is not JSON: '<html>a proxy"):
        eksnet.connect("context:lab")


def test_no_proxy_stands_before_this_computer(
    api: FakeApi, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("EKSNET_CHANGES", "lab")
    cluster = eksnet.connect("context:lab")
    assert cluster.version == "v1.35.4"
    # A command in a pod takes a WebSocket, which finds its way otherwise.
    no = 403, failure(403, "Forbidden", "no")
    api.refuse = lambda request: no if "/exec" in request.path else None
    with pytest.raises(ApiError, match="context:lab says: no"):
        cluster.exec("client", "true", "shop")
