"""Four faults of Services and of kube-proxy for a learner to find, brought into the sandbox."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from eksnet.cluster import faults
from eksnet.cluster.countdown import until
from eksnet.cluster.faults import Fault, Place
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

CHAPTER = "proxy"
NAMESPACE, SERVICE = "shop", "web"
FRONT, LATE = "front", "late"
FRONT_PORT = 30081
CONFIGMAP, SYSTEM = "kube-proxy-config", "kube-system"
_WEB = Place("service", SERVICE, NAMESPACE)
_PORT = {"name": "http", "port": 80, "targetPort": "http"}

Change = Mapping[str, Any]


def key(name: str) -> str:
    """Return a fault's permanent name."""
    return f"{CHAPTER}-{name}"


def bring_fault(cluster: Cluster, name: str) -> Fault:
    """Bring a fault into the sandbox and return what a user notices of it.

    Args:
        cluster: The cluster, with the Service `web` in `shop` of 03_kube_proxy; only the sandbox.
        name: A, B, C or D.

    Raises:
        EksnetError: It is not the sandbox, or there is no such fault.
    """
    faults.refuse_elsewhere(cluster, "a fault would harm those who use the cluster")
    if name not in _FAULTS:
        raise EksnetError(f"there is no fault {name!r}", f"one of {', '.join(_FAULTS)}")
    symptom, bring = _FAULTS[name]
    bring(cluster, key(name))
    return Fault(name, symptom)


def take_back_faults(cluster: Cluster) -> tuple[str, ...]:
    """Put back what this chapter's faults changed, as it was before; return their names.

    Raises:
        EksnetError: It is not the sandbox.
    """
    return faults.take_back(cluster, CHAPTER)


def _wrong_selector(cluster: Cluster, fault: str) -> None:
    faults.bring(cluster, fault, _WEB, {"spec": {"selector": {"app": "wbe"}}})
    _wait_for_endpoints(cluster, SERVICE, 0)


def _wrong_port_name(cluster: Cluster, fault: str) -> None:
    # As the API server gives it back, so that a fault that is there is seen to be there.
    port = {**_PORT, "protocol": "TCP", "targetPort": "htpp"}
    faults.bring(cluster, fault, _WEB, {"spec": {"ports": [port]}})
    _wait_for_endpoints(cluster, SERVICE, 0)


def _one_local_endpoint(cluster: Cluster, fault: str) -> None:
    port = {**_PORT, "nodePort": FRONT_PORT}
    cluster.apply(
        _service(FRONT, {"type": "NodePort", "selector": {"app": "web"}, "ports": [port]})
    )
    change = {"spec": {"externalTrafficPolicy": "Local", "selector": {"app": None, "pod": "web-a"}}}
    faults.bring(cluster, fault, Place("service", FRONT, NAMESPACE), change)
    _wait_for_endpoints(cluster, FRONT, 1)


def _wrong_mode(cluster: Cluster, fault: str) -> None:
    text = cluster.get("configmap", CONFIGMAP, SYSTEM)["data"]["config"]
    wrong = re.sub(r"(?m)^mode:.*$", "mode: iptable", text)
    place = Place("configmap", CONFIGMAP, SYSTEM)
    faults.bring(cluster, fault, place, {"data": {"config": wrong}})
    cluster.rollout_restart("daemonset/kube-proxy", SYSTEM)
    cluster.apply(_service(LATE, {"selector": {"app": "web"}, "ports": [_PORT]}))


def _wait_for_endpoints(cluster: Cluster, service: str, count: int) -> None:
    """Wait until a fault shows: until a Service has so many endpoints that can be used."""
    label = f"kubernetes.io/service-name={service}"

    def there() -> bool:
        slices = cluster.list("endpointslices", NAMESPACE, selector=label)
        usable = [one for part in slices if part.get("ports") for one in part["endpoints"] or ()]
        return len(usable) == count

    if not until("the endpoints", there, 30):
        raise EksnetError(
            f"the endpoints of {service} did not change",
            "the Service and the pods of 03_kube_proxy",
            "run the cells of its section Apply",
        )


def _service(name: str, spec: Mapping[str, Any]) -> str:
    metadata = {"name": name, "namespace": NAMESPACE}
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


_FAULTS: dict[str, tuple[str, Callable[[Cluster, str], None]]] = {
    "A": ("the Service web refuses every connection", _wrong_selector),
    "B": ("the Service web refuses every connection, and its selector is right", _wrong_port_name),
    "C": (f"port {FRONT_PORT} answers on one node and is silent on the other", _one_local_endpoint),
    "D": ("kube-proxy was restarted, and now one node after the other goes stale", _wrong_mode),
}
