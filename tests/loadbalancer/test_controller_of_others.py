"""A controller that somebody else has installed is used, and never changed or removed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eksnet.errors import EksnetError
from eksnet.loadbalancer import controller

OURS = ["--cluster-name=x", "--default-tags=eksnet=course"]


class PretendCluster:
    """A cluster with a Deployment of the controller; each change of it fails the test."""

    def __init__(self, kind: str, *deployments: list[str], ready: int = 2) -> None:
        self.target = SimpleNamespace(kind=kind)
        self.deployments = [
            {
                "spec": {
                    "replicas": 2,
                    "template": {"spec": {"containers": [{"name": "main", "args": args}]}},
                },
                "metadata": {"generation": 1},
                "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2,
                           "availableReplicas": ready},
            }
            for args in deployments
        ]  # fmt: skip

    def list(self, kind: str, *_: Any, **__: Any) -> Any:
        slices = [{"endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": True}}],
                   "ports": [{"port": 9443}]}]  # fmt: skip
        return {"deployments": self.deployments, "endpointslices": slices}[kind]

    def find(self, *_: Any) -> Any:
        return next(iter(self.deployments), None)


@pytest.mark.parametrize(
    ("kind", "deployments", "foreign"),
    [
        ("eks", [], False),
        ("eks", [OURS], False),
        ("eks", [["--default-tags=team=x,eksnet=course"]], False),
        ("eks", [["--default-tags=team=x"]], True),
        ("eks", [["--cluster-name=x"]], True),
        ("eks", [OURS, []], True),
        ("context", [["--default-tags=eksnet=courses"]], True),
        ("sandbox", [[]], False),
    ],
)
def test_whose_a_controller_is_its_default_tags_say(
    kind: str, deployments: list[list[str]], foreign: bool
) -> None:
    cluster: Any = PretendCluster(kind, *deployments)
    assert controller.is_foreign(cluster) is foreign


def test_one_of_somebody_else_is_used_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    cluster: Any = PretendCluster("eks", [])
    assert controller.what_is_wrong(cluster) == ""
    controller.install_controller(cluster)
    assert "it is not ours" in capsys.readouterr().out


def test_one_of_somebody_else_that_is_not_ready_is_waited_for_and_not_replaced() -> None:
    cluster: Any = PretendCluster("eks", [], ready=0)
    with pytest.raises(EksnetError, match="is not ready"):
        controller.install_controller(cluster, timeout=0.1)


def test_one_of_somebody_else_is_not_removed() -> None:
    cluster: Any = PretendCluster("eks", [])
    with pytest.raises(EksnetError, match="was not installed by the course"):
        controller.uninstall_controller(cluster)
