"""The checkpoints of 03b_modes_and_growth: kube-proxy in mode nftables, and what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    State,
    failed,
    not_started,
    passed,
)
from eksnet.checkpoints.object_checks import judge, last_change
from eksnet.checkpoints.shop import (
    CONFIGMAP,
    FOUND,
    ON_EVERY_NODE,
    RESTART,
    RUNNING,
    lines_of_web,
    running,
)
from eksnet.errors import EksnetError
from eksnet.kubeproxy import faults
from eksnet.kubeproxy.observe import kube_proxies
from eksnet.kubeproxy.settings import parse_mode

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "03b_modes_and_growth"
_MODE = "nftables"
_SET = f'kubeproxy.set_mode(cluster, "{_MODE}")'
_CHECK = 'eksnet.checkpoint("proxy-08").check(prediction, found)'


def mode(cluster: Cluster) -> Observation:
    """Whether kube-proxy's ConfigMap says nftables."""

    def look(configmap: Resource) -> Observation:
        try:
            said = parse_mode((configmap.get("data") or {}).get("config", ""))
        except EksnetError as error:
            return failed(" ".join(error.seen.split()), f"mode: {_MODE}", _SET)
        if said != _MODE:
            return not_started(f"the mode is {said}", f"mode: {_MODE}", _SET)
        return passed(f"the mode is {said}")

    return judge(cluster, CONFIGMAP, faults.SYSTEM, look)


def started_since(cluster: Cluster) -> Observation:
    """Whether kube-proxy was started on every node after the last change of its ConfigMap."""
    seen = running(cluster)
    configmap = cluster.find(CONFIGMAP, namespace=faults.SYSTEM)
    if seen.state is not State.PASS or configmap is None:
        return seen
    changed, pods = last_change(configmap), kube_proxies(cluster)
    old = sum(_start(pod) < changed for pod in pods)
    if old:
        return failed(
            f"{old} of {len(pods)} pods started before the mode was changed", RUNNING, RESTART
        )
    return passed(f"all {len(pods)} pods started after the mode was changed")


def _start(pod: Resource) -> str:
    """Return when a pod's container started; empty when it does not run."""
    statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses") or []
    running_ones = ((one.get("state") or {}).get("running") or {} for one in statuses)
    return max((str(one.get("startedAt", "")) for one in running_ones), default="")


CHECKPOINTS = (
    Definition(
        id="proxy-07",
        notebook=NOTEBOOK,
        title="Mode nftables on every node",
        criteria=(
            Criterion("proxy-07.mode", "The mode is nftables", 1, mode),
            Criterion(
                "proxy-07.pods",
                "kube-proxy has read it on every node",
                1,
                started_since,
                needs=("proxy-07.mode",),
                wait=ON_EVERY_NODE,
            ),
        ),
        hints=(
            "Look at the mode in kube-proxy's ConfigMap, and at the pods of kube-proxy.",
            "Compare the time of the change with the times at which the pods started: kube-proxy "
            "reads its ConfigMap only when it starts.",
            f"`{_SET}`, then `{RESTART}`",
        ),
        solution=f'kubeproxy.switch_mode(cluster, "{_MODE}")\n',
    ),
    Definition(
        id="proxy-08",
        notebook=NOTEBOOK,
        title="The rules of a Service in mode nftables",
        criteria=(
            Prediction(
                "proxy-08.lines",
                "The number of lines that you predicted",
                1,
                "in mode nftables, how many lines (elements of maps, and rules) does a node have "
                "for the Service web with its three endpoints?",
                "prediction = 0",
                lines_of_web(_MODE),
                takes="found",
                gather=FOUND,
                units=("line", "lines", "rule", "rules"),
            ),
        ),
        hints=(
            "Look at the ten rules of mode iptables: which of them find the Service, which "
            "choose an endpoint, and which are in an endpoint's own chain?",
            "Compare them one by one: which of them does a map replace, and which of them does "
            "one rule with a random number replace?",
            "`len(found)` is the number that is compared. Put it into `prediction`, and check "
            f"again:\n\n{FOUND}\n{_CHECK}",
        ),
        solution=f"""\
# 1 element to find it, 1 rule to choose an endpoint, 3 times 2 to mark and to translate
prediction = 1 + 1 + 3 * 2
{FOUND}
{_CHECK}
""",
    ),
)
