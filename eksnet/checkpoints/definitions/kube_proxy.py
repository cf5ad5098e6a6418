"""The checkpoints of 03_kube_proxy: a Service's rules, and four faults found and mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
)
from eksnet.checkpoints.reading import find
from eksnet.cluster.faults import was_brought
from eksnet.kubeproxy import faults
from eksnet.kubeproxy.settings import MODES

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "03_kube_proxy"
_BACKENDS = 3
_WEB = f"service/{faults.SERVICE}"
_ENDPOINTS = Wait("the endpoints", deadline=30)


def service(cluster: Cluster) -> Observation:
    """Whether the Service web selects the pods."""
    expected = "the Service web in shop, with the selector app: web"
    web = find(cluster, _WEB, faults.NAMESPACE)
    if web is None:
        return not_started(
            "there is no Service web in shop", expected, "run the cell that applies it"
        )
    return _selects(web, expected)


def endpoints(cluster: Cluster) -> Observation:
    """Whether the Service web has three endpoints with a port."""
    expected = "three endpoints, Ready, on port 8080"
    if find(cluster, _WEB, faults.NAMESPACE) is None:
        return not_started(
            "there is no Service web in shop", expected, "run the cell that applies it"
        )
    return _has_endpoints(cluster, expected)


def selector(cluster: Cluster) -> Observation:
    """Whether the selector is right again, after fault A."""
    expected = "the selector app: web, the label of the pods"
    web = _broken(cluster, "A")
    return _selects(web, expected) if web else _untouched("A", expected)


def selected(cluster: Cluster) -> Observation:
    """Whether the endpoints are back after fault A."""
    expected = "three endpoints, Ready, on port 8080"
    return _has_endpoints(cluster, expected) if _broken(cluster, "A") else _untouched("A", expected)


def port_name(cluster: Cluster) -> Observation:
    """Whether the endpoints are back after fault B: they need a port that the pods name."""
    expected = "three endpoints, Ready, on port 8080"
    return _has_endpoints(cluster, expected) if _broken(cluster, "B") else _untouched("B", expected)


def every_node(cluster: Cluster) -> Observation:
    """Whether each node may send front's packets to somebody, after fault C."""
    expected = "externalTrafficPolicy Cluster, or an endpoint on each node"
    front = find(cluster, f"service/{faults.FRONT}", faults.NAMESPACE)
    if front is None or not was_brought(cluster, faults.key("C")):
        return _untouched("C", expected)
    if not _slices(cluster, faults.FRONT):
        return failed(
            "front has no endpoints", expected, 'cluster.get("service/front", namespace="shop")'
        )
    if front["spec"].get("externalTrafficPolicy") != "Local":
        return passed("the policy is Cluster: each node sends to any endpoint")
    used = {one.get("nodeName") for one in _ready(_slices(cluster, faults.FRONT))}
    nodes = [node.name for node in cluster.list("nodes")]
    idle = [node for node in nodes if node not in used]
    if idle:
        return failed(
            f"the policy is Local, and on {len(idle)} of {len(nodes)} nodes front has no endpoint",
            expected,
            "change the policy, or run a pod on each node",
        )
    return passed("the policy is Local, and each node has an endpoint")


def mode(cluster: Cluster) -> Observation:
    """Whether kube-proxy's ConfigMap has a mode that there is, after fault D."""
    expected = f"mode: {' or mode: '.join(MODES)}"
    configmap = find(cluster, f"configmap/{faults.CONFIGMAP}", faults.SYSTEM)
    if configmap is None or not was_brought(cluster, faults.key("D")):
        return _untouched("D", expected)
    lines = (configmap.get("data") or {}).get("config", "").splitlines()
    said = next((line.split(":")[1].strip() for line in lines if line.startswith("mode:")), "")
    if said not in MODES:
        return failed(
            f"the mode is {said or 'not set'}", expected, 'kubeproxy.set_mode(cluster, "iptables")'
        )
    return passed(f"the mode is {said}")


def running(cluster: Cluster) -> Observation:
    """Whether kube-proxy runs on every node, after fault D."""
    expected = "kube-proxy Ready on every node, started after the last change"
    configmap = find(cluster, f"configmap/{faults.CONFIGMAP}", faults.SYSTEM)
    if configmap is None or not was_brought(cluster, faults.key("D")):
        return _untouched("D", expected)
    daemonset = find(cluster, "daemonset/kube-proxy", faults.SYSTEM)
    status: Mapping[str, Any] = daemonset["status"] if daemonset else {}
    wanted = status.get("desiredNumberScheduled", 0)
    ready, newest = status.get("numberReady", 0), status.get("updatedNumberScheduled", 0)
    if not wanted or min(ready, newest) < wanted:
        return not_yet(
            f"of {wanted} pods {ready} are Ready and {newest} started after the last change",
            expected,
            'cluster.rollout_restart("daemonset/kube-proxy", "kube-system") once the mode is right',
        )
    return passed(f"all {wanted} pods are Ready")


def _broken(cluster: Cluster, fault: str) -> Resource | None:
    """Return the Service web if a fault was ever brought into it."""
    return (
        find(cluster, _WEB, faults.NAMESPACE) if was_brought(cluster, faults.key(fault)) else None
    )


def _untouched(fault: str, expected: str) -> Observation:
    return not_started(
        f"fault {fault} has not been brought in",
        expected,
        f'kubeproxy.bring_fault(cluster, "{fault}")',
    )


def _selects(web: Resource, expected: str) -> Observation:
    labels = web["spec"].get("selector") or {}
    if labels != {"app": "web"}:
        said = ", ".join(f"{key}: {value}" for key, value in sorted(labels.items()))
        return failed(f"its selector is {said or 'not set'}", expected, "patch the selector")
    return passed("its selector is app: web")


def _has_endpoints(cluster: Cluster, expected: str) -> Observation:
    slices = _slices(cluster, faults.SERVICE)
    ready = _ready(slices)
    ports = {port.get("port") for one in slices for port in one.get("ports") or ()}
    if len(ready) < _BACKENDS:
        return not_yet(
            f"{len(ready)} endpoints are Ready",
            expected,
            "compare the Service's selector and targetPort with the pods' labels and port names",
        )
    if ports != {8080}:
        said = ", ".join(sorted(map(str, ports - {None}))) or "none"
        return not_yet(
            f"the endpoints' port is {said}",
            expected,
            "compare the Service's targetPort with the names of the pods' ports",
        )
    return passed(f"{len(ready)} endpoints are Ready, on port 8080")


def _slices(cluster: Cluster, name: str) -> Sequence[Resource]:
    label = f"kubernetes.io/service-name={name}"
    return cluster.list("endpointslices", faults.NAMESPACE, selector=label)


def _ready(slices: Sequence[Resource]) -> list[Mapping[str, Any]]:
    """Return the endpoints that may be sent to; those in a slice without a port may not."""
    return [
        endpoint
        for one in slices
        if one.get("ports")
        for endpoint in one.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready")
    ]


def _rules_of_web(cluster: Cluster, observed: Any) -> Any:
    """Return how many rules a node has for the Service, as `about` found them."""
    if find(cluster, _WEB, faults.NAMESPACE) is None or not hasattr(observed, "rows"):
        return not_started(
            "no rules were handed in",
            "your prediction, and the rules of the Service web",
            "hand in rules.about(service) as the second argument",
        )
    return len(observed)


CHECKPOINTS = (
    Definition(
        id="proxy-01",
        notebook=NOTEBOOK,
        title="A Service with three endpoints",
        criteria=(
            Criterion("proxy-01.service", "The Service web selects the pods", 1, service),
            Criterion(
                "proxy-01.endpoints",
                "Three pods stand behind it",
                1,
                endpoints,
                needs=("proxy-01.service",),
                wait=_ENDPOINTS,
            ),
        ),
        hints=(
            "Look at the namespace `shop`: are the Service and its three pods there?",
            "Compare the selector of the Service with the labels of the pods.",
            '`cluster.list("endpointslices", "shop")` shows who stands behind the Service.',
        ),
        solution="Run the cells of the section Apply in their order.\n",
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
                _rules_of_web,
                takes="observed",
            ),
        ),
        hints=(
            "Count in the table of the example: who leads to the Service's chain, who is in it?",
            "One rule finds the Service, one for each endpoint chooses it; what is in an "
            "endpoint's own chain?",
            "`len(rules.about(service))` is the number that is compared.",
        ),
        solution="1 to find it, 3 to choose an endpoint, 3 times 2 to mark and to translate: 10\n",
    ),
    Definition(
        id="proxy-03",
        notebook=NOTEBOOK,
        title="Fault A",
        criteria=(
            Criterion("proxy-03.selector", "The Service selects the pods again", 1, selector),
            Criterion(
                "proxy-03.endpoints",
                "Three pods stand behind it",
                1,
                selected,
                needs=("proxy-03.selector",),
                wait=_ENDPOINTS,
            ),
        ),
        hints=(
            "A refusal at once is a rule that says REJECT; look at `rules.about(service)`.",
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
                port_name,
                wait=_ENDPOINTS,
            ),
        ),
        hints=(
            "The selector finds the pods. What else does an endpoint need?",
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
                "proxy-05.nodes", "Each node sends the packets of front to somebody", 2, every_node
            ),
        ),
        hints=(
            "Silence, not a refusal: which rule drops a packet? Read the rules of both nodes.",
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
            Criterion("proxy-06.mode", "The mode is one that there is", 1, mode),
            Criterion(
                "proxy-06.pods",
                "kube-proxy runs on every node",
                1,
                running,
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
