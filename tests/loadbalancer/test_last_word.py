"""What the controller said last: from events as the API has them, and from the lines of its log."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from eksnet.cluster import ApiError, Resource
from eksnet.loadbalancer.last_word import About, Word, last_word, of_events, of_log

SINCE = "2026-11-30T10:00:00Z"


def event(
    reason: str, at: str, message: str = "said", uid: str = "u1", version: str = "1", **fields: Any
) -> Resource:
    kind = "Normal" if reason == "SuccessfullyReconciled" else "Warning"
    return Resource(
        {
            "metadata": {"name": f"web.{at}", "resourceVersion": version}, "type": kind,
            "involvedObject": {"uid": uid},
            "reason": reason, "message": message, "lastTimestamp": at, **fields,
        }
    )  # fmt: skip


def failed(at: str, name: str = "web", namespace: str = "app-ns", **fields: Any) -> str:
    line = {
        "level": "error", "ts": at, "msg": "Reconciler error", "controller": "ingress",
        "namespace": namespace, "name": name, "error": "conflicting scheme", **fields,
    }  # fmt: skip
    return json.dumps(line)


def deployed(at: str, **fields: Any) -> str:
    return json.dumps({"level": "info", "ts": at, "msg": "successfully deployed model", **fields})


def about(kind: str = "Ingress", namespace: str = "app-ns", name: str = "web") -> About:
    return About(kind, namespace, name, datetime.fromisoformat(SINCE))


GROUP = about(namespace="", name="front")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], []),
        ([event("FailedBuildModel", "2026-11-30T10:01:00Z")], ["FailedBuildModel: said"]),
        (
            # In another order than they came.
            [
                event("SuccessfullyReconciled", "2026-11-30T10:02:00Z"),
                event("FailedBuildModel", "2026-11-30T10:01:00Z"),
            ],
            ["SuccessfullyReconciled: said"],
        ),
        (
            # The same error again and again is one event that counts.
            [
                event("FailedDeployModel", "2026-11-30T10:09:00Z", count=7),
                event("SuccessfullyReconciled", "2026-11-30T10:02:00Z"),
            ],
            ["FailedDeployModel: said"],
        ),
        (
            # In the same second: the one that was written later, which the first success is again.
            [
                event("SuccessfullyReconciled", SINCE, version="9", count=2),
                event("FailedDeployModel", SINCE, version="8"),
            ],
            ["SuccessfullyReconciled: said"],
        ),
        # Of another controller.
        ([{**event("Sync", SINCE), "type": "Normal"}], []),
    ],
)
def test_the_newest_event_counts(events: list[Any], said: list[str]) -> None:
    assert [str(one) for one in of_events(events)] == said


@pytest.mark.parametrize(
    ("line", "who", "said"),
    [
        (failed("2026-11-30T10:01:00.5Z"), about(), "conflicting scheme"),
        (failed("2026-11-30T10:01:00Z", name="other"), about(), None),
        (failed("2026-11-30T10:01:00Z", namespace="other"), about(), None),
        (failed("2026-11-30T09:59:59Z"), about(), None),
        # A Service of the same name has a controller of its own.
        (failed("2026-11-30T10:01:00Z"), about("Service"), None),
        (failed("2026-11-30T10:01:00Z", controller="service"), about("Service"),
         "conflicting scheme"),
        (failed("2026-11-30T10:01:00Z", controller="targetGroupBinding", name="k8s-x"),
         about("TargetGroupBinding", name="k8s-x"), "conflicting scheme"),
        # A group has no namespace.
        (failed("2026-11-30T10:01:00Z", name="front", namespace=""), GROUP, "conflicting scheme"),
        (deployed("2026-11-30T10:01:00Z", ingressGroup="app-ns/web"), about(),
         "successfully deployed model"),
        (deployed("2026-11-30T10:01:00Z", ingressGroup="front"), GROUP,
         "successfully deployed model"),
        (deployed("2026-11-30T10:01:00Z", service={"namespace": "app-ns", "name": "web"}),
         about("Service"), "successfully deployed model"),
        (deployed("2026-11-30T10:01:00Z", service={"namespace": "app-ns", "name": "web"}),
         about(), None),
        ("plain text", about(), None),
        (failed("2026-11-30T10:01:00Z")[:-20], about(), None),
        (json.dumps({"msg": "Reconciler error"}), about(), None),
        (json.dumps(["Reconciler error"]), about(), None),
        (failed("yesterday"), about(), None),
    ],
)  # fmt: skip
def test_a_line_of_the_log(line: str, who: About, said: str | None) -> None:
    found = list(of_log(f"other\n{line}\n", who))
    assert [one.text for one in found] == ([said] if said else [])
    assert [one.fine for one in found] == ([said == "successfully deployed model"] if said else [])


class Cluster:
    def __init__(self, events: list[Resource], logs: dict[str, str | int]) -> None:
        self.events, self.logs_ = events, logs

    def list(self, kind: str, namespace: str) -> list[Resource]:
        assert (kind, namespace) == ("events", "app-ns")
        return self.events

    def logs(self, pod: str, namespace: str, *, tail: int) -> str:
        found = self.logs_[pod]
        if isinstance(found, int):
            raise ApiError(f"pods/{pod}/log", "it", "look", status=found)
        return found


def word(
    events: list[Resource], logs: dict[str, str | int], group: str = "", kind: str = "Ingress"
) -> Word | None:
    metadata = {"name": "web", "namespace": "app-ns", "uid": "u1", "creationTimestamp": SINCE}
    pods = [Resource({"metadata": {"name": name, "namespace": "kube-system"}}) for name in logs]
    about: Any = Resource({"kind": kind, "metadata": metadata})
    return last_word(Cluster(events, logs), about, group, pods)  # type: ignore[arg-type]


WRONG_AT = "2026-11-30T10:05:00Z"
WRONG = event("FailedBuildModel", WRONG_AT, "due to x")
RIGHT = event("SuccessfullyReconciled", WRONG_AT)
DONE = deployed(WRONG_AT, ingressGroup="app-ns/web")
AGAIN = f"{failed(WRONG_AT)}\n{DONE}"


@pytest.mark.parametrize(
    ("events", "logs", "said"),
    [
        ([], {}, None),
        ([WRONG], {"a": ""}, "FailedBuildModel: due to x"),
        # An event of an object of this name that was there before.
        ([event("FailedBuildModel", SINCE, uid="u0")], {}, None),
        # The log goes on where the events do not.
        ([WRONG], {"a": deployed("2026-11-30T10:06:00Z", ingressGroup="app-ns/web")},
         "successfully deployed model"),
        ([WRONG], {"a": deployed("2026-11-30T10:04:00Z", ingressGroup="app-ns/web")},
         "FailedBuildModel: due to x"),
        # In the same second the event has more to say.
        ([WRONG], {"a": failed("2026-11-30T10:05:00.7Z")}, "FailedBuildModel: due to x"),
        # The controller tries again at once: the last line of a second counts.
        ([WRONG], {"a": AGAIN}, "successfully deployed model"),
        ([RIGHT], {"a": f"{DONE}\n{failed(WRONG_AT)}"}, "conflicting scheme"),
        # Either pod may have worked; one's log may not be read.
        ([], {"a": failed("2026-11-30T10:05:00Z"), "b": 403}, "conflicting scheme"),
        ([], {"a": "", "b": failed("2026-11-30T10:05:00Z")}, "conflicting scheme"),
    ],
)  # fmt: skip
def test_the_last_word(events: list[Resource], logs: Any, said: str | None) -> None:
    found = word(events, logs)
    assert (str(found) if found else None) == said


def test_a_binding_whose_success_no_line_tells_of_is_known_by_its_event() -> None:
    # The log of bindings has failures alone.
    fine = event("SuccessfullyReconciled", WRONG_AT, version="2")
    log = failed(WRONG_AT, controller="targetGroupBinding")
    assert str(word([WRONG, fine], {"a": log}, kind="TargetGroupBinding")).startswith("Success")


def test_an_ingress_in_a_group_is_called_by_its_group() -> None:
    log = failed("2026-11-30T10:05:00Z", name="front", namespace="")
    assert word([], {"a": log}) is None
    assert str(word([], {"a": log}, "front")) == "conflicting scheme"
