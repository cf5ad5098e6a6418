"""Rollouts behind an Application Load Balancer: what clients get without and with both remedies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import controlled
import pytest
from controlled import NAMESPACE, ingress, text

from eksnet import loadbalancer
from eksnet.cluster import Cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.soak]
ROLLOUTS = 20
SETTINGS = {
    "scheme": "internet-facing",
    "target-type": "ip",
    "healthcheck-interval-seconds": "5",
    "healthcheck-timeout-seconds": "2",
    "target-group-attributes": "deregistration_delay.timeout_seconds=5",
}
# As most web servers do, it exits as soon as it is told to.
SERVE = """
trap 'exit 0' TERM
echo welcome > /tmp/index.html
httpd -f -p 0.0.0.0:8080 -h /tmp & wait
"""
GATE = {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}
# At least the deregistration delay, and some seconds until the controller has heard of it.
STOP = {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "12"]}}}}


def deployment(**more: Any) -> dict[str, Any]:
    container = {
        "name": "web",
        "image": "busybox:1.36",
        "command": ["sh", "-c", SERVE],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        **more,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "rolled", "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": {"app": "rolled"}},
            "template": {
                "metadata": {"labels": {"app": "rolled"}},
                "spec": {"containers": [container]},
            },
        },
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "rolled", "namespace": NAMESPACE},
    "spec": {"selector": {"app": "rolled"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


@pytest.fixture(scope="module")
def rolled(cluster: Cluster) -> Iterator[Cluster]:
    with controlled.controller_on(cluster) as found:
        found.apply(text(SERVICE, deployment(), ingress("rolled", SETTINGS, service="rolled")))
        controlled.wait_for_address(found, "ingress", "rolled")
        yield found


def answers(cluster: Cluster) -> Counter[str]:
    """Return what clients were answered in all rollouts together."""
    name = loadbalancer.hostname(cluster.get("ingress/rolled", namespace=NAMESPACE))
    loadbalancer.wait_until_answers(cluster, f"http://{name}/")

    def roll_out() -> None:
        cluster.rollout_restart("deployment/rolled", NAMESPACE)
        cluster.rollout_status("deployment/rolled", NAMESPACE, timeout=180)
        loadbalancer.wait_for_targets(cluster, "rolled", NAMESPACE, count=2)

    found: Counter[str] = Counter()
    for number in range(ROLLOUTS):
        seen = loadbalancer.answers_during(cluster, f"http://{name}/", roll_out, NAMESPACE)
        print(f"rollout {number + 1}: {json.dumps(seen)}")
        found += seen
    print(f"{ROLLOUTS} rollouts: {json.dumps(found)}")
    return found


def test_without_both_some_requests_fail(rolled: Cluster) -> None:
    found = answers(rolled)
    # A pod that is gone: 502, or 504 after ten seconds; no target that is healthy yet: 503.
    assert set(found) - {"200"} <= {"502", "503", "504"}
    assert set(found) - {"200"}


def test_with_gate_and_prestop_none_fails(rolled: Cluster) -> None:
    rolled.patch("namespace", NAMESPACE, {"metadata": {"labels": GATE}})
    rolled.apply(text(deployment(**STOP)))
    rolled.rollout_status("deployment/rolled", NAMESPACE, timeout=180)
    assert set(answers(rolled)) == {"200"}
