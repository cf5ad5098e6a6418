"""What the controller has done in AWS for one load balancer, as its own log tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.listing import Listing
from eksnet.loadbalancer.controller import NAME, NAMESPACE

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_DONE = ("created", "modified", "deleted")
_GROUP = "alb.ingress.kubernetes.io/group.name"


@dataclass(frozen=True)
class Done:
    """One thing that the controller has done.

    Attributes:
        at: When.
        action: `created`, `modified` or `deleted`.
        what: What it did that to, such as `targetGroup`.
        name: What the controller calls it: no name of AWS.
    """

    at: datetime
    action: str
    what: str
    name: str


def done(log: str, stack: str, since: datetime | None = None) -> tuple[Done, ...]:
    """Return what a log of the controller says that it has done for a load balancer, in order.

    Args:
        log: The log: a JSON object in each line; other lines are passed over.
        stack: What the controller calls the load balancer with all its parts: the group's name, or
            namespace/name.
        since: What is older is left out.
    """
    return tuple(
        one for line in log.splitlines() for one in _of_line(line, stack)
        if since is None or one.at >= since
    )  # fmt: skip


def _of_line(line: str, stack: str) -> Iterator[Done]:
    try:
        found: Any = json.loads(line)
        if found["stackID"] != stack:
            return
        action, _, what = found["msg"].partition(" ")
        at, name = datetime.fromisoformat(found["ts"]), str(found["resourceID"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # It may end in the middle of a line, and not each line is about a part of AWS.
        return
    if action in _DONE and at.tzinfo:
        yield Done(at, action, what, name)


def controller_log(cluster: Cluster, ingress: str, namespace: str | None = None) -> Listing[Done]:
    """Return what the controller has done in AWS for an Ingress since that exists, in order.

    One of the controller's pods does the work at a time; all of their logs are read.

    Args:
        cluster: The cluster.
        ingress: The Ingress' name.
        namespace: Its namespace; the context's own when None.

    Raises:
        EksnetError: The Ingress is not there, or the logs cannot be read.
    """
    name = inputs.text(ingress, "the Ingress", "such as web")
    metadata = cluster.get("ingress", name, namespace)["metadata"]
    group = (metadata.get("annotations") or {}).get(_GROUP)
    stack = group or f"{metadata['namespace']}/{name}"
    since = datetime.fromisoformat(metadata["creationTimestamp"])
    pods = cluster.list("pods", NAMESPACE, selector=f"app.kubernetes.io/name={NAME}")
    found = [one for pod in pods for one in done(cluster.logs(pod.name, NAMESPACE), stack, since)]
    return Listing.of(
        sorted(found, key=lambda one: one.at),
        {
            "action": lambda one: one.action,
            "what": lambda one: one.what,
            "name": lambda one: one.name,
        },
    )
