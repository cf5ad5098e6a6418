"""When a cluster is ready for a lesson: its DNS answers, and kube-proxy does as it is configured.

Each condition has a name and a deadline that the reader sees.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from eksnet.cluster import rollout
from eksnet.cluster.client import ApiError
from eksnet.cluster.countdown import until
from eksnet.cluster.kinds import UnknownKindError
from eksnet.coredns.configuration import logged_configurations, refusal, running
from eksnet.coredns.installed import (
    CONFIGMAP,
    DEPLOYMENT,
    SERVICE,
    SYSTEM,
    all_pods,
    log_of,
    logs_of_all,
    pods_not_terminating,
)
from eksnet.coredns.probe import ask_from_a_pod
from eksnet.endpoints import usable_endpoints
from eksnet.errors import EksnetError, NotFoundError, RefusedError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

# The kubelet brings a ConfigMap within a minute or so, `reload` looks every 22.5 to 37.5 s.
_SECONDS = 150
_KUBE_PROXY = "kube-proxy"
_PROXIER = re.compile(r"Using (\w+) Proxier")


def wait_until_ready(cluster: Cluster, *, restarts: bool, changed: bool, corefile: bool) -> None:
    """Wait until a cluster's DNS and kube-proxy are ready for a lesson.

    Args:
        cluster: The cluster.
        restarts: Whether pods that run something else than their configuration, or keep ending,
            may be restarted; else they are waited for.
        changed: Whether something was changed: then a pod asks, too, and the rules are compared.
        corefile: Whether that may be the Corefile.

    Raises:
        EksnetError: A condition does not come in time.
    """
    if restarts:
        _restart(cluster, corefile)
    conditions = _CONDITIONS + (_ASKED if changed else ())
    for what, holds in conditions:
        if not until(what, lambda holds=holds: _holds(cluster, holds), _SECONDS):  # type: ignore[misc]
            raise EksnetError(
                f"still waiting for {what} after {_SECONDS} s",
                "a cluster with working DNS",
                "eksnet reset starts with a fresh cluster"
                if cluster.target.kind == "sandbox"
                else "eksnet.coredns.diagnose(cluster) finds the cause",
            )


def _holds(cluster: Cluster, condition: Callable[[Cluster], bool]) -> bool:
    try:
        return condition(cluster)
    except UnknownKindError:
        return True
    except (NotFoundError, RefusedError):
        # What may not be read, or is not there as on EKS, cannot be waited for.
        if cluster.target.kind != "sandbox":
            return True
        raise


def _restart(cluster: Cluster, corefile: bool) -> None:
    """Start anew what does not come to itself, or not soon."""
    with contextlib.redirect_stdout(io.StringIO()):
        pods, written = pods_not_terminating(cluster), _last_written(cluster)
        # What was written just now may not be seen in the times: the fields have new owners.
        if corefile or any(
            _has_another(cluster, pod) or _may_take_up_another(pod, written) or _keeps_ending(pod)
            for pod in pods
        ):
            cluster.rollout_restart(f"deployment/{DEPLOYMENT}", SYSTEM)
        if any(_keeps_ending(pod) or not _has_mode(cluster, pod) for pod in _kube_proxies(cluster)):
            cluster.rollout_restart(f"daemonset/{_KUBE_PROXY}", SYSTEM)


def _has_another(cluster: Cluster, pod: Resource) -> bool:
    """Tell whether a CoreDNS pod runs another configuration; one that starts runs none yet."""
    log = log_of(cluster, pod.name)
    if not logged_configurations(log):
        return False
    found = _running(cluster, [log])
    return found is not None and (found.current < found.total or bool(refusal(log)))


def _last_written(cluster: Cluster) -> datetime | None:
    """Return when CoreDNS's ConfigMap was written last; None where nothing says so."""
    # EKS Auto Mode has none.
    found = cluster.find("configmap", CONFIGMAP, SYSTEM)
    written = (found["metadata"].get("managedFields") or ()) if found else ()
    times = [datetime.fromisoformat(one["time"]) for one in written if one.get("time")]
    return max(times, default=None)


def _may_take_up_another(pod: Resource, written: datetime | None) -> bool:
    """Tell whether a CoreDNS pod may yet load what its ConfigMap held a moment ago.

    It runs what the ConfigMap holds, but its file may be older than that, and newer than its last
    reload.
    """
    started = pod["status"].get("startTime")
    if not started or written is None or datetime.now(UTC) - written > timedelta(seconds=_SECONDS):
        return False
    return datetime.fromisoformat(started) <= written


def _keeps_ending(pod: Resource) -> bool:
    """Tell whether a container has ended and is not Ready again: its next start may take long."""
    statuses = pod["status"].get("containerStatuses") or ()
    return any(one.get("restartCount") and not one.get("ready") for one in statuses)


def _running(cluster: Cluster, logs: list[str]) -> Any:
    """Return what CoreDNS pods run; None where their Corefile cannot be told by its hash."""
    data = cluster.get("configmap", CONFIGMAP, SYSTEM).get("data") or {}
    try:
        return running(str(data.get("Corefile", "")), logs)
    except ApiError:
        raise
    except EksnetError:
        return None


def _kube_proxies(cluster: Cluster) -> list[Resource]:
    from eksnet.kubeproxy.observe import kube_proxies

    return kube_proxies(cluster)


def _has_mode(cluster: Cluster, pod: Resource) -> bool:
    """Tell whether a kube-proxy runs in the mode of its ConfigMap: its log says so at its start.

    Where the log's beginning is gone, or there is no such ConfigMap, nothing speaks against it.
    """
    from eksnet.kubeproxy.observe import read_configuration

    modes = _PROXIER.findall(log_of(cluster, pod.name))
    with contextlib.suppress(EksnetError):
        return not modes or bool(modes[-1] == read_configuration(cluster).mode)
    return True


# The conditions, in the order in which they are waited for.


def _coredns_is_rolled_out(cluster: Cluster) -> bool:
    return _is_rolled_out(cluster, "Deployment", DEPLOYMENT)


def _is_rolled_out(cluster: Cluster, kind: str, name: str) -> bool:
    return rollout.progress({**cluster.get(kind, name, SYSTEM), "kind": kind}).done


def _coredns_runs_its_corefile(cluster: Cluster) -> bool:
    found = _running(cluster, logs_of_all(cluster))
    return found is None or bool(found.current == found.total)


def _old_pods_are_gone(cluster: Cluster) -> bool:
    return len(all_pods(cluster)) == len(pods_not_terminating(cluster))


def _service_has_endpoints(cluster: Cluster) -> bool:
    label = f"kubernetes.io/service-name={SERVICE}"
    slices = cluster.list("endpointslices", SYSTEM, selector=label)
    return bool(usable_endpoints(slices))


def _kube_proxy_runs(cluster: Cluster) -> bool:
    if not _is_rolled_out(cluster, "DaemonSet", _KUBE_PROXY):
        return False
    pods = _kube_proxies(cluster)
    # Elsewhere a mode that waits for a restart is its owners' business.
    modes = pods if cluster.target.kind == "sandbox" else []
    return not any(map(_keeps_ending, pods)) and all(_has_mode(cluster, pod) for pod in modes)


def _nodes_have_their_rules(cluster: Cluster) -> bool:
    if cluster.target.kind != "sandbox":
        return True
    from eksnet.kubeproxy.observe import node_differences, read_rules
    from eksnet.kubeproxy.settings import Node

    with contextlib.suppress(EksnetError):
        nodes = map(Node.from_object, cluster.list("nodes"))
        return not any(node_differences(cluster, node, read_rules(cluster, node)) for node in nodes)
    return False


def _a_pod_is_answered(cluster: Cluster) -> bool:
    return ask_from_a_pod(cluster).answers["udp"] == "NOERROR"


_CONDITIONS = (
    ("the Deployment coredns to be rolled out", _coredns_is_rolled_out),
    ("every CoreDNS pod to run the Corefile of the ConfigMap", _coredns_runs_its_corefile),
    ("the old CoreDNS pods to exit", _old_pods_are_gone),
    ("the endpoints of the Service kube-dns", _service_has_endpoints),
    ("kube-proxy to run on every node as it is configured", _kube_proxy_runs),
)
_ASKED = (
    ("the rules of every node", _nodes_have_their_rules),
    ("an answer of the cluster's DNS to a pod", _a_pod_is_answered),
)
