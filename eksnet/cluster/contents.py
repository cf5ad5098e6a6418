"""What the course made, and what is in a namespace without what follows from others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eksnet.aws.tags import COURSE, LESSON, RUN
from eksnet.cluster.client import Client
from eksnet.cluster.kinds import Kind, Kinds
from eksnet.errors import NotFoundError, RefusedError

Json = dict[str, Any]

MANAGED_BY = "app.kubernetes.io/managed-by"
# What the course makes outside of namespaces, and marks as its own, as it does with what helpers
# make for a moment; all else in a namespace goes with it. By the plural; namespaces come last, as
# they are deleted.
MARKED = {
    "ClusterRoleBinding": "clusterrolebindings",
    "ClusterRole": "clusterroles",
    "Namespace": "namespaces",
}
# What the control plane makes and keeps by itself.
_FOLLOWS = {"Endpoints", "EndpointSlice", "Event", "Lease", "ControllerRevision"}
_IN_EACH = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}


def is_marked(kind: str, body: Json) -> bool:
    """Tell whether an object gets the course's labels where it is made.

    Args:
        kind: Its kind.
        body: It.
    """
    labels = body["metadata"].get("labels") or {}
    return kind in MARKED or labels.get(MANAGED_BY) == "eksnet"


def marks_of(one: Json) -> dict[str, str]:
    """Return the labels by which an object is the course's; none for one of somebody else."""
    labels = one["metadata"].get("labels") or {}
    own = {key: labels[key] for key in (*COURSE, RUN, LESSON) if key in labels}
    return own if COURSE.items() <= own.items() else {}


def objects_in(client: Client, kinds: Kinds, namespace: str) -> Iterator[Json]:
    """Yield the objects of a namespace, or of all, that nothing else made; each with its kind."""
    seen = set()
    for kind in kinds.namespaced():
        if kind.name in _FOLLOWS:
            continue
        for one in _list(client, kind, namespace):
            metadata = one["metadata"]
            # An object that two groups serve is one object.
            is_new = metadata["uid"] not in seen
            seen.add(metadata["uid"])
            follows = metadata.get("ownerReferences") or (kind.name, metadata["name"]) in _IN_EACH
            if is_new and not follows:
                yield {"apiVersion": kind.api_version, "kind": kind.name, **one}


def _list(client: Client, kind: Kind, namespace: str) -> list[Json]:
    try:
        return list(client.get(kind.path(namespace)).get("items") or ())
    except (NotFoundError, RefusedError):
        # A kind that cannot be listed, or not by this user.
        return []


def is_ours(one: Json) -> bool:
    """Tell whether a helper of the course made an object."""
    metadata = one["metadata"]
    if (metadata.get("labels") or {}).get(MANAGED_BY) == "eksnet":
        return True
    managers = (entry.get("manager", "") for entry in metadata.get("managedFields") or ())
    return any(name.startswith("eksnet") for name in managers)
