"""The checkpoints of the Ingress labs, on clusters and accounts that a test makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import pytest
from fake_api import FakeApi, Request
from lab_api import Check

from eksnet.checkpoints import State

INGRESSES = "/apis/networking.k8s.io/v1/namespaces/app-ns/ingresses"
BINDINGS = "/apis/elbv2.k8s.aws/v1beta1/namespaces/app-ns/targetgroupbindings"
PODS, SERVICES = "/api/v1/namespaces/app-ns/pods", "/api/v1/namespaces/app-ns/services"
HOST, BALANCER, GROUP = "k8s-appns-web.elb", "arn:balancer", "arn:group"
HEALTHY = ("healthy", "healthy")
NODES = ("i-1", "i-2")
STATUSES = {"/": 200, "/index.html": 404, "/cgi-bin/who": 404, "/?page=2": 200}


class FakeElb:
    """An account with one load balancer and one target group; refuses what the API server does."""

    exceptions = SimpleNamespace(ClientError=botocore.exceptions.ClientError)

    def __init__(self, api: FakeApi, answers: dict[str, Any]) -> None:
        self.api, self.answers = api, answers

    def ask(self, operation: str) -> dict[str, Any]:
        refused = self.api.refuse(Request("GET", f"/elbv2/{operation}", {}, b""))
        if refused:
            error = {"Error": {"Code": str(refused[0]), "Message": "no"}}
            raise botocore.exceptions.ClientError(error, operation)
        found: dict[str, Any] = self.answers[operation]
        return found

    def __getattr__(self, operation: str) -> Any:
        return lambda **_: self.ask(operation)

    def get_paginator(self, operation: str) -> Any:
        def paginate(**_: str) -> Iterator[dict[str, Any]]:
            yield self.ask(operation)

        return SimpleNamespace(paginate=paginate)


def target(address: str, state: str) -> dict[str, Any]:
    """Return a target as AWS describes its health."""
    reason = {} if state == "healthy" else {"Reason": "Target.Timeout"}
    return {
        "Target": {"Id": address, "Port": 8080, "AvailabilityZone": "zone-a"},
        "TargetHealth": {"State": state, **reason},
    }


def put_ingress(
    api: FakeApi,
    *,
    ingress_class: str = "alb",
    host: str = HOST,
    states: tuple[str, ...] = HEALTHY,
    annotations: dict[str, str] | None = None,
    path_type: str = "Prefix",
    service_type: str = "ClusterIP",
    targets: tuple[str, ...] = ("10.0.0.0", "10.0.0.1"),
    second: str = "",
    patterns: tuple[str, ...] = ("/*",),
    finalizers: tuple[str, ...] = ("ingress.k8s.aws/resources",),
    scheme: str = "internet-facing",
) -> None:
    """Put the Ingress `web` there, and its load balancer.

    Args:
        api: The API server.
        ingress_class: Its class.
        host: The name in its status; empty for none.
        states: The states of its targets.
        annotations: Its annotations.
        path_type: The type of its path.
        service_type: The type of the Service `web`.
        targets: The ids of its targets.
        second: The name in the status of the Ingress `who`; there is none when empty.
        patterns: The path of each rule, in their order.
        finalizers: The finalizers of the Ingress.
        scheme: The scheme of its load balancer.
    """
    status = {"loadBalancer": {"ingress": [{"hostname": host}]}} if host else {}
    api.put(
        f"{INGRESSES}/web",
        {
            "metadata": {"annotations": annotations or {}, "finalizers": list(finalizers)},
            "spec": {
                "ingressClassName": ingress_class,
                "rules": [{"http": {"paths": [{"path": "/", "pathType": path_type}]}}],
            },
            "status": status,
        },
    )
    if second:
        api.put(
            f"{INGRESSES}/who", {"status": {"loadBalancer": {"ingress": [{"hostname": second}]}}}
        )
    api.put(f"{SERVICES}/web", {"spec": {"type": service_type}})
    for name, instance in zip(("one", "two"), NODES, strict=True):
        api.put(f"/api/v1/nodes/{name}", {"spec": {"providerID": f"aws:///zone/{instance}"}})
    service = {"name": "web", "port": 80}
    api.put(f"{BINDINGS}/k8s-web", {"spec": {"targetGroupARN": GROUP, "serviceRef": service}})
    for number, name in enumerate(("web-a", "web-b")):
        api.put(f"{PODS}/{name}", {"status": {"podIP": f"10.0.0.{number}"}})
    found = [target(*each) for each in zip(targets, states, strict=False)]
    rules = [
        {
            "Priority": str(number),
            "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": [pattern]}}],
            "Actions": [{"Type": "forward", "TargetGroupArn": GROUP}],
        }
        for number, pattern in enumerate(patterns, 1)
    ]
    balancer = {"LoadBalancerArn": BALANCER, "DNSName": HOST, "Scheme": scheme}
    api.elbv2 = FakeElb(  # type: ignore[attr-defined]
        api,
        {
            "describe_load_balancers": {"LoadBalancers": [balancer]},
            "describe_target_groups": {"TargetGroups": [{"TargetGroupArn": GROUP}]},
            "describe_target_health": {"TargetHealthDescriptions": found},
            "describe_listeners": {"Listeners": [{"Port": 80, "ListenerArn": "arn:listener"}]},
            "describe_rules": {"Rules": rules},
        },
    )


def put_faulty(
    api: FakeApi,
    injected: str = "ABCDE",
    *,
    listeners: tuple[int, ...] = (80, 443),
    plain: str = "redirect",
    gated: bool = True,
    stops: bool = True,
    backend: str = "web",
    port: Any = 80,
    schemes: tuple[str, ...] = ("internet-facing", "internet-facing"),
    states: tuple[str, ...] = HEALTHY,
) -> None:
    """Put the Ingress `web` there as 08b leaves it, or with something wrong.

    Args:
        api: The API server.
        injected: The faults that were injected, such as AB.
        listeners: The ports of the load balancer.
        plain: What the listener of port 80 does: `redirect` or `forward`.
        gated: Whether the pods have the readiness gate.
        stops: Whether they have a preStop hook.
        backend: The Service of the Ingress.
        port: The port of that, by number or name.
        schemes: The schemes of the two members of the group.
        states: The states of the targets.
    """
    put_ingress(api, states=states)
    record = {f"ingress-{fault}": json.dumps({}) for fault in injected}
    api.put("/api/v1/namespaces/kube-system/configmaps/eksnet-faults", {"data": record})
    api.put(f"{SERVICES}/web", {"spec": {"ports": [{"name": "http", "port": 80}]}})
    named = {"number": port} if isinstance(port, int) else {"name": port}
    path = {"backend": {"service": {"name": backend, "port": named}}}
    ingress = api.objects[f"{INGRESSES}/web"]
    spec = {"ingressClassName": "alb", "rules": [{"http": {"paths": [path]}}]}
    api.put(f"{INGRESSES}/web", {"spec": spec, "status": ingress["status"]})
    for name, scheme in zip(("orders", "orders-admin"), schemes, strict=True):
        annotations = {"alb.ingress.kubernetes.io/scheme": scheme}
        api.put(f"{INGRESSES}/{name}", {"metadata": {"annotations": annotations}})
    gates = [{"conditionType": "target-health.elbv2.k8s.aws/k8s-web"}] if gated else []
    for name in ("web-a", "web-b"):
        pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"readinessGates": gates}}
        api.put(f"{PODS}/{name}", {**pod, "status": api.objects[f"{PODS}/{name}"]["status"]})
    hook = {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "12"]}}}} if stops else {}
    template = {"spec": {"containers": [{"name": "web", **hook}]}}
    deployments = "/apis/apps/v1/namespaces/app-ns/deployments"
    api.put(f"{deployments}/web", {"spec": {"template": template}})
    to = {"StatusCode": "HTTP_301", "Protocol": "HTTPS", "Port": "443"}
    action = {"Type": "forward", "TargetGroupArn": GROUP}
    if plain == "redirect":
        action = {"Type": "redirect", "RedirectConfig": to}  # type: ignore[dict-item]
    rule = {"Priority": "default", "Conditions": [], "Actions": [action]}
    api.elbv2.answers |= {  # type: ignore[attr-defined]
        "describe_listeners": {
            "Listeners": [{"Port": one, "ListenerArn": f"arn:{one}"} for one in listeners]
        },
        "describe_rules": {"Rules": [rule]},
    }


@pytest.mark.parametrize("number", range(7, 12))
def test_a_fault_that_was_not_injected_is_not_fixed(
    number: int, api: FakeApi, checkpoint: Check
) -> None:
    put_faulty(api, "")
    found = checkpoint(f"ingress-{number:02}").check()
    assert found.state is State.NOT_STARTED
    assert "has not been injected" in found.outcomes[0].observation.observed


def test_targets_that_become_healthy_are_waited_for(
    api: FakeApi, checkpoint: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_ingress(api, states=("healthy", "initial"))
    calls = []

    def slept(seconds: float) -> None:
        calls.append(seconds)
        put_ingress(api)

    monkeypatch.setattr("time.sleep", slept)
    found = checkpoint("ingress-01").check()
    assert found.state is State.PASS, repr(found)
    assert len(calls) == 1
