"""What 05_lab_hosts asks of the CoreDNS pods: that they run the ConfigMap's text."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from eksnet.checkpoints.criteria import Observation, State, failed, not_yet, passed, then
from eksnet.checkpoints.hosts_block import (
    ADDRESS,
    BOTH_NAMES,
    NAME,
    SECOND_NAME,
    SET,
    anew,
    assignment,
    block_of,
    corefile_of,
    hosts_in,
)
from eksnet.checkpoints.object_checks import last_change
from eksnet.coredns.configuration import logged_configurations, refusal
from eksnet.coredns.configuration import running as running_in
from eksnet.coredns.hosts import Hosts
from eksnet.coredns.installed import CONFIGMAP, SYSTEM, log_of, logs_of_all, pods_not_terminating

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

RESTART = 'cluster.rollout_restart("deployment/coredns", "kube-system")'
_LOGS = "eksnet kubectl -n kube-system logs -l k8s-app=kube-dns --prefix --tail=20"


def _crashes(pod: Resource) -> bool:
    states = (one.get("state") or {} for one in pod.get("status", {}).get("containerStatuses", ()))
    return any((one.get("waiting") or {}).get("reason") == "CrashLoopBackOff" for one in states)


def _refuses(changed: str, pod: Resource, log: str) -> bool:
    """Tell whether a pod refuses the ConfigMap's text for sure: it has never had an earlier one."""
    made = str(pod["metadata"].get("creationTimestamp", ""))
    return _crashes(pod) and bool(refusal(log)) and "" < changed < made


def running(cluster: Cluster) -> Observation:
    """Whether each CoreDNS pod logs the hash of the ConfigMap's Corefile as its last one."""
    return runs_configmap(cluster, f"wait for the reload, or {RESTART}", NAME)


def runs_configmap(cluster: Cluster, advice: str, names: str = "") -> Observation:
    """Whether each CoreDNS pod runs the text of the ConfigMap.

    Args:
        cluster: The cluster.
        advice: The next step while it is only a question of time.
        names: The names in the block `hosts` that repairs a refused Corefile; empty for none.
    """
    pods = pods_not_terminating(cluster)
    logs = [log_of(cluster, pod.name) for pod in pods]
    found = running_in(corefile_of(cluster), logs)
    seen = f"{found.current} of {found.total} CoreDNS pods run the Corefile of the ConfigMap"
    if found.total and found.current == found.total:
        return passed(seen)
    if crashes := sum(map(_crashes, pods)):
        seen += f", {crashes} in CrashLoopBackOff"
    changed = last_change(cluster.get("configmap", CONFIGMAP, SYSTEM))
    if found.final or any(map(functools.partial(_refuses, changed), pods, logs)):
        refused = f"{seen}; CoreDNS refused it: {found.refused}"
        return failed(refused, "all of them", _refusal_step(cluster, names))
    if found.refused or crashes:
        said = f"; one refused a Corefile: {found.refused}" if found.refused else ""
        return not_yet(f"{seen}{said}", "all of them", _refusal_step(cluster, names))
    return not_yet(seen, "all of them", advice)


def _refusal_step(cluster: Cluster, names: str) -> str:
    """Return what to do about a refusal: a restart would end the pods that still answer."""
    log = f"`{_LOGS}` in a terminal shows the log of CoreDNS, which may be about an earlier text"
    if not names:
        return f"{log}; wait two minutes and check again"
    return f"{log}; if the Corefile still has it, do not restart, but {anew(cluster, names)}"


def running_again(cluster: Cluster) -> Observation:
    """Whether each CoreDNS pod runs the Corefile that was restored."""
    seen = runs_configmap(cluster, f"wait for the reload, or {RESTART}")
    if not seen.retryable or "CrashLoopBackOff" not in seen.observed:
        return seen
    # What was restored ran before, and a pod that crashes is started again ever more seldom.
    return replace(
        seen, next_step=then("start new pods, which read the restored Corefile", RESTART)
    )


def reloaded(cluster: Cluster) -> Observation:
    """Whether each CoreDNS pod took the Corefile over while it ran."""
    # After a restart nobody could see any more that it reloads.
    advice = "wait for the reload, up to two minutes; do not restart CoreDNS"
    seen = runs_configmap(cluster, advice, BOTH_NAMES)
    if seen.state is not State.PASS:
        return seen
    histories = [logged_configurations(log) for log in logs_of_all(cluster)]
    began = sum(len(set(history)) == 1 for history in histories)
    if began:
        return failed(
            f"{began} of {len(histories)} CoreDNS pods started with this Corefile",
            "pods that reloaded it while they ran: their logs show an earlier hash",
            then(
                f"give {ADDRESS} another name, and do not restart CoreDNS",
                *_another_name(cluster),
            ),
        )
    return passed(f"{len(histories)} CoreDNS pods loaded it without a restart")


def _another_name(cluster: Cluster) -> tuple[str, str]:
    """Return what gives the address a name that the Corefile has not: else nothing would change."""
    text, hosts = corefile_of(cluster), hosts_in(cluster)
    names = [NAME, SECOND_NAME]
    names += [next(name for n in itertools.count(1) if (name := f"again-{n}.{NAME}") not in text)]
    if isinstance(hosts, Hosts):
        return assignment(hosts.corrected(ADDRESS, names)), SET
    return assignment(block_of(" ".join(names))), SET
