"""What checks read from a cluster, beside the cluster's own methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eksnet.cluster import ApiError, Resource

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_NOTHING_THERE = 404
_NOTHING_TO_TELL = (400, 404)


def find(cluster: Cluster, what: str, namespace: str = "") -> Resource | None:
    """Return an object as it is now, None when it is not there.

    Args:
        cluster: The cluster.
        what: The object as kind/name.
        namespace: Its namespace.

    Raises:
        ApiError: It could not be looked for.
    """
    try:
        return cluster.get(what, namespace=namespace or None)
    except ApiError as error:
        if error.status == _NOTHING_THERE:
            return None
        raise


def log_of(cluster: Cluster, pod: str, namespace: str) -> str:
    """Return a pod's log; empty when the pod is not there or has not started.

    Raises:
        ApiError: It could not be read.
    """
    try:
        return cluster.logs(pod, namespace)
    except ApiError as error:
        if error.status in _NOTHING_TO_TELL:
            return ""
        raise
