"""What checks read of the Service `web` in `shop`, the example of the chapter on kube-proxy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Observation,
    State,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
    then,
)
from eksnet.checkpoints.object_checks import Check, judge
from eksnet.cluster.rollout import progress
from eksnet.endpoints import ready_endpoints, usable_endpoints
from eksnet.kubeproxy import faults
from eksnet.kubeproxy.ruleset import Lines

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

WEB = f"service/{faults.SERVICE}"
CONFIGMAP, DAEMONSET = f"configmap/{faults.CONFIGMAP}", faults.DAEMONSET
SELECTOR = "the selector app: web, the label of the pods"
THREE = "three endpoints, Ready, on port 8080"
RUNNING = "kube-proxy Ready on every node"
RESTART = f'cluster.rollout_restart("{DAEMONSET}", "{faults.SYSTEM}")'
ENDPOINTS = Wait("the endpoints", deadline=30)
ON_EVERY_NODE = Wait("kube-proxy on every node", deadline=120)
FOUND = f"""\
node = kubeproxy.read_node(cluster)
service = cluster.get("{WEB}", namespace="{faults.NAMESPACE}")
found = kubeproxy.wait_for_rules(cluster, node).about(service)"""
_BACKENDS = 3
_APPLY = "run the cell that applies it"


def once_applied(expected: str, look: Check) -> Check:
    """Return a check that begins once the Service web is there."""

    @functools.wraps(look)
    def check(cluster: Cluster) -> Observation:
        if cluster.find(WEB, namespace=faults.NAMESPACE):
            return look(cluster)
        return not_started("there is no Service web in shop", expected, _APPLY)

    return check


def selector(cluster: Cluster) -> Observation:
    """Whether the Service web selects the pods."""

    def look(web: Resource) -> Observation:
        labels = web["spec"].get("selector") or {}
        if labels == {"app": "web"}:
            return passed("its selector is app: web")
        said = ", ".join(f"{key}: {value}" for key, value in sorted(labels.items()))
        return failed(f"its selector is {said or 'not set'}", SELECTOR, "patch the selector")

    return judge(cluster, WEB, faults.NAMESPACE, look, _APPLY)


def endpoints(cluster: Cluster) -> Observation:
    """Whether the Service web has three endpoints with a port."""
    return judge(cluster, WEB, faults.NAMESPACE, lambda _: _three_endpoints(cluster), _APPLY)


def _three_endpoints(cluster: Cluster) -> Observation:
    found = slices(cluster, faults.SERVICE)
    usable = usable_endpoints(found)
    bare = len(ready_endpoints(found)) - len(usable)
    ports = {port.get("port") for one in found for port in one.get("ports") or ()}
    if len(usable) < _BACKENDS and not bare:
        return not_yet(
            f"{len(usable)} endpoints are Ready",
            THREE,
            "compare the Service's selector with the pods' labels, and check that the pods are "
            "Ready",
        )
    compare_ports = "compare the Service's targetPort with the names of the pods' ports"
    if len(usable) < _BACKENDS:
        seen = f"{bare} addresses are Ready, but the Service finds no port there"
        return not_yet(seen, THREE, compare_ports)
    if ports != {8080}:
        said = ", ".join(sorted(map(str, ports - {None}))) or "none"
        return not_yet(f"the endpoints' port is {said}", THREE, compare_ports)
    return passed(f"{len(usable)} endpoints are Ready, on port 8080")


def slices(cluster: Cluster, name: str) -> Sequence[Resource]:
    """Return the EndpointSlices of a Service in shop."""
    label = f"kubernetes.io/service-name={name}"
    return cluster.list("endpointslices", faults.NAMESPACE, selector=label)


def running(cluster: Cluster) -> Observation:
    """Whether kube-proxy runs on every node, as its DaemonSet has it."""

    def look(daemonset: Resource) -> Observation:
        rollout = progress(dict(daemonset))
        wanted = (daemonset.get("status") or {}).get("desiredNumberScheduled", 0)
        if rollout.done and wanted:
            return passed(f"all {wanted} pods are Ready")
        waits_for = rollout.waits_for or "kube-proxy runs on no node"
        return not_yet(waits_for, RUNNING, f"{RESTART} once the mode is right")

    return judge(cluster, DAEMONSET, faults.SYSTEM, look)


def lines_of_web(mode: str) -> Callable[[Cluster, Any], Any]:
    """Return what observes how many lines a node has for the Service, as `about` found them.

    Args:
        mode: The mode that the question is about.
    """

    def observe(cluster: Cluster, observed: Any) -> Any:
        stands = once_applied(THREE, endpoints)(cluster)
        if stands.state is not State.PASS:
            return stands
        expected = f"the rules of the Service web, as they are now, in mode {mode}"
        if not isinstance(observed, Lines):
            return not_started("no rules were passed to the check", expected, "")
        there = len(ready_endpoints(slices(cluster, faults.SERVICE)))
        led_to = len(observed.endpoint_chains)
        if led_to != there:
            seen = f"the rules passed to the check lead to {led_to} endpoints, but web has {there}"
            return failed(seen, expected, "")
        if observed.mode != mode:
            change = then("change the mode", f'kubeproxy.switch_mode(cluster, "{mode}")')
            seen = f"the rules passed to the check are of mode {observed.mode}"
            return not_started(seen, expected, change)
        return len(observed)

    return observe
