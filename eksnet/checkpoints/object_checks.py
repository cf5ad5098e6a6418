"""What checks read from a cluster, beside the cluster's own methods."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from eksnet.checkpoints.criteria import Observation, failed, not_started
from eksnet.cluster import Resource
from eksnet.cluster.faults import was_injected

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

Check = Callable[["Cluster"], Observation]


def judge(
    cluster: Cluster,
    what: str,
    namespace: str,
    look: Callable[[Resource], Observation],
    remedy: str = "eksnet reset creates a fresh cluster",
) -> Observation:
    """Return what is seen of an object that was there; that it is gone is a failure.

    Args:
        cluster: The cluster.
        what: The object as kind/name.
        namespace: Its namespace.
        look: Looks at the object.
        remedy: What brings it back.

    Raises:
        ApiError: It could not be looked for.
    """
    thing = cluster.find(what, namespace=namespace or None)
    return failed(f"{what} is missing", what, remedy) if thing is None else look(thing)


def after(fault: str, inject: str, expected: str, look: Check) -> Check:
    """Return a check that begins once a fault has been injected.

    Args:
        fault: The fault's permanent name, such as `dns-A`.
        inject: The function that injects it, as the notebook calls it: `coredns.inject_fault`.
        expected: What has to be there once the fault is fixed.
        look: Looks whether it is.
    """
    name = fault.rpartition("-")[2]

    @functools.wraps(look)
    def check(cluster: Cluster) -> Observation:
        if was_injected(cluster, fault):
            return look(cluster)
        return not_started(
            f"fault {name} has not been injected", expected, f'{inject}(cluster, "{name}")'
        )

    return check


def last_change(thing: Resource) -> str:
    """Return when an object was last changed; empty when it does not tell."""
    fields = thing["metadata"].get("managedFields") or ()
    return max((str(one.get("time", "")) for one in fields), default="")
