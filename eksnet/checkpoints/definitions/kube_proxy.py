"""The checkpoints of 03_kube_proxy: a Service's rules, and four faults found and mended."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    State,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
)
from eksnet.checkpoints.reading import Check, after, find, judge, ready_endpoints
from eksnet.cluster.rollout import progress
from eksnet.errors import EksnetError
from eksnet.kubeproxy import faults
from eksnet.kubeproxy.ruleset import Lines
from eksnet.kubeproxy.settings import KNOWN_MODES, MODES, read_mode

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "03_kube_proxy"
_BACKENDS = 3
_WEB, _FRONT = f"service/{faults.SERVICE}", f"service/{faults.FRONT}"
_CONFIGMAP, _DAEMONSET = f"configmap/{faults.CONFIGMAP}", "daemonset/kube-proxy"
_APPLY = "run the cell that applies it"
_SELECTOR = "the selector app: web, the label of the pods"
_THREE = "three endpoints, Ready, on port 8080"
_EVERY_NODE = "externalTrafficPolicy Cluster, or an endpoint on each node"
_MODES = f"mode: {' or mode: '.join(MODES)}"
_RUNNING = "kube-proxy Ready on every node"
_RESTART = 'cluster.rollout_restart("daemonset/kube-proxy", "kube-system") once the mode is right'
_FOUND = f"""\
node = kubeproxy.read_node(cluster)
service = cluster.get("{_WEB}", namespace="{faults.NAMESPACE}")
found = kubeproxy.wait_for_rules(cluster, node).about(service)"""
_CHECK_FOUND = 'eksnet.checkpoint("proxy-02").check(prediction, found)'
_ENDPOINTS = Wait("the endpoints", deadline=30)


def _after(fault: str, expected: str, look: Check) -> Check:
    return after(faults.key(fault), "kubeproxy.bring_fault", expected, look)


def _once_applied(expected: str, look: Check) -> Check:
    """Return a check that begins once the Service web is there."""

    @functools.wraps(look)
    def check(cluster: Cluster) -> Observation:
        if find(cluster, _WEB, faults.NAMESPACE):
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
        return failed(f"its selector is {said or 'not set'}", _SELECTOR, "patch the selector")

    return judge(cluster, _WEB, faults.NAMESPACE, look, _APPLY)


def endpoints(cluster: Cluster) -> Observation:
    """Whether the Service web has three endpoints with a port."""
    return judge(cluster, _WEB, faults.NAMESPACE, lambda _: _three_endpoints(cluster), _APPLY)


def _three_endpoints(cluster: Cluster) -> Observation:
    slices = _slices(cluster, faults.SERVICE)
    usable = ready_endpoints(_with_ports(slices))
    bare = len(ready_endpoints(slices)) - len(usable)
    ports = {port.get("port") for one in slices for port in one.get("ports") or ()}
    if len(usable) < _BACKENDS and not bare:
        return not_yet(
            f"{len(usable)} endpoints are Ready",
            _THREE,
            "compare the Service's selector with the pods' labels, and look whether they are Ready",
        )
    compare_ports = "compare the Service's targetPort with the names of the pods' ports"
    if len(usable) < _BACKENDS:
        seen = f"{bare} addresses are Ready, and the Service finds no port there"
        return not_yet(seen, _THREE, compare_ports)
    if ports != {8080}:
        said = ", ".join(sorted(map(str, ports - {None}))) or "none"
        return not_yet(f"the endpoints' port is {said}", _THREE, compare_ports)
    return passed(f"{len(usable)} endpoints are Ready, on port 8080")


def every_node(cluster: Cluster) -> Observation:
    """Whether each node may send front's packets to somebody."""

    def look(front: Resource) -> Observation:
        used = ready_endpoints(_with_ports(_slices(cluster, faults.FRONT)))
        if not used:
            next_step = 'cluster.get("service/front", namespace="shop")'
            return failed("front has no endpoint that is Ready", _EVERY_NODE, next_step)
        if front["spec"].get("externalTrafficPolicy") != "Local":
            return passed("the policy is Cluster: each node sends to any endpoint")
        nodes = [node.name for node in cluster.list("nodes")]
        idle = set(nodes) - {one.get("nodeName") for one in used}
        if idle:
            return failed(
                f"the policy is Local, and on {len(idle)} of {len(nodes)} nodes front has no "
                "endpoint",
                _EVERY_NODE,
                "change the policy, or run a pod on each node",
            )
        return passed("the policy is Local, and each node has an endpoint")

    remedy = "bring the fault in again: it applies front anew"
    return judge(cluster, _FRONT, faults.NAMESPACE, look, remedy)


def mode(cluster: Cluster) -> Observation:
    """Whether kube-proxy's ConfigMap has a mode that there is."""

    def look(configmap: Resource) -> Observation:
        mend = 'kubeproxy.set_mode(cluster, "iptables")'
        try:
            said = read_mode((configmap.get("data") or {}).get("config", ""))
        except EksnetError as error:
            return failed(" ".join(error.seen.split()), _MODES, mend)
        if said not in KNOWN_MODES:
            return failed(f"the mode is {said}", _MODES, mend)
        return passed(f"the mode is {said}")

    return judge(cluster, _CONFIGMAP, faults.SYSTEM, look)


def running(cluster: Cluster) -> Observation:
    """Whether kube-proxy runs on every node, as its DaemonSet has it."""

    def look(daemonset: Resource) -> Observation:
        rollout = progress(dict(daemonset))
        wanted = (daemonset.get("status") or {}).get("desiredNumberScheduled", 0)
        if rollout.done and wanted:
            return passed(f"all {wanted} pods are Ready")
        return not_yet(rollout.waits_for or "no node runs kube-proxy", _RUNNING, _RESTART)

    return judge(cluster, _DAEMONSET, faults.SYSTEM, look)


def _slices(cluster: Cluster, name: str) -> Sequence[Resource]:
    label = f"kubernetes.io/service-name={name}"
    return cluster.list("endpointslices", faults.NAMESPACE, selector=label)


def _with_ports(slices: Sequence[Resource]) -> list[Resource]:
    """Return the slices that can be used: nobody is sent to an address without a port."""
    return [one for one in slices if one.get("ports")]


def _rules_of_web(cluster: Cluster, observed: Any) -> Any:
    """Return how many rules a node has for the Service, as `about` found them."""
    stands = _once_applied(_THREE, endpoints)(cluster)
    if stands.state is not State.PASS:
        return stands
    expected = "the rules of the Service web, as they are now"
    if not isinstance(observed, Lines):
        return not_started("no rules were handed in", expected, "")
    there = len(ready_endpoints(_slices(cluster, faults.SERVICE)))
    led_to = len(observed.endpoint_chains)
    if led_to != there:
        seen = f"the rules that were handed in lead to {led_to} endpoints, and web has {there}"
        return failed(seen, expected, "")
    return len(observed)


CHECKPOINTS = (
    Definition(
        id="proxy-01",
        notebook=NOTEBOOK,
        title="A Service with three endpoints",
        criteria=(
            Criterion(
                "proxy-01.service",
                "The Service web selects the pods",
                1,
                _once_applied("the Service web in shop, with the selector app: web", selector),
            ),
            Criterion(
                "proxy-01.endpoints",
                "Three pods stand behind it",
                1,
                _once_applied(_THREE, endpoints),
                needs=("proxy-01.service",),
                wait=_ENDPOINTS,
            ),
        ),
        hints=(
            "Look at the namespace `shop`: are the Service and its three pods there?",
            "Compare the selector of the Service with the labels of the pods.",
            '`cluster.list("endpointslices", "shop")` shows who stands behind the Service.',
        ),
        solution="# Run the cells of the section Apply in their order.\n",
    ),
    Definition(
        id="proxy-02",
        notebook=NOTEBOOK,
        title="How many rules a Service takes",
        criteria=(
            Prediction(
                "proxy-02.rules",
                "The number of rules that you predicted",
                1,
                "how many rules does a node have for the Service web with its three endpoints?",
                "prediction = 0",
                _rules_of_web,
                takes="found",
                gather=_FOUND,
                units=("rule", "rules", "line", "lines"),
            ),
        ),
        hints=(
            "Look at the table of the example: who leads to the Service's chain, who is in it?",
            "Compare the rules with the endpoints: one finds the Service, one for each endpoint "
            "chooses it; what is in an endpoint's own chain?",
            "`len(found)` is the number that is compared. Put it into `prediction`, and check "
            f"again:\n\n{_FOUND}\n{_CHECK_FOUND}",
        ),
        solution=f"""\
# 1 to find it, 3 to choose an endpoint, 3 times 2 to mark and to translate
prediction = 1 + 3 + 3 * 2
{_FOUND}
{_CHECK_FOUND}
""",
    ),
    Definition(
        id="proxy-03",
        notebook=NOTEBOOK,
        title="Fault A",
        criteria=(
            Criterion(
                "proxy-03.selector",
                "The Service selects the pods again",
                1,
                _after("A", _SELECTOR, selector),
            ),
            Criterion(
                "proxy-03.endpoints",
                "Three pods stand behind it",
                1,
                _after("A", _THREE, endpoints),
                needs=("proxy-03.selector",),
                wait=_ENDPOINTS,
            ),
        ),
        hints=(
            "A refusal at once is a rule that says REJECT; look at a node's rules of `web`.",
            "A Service without endpoints: compare its selector with the labels of the pods.",
            '`cluster.patch("service", "web", {"spec": {"selector": …}}, "shop")`',
        ),
        solution="""\
cluster.patch("service", "web", {"spec": {"selector": {"app": "web"}}}, "shop")
""",
    ),
    Definition(
        id="proxy-04",
        notebook=NOTEBOOK,
        title="Fault B",
        criteria=(
            Criterion(
                "proxy-04.endpoints",
                "Three pods stand behind the Service, on a port",
                2,
                _after("B", _THREE, endpoints),
                wait=_ENDPOINTS,
            ),
        ),
        hints=(
            "Look at the EndpointSlice of `web`: the selector finds the pods. What else does an "
            "endpoint need?",
            "Compare the Service's `targetPort` with the names of the ports in a pod's `spec`.",
            '`cluster.patch("service", "web", {"spec": {"ports": […]}}, "shop")`, with the whole '
            "port: a merge patch replaces lists.",
        ),
        solution="""\
port = {"name": "http", "port": 80, "targetPort": "http"}
cluster.patch("service", "web", {"spec": {"ports": [port]}}, "shop")
""",
    ),
    Definition(
        id="proxy-05",
        notebook=NOTEBOOK,
        title="Fault C",
        criteria=(
            Criterion(
                "proxy-05.nodes",
                "Each node sends the packets of front to somebody",
                2,
                _after("C", _EVERY_NODE, every_node),
            ),
        ),
        hints=(
            "Silence, not a refusal: look at the rules of both nodes. Which one drops a packet?",
            "Compare the nodes of the endpoints with all nodes, and look at the traffic policy.",
            '`cluster.patch("service", "front", {"spec": {"externalTrafficPolicy": …}}, "shop")`',
        ),
        solution="""\
cluster.patch("service", "front", {"spec": {"externalTrafficPolicy": "Cluster"}}, "shop")
""",
    ),
    Definition(
        id="proxy-06",
        notebook=NOTEBOOK,
        title="Fault D",
        criteria=(
            Criterion(
                "proxy-06.mode",
                "The mode is one that there is",
                1,
                _after("D", _MODES, mode),
            ),
            Criterion(
                "proxy-06.pods",
                "kube-proxy runs on every node",
                1,
                _after("D", _RUNNING, running),
                needs=("proxy-06.mode",),
                wait=Wait("kube-proxy on every node", deadline=120),
            ),
        ),
        hints=(
            "Look at the pods of kube-proxy: do all of them run?",
            "The log of one that does not says what it refuses; compare with its ConfigMap.",
            "`kubeproxy.set_mode(cluster, …)`, then "
            '`cluster.rollout_restart("daemonset/kube-proxy", "kube-system")`',
        ),
        solution='kubeproxy.switch_mode(cluster, "iptables")\n',
    ),
)
