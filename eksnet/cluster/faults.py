"""Faults that learners bring into the sandbox, find and mend; and how to take them back.

Each is recorded in the cluster before it is made: what it changed and how that was before. So a
checkpoint knows a mended fault from one that never was, and none is lost when a kernel ends.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet.cluster.client import ApiError
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster.cluster import Cluster

NAMESPACE, RECORD = "kube-system", "eksnet-faults"
_NOT_FOUND = 404

Json = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """Something that is wrong, and what a user notices of it.

    Attributes:
        name: A, B, C or D: the cause is for the learner to find.
        symptom: What a user notices.
    """

    name: str
    symptom: str

    def __repr__(self) -> str:
        return f"Fault {self.name}: {self.symptom}"


@dataclass(frozen=True)
class Place:
    """An object that a fault is brought into.

    Attributes:
        kind: Its kind.
        name: Its name.
        namespace: Its namespace.
    """

    kind: str
    name: str
    namespace: str


def refuse_elsewhere(cluster: Cluster, why: str) -> None:
    """Let only the sandbox pass.

    Args:
        cluster: The cluster.
        why: What speaks against it elsewhere.

    Raises:
        EksnetError: It is another cluster.
    """
    if cluster.target.kind != "sandbox":
        raise EksnetError(
            f"{why}, and this is {cluster.target}", "the sandbox", 'eksnet.connect("sandbox")'
        )


def bring(cluster: Cluster, key: str, place: Place, change: Mapping[str, Any]) -> None:
    """Bring a fault into an object of the sandbox; brought again, it is the same fault.

    Args:
        cluster: The cluster.
        key: Its permanent name, the chapter's and its own: `dns-A`.
        place: The object.
        change: The fields that are wrong then, as a JSON merge patch.

    Raises:
        EksnetError: It is not the sandbox, or the object is not there.
    """
    refuse_elsewhere(cluster, "a fault would harm those who use the cluster")
    before = _before(cluster.get(place.kind, place.name, place.namespace), change)
    if before != change:
        where = {"kind": place.kind, "name": place.name, "namespace": place.namespace}
        _record(cluster, {key: json.dumps({**where, "before": before}, sort_keys=True)})
        cluster.patch(place.kind, place.name, change, place.namespace)


def was_brought(cluster: Cluster, key: str) -> bool:
    """Tell whether a fault was brought into this cluster, mended since or not."""
    return key in _recorded(cluster)


def take_back(cluster: Cluster, chapter: str) -> tuple[str, ...]:
    """Put back what a chapter's faults changed, as it was before; return their names.

    Args:
        cluster: The cluster.
        chapter: The chapter, as in the faults' names: `dns`.

    Raises:
        EksnetError: It is not the sandbox.
    """
    refuse_elsewhere(cluster, "faults are brought into the sandbox alone")
    found = {key: text for key, text in _recorded(cluster).items() if key.startswith(f"{chapter}-")}
    for key, text in found.items():
        fault = json.loads(text)
        with _unless_gone():
            cluster.patch(fault["kind"], fault["name"], fault["before"], fault["namespace"])
        _record(cluster, {key: None})
    return tuple(key.partition("-")[2] for key in found)


def _before(thing: Mapping[str, Any], change: Mapping[str, Any]) -> Json:
    """Return the fields that a merge patch would change, as they are; None where there is none."""
    return {
        name: _before(thing.get(name) or {}, value) if isinstance(value, dict) else thing.get(name)
        for name, value in change.items()
    }


def _recorded(cluster: Cluster) -> dict[str, str]:
    with _unless_gone():
        return dict(cluster.get("configmap", RECORD, NAMESPACE).get("data") or {})
    return {}


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """Go on after it when an object is not there: nothing was recorded, or is to be put back."""
    try:
        yield
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise


def _record(cluster: Cluster, data: Mapping[str, str | None]) -> None:
    cluster.apply(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": RECORD, "namespace": NAMESPACE},
            }
        )
    )
    cluster.patch("configmap", RECORD, {"data": dict(data)}, NAMESPACE)
