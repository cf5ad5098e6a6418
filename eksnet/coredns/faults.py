"""Four faults of the cluster's DNS for a learner to find, injected into the sandbox on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from eksnet.cluster import faults
from eksnet.cluster.countdown import until
from eksnet.cluster.faults import Chapter, Fault, Place
from eksnet.coredns.configuration import refusal, running
from eksnet.coredns.installed import CONFIGMAP, DEPLOYMENT, SERVICE, SYSTEM, logs_of_all
from eksnet.coredns.probe import ask_from_a_pod
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

MISSPELT = "logg"

Change = Mapping[str, Any]


def inject_fault(cluster: Cluster, name: str) -> Fault:
    """Bring a fault into the sandbox, wait until it shows, and return what a user notices of it.

    Args:
        cluster: The cluster; only the sandbox.
        name: A, B, C or D.

    Raises:
        EksnetError: It is not the sandbox, or there is no such fault.
    """
    return CHAPTER.inject(cluster, name)


def revert_faults(cluster: Cluster) -> tuple[str, ...]:
    """Put the cluster's DNS back as it was before its faults; return their names.

    Returns once CoreDNS runs the Corefile that was put back: what comes next is not to find two
    configurations.

    Args:
        cluster: The cluster; only the sandbox.

    Raises:
        EksnetError: It is not the sandbox, or CoreDNS does not take the Corefile over.
    """
    found = CHAPTER.revert(cluster)
    if "C" in found and not until("CoreDNS to reload", lambda: _runs_its(cluster), _LONGEST):
        raise EksnetError(
            f"the Corefile was restored, but after {_LONGEST} s not every CoreDNS pod runs it",
            "a reload in each pod",
            'cluster.rollout_restart("deployment/coredns", "kube-system")',
        )
    return found


def _no_replicas(_: Cluster) -> Change:
    return {"spec": {"replicas": 0}}


def _wrong_selector(_: Cluster) -> Change:
    return {"spec": {"selector": {"k8s-app": "kube-dsn"}}}


def _misspelt_plugin(cluster: Cluster) -> Change:
    corefile = cluster.get("configmap", CONFIGMAP, SYSTEM)["data"]["Corefile"]
    if MISSPELT in corefile:
        return {"data": {"Corefile": corefile}}
    return {"data": {"Corefile": corefile.replace("errors\n", f"errors\n    {MISSPELT}\n", 1)}}


def _no_udp(cluster: Cluster) -> Change:
    ports = cluster.get("service", SERVICE, SYSTEM)["spec"]["ports"]
    return {"spec": {"ports": [port for port in ports if port["protocol"] != "UDP"]}}


def _udp_fails(cluster: Cluster) -> bool:
    """Tell whether it shows in a pod: kube-proxy follows the API a moment later."""
    return ask_from_a_pod(cluster).answers["udp"] != "NOERROR"


def _runs_its(cluster: Cluster) -> bool:
    """Tell whether every CoreDNS pod runs the Corefile of the ConfigMap."""
    corefile = cluster.get("configmap", CONFIGMAP, SYSTEM)["data"]["Corefile"]
    found = running(corefile, logs_of_all(cluster))
    return found.current == found.total


def _is_refused(cluster: Cluster) -> bool:
    logs = logs_of_all(cluster)
    return bool(logs) and all(map(refusal, logs))


# The kubelet brings a ConfigMap within a minute or so, `reload` looks every 22.5 to 37.5 s.
_LONGEST = 150


def _showing(
    place: Place,
    change: Callable[[Cluster], Change],
    shows: Callable[[Cluster], bool],
) -> Callable[[Cluster, str], None]:
    """Return what injects a fault and waits until it shows."""

    def inject(cluster: Cluster, key: str) -> None:
        faults.inject(cluster, key, place, change(cluster))
        if not until("the fault to take effect", lambda: shows(cluster), _LONGEST):
            raise EksnetError(
                f"the fault {key} was injected, and after {_LONGEST} s it does not show",
                "what its symptom says",
                "eksnet kubectl -n kube-system get deployment,pods,service,endpointslices",
            )

    return inject


_DNS = Place("service", SERVICE, SYSTEM)
CHAPTER = Chapter(
    "dns",
    "a fault of the cluster's DNS would affect all its pods",
    {
        "A": (
            "no pod can resolve any name",
            _showing(Place("deployment", DEPLOYMENT, SYSTEM), _no_replicas, _udp_fails),
        ),
        "B": (
            "no pod can resolve any name, although CoreDNS runs",
            _showing(_DNS, _wrong_selector, _udp_fails),
        ),
        "C": (
            "names are answered, but the query log stays empty although somebody switched it on",
            _showing(Place("configmap", CONFIGMAP, SYSTEM), _misspelt_plugin, _is_refused),
        ),
        "D": (
            "programs can no longer resolve names, but dig +tcp gets an answer",
            _showing(_DNS, _no_udp, _udp_fails),
        ),
    },
)
