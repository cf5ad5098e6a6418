"""The first cause, found on a live cluster: the faults of 08b, and what else can be broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from eksnet import cli, loadbalancer
from eksnet.cluster import Cluster, connect_read_only
from eksnet.cluster.countdown import until
from eksnet.diagnosis import Check
from eksnet.loadbalancer import controller as installed
from eksnet.loadbalancer import faults, install_controller, observe, uninstall_controller

pytestmark = pytest.mark.sandbox
SPACE = faults.NAMESPACE
KEY = "alb.ingress.kubernetes.io"
SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {space}}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: 8080}}]
"""
APP = f"""
{{apiVersion: v1, kind: Namespace, metadata: {{name: {SPACE}}}}}
---
{{apiVersion: v1, kind: Namespace, metadata: {{name: {faults.TEAM}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {SPACE}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {{name: web, image: "agnhost:2.53", args: [netexec, --http-port=8080]}}
{SERVICE.format(name="web", space=SPACE)}
{SERVICE.format(name=faults.ELSEWHERE, space=faults.TEAM)}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: {SPACE}
  annotations:
    {KEY}/scheme: internet-facing
    {KEY}/target-type: ip
    {KEY}/healthcheck-interval-seconds: "5"
    {KEY}/healthcheck-timeout-seconds: "2"
spec:
  ingressClassName: alb
  rules:
    - http:
        paths:
          - path: /
            pathType: Prefix
            backend: {{service: {{name: web, port: {{number: 80}}}}}}
"""


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster in which the Ingress `web` works."""
    install_controller(cluster)
    cluster.apply(APP)
    cluster.rollout_status("deployment/web", SPACE)
    cluster.wait("ingress/web", condition=observe.provisioned, namespace=SPACE)
    loadbalancer.wait_for_targets(cluster, "web", SPACE, count=2)
    yield cluster
    faults.revert_faults(cluster)
    for one in cluster.list("ingresses", SPACE):
        cluster.delete("ingress", one.name, SPACE, timeout=180)
    for space in (SPACE, faults.TEAM):
        cluster.delete("namespace", space, timeout=180)
    loadbalancer.delete_own_security_group(cluster)
    uninstall_controller(cluster)


def first(about: str = "ingress/web") -> Check | None:
    """Ask through the connection that can only read."""
    return loadbalancer.diagnose(connect_read_only(), about, SPACE).first


def comes(check: str, seen: str, about: str = "ingress/web") -> Check:
    """Wait until that is the first cause, and return it."""
    last: list[Check | None] = [None]

    def found() -> bool:
        last[:] = [first(about)]
        return bool(last[0]) and (last[0].check, seen in last[0].seen) == (check, True)

    assert until(f"the cause {seen}", found, 60), last
    assert last[0]
    return last[0]


def works() -> None:
    assert until("the Ingress to work again", lambda: first() is None, 120), first()


def told(about: str = "ingress/web") -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["explain", about, "-n", SPACE])
    return done.exit_code, done.stdout


def test_nothing_is_found_in_what_works(web: Cluster) -> None:
    works()
    code, said = told()
    assert code == 0, said
    assert "No check fails" in said
    (binding,) = [one for one in web.list(observe.BINDINGS, SPACE) if one.name.startswith("k8s-")]
    assert first(f"targetgroupbinding/{binding.name}") is None
    assert told(f"targetgroupbinding/{binding.name}")[0] == 0


@pytest.mark.parametrize(
    ("fault", "about", "check", "seen", "step"),
    [
        ("A", "web", "last word", "unable to find port htpp", ""),
        ("B", "web", "targets", "Target.Timeout", "manage-backend-security-group-rules"),
        ("C", "web", "Services", "the Service reports is not in app-ns, but in team-ns", ""),
        ("D", "orders", "last word", "conflicting scheme", "Name the scheme on one member"),
        ("E", "web", "last word", "CertificateNotFound", ""),
    ],
)
def test_a_fault_of_the_lab(
    fault: str, about: str, check: str, seen: str, step: str, web: Cluster
) -> None:
    loadbalancer.inject_fault(web, fault)
    try:
        assert step in comes(check, seen, f"ingress/{about}").next_step
        code, said = told(f"ingress/{about}")
        assert code == 1
        assert seen in said
    finally:
        loadbalancer.revert_faults(web)
        for name in faults.MEMBERS:
            web.delete("ingress", name, SPACE, timeout=120)
    works()


def _annotated(web: Cluster, **values: str | None) -> None:
    named = {f"{KEY}/{key.replace('_', '-')}": value for key, value in values.items()}
    web.patch("ingress", "web", {"metadata": {"annotations": named}}, SPACE)


def _no_rule(web: Cluster) -> None:
    elb = web.aws("elbv2")
    arn = loadbalancer.load_balancer(web, "web", SPACE)["LoadBalancerArn"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    for one in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
        if not one["IsDefault"]:
            elb.delete_rule(RuleArn=one["RuleArn"])


def _scaled(web: Cluster, what: str, space: str, replicas: int) -> None:
    web.patch("deployment", what, {"spec": {"replicas": replicas}}, space)


BROKEN: dict[str, tuple[Callable[[Cluster], Any], str, str, Callable[[Cluster], Any]]] = {
    "a misspelt key": (
        lambda web: _annotated(web, targte_type="ip"),
        "annotations", "reads no annotation",
        lambda web: _annotated(web, targte_type=None),
    ),
    "a rule that somebody deleted": (
        _no_rule,
        "rules", "none leads to web:80",
        lambda web: _annotated(web, tags="touched=yes"),
    ),
    "a class that is not there": (
        lambda web: web.patch("ingress", "web", {"spec": {"ingressClassName": None}}, SPACE),
        "class", "it has none",
        lambda web: web.patch("ingress", "web", {"spec": {"ingressClassName": "alb"}}, SPACE),
    ),
    "no pod": (
        lambda web: _scaled(web, "web", SPACE, 0),
        "Services", "web has no ready endpoint",
        lambda web: _scaled(web, "web", SPACE, 2),
    ),
    "no controller": (
        lambda web: _scaled(web, installed.DEPLOYMENT, installed.NAMESPACE, 0),
        "controller", "0 of 0 pods are ready",
        lambda web: _scaled(web, installed.DEPLOYMENT, installed.NAMESPACE, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_else_can_be_broken(name: str, web: Cluster) -> None:
    harm, check, seen, repair = BROKEN[name]
    harm(web)
    try:
        comes(check, seen)
        assert told()[0] == 1
    finally:
        repair(web)
    works()


def test_a_service_without_a_load_balancer_of_its_own(web: Cluster) -> None:
    assert comes("class", "its type is NodePort", "service/web").next_step
