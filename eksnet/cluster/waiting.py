"""Waiting for a condition: list once, then watch, and tell what was seen when it does not come."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from eksnet import inputs
from eksnet.cluster.client import ApiError, Client
from eksnet.cluster.conditions import READY, Condition, describe
from eksnet.cluster.countdown import Countdown
from eksnet.cluster.kinds import EVENT, POD, Kind
from eksnet.cluster.objects import events
from eksnet.errors import DeadlineError, UnreachableError

Json = dict[str, Any]

# A watch is renewed this often, so that the countdown moves while nothing happens.
_TICK_SECONDS = 1.0
_EVENTS_SHOWN = 5
_GONE = 410


@dataclass(frozen=True)
class Watched:
    """Which objects are watched.

    Attributes:
        kind: Their kind.
        namespace: Their namespace; empty for kinds without.
        label: How the reader calls them, such as deployment/coredns.
        selector: The query that selects them: fieldSelector or labelSelector.
    """

    kind: Kind
    namespace: str
    label: str
    selector: dict[str, str] = field(hash=False)

    @property
    def name(self) -> str:
        """The name in the label."""
        return self.label.partition("/")[2]

    @property
    def path(self) -> str:
        """The path of the collection."""
        return self.kind.path(self.namespace)

    def __str__(self) -> str:
        """Return what a message calls them."""
        return f"{self.label} in {self.namespace}" if self.namespace else self.label


def watched(kind: Kind, namespace: str, name: str) -> Watched:
    """Return the watch of one object."""
    place = namespace if kind.namespaced else ""
    label = f"{kind.name.lower()}/{name}"
    return Watched(kind, place, label, {"fieldSelector": f"metadata.name={name}"})


def until(
    client: Client,
    what: Watched,
    condition: Condition,
    timeout: float,
    brief: Callable[[Sequence[Json]], str] = lambda _: "",
    next_step: str = "",
) -> Sequence[Json]:
    """Wait until a condition holds, and return the objects as they are then.

    Args:
        client: The API server's client.
        what: The objects to watch.
        condition: What to wait for.
        timeout: How long at most, in seconds.
        brief: Says in a few words how far it is, for the countdown.
        next_step: What the reader can do when it does not come; else a look at the object.

    Raises:
        DeadlineError: It did not come in time, or can no longer come.
        ApiError: The objects cannot be watched.
    """
    deadline = time.monotonic() + inputs.seconds(timeout)
    next_step = next_step or _look(client, what)
    with Countdown(f"{what} to be {condition.name}") as countdown:
        for objects in states(client, what):
            if condition.holds(objects):
                return objects
            if reason := condition.terminal_reason(objects):
                seen = f"is not {condition.name}: {reason}"
                raise DeadlineError(_report(client, what, seen, objects), "", next_step)
            left = deadline - time.monotonic()
            if left <= 0:
                seen = f"was not {condition.name} after {timeout:g} s"
                raise DeadlineError(_report(client, what, seen, objects), "", next_step)
            countdown.show(left, brief(objects))
    _never()


def states(client: Client, what: Watched) -> Iterator[Sequence[Json]]:
    """Yield the objects at once, after each change, and about once a second, without end."""
    while True:
        answer = client.get(what.path, what.selector)
        version = answer["metadata"]["resourceVersion"]
        kind = {"kind": what.kind.name}
        objects = {one["metadata"]["uid"]: {**kind, **one} for one in answer.get("items") or ()}
        yield list(objects.values())
        try:
            yield from _changes(client, what, objects, version)
        except ApiError as error:
            # A watch that was cut off begins anew; whoever lists first waits for an answer.
            cut = client.is_patient and isinstance(error, UnreachableError)
            if error.status != _GONE and not cut:
                raise


def _changes(
    client: Client, what: Watched, objects: dict[str, Json], version: str
) -> Iterator[Sequence[Json]]:
    while True:
        query = {**what.selector, "resourceVersion": version}
        for event in client.watch(what.path, query, _TICK_SECONDS):
            one = event["object"]
            version = one["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                objects.pop(one["metadata"]["uid"], None)
            elif event["type"] != "BOOKMARK":
                objects[one["metadata"]["uid"]] = one
            yield list(objects.values())
        yield list(objects.values())


def _report(client: Client, what: Watched, seen: str, objects: Sequence[Json]) -> str:
    lines = [f"{what} {seen}", *describe(objects).splitlines(), *_events(client, what)]
    for pod in _troubled_pods(client, objects):
        about = watched(POD, what.namespace, pod["metadata"]["name"])
        lines += [f"{about}:", *describe([pod]).splitlines(), *_events(client, about)]
    return "\n    ".join(lines)


def _troubled_pods(client: Client, workloads: Sequence[Json]) -> list[Json]:
    """Return the first pod of a workload that is not ready: what is wrong stands there."""
    for workload in workloads:
        labels = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels")
        if isinstance(labels, dict):
            selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
            path = POD.path(workload["metadata"].get("namespace", ""))
            with contextlib.suppress(ApiError):
                pods = client.get(path, {"labelSelector": selector}).get("items") or []
                kind = {"kind": POD.name}
                return [{**kind, **pod} for pod in pods if not READY.holds([pod])][:1]
    return []


def _look(client: Client, what: Watched) -> str:
    where = f" -n {what.namespace}" if what.namespace else ""
    return f"`{client.kubectl} describe {what.label}{where}` shows details"


def _events(client: Client, what: Watched) -> list[str]:
    """Return the last events about an object; none when they cannot be read."""
    selector = f"involvedObject.name={what.name}"
    try:
        answer = client.get(EVENT.path(what.namespace), {"fieldSelector": selector})
    except ApiError:
        return []
    last = events(answer.get("items") or ())[-_EVENTS_SHOWN:]
    return [f"{one.type} {one.reason}: {one.message}" for one in last]


def _never() -> NoReturn:
    raise AssertionError("a watch does not finish by itself")
