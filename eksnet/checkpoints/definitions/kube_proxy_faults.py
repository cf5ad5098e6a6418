"""The checkpoints of 03c_service_faults: four faults, found and repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eksnet.checkpoints.criteria import Criterion, Definition, Observation, failed, passed
from eksnet.checkpoints.object_checks import Check, after, judge
from eksnet.checkpoints.shop import (
    CONFIGMAP,
    ENDPOINTS,
    ON_EVERY_NODE,
    RUNNING,
    SELECTOR,
    THREE,
    endpoints,
    running,
    selector,
    slices,
)
from eksnet.endpoints import usable_endpoints
from eksnet.errors import EksnetError
from eksnet.kubeproxy import faults
from eksnet.kubeproxy.settings import KNOWN_MODES, MODES, parse_mode

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "03c_service_faults"
_FRONT = f"service/{faults.FRONT}"
_EVERY_NODE = "externalTrafficPolicy Cluster, or an endpoint on each node"
_MODES = f"mode: {' or mode: '.join(MODES)}"


def _after(fault: str, expected: str, look: Check) -> Check:
    return after(faults.CHAPTER.key(fault), "kubeproxy.inject_fault", expected, look)


def every_node(cluster: Cluster) -> Observation:
    """Whether each node may send front's packets to somebody."""

    def look(front: Resource) -> Observation:
        used = usable_endpoints(slices(cluster, faults.FRONT))
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

    remedy = "inject the fault again: it applies front anew"
    return judge(cluster, _FRONT, faults.NAMESPACE, look, remedy)


def mode(cluster: Cluster) -> Observation:
    """Whether kube-proxy's ConfigMap has a mode that there is."""

    def look(configmap: Resource) -> Observation:
        repair = 'kubeproxy.set_mode(cluster, "iptables")'
        try:
            said = parse_mode((configmap.get("data") or {}).get("config", ""))
        except EksnetError as error:
            return failed(" ".join(error.seen.split()), _MODES, repair)
        if said not in KNOWN_MODES:
            return failed(f"the mode is {said}", _MODES, repair)
        return passed(f"the mode is {said}")

    return judge(cluster, CONFIGMAP, faults.SYSTEM, look)


CHECKPOINTS = (
    Definition(
        id="proxy-03",
        notebook=NOTEBOOK,
        title="Fault A",
        criteria=(
            Criterion(
                "proxy-03.selector",
                "The Service selects the pods again",
                1,
                _after("A", SELECTOR, selector),
            ),
            Criterion(
                "proxy-03.endpoints",
                "It has three endpoints",
                1,
                _after("A", THREE, endpoints),
                needs=("proxy-03.selector",),
                wait=ENDPOINTS,
            ),
        ),
        hints=(
            "An immediate refusal comes from a rule with REJECT; look at a node's rules for `web`.",
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
                "The Service has three endpoints with a port",
                2,
                _after("B", THREE, endpoints),
                wait=ENDPOINTS,
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
                "Each node has an endpoint for the packets to front",
                2,
                _after("C", _EVERY_NODE, every_node),
            ),
        ),
        hints=(
            "A timeout, not a refusal: look at the rules of both nodes. Which one drops a packet?",
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
                "The mode is one that kube-proxy knows",
                1,
                _after("D", _MODES, mode),
            ),
            Criterion(
                "proxy-06.pods",
                "kube-proxy runs on every node",
                1,
                _after("D", RUNNING, running),
                needs=("proxy-06.mode",),
                wait=ON_EVERY_NODE,
            ),
        ),
        hints=(
            "Look at the pods of kube-proxy: are all of them running?",
            "A pod that is not running logs the reason; compare it with the ConfigMap.",
            "`kubeproxy.set_mode(cluster, …)`, then "
            '`cluster.rollout_restart("daemonset/kube-proxy", "kube-system")`',
        ),
        solution='kubeproxy.switch_mode(cluster, "iptables")\n',
    ),
)
