"""When a rollout is done: the rules of `kubectl rollout status`, as pure functions.

Source: k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go, v0.35.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from eksnet.errors import EksnetError

Json = dict[str, Any]

ANNOTATION = "kubectl.kubernetes.io/restartedAt"


@dataclass(frozen=True)
class Progress:
    """How far a rollout is.

    Attributes:
        done: Whether every pod runs the newest template.
        waits_for: What it waits for; empty when done.
        failed: Why it cannot go on; empty when it can.
    """

    done: bool
    waits_for: str = ""
    failed: str = ""


def progress(workload: Json) -> Progress:
    """Return how far the rollout of a Deployment, DaemonSet or StatefulSet is.

    Raises:
        EksnetError: Another kind, or one that is updated by hand (OnDelete).
    """
    rule = _RULES.get(workload.get("kind", ""))
    if rule is None:
        raise _no_rollout(workload)
    state = workload.get("status") or {}
    if workload["metadata"].get("generation", 0) > state.get("observedGeneration", 0):
        return Progress(False, "its controller has not processed the newest template yet")
    return rule(workload["spec"], state)


def restart_patch(workload: Json, now: datetime) -> Json:
    """Return the merge patch that `kubectl rollout restart` sends.

    Raises:
        EksnetError: Another kind, or a Deployment that is paused.
    """
    if workload.get("kind") not in _RULES:
        raise _no_rollout(workload)
    if workload["spec"].get("paused"):
        name = workload["metadata"]["name"]
        raise EksnetError(
            f"deployment {name} is paused",
            "a deployment that is not paused",
            f"`kubectl rollout resume deployment/{name}`",
        )
    stamp = now.astimezone(UTC).isoformat(timespec="microseconds")
    return {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: stamp}}}}}


def _deployment(spec: Json, state: Json) -> Progress:
    for condition in state.get("conditions") or ():
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return Progress(False, failed="it exceeded its progress deadline")
    wanted = spec.get("replicas", 1)
    updated = state.get("updatedReplicas", 0)
    old = state.get("replicas", 0) - updated
    available = state.get("availableReplicas", 0)
    if updated < wanted:
        return Progress(False, f"{updated} of {wanted} pods run the newest template")
    if old > 0:
        return Progress(False, f"{old} old pod{'s are' if old > 1 else ' is'} still running")
    if available < updated:
        return Progress(False, f"{available} of {updated} updated pods are available")
    return Progress(True)


def _daemon_set(spec: Json, state: Json) -> Progress:
    _refuse_on_delete(spec)
    wanted = state.get("desiredNumberScheduled", 0)
    updated = state.get("updatedNumberScheduled", 0)
    available = state.get("numberAvailable", 0)
    if updated < wanted:
        return Progress(False, f"{updated} of {wanted} pods run the newest template")
    if available < wanted:
        return Progress(False, f"{available} of {wanted} updated pods are available")
    return Progress(True)


def _stateful_set(spec: Json, state: Json) -> Progress:
    _refuse_on_delete(spec)
    wanted = spec.get("replicas", 1)
    ready = state.get("readyReplicas", 0)
    if ready < wanted:
        return Progress(False, f"{ready} of {wanted} pods are ready")
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    updated = state.get("updatedReplicas", 0)
    if partition:
        if updated < wanted - partition:
            return Progress(
                False, f"{updated} of {wanted - partition} pods run the newest template"
            )
        return Progress(True)
    if state.get("updateRevision") != state.get("currentRevision"):
        return Progress(False, f"{updated} of {wanted} pods run the newest template")
    return Progress(True)


_RULES: dict[str, Callable[[Json, Json], Progress]] = {
    "Deployment": _deployment,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
}


def _refuse_on_delete(spec: Json) -> None:
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        raise EksnetError(
            "it has the update strategy OnDelete: a pod is replaced only when you delete it",
            "the update strategy RollingUpdate",
            "`kubectl delete pod` each of its pods, or change the strategy",
        )


def _no_rollout(workload: Json) -> EksnetError:
    return EksnetError(
        f"a {workload.get('kind')} has no rollout", "a Deployment, a DaemonSet or a StatefulSet"
    )
