"""A cluster for the doctor: an API server that a test fills, and the sandbox's own AWS side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cluster"))
from fake_api import FakeApi, kubeconfig

import eksnet
from eksnet.aws import Account
from eksnet.cluster import Cluster, guard
from tests.sandbox.aws.conftest import Side

READY = {"conditions": [{"type": "Ready", "status": "True"}],
         "nodeInfo": {"kubeletVersion": "v1.35.4-eks-1"}}  # fmt: skip
ZONE = "topology.kubernetes.io/zone"
SYSTEM = "/apis/apps/v1/namespaces/kube-system"


def workload(image: str, **container: Any) -> dict[str, Any]:
    """Return a workload of one container that is rolled out."""
    spec = {"containers": [{"name": "main", "image": image, **container}]}
    done = {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}
    return {"spec": {"replicas": 1, "template": {"spec": spec}}, "status": done}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """The API server of a cluster that is as it should be."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("EKSNET_TARGET", "context:lab")
    monkeypatch.delenv("EKSNET_CHANGES", raising=False)
    monkeypatch.setattr(guard, "_named", set())
    server = FakeApi()
    for name, zone in (("one", "a"), ("two", "c")):
        labels = {"metadata": {"labels": {ZONE: zone}}, "spec": {}, "status": READY}
        server.put(f"/api/v1/nodes/{name}", labels)
    server.put(f"{SYSTEM}/daemonsets/kube-proxy", workload("kube-proxy:v1.35.3-eksbuild.2"))
    (tmp_path / "kubeconfig").write_text(kubeconfig(server.url))
    yield server
    server.close()


@pytest.fixture
def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    """The AWS account: EKS, EC2, IAM and load balancing as the sandbox has them."""
    (tmp_path / "aws").mkdir()
    started = Side(tmp_path / "aws", monkeypatch).start()
    yield started
    started.stop()


@pytest.fixture
def lab(api: FakeApi) -> Cluster:
    """The cluster, of which no AWS account is known."""
    return eksnet.connect("context:lab")


@pytest.fixture
def eks(lab: Cluster, side: Side) -> Cluster:
    """The cluster, in its account."""
    keys = side.keys
    account = Account(side.url, "ap-northeast-2", keys.access_key, keys.secret, "workbook")
    lab.account = lambda: account
    return lab
