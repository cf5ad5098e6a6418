"""Four faults for a learner to find, brought into the sandbox on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet.errors import EksnetError
from eksnet.kubeproxy import observe

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NAMESPACE, SERVICE = "shop", "web"
FRONT, LATE = "front", "late"
FRONT_PORT = 30081
CONFIGMAP, SYSTEM = "kube-proxy-config", "kube-system"

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


def mark(name: str) -> str:
    """Return the annotation that says of an object that a fault was brought into it."""
    return f"eksnet/fault-{name.lower()}"


def is_marked(thing: Mapping[str, Any], name: str) -> bool:
    """Tell whether a fault was ever brought into an object."""
    return mark(name) in (thing["metadata"].get("annotations") or {})


def bring_fault(cluster: Cluster, name: str) -> Fault:
    """Bring a fault into the sandbox and return what a user notices of it.

    Args:
        cluster: The cluster, with the Service `web` in `shop` of 03_kube_proxy; only the sandbox.
        name: A, B, C or D.

    Raises:
        EksnetError: It is not the sandbox, or there is no such fault.
    """
    observe.refuse_elsewhere(cluster, "a fault would harm those who use the cluster")
    if name not in _FAULTS:
        raise EksnetError(f"there is no fault {name!r}", f"one of {', '.join(_FAULTS)}")
    symptom, bring = _FAULTS[name]
    bring(cluster, {"annotations": {mark(name): "brought in"}})
    return Fault(name, symptom)


def _wrong_selector(cluster: Cluster, metadata: Json) -> None:
    patch = {"metadata": metadata, "spec": {"selector": {"app": "wbe"}}}
    cluster.patch("service", SERVICE, patch, NAMESPACE)
    _wait_for_endpoints(cluster, SERVICE, 0)


def _wrong_port_name(cluster: Cluster, metadata: Json) -> None:
    port = {"name": "http", "port": 80, "targetPort": "htpp"}
    patch = {"metadata": metadata, "spec": {"ports": [port]}}
    cluster.patch("service", SERVICE, patch, NAMESPACE)
    _wait_for_endpoints(cluster, SERVICE, 0)


def _one_local_endpoint(cluster: Cluster, metadata: Json) -> None:
    port = {"name": "http", "port": 80, "targetPort": "http", "nodePort": FRONT_PORT}
    spec = {
        "type": "NodePort",
        "externalTrafficPolicy": "Local",
        "selector": {"pod": "web-a"},
        "ports": [port],
    }
    cluster.apply(_service(FRONT, metadata, spec))
    _wait_for_endpoints(cluster, FRONT, 1)


def _wrong_mode(cluster: Cluster, metadata: Json) -> None:
    cluster.patch("configmap", CONFIGMAP, {"metadata": metadata}, SYSTEM)
    observe.set_mode(cluster, "iptable")
    cluster.rollout_restart("daemonset/kube-proxy", SYSTEM)
    port = {"name": "http", "port": 80, "targetPort": "http"}
    cluster.apply(_service(LATE, {}, {"selector": {"app": "web"}, "ports": [port]}))


def _wait_for_endpoints(cluster: Cluster, service: str, count: int) -> None:
    """Wait until a fault shows: until a Service has so many endpoints that can be used."""
    label = f"kubernetes.io/service-name={service}"

    def there() -> bool:
        slices = cluster.list("endpointslices", NAMESPACE, selector=label)
        usable = [one for part in slices if part.get("ports") for one in part["endpoints"] or ()]
        return len(usable) == count

    if not observe.until("the endpoints", there, 30):
        raise EksnetError(
            f"the endpoints of {service} did not change",
            "the Service and the pods of 03_kube_proxy",
            "run the cells of its section Apply",
        )


def _service(name: str, metadata: Json, spec: Json) -> str:
    place = {"name": name, "namespace": NAMESPACE, **metadata}
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": place, "spec": spec})


_FAULTS: dict[str, tuple[str, Callable[[Cluster, Json], None]]] = {
    "A": ("the Service web refuses every connection", _wrong_selector),
    "B": ("the Service web refuses every connection, and its selector is right", _wrong_port_name),
    "C": (f"port {FRONT_PORT} answers on one node and is silent on the other", _one_local_endpoint),
    "D": ("kube-proxy was restarted, and now one node after the other goes stale", _wrong_mode),
}
