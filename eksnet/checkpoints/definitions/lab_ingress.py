"""The checkpoints of 08a_lab_ingress: an Ingress, its load balancer, and what changes both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eksnet import loadbalancer
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
)

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "08a_lab_ingress"
NAMESPACE, INGRESS = "app-ns", "web"
CLASS = "alb"
_EVENTS = f'cluster.events("ingress/{INGRESS}", namespace="{NAMESPACE}")'
_HEALTHY = "every target healthy"
ADDRESS = Wait("the load balancer's DNS name", deadline=60)
TARGETS = Wait("the health checks of the targets", deadline=60)


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
# Apply the pods and the Service of the section *Apply*, then the Ingress:
cluster.apply(ingress())
cluster.wait("ingress/web", condition=loadbalancer.provisioned, namespace="app-ns")
""",
    ),
)
