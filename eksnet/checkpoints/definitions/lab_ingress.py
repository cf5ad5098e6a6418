"""The checkpoints of 08a_lab_ingress: an Ingress, its load balancer, and what changes both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet import loadbalancer
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

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "08a_lab_ingress"
NAMESPACE, INGRESS, SECOND = "app-ns", "web", "who"
TRIED, PATHS = "ImplementationSpecific", ("/", "/index.html", "/cgi-bin/who", "/?page=2")
PART = "/cgi-bin"
CLASS = "alb"
_EVENTS = f'cluster.events("ingress/{INGRESS}", namespace="{NAMESPACE}")'
_HEALTHY = "every target healthy"
_OBSERVED = """\
url = "http://" + loadbalancer.hostname(cluster.get("ingress/web", namespace="app-ns"))
paths = ("/", "/index.html", "/cgi-bin/who", "/?page=2")
observed = {path: loadbalancer.request(cluster, url + path).status for path in paths}"""
ADDRESS = Wait("the load balancer's DNS name", deadline=60)
TARGETS = Wait("the health checks of the targets", deadline=60)
RULES = Wait("the rules of the load balancer", deadline=60)


def find_ingress(cluster: Cluster, name: str = INGRESS) -> Resource | None:
    """Return an Ingress of the lab; None where there is none."""
    return cluster.find(f"ingress/{name}", namespace=NAMESPACE)


def its_class(cluster: Cluster) -> Observation:
    """Whether there is an Ingress for the controller."""
    ingress = find_ingress(cluster)
    expected = f"the Ingress {INGRESS} in {NAMESPACE}, of the class {CLASS}"
    if ingress is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", expected, "apply it")
    found = ingress["spec"].get("ingressClassName", "not set")
    if found != CLASS:
        return failed(f"its class is {found}", expected, f"set ingressClassName: {CLASS}")
    return passed(f"its class is {CLASS}")


def address(cluster: Cluster, name: str = INGRESS) -> Observation:
    """Whether the controller has written a DNS name into the status of an Ingress."""
    ingress = find_ingress(cluster, name)
    expected = "a DNS name in its status"
    if ingress is None:
        return not_started(f"there is no Ingress {name} in {NAMESPACE}", expected, "apply it")
    if not loadbalancer.provisioned(ingress):
        return not_yet("its status has no DNS name", expected, f"read the events: {_EVENTS}")
    return passed("its status has a DNS name")


def healthy(cluster: Cluster) -> Observation:
    """Whether every target of the load balancer is healthy."""
    look = f'loadbalancer.targets(cluster, "{INGRESS}", "{NAMESPACE}")'
    if find_ingress(cluster) is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", _HEALTHY, "apply it")
    targets = loadbalancer.targets(cluster, INGRESS, NAMESPACE)
    if not targets:
        return not_yet("the load balancer has no target", _HEALTHY, look)
    wrong = [one for one in targets if one.state != loadbalancer.HEALTHY]
    if wrong:
        reason = f" ({wrong[0].reason})" if wrong[0].reason else ""
        return not_yet(
            f"{len(wrong)} of {len(targets)} targets are {wrong[0].state}{reason}", _HEALTHY, look
        )
    return passed(f"{len(targets)} of {len(targets)} targets are healthy")


def paths(cluster: Cluster, observed: Any) -> Any:
    """The status of each path, while the Ingress has the path type of the trial."""
    ingress = find_ingress(cluster)
    expected = "the Ingress web with the path / and the type ImplementationSpecific"
    if ingress is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", expected, "")
    found = sorted(_path_types(ingress))
    if found != [TRIED]:
        return not_started(f"its path types are {', '.join(found) or 'none'}", expected, "")
    if not isinstance(observed, dict) or set(observed) != set(PATHS):
        return not_started("nothing was observed yet", "a status for each of the four paths", "")
    return {path: observed[path] for path in PATHS}


def _path_types(ingress: Resource) -> set[str]:
    return {
        one.get("pathType", "none")
        for rule in ingress["spec"].get("rules") or ()
        for one in (rule.get("http") or {}).get("paths") or ()
    }


def node_port(cluster: Cluster) -> Observation:
    """Whether nodes have a port for the Service."""
    service = cluster.find("service/web", namespace=NAMESPACE)
    expected = "the Service web with the type NodePort"
    if service is None:
        return not_started(f"there is no Service web in {NAMESPACE}", expected, "apply it")
    if service["spec"].get("type") not in ("NodePort", "LoadBalancer"):
        found = service["spec"].get("type", "not set")
        return failed(f"its type is {found}", expected, "apply the Service with that type")
    return passed("nodes have a port for it")


def nodes_are_targets(cluster: Cluster) -> Observation:
    """Whether the load balancer's targets are nodes."""
    expected = "a target for each node"
    if find_ingress(cluster) is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", expected, "apply it")
    nodes = {one.name for one in cluster.list("nodes")}
    found = {one.name for one in loadbalancer.targets(cluster, INGRESS, NAMESPACE)}
    if found - nodes:
        return failed("its targets are pods", expected, "set the target type instance")
    if found != nodes:
        return not_yet(f"{len(found)} of {len(nodes)} nodes are targets", expected, _EVENTS)
    return passed(f"{len(found)} of {len(nodes)} nodes are targets")


def shared(cluster: Cluster) -> Observation:
    """Whether both Ingresses have one load balancer."""
    expected = f"one DNS name in the status of {INGRESS} and {SECOND}"
    names = set()
    for one in (INGRESS, SECOND):
        ingress = find_ingress(cluster, one)
        if ingress is None:
            return not_started(f"there is no Ingress {one} in {NAMESPACE}", expected, "apply it")
        names.add(loadbalancer.hostname(ingress))
    if "" in names:
        return not_yet("one of them has no DNS name yet", expected, _EVENTS)
    if len(names) > 1:
        return failed("each has a load balancer of its own", expected, "give both one group.name")
    return passed("both have the same DNS name")


def order(cluster: Cluster) -> Observation:
    """Whether the rule for fewer requests is tried first."""
    expected = f"the rule for {PART} before the rule for /*"
    if find_ingress(cluster, SECOND) is None:
        return not_started(f"there is no Ingress {SECOND} in {NAMESPACE}", expected, "apply it")
    found = [one.conditions for one in loadbalancer.rules(cluster, SECOND, NAMESPACE)]
    first = next((one for one in found if PART in one or "/*" in one.split()), "")
    if PART not in first:
        step = "give web a greater group.order than who"
        return not_yet("the rule for /* comes first", expected, step)
    return passed(f"the rule for {PART} comes first")


CHECKPOINTS = (
    Definition(
        id="ingress-01",
        notebook=NOTEBOOK,
        title="An Ingress that answers",
        criteria=(
            Criterion("ingress-01.class", "The Ingress is the controller's", 1, its_class),
            Criterion(
                "ingress-01.address",
                "It has a load balancer",
                1,
                address,
                needs=("ingress-01.class",),
                wait=ADDRESS,
            ),
            Criterion(
                "ingress-01.targets",
                "The load balancer's targets are healthy",
                1,
                healthy,
                needs=("ingress-01.address",),
                wait=TARGETS,
            ),
        ),
        hints=(
            "Look at the status of the Ingress `web` in `app-ns`, and at its events.",
            "Without an address, read the last event. With one, compare the targets' reason codes.",
            f"`{_EVENTS}`, then `loadbalancer.targets(cluster, …)`",
        ),
        solution="""\
# After the cells of the sections *Apply* and *Predict*, in which the Ingress is applied:
cluster.patch("ingress", "web", {"spec": {"ingressClassName": "alb"}}, "app-ns")
loadbalancer.wait_for_targets(cluster, "web", "app-ns", count=2)
""",
    ),
    Definition(
        id="ingress-02",
        notebook=NOTEBOOK,
        title="The path type",
        criteria=(
            Prediction(
                "ingress-02.paths",
                "The statuses that you predicted",
                1,
                "The Ingress has the path / with ImplementationSpecific. Which status does the "
                "load balancer answer for each path?",
                'prediction = {"/": 200, "/index.html": ..., "/cgi-bin/who": ..., "/?page=2": ...}',
                paths,
                takes="observed",
                gather=_OBSERVED,
            ),
        ),
        hints=(
            "Look at the rules of the listener: which path is in the condition?",
            "Compare each path with that pattern. Does the part after ? belong to the path?",
            '`loadbalancer.rules(cluster, "web", "app-ns")`',
        ),
        solution="""\
prediction = {"/": 200, "/index.html": 404, "/cgi-bin/who": 404, "/?page=2": 200}
""",
    ),
    Definition(
        id="ingress-03",
        notebook=NOTEBOOK,
        title="Nodes as targets",
        criteria=(
            Criterion("ingress-03.service", "Nodes have a port for the Service", 1, node_port),
            Criterion(
                "ingress-03.targets",
                "The targets are the nodes",
                1,
                nodes_are_targets,
                needs=("ingress-03.service",),
                wait=TARGETS,
            ),
        ),
        hints=(
            "Look at the type of the Service `web`, and at the targets.",
            "Compare the names of the targets with those of nodes and pods.",
            "Set `alb.ingress.kubernetes.io/target-type: instance` on the Ingress.",
        ),
        solution="""\
port = {"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080}
cluster.patch("service", "web", {"spec": {"type": "NodePort", "ports": [port]}}, "app-ns")
setting = {"alb.ingress.kubernetes.io/target-type": "instance"}
cluster.patch("ingress", "web", {"metadata": {"annotations": setting}}, "app-ns")
""",
    ),
    Definition(
        id="ingress-04",
        notebook=NOTEBOOK,
        title="A group of two",
        criteria=(
            Criterion("ingress-04.group", "Both share a load balancer", 1, shared, wait=ADDRESS),
            Criterion(
                "ingress-04.order",
                f"The rule for {PART} comes first",
                1,
                order,
                needs=("ingress-04.group",),
                wait=RULES,
            ),
        ),
        hints=(
            "Look at the rules of the listener: which one matches `/cgi-bin/who` first?",
            "Compare the annotations of both Ingresses: their group, and their order.",
            "Set `alb.ingress.kubernetes.io/group.order` on `web` to a number above 0.",
        ),
        solution="""\
cluster.patch(
    "ingress", "web",
    {"metadata": {"annotations": {"alb.ingress.kubernetes.io/group.order": "10"}}}, "app-ns",
)
""",
    ),
)
