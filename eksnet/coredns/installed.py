"""The cluster's own CoreDNS as EKS installs it: the names of its objects, its pods, their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eksnet import versions
from eksnet.cluster.client import ApiError
from eksnet.cluster.pods import not_terminating

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

# Upstream's own image, of every CoreDNS that the course starts beside the cluster's.
IMAGE = f"registry.k8s.io/coredns/coredns:{versions.COREDNS}"
# Where bash opens sockets itself, so that it carries queries that were made here.
BASH_IMAGE = "debian:12"
SYSTEM = "kube-system"
SERVICE, DEPLOYMENT, CONFIGMAP = "kube-dns", "coredns", "coredns"
SELECTOR = "k8s-app=kube-dns"
_NOTHING_TO_TELL = (400, 404)


def all_pods(cluster: Cluster) -> list[Resource]:
    """Return every CoreDNS pod, those too that are terminating."""
    return list(cluster.list("pods", SYSTEM, selector=SELECTOR))


def pods_not_terminating(cluster: Cluster) -> list[Resource]:
    """Return the CoreDNS pods that are not terminating."""
    return not_terminating(all_pods(cluster))


def logs_of_all(cluster: Cluster) -> list[str]:
    """Return the log of each CoreDNS pod that is not terminating.

    Raises:
        ApiError: One could not be read.
    """
    return [log_of(cluster, pod.name) for pod in pods_not_terminating(cluster)]


def log_of(cluster: Cluster, pod: str, namespace: str = SYSTEM) -> str:
    """Return a pod's log; empty when the pod is not there or has not started.

    Raises:
        ApiError: It could not be read.
    """
    return log_if_any(cluster, pod, namespace) or ""


def log_if_any(cluster: Cluster, pod: str, namespace: str = SYSTEM) -> str | None:
    """Return a pod's log; None when the pod is not there or has not started.

    Raises:
        ApiError: It could not be read.
    """
    try:
        return cluster.logs(pod, namespace)
    except ApiError as error:
        if error.status in _NOTHING_TO_TELL:
            return None
        raise
