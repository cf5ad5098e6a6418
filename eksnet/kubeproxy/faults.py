"""Four faults of Services and of kube-proxy for a learner to find, injected into the sandbox."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eksnet.cluster import faults
from eksnet.cluster.countdown import until
from eksnet.cluster.faults import Chapter, Fault, Place
from eksnet.endpoints import usable_endpoints
from eksnet.errors import EksnetError
from eksnet.kubeproxy.observe import (
    has_ended,
    kube_proxies,
    last_words,
    predict_node,
    read_rules,
    wait_for_rules,
)
from eksnet.kubeproxy.settings import Node, Settings

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NAMESPACE, SERVICE = "shop", "web"
FRONT, LATE = "front", "late"
FRONT_PORT = 30081
CONFIGMAP, SYSTEM = "kube-proxy-config", "kube-system"
DAEMONSET = "daemonset/kube-proxy"
_WEB = Place("service", SERVICE, NAMESPACE)
_PORT = {"name": "http", "port": 80, "targetPort": "http"}

Change = Mapping[str, Any]


def inject_fault(cluster: Cluster, name: str) -> Fault:
    """Bring a fault into the sandbox and return what a user notices of it.

    Args:
        cluster: The cluster, with the Service `web` of 03c_service_faults; only the sandbox.
        name: A, B, C or D.

    Raises:
        EksnetError: It is not the sandbox, or there is no such fault.
    """
    return CHAPTER.inject(cluster, name)


def revert_faults(cluster: Cluster) -> tuple[str, ...]:
    """Put back what this chapter's faults changed, as it was before; return their names.

    A kube-proxy that the fault D has stopped is started anew, and waited for.

    Args:
        cluster: The cluster; only the sandbox.

    Raises:
        EksnetError: It is not the sandbox.
    """
    found = CHAPTER.revert(cluster)
    # Left alone, the one that ends in an error would wait longer and longer before its next try.
    if "D" in found and any(map(has_ended, kube_proxies(cluster))):
        cluster.rollout_restart(DAEMONSET, SYSTEM)
        cluster.rollout_status(DAEMONSET, SYSTEM)
    return found


def _wrong_selector(cluster: Cluster, fault: str) -> None:
    faults.inject(cluster, fault, _WEB, {"spec": {"selector": {"app": "wbe"}}})
    _wait_for_endpoints(cluster, SERVICE, 0)
    _wait_for_every_node(cluster)


def _wrong_port_name(cluster: Cluster, fault: str) -> None:
    # As the API server gives it back, so that a fault that is there is seen to be there.
    port = {**_PORT, "protocol": "TCP", "targetPort": "htpp"}
    faults.inject(cluster, fault, _WEB, {"spec": {"ports": [port]}})
    _wait_for_endpoints(cluster, SERVICE, 0)
    _wait_for_every_node(cluster)


def _one_local_endpoint(cluster: Cluster, fault: str) -> None:
    # Injected once more, its selector and its policy are the fault's, and stay so.
    if cluster.find("service", FRONT, NAMESPACE) is None:
        port = {**_PORT, "nodePort": FRONT_PORT}
        cluster.apply(
            _service(FRONT, {"type": "NodePort", "selector": {"app": "web"}, "ports": [port]})
        )
    change = {"spec": {"externalTrafficPolicy": "Local", "selector": {"app": None, "pod": "web-a"}}}
    faults.inject(cluster, fault, Place("service", FRONT, NAMESPACE), change)
    _wait_for_endpoints(cluster, FRONT, 1)
    _wait_for_every_node(cluster)


def _wrong_mode(cluster: Cluster, fault: str) -> None:
    pods = [pod for pod in kube_proxies(cluster) if pod["spec"].get("nodeName")]
    if not pods:
        raise EksnetError(
            "kube-proxy runs on no node",
            "a pod of the DaemonSet kube-proxy on each node",
            f"eksnet kubectl -n {SYSTEM} describe {DAEMONSET}; `eksnet reset` starts with a "
            f"fresh cluster",
        )
    text = cluster.get("configmap", CONFIGMAP, SYSTEM)["data"]["config"]
    wrong = re.sub(r"(?m)^mode:.*$", "mode: iptable", text)
    place = Place("configmap", CONFIGMAP, SYSTEM)
    faults.inject(cluster, fault, place, {"data": {"config": wrong}})
    # On one node, and not by a rollout: a container without a readiness probe is Ready as soon as
    # it runs, so the rollout may go on to the next node before this one ends.
    first = min(pods, key=lambda pod: str(pod["spec"]["nodeName"]))
    cluster.delete("pod", first.name, SYSTEM)
    last_words(cluster)
    cluster.apply(_service(LATE, {"selector": {"app": "web"}, "ports": [_PORT]}))
    _wait_for_endpoints(cluster, LATE, 3)
    if not until("the rules of the other node", lambda: _one_node_has(cluster, LATE), 60):
        raise EksnetError(
            f"no node has the rules of the Service {LATE}",
            "kube-proxy running on one node",
            f"eksnet kubectl -n {SYSTEM} get pods -l k8s-app=kube-proxy",
        )


def _one_node_has(cluster: Cluster, name: str) -> bool:
    """Tell whether a node's kube-proxy runs and has written all rules of a Service."""
    service = cluster.get("service", name, NAMESPACE)
    for node in map(Node.from_object, cluster.list("nodes")):
        # A dead one cannot be asked.
        with contextlib.suppress(EksnetError):
            found = read_rules(cluster, node)
            # The ConfigMap's own mode is the wrong one by now.
            wanted = predict_node(cluster, node, Settings(mode=found.mode))
            if len(found.about(service)) == len(wanted.about(service)):
                return True
    return False


def _wait_for_endpoints(cluster: Cluster, service: str, count: int) -> None:
    """Wait until a fault shows: until a Service has so many endpoints that can be used."""
    label = f"kubernetes.io/service-name={service}"

    def there() -> bool:
        slices = cluster.list("endpointslices", NAMESPACE, selector=label)
        return len(usable_endpoints(slices)) == count

    if not until("the endpoints", there, 30):
        raise EksnetError(
            f"the endpoints of {service} did not change",
            "the Service and the pods of 03c_service_faults",
            "run the cells of the section Apply of that notebook",
        )


def _wait_for_every_node(cluster: Cluster) -> None:
    """Wait until the rules of every node follow: a packet sent sooner meets the old ones."""
    for node in map(Node.from_object, cluster.list("nodes")):
        wait_for_rules(cluster, node)


def _service(name: str, spec: Mapping[str, Any]) -> str:
    metadata = {"name": name, "namespace": NAMESPACE}
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


CHAPTER = Chapter(
    "proxy",
    "a fault would harm the users of the cluster",
    {
        "A": ("the Service web refuses every connection", _wrong_selector),
        "B": (
            "the Service web refuses every connection, although its selector is correct",
            _wrong_port_name,
        ),
        "C": (
            f"port {FRONT_PORT} answers on one node and times out on the other",
            _one_local_endpoint,
        ),
        "D": (
            "kube-proxy was restarted on one node; that node gets no change since then",
            _wrong_mode,
        ),
    },
)
