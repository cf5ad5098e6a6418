"""Faults that are injected into the sandbox for learners to find and fix; and how to revert them.

Each is recorded in the cluster before it is made: what it changes and how that was before. So a
checkpoint knows a fixed fault from one that never was, and none is lost when a kernel ends.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from eksnet.errors import EksnetError, NotFoundError

if TYPE_CHECKING:
    from eksnet.cluster.cluster import Cluster

NAMESPACE, RECORD = "kube-system", "eksnet-faults"

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
    """An object that a fault is injected into.

    Attributes:
        kind: Its kind.
        name: Its name.
        namespace: Its namespace.
    """

    kind: str
    name: str
    namespace: str


@dataclass(frozen=True)
class Injected:
    """A fault as it is recorded in the cluster.

    Attributes:
        key: Its permanent name, the chapter's and its own: `dns-A`.
        place: The object.
        before: The fields that it changes, as they were before, as a JSON merge patch.
    """

    key: str
    place: Place
    before: Json = field(hash=False)

    @property
    def chapter(self) -> str:
        """The chapter in its name."""
        return self.key.partition("-")[0]

    @property
    def name(self) -> str:
        """Its name in the chapter."""
        return self.key.partition("-")[2]


@dataclass(frozen=True)
class Chapter:
    """The faults of one chapter.

    Attributes:
        name: The chapter, as in the faults' permanent names: `dns`.
        harm: What speaks against its faults on any cluster but the sandbox.
        faults: By name, what a user notices, and what injects the fault and waits until it shows;
            that is called with the cluster and the fault's permanent name.
    """

    name: str
    harm: str
    faults: Mapping[str, tuple[str, Callable[[Cluster, str], None]]] = field(hash=False)

    def key(self, name: str) -> str:
        """Return a fault's permanent name.

        Args:
            name: Its name in the chapter, such as A.
        """
        return f"{self.name}-{name}"

    def inject(self, cluster: Cluster, name: str) -> Fault:
        """Inject a fault, wait until it shows, and return what a user notices of it.

        Args:
            cluster: The cluster.
            name: The fault's name in the chapter.

        Raises:
            EksnetError: It is not the sandbox, there is no such fault, or it does not show.
        """
        require_sandbox(cluster, self.harm)
        if name not in self.faults:
            raise EksnetError(f"there is no fault {name!r}", f"one of {', '.join(self.faults)}")
        symptom, inject_it = self.faults[name]
        inject_it(cluster, self.key(name))
        return Fault(name, symptom)

    def revert(self, cluster: Cluster) -> tuple[str, ...]:
        """Revert the chapter's faults; return their names.

        Args:
            cluster: The cluster.

        Raises:
            EksnetError: It is not the sandbox.
        """
        return revert_all(cluster, self.name)


def require_sandbox(cluster: Cluster, why: str) -> None:
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


def inject(cluster: Cluster, key: str, place: Place, change: Mapping[str, Any]) -> None:
    """Inject a fault into an object of the sandbox; a second time, it is the same fault.

    What is recorded as the state before is that before the first time: of a fault that is half
    fixed, or whose object was applied anew, the second look would see something else.

    Args:
        cluster: The cluster.
        key: Its permanent name, the chapter's and its own: `dns-A`.
        place: The object.
        change: The fields that are wrong then, as a JSON merge patch.

    Raises:
        EksnetError: It is not the sandbox, or the object is not there.
    """
    require_sandbox(cluster, "a fault would harm the users of the cluster")
    before = _before(cluster.get(place.kind, place.name, place.namespace), change)
    if before == change:
        return
    if not was_injected(cluster, key):
        record = {**asdict(place), "before": before}
        _record(cluster, {key: json.dumps(record, sort_keys=True)})
    cluster.patch(place.kind, place.name, change, place.namespace, unchecked=True)


def was_injected(cluster: Cluster, key: str) -> bool:
    """Tell whether a fault was injected into this cluster, fixed since or not."""
    return key in _recorded(cluster)


def injected(cluster: Cluster) -> tuple[Injected, ...]:
    """Return the faults that are recorded in a cluster, by name."""
    return tuple(_read(key, text) for key, text in sorted(_recorded(cluster).items()))


def revert(cluster: Cluster, fault: Injected) -> None:
    """Put back what a fault changed, as it was before, and forget the fault."""
    place = fault.place
    # What is gone need not be put back.
    with contextlib.suppress(NotFoundError):
        cluster.patch(place.kind, place.name, fault.before, place.namespace, unchecked=True)
    _record(cluster, {fault.key: None})


def revert_all(cluster: Cluster, chapter: str) -> tuple[str, ...]:
    """Revert a chapter's faults; return their names.

    Args:
        cluster: The cluster.
        chapter: The chapter, as in the faults' names: `dns`.

    Raises:
        EksnetError: It is not the sandbox.
    """
    require_sandbox(cluster, "faults are injected into the sandbox alone")
    found = [one for one in injected(cluster) if one.chapter == chapter]
    for one in found:
        revert(cluster, one)
    return tuple(one.name for one in found)


def _read(key: str, text: str) -> Injected:
    try:
        record = json.loads(text)
        place = Place(*(str(record[name]) for name in ("kind", "name", "namespace")))
        return Injected(key, place, dict(record["before"]))
    except (ValueError, TypeError, KeyError):
        raise EksnetError(
            f"ConfigMap {RECORD} in {NAMESPACE} holds no record of a fault under {key!r}",
            "the record that was written when the fault was injected",
            f"eksnet kubectl -n {NAMESPACE} delete configmap {RECORD} deletes the records of all "
            f"faults",
        ) from None


def _before(thing: Mapping[str, Any], change: Mapping[str, Any]) -> Json:
    """Return the fields that a merge patch would change, as they are; None where there is none."""
    return {
        name: _before(thing.get(name) or {}, value) if isinstance(value, dict) else thing.get(name)
        for name, value in change.items()
    }


def _recorded(cluster: Cluster) -> dict[str, str]:
    record: Mapping[str, Any] = cluster.find("configmap", RECORD, NAMESPACE) or {}
    return dict(record.get("data") or {})


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
