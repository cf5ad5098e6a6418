"""How an Ingress or a Service becomes a load balancer, and where that one sends requests. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from eksnet import inputs
from eksnet.listing import Listing
from eksnet.panel import Table
from eksnet.picture import DASHED, HERE, Picture, Point, arrow, box, text

_TITLE = "From an object to a load balancer, and on to a pod"
_SIZE = (630.0, 388.0)
_HIGH = 34.0
_MOST_PORT = 65_535
_BALANCER = "load balancer"


@dataclass(frozen=True)
class Step:
    """One arrow of the picture.

    Attributes:
        part: What it belongs to: `reconcile`, or a target type.
        source: Where it begins.
        target: Where it leads.
        what: What happens there.
    """

    part: str
    source: str
    target: str
    what: str


def steps(node_port: int, target_port: int) -> tuple[Step, ...]:
    """Return what the picture shows, in order.

    Args:
        node_port: The port of the Service on each node.
        target_port: The port of the pods.
    """
    loop, instance, ip = "reconcile", "instance", "ip"
    return (
        Step(loop, "Ingress", "controller", "watched, if its class is the controller's"),
        Step(loop, "Service", "controller", "watched, if it is of the type LoadBalancer"),
        Step(loop, "controller", "ALB", "calls of the ELBv2 API, for an Ingress"),
        Step(loop, "controller", "NLB", "calls of the ELBv2 API, for a Service"),
        Step(loop, "controller", "Ingress, Service", "the DNS name is written into the status"),
        Step(instance, _BALANCER, "node", f"to the address of a node, port {node_port}"),
        Step(instance, "node", "pod", f"by kube-proxy's rules to any pod, port {target_port}"),
        Step(ip, _BALANCER, "pod", f"to the address of a pod, port {target_port}"),
    )


def reconciling(node_port: int = 30_080, target_port: int = 8_080) -> Picture:
    """Draw what the load balancer controller does, and both target types side by side.

    Args:
        node_port: The port of the Service on each node.
        target_port: The port of the pods.

    Raises:
        EksnetError: A port is none.
    """
    inputs.count(node_port, "the port of the nodes", 1, _MOST_PORT)
    inputs.count(target_port, "the port of the pods", 1, _MOST_PORT)
    found = steps(node_port, target_port)
    rows = tuple((one.part, one.source, one.target, one.what) for one in found)
    spoken = "; ".join(f"{source} to {target}: {what}" for _, source, target, what in rows)
    table = Table(_TITLE, Listing(("part", "from", "to", "what happens"), rows, found))
    return Picture(
        _TITLE,
        f"{_TITLE}: {spoken}.",
        _SIZE,
        (*_loop(), *_instance(node_port, target_port), *_ip(target_port)),
        table,
    )


def _loop() -> tuple[str, ...]:
    """Draw the objects, the controller and the load balancers, and what goes between them."""
    return (
        _named((20, 24), 150, "Ingress", strong=True),
        _named((20, 88), 150, "Service", strong=True),
        _named((236, 56), 150, "controller", kind=HERE, strong=True),
        _named((460, 24), 150, "ALB", strong=True),
        _named((460, 88), 150, "NLB", strong=True),
        arrow(((170, 41), (203, 41), (203, 68), (236, 68))),
        arrow(((170, 105), (203, 105), (203, 78), (236, 78))),
        arrow(((386, 68), (423, 68), (423, 41), (460, 41))),
        arrow(((386, 78), (423, 78), (423, 105), (460, 105))),
        text((203, 34), "watches", anchor="middle"),
        text((423, 34), "ELBv2", anchor="middle"),
        arrow(((311, 90), (311, 146), (95, 146), (95, 122)), HERE, dash=DASHED),
        text((321, 142), "DNS name into the status"),
    )


def _instance(node_port: int, target_port: int) -> tuple[str, ...]:
    """Draw the way over a node."""
    return (
        text((20, 182), "target type: instance", strong=True),
        _named((20, 194), 280, _BALANCER),
        arrow(((160, 228), (160, 264))),
        text((170, 250), f"port {node_port}"),
        _named((20, 264), 280, "node: kube-proxy's rules"),
        arrow(((160, 298), (160, 336))),
        text((170, 321), f"port {target_port}"),
        _named((20, 336), 280, "pod"),
    )


def _ip(target_port: int) -> tuple[str, ...]:
    """Draw the way without a node's rules."""
    return (
        text((330, 182), "target type: ip", strong=True),
        _named((330, 194), 280, _BALANCER),
        arrow(((470, 228), (470, 336))),
        text((480, 286), f"port {target_port}"),
        _named((330, 336), 280, "pod"),
    )


def _named(at: Point, across: float, words: str, *, kind: str = "ink", strong: bool = False) -> str:
    """Draw a box with a name in its middle."""
    middle = (at[0] + across / 2, at[1] + _HIGH / 2 + 4)
    return box(at, (across, _HIGH), kind) + text(middle, words, anchor="middle", strong=strong)
