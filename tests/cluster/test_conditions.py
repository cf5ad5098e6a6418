"""Conditions and rollout rules, as pure functions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from eksnet.cluster import Condition, conditions, rollout
from eksnet.errors import EksnetError

Json = dict[str, Any]


def one(kind: str = "Pod", generation: int = 1, **status: Any) -> Json:
    return {"kind": kind, "metadata": {"generation": generation}, "status": status}


def ready(status: str = "True", **more: Any) -> Json:
    return one(conditions=[{"type": "Ready", "status": status}], **more)


@pytest.mark.parametrize(
    ("name", "objects", "holds"),
    [
        ("Ready", [ready()], True),
        ("Ready", [ready("False")], False),
        ("Ready=False", [ready("False")], True),
        ("Ready", [one()], False),
        ("Ready", [], False),
        ("Available", [ready()], False),
        # A controller that speaks of the spec before this one.
        ("Ready", [ready(generation=2, observedGeneration=1)], False),
        ("Ready", [ready(generation=2, observedGeneration=2)], True),
        ("Deleted", [], True),
        ("Deleted", [one()], False),
        ("jsonpath={.status.phase}=Running", [one(phase="Running")], True),
        ("jsonpath={.status.phase}=Running", [one(phase="Pending")], False),
        ("jsonpath={.status.list[1].a}", [one(list=[{}, {"a": 0}])], True),
        ("jsonpath={.status.list[1].a}", [one(list=[{}])], False),
        ("jsonpath={.status['a.b/c']}=true", [one(**{"a.b/c": True})], True),
        ("jsonpath={.status.n}=3", [one(n=3)], True),
    ],
)
def test_a_named_condition(name: str, objects: list[Json], holds: bool) -> None:
    assert conditions.named(name).holds(objects) is holds


@pytest.mark.parametrize(
    ("endpoints", "holds"),
    [
        ([{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}], True),
        ([{"addresses": ["10.0.0.1"]}], True),
        ([{"addresses": ["10.0.0.1"], "conditions": {"ready": False}}], False),
        ([], False),
        (None, False),
    ],
)
def test_endpoints_are_ready(endpoints: list[Json] | None, holds: bool) -> None:
    condition = conditions.named("EndpointsReady")
    assert condition.holds([{"endpoints": []}, {"endpoints": endpoints}]) is holds


def test_a_condition_may_be_a_function_with_a_name() -> None:
    def has_an_address(pod: Json) -> bool:
        return "podIP" in pod["status"]

    condition = conditions.named(has_an_address)
    assert condition.name == "has an address"
    assert condition.holds([one(podIP="10.0.0.1")])
    named = Condition("addressed", has_an_address)
    assert conditions.named(named) is named


@pytest.mark.parametrize(
    "what",
    [
        "",
        "not ready",
        "jsonpath=",
        "jsonpath={}",
        "jsonpath={status}",
        "jsonpath={.a[*]}",
        3,
        lambda one: True,
    ],
)
def test_what_is_no_condition_is_refused(what: Any) -> None:
    with pytest.raises(EksnetError) as caught:
        conditions.named(what)
    assert "jsonpath" in caught.value.expected


@pytest.mark.parametrize(
    ("name", "seen", "told"),
    [
        (
            "Complete",
            one("Job", conditions=[{"type": "Failed", "status": "True"}]),
            "it failed",
        ),
        ("Complete", one("Job"), ""),
        ("Ready", one(phase="Failed"), "it ended"),
        ("Ready", one(phase="Pending"), ""),
    ],
)
def test_waiting_ends_where_it_makes_no_sense(name: str, seen: Json, told: str) -> None:
    assert conditions.named(name).terminal_reason([seen]) == told


def test_a_state_is_described() -> None:
    pod = one(
        phase="Pending",
        conditions=[{"type": "Ready", "status": "False", "reason": "R", "message": "m"}],
        containerStatuses=[
            {"name": "main", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
        ],
    )
    assert conditions.describe([pod]).splitlines() == [
        "phase: Pending",
        "Ready: False (R: m)",
        "container main: waiting (ErrImagePull: no)",
    ]
    assert conditions.describe([]) == "it is missing"


def test_what_keeps_an_object_is_described() -> None:
    leaving = one("Ingress")
    leaving["metadata"] |= {"finalizers": ["ingress.k8s.aws/resources", "foregroundDeletion"]}
    empty = "it exists, but its status is empty"
    assert conditions.describe([leaving]) == empty
    leaving["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert conditions.describe([leaving]) == (
        "on its way out: whoever set ingress.k8s.aws/resources has not removed it yet"
    )


def workload(kind: str, spec: Json, generation: int = 2, **status: Any) -> Json:
    status = {"observedGeneration": 2, **status}
    metadata = {"name": "web", "generation": generation}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"updatedReplicas": 1, "replicas": 3}, "1 of 2 pods run the newest template"),
        ({"updatedReplicas": 2, "replicas": 3}, "1 old pod is still running"),
        (
            {"updatedReplicas": 2, "replicas": 2, "availableReplicas": 1},
            "1 of 2 updated pods are available",
        ),
        ({"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}, ""),
        ({"observedGeneration": 1}, "its controller has not processed the newest template yet"),
    ],
)
def test_a_deployment_rolls_out(status: Json, told: str) -> None:
    progress = rollout.progress(workload("Deployment", {"replicas": 2}, **status))
    assert progress == rollout.Progress(not told, told)


def test_a_deployment_that_is_stuck_has_failed() -> None:
    stuck = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]
    progress = rollout.progress(workload("Deployment", {}, conditions=stuck))
    assert progress.failed == "it exceeded its progress deadline"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"updatedNumberScheduled": 1}, "1 of 2 pods run the newest template"),
        (
            {"updatedNumberScheduled": 2, "numberAvailable": 1},
            "1 of 2 updated pods are available",
        ),
        ({"updatedNumberScheduled": 2, "numberAvailable": 2}, ""),
    ],
)
def test_a_daemon_set_rolls_out(status: Json, told: str) -> None:
    progress = rollout.progress(workload("DaemonSet", {}, desiredNumberScheduled=2, **status))
    assert progress == rollout.Progress(not told, told)


@pytest.mark.parametrize(
    ("partition", "status", "told"),
    [
        (0, {"readyReplicas": 1}, "1 of 3 pods are ready"),
        (
            0,
            {"readyReplicas": 3, "updatedReplicas": 1, "updateRevision": "b"},
            "1 of 3 pods run the newest template",
        ),
        (0, {"readyReplicas": 3, "updateRevision": "b", "currentRevision": "b"}, ""),
        (2, {"readyReplicas": 3, "updatedReplicas": 0}, "0 of 1 pods run the newest template"),
        (2, {"readyReplicas": 3, "updatedReplicas": 1}, ""),
    ],
)
def test_a_stateful_set_rolls_out(partition: int, status: Json, told: str) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
    spec = {"replicas": 3, "updateStrategy": strategy}
    progress = rollout.progress(workload("StatefulSet", spec, **status))
    assert progress == rollout.Progress(not told, told)


@pytest.mark.parametrize(
    "what", [workload("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}), workload("Pod", {})]
)
def test_what_does_not_roll_out_is_refused(what: Json) -> None:
    with pytest.raises(EksnetError):
        rollout.progress(what)


def test_a_restart_stamps_the_template() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    patch = rollout.restart_patch(workload("Deployment", {}), now)
    annotations = patch["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05.000000+00:00"}


@pytest.mark.parametrize("what", [workload("Deployment", {"paused": True}), workload("Pod", {})])
def test_what_cannot_restart_is_refused(what: Json) -> None:
    with pytest.raises(EksnetError):
        rollout.restart_patch(what, datetime.now(UTC))
