"""What the controller said last of an object: its newest event, or a later line of its log.

An event is kept for an hour, and of many events on one object the API server gets only some. The
log has each turn, until the pod ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from eksnet.cluster import ApiError
from eksnet.cluster.objects import last_seen

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

Json = Mapping[str, Any]
RECONCILED = "SuccessfullyReconciled"
_WARNING, _EVENT = "Warning", "event"
_FAILED, _DEPLOYED = "Reconciler error", "successfully deployed model"
# What the log calls the controller of a kind, and where a line names the object that is done.
_IN_LOG = {
    "Ingress": ("ingress", "ingressGroup"),
    "Service": ("service", "service"),
    "TargetGroupBinding": ("targetGroupBinding", ""),
}
KINDS = tuple(_IN_LOG)
_LINES = 20_000
"""How many lines of a log are read: more than a day of a busy cluster."""


@dataclass(frozen=True)
class Word:
    """What the controller said of an object.

    Attributes:
        at: When, to the second.
        fine: Whether it had nothing left to do.
        where: `event` or `log`.
        reason: The reason of the event; empty in a log.
        text: What it said.
    """

    at: datetime
    fine: bool
    where: str
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.text}" if self.reason else self.text


@dataclass(frozen=True)
class About:
    """What a log calls an object.

    Attributes:
        kind: Ingress, Service or TargetGroupBinding.
        namespace: Its namespace; empty for an Ingress in a group.
        name: Its name, or that of its group.
        since: When it was created: what is older is of another object.
    """

    kind: str
    namespace: str
    name: str
    since: datetime


def last_word(
    cluster: Cluster, about: Resource, group: str = "", pods: Iterable[Resource] = ()
) -> Word | None:
    """Return what the controller said last of an object; None where nothing is known.

    Args:
        cluster: The cluster.
        about: The Ingress, the Service or the target group binding.
        group: The name of an Ingress' group; empty where it has none.
        pods: The controller's pods; a log that may not be read is left out.
    """
    uid = about["metadata"].get("uid")
    events = [
        one for one in cluster.list("events", about.namespace)
        if (one.get("involvedObject") or {}).get("uid") == uid
    ]  # fmt: skip
    place = ("", group) if group else (about.namespace, about.name)
    named = About(about.kind, *place, _time(about["metadata"]["creationTimestamp"]))
    lines = [one for pod in pods for one in of_log(_log(cluster, pod), named)]
    return _later(next(of_events(one.raw for one in events), None), _last(lines), about.kind)


def _last(lines: Sequence[Word]) -> Word | None:
    """Return the newest of some lines; of those of one second the last."""
    return max(reversed(lines), key=lambda one: one.at, default=None)


def _later(event: Word | None, line: Word | None, kind: str) -> Word | None:
    """Return which of both is newer, as far as seconds tell it.

    In one second there are many turns, when the controller tries again at once. Only the log has
    their order: an event that came before has one more in its count, and its old name.
    """
    if event is None or line is None:
        return event or line
    if event.at != line.at:
        return max(event, line, key=lambda one: one.at)
    knows_the_end = bool(_IN_LOG[kind][1])
    # Where both tell of the same failure, the event has more to say.
    return line if knows_the_end and (line.fine or event.fine) else event


def of_events(events: Iterable[dict[str, Any]]) -> Iterator[Word]:
    """Yield what the newest event of the controller says: one word, or none.

    Args:
        events: The events of one object; those of others than the controller are passed over.
    """
    for one in sorted(events, key=_order, reverse=True):
        fine = one.get("reason") == RECONCILED
        if fine or one.get("type") == _WARNING:
            text = str(one.get("message") or "").strip()
            yield Word(_time(last_seen(one)[0]), fine, _EVENT, str(one.get("reason", "")), text)
            return


def _order(event: dict[str, Any]) -> tuple[str, int]:
    """Return what sorts events: their time to the second, then the order of their writes."""
    version = str(event["metadata"].get("resourceVersion") or "")
    return last_seen(event)[0], int(version) if version.isdecimal() else 0


def of_log(log: str, about: About) -> Iterator[Word]:
    """Yield what a log of the controller says of an object's turns.

    Args:
        log: The log: a JSON object in each line; other lines are passed over.
        about: The object.
    """
    for line in log.splitlines():
        if (one := _of_line(line, about)) and one.at >= about.since:
            yield one


def _of_line(line: str, about: About) -> Word | None:
    controller, key = _IN_LOG[about.kind]
    asked = (about.namespace, about.name)
    try:
        found: Any = json.loads(line)
        message, at = found["msg"], _time(found["ts"])
        if message == _FAILED and found["controller"] == controller:
            if (found.get("namespace", ""), found["name"]) == asked:
                return Word(at, False, "log", "", str(found["error"]))
        elif message == _DEPLOYED and _named(found[key]) == asked:
            return Word(at, True, "log", "", message)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # It may end in the middle of a line, and not each line is about an object.
        pass
    return None


def _named(found: Any) -> tuple[str, str]:
    """Return the namespace and the name of what a line is about; a group has no namespace."""
    if isinstance(found, Mapping):
        parts = {key.lower(): value for key, value in found.items()}
        return str(parts.get("namespace", "")), str(parts.get("name", ""))
    namespace, _, name = str(found).rpartition("/")
    return namespace, name


def _log(cluster: Cluster, pod: Resource) -> str:
    try:
        return cluster.logs(pod.name, pod.namespace, tail=_LINES)
    except ApiError:
        return ""


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(microsecond=0)
