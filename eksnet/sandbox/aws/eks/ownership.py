"""Applying an add-on's objects as the field manager `eks`, and what stands in the way.

EKS applies its add-ons by server-side apply ("Kubernetes fields you can customize for Amazon EKS
add-ons" in its user guide). The API server itself decides who owns a field and what conflicts.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
# One step of a field's path as the API server writes it: a name, or a list's item by its keys,
# its value or its number.
_STEP = re.compile(r"\.([^.\[]+)|\[([^\]]*)\]")


@dataclass(frozen=True)
class Conflict:
    """A field that another manager owns.

    Attributes:
        kind: The object's kind with its group, such as `Deployment.apps`.
        name: The object's name.
        field: The field's path, such as `.data.Corefile`.
        manager: What the API server says of its owner.
    """

    kind: str
    name: str
    field: str
    manager: str

    def __str__(self) -> str:
        """The conflict as EKS lists it."""
        return f"{self.kind} {self.name} - {self.field}"


class ApplyError(Exception):
    """The API server refused an object for another reason than a conflict.

    Attributes:
        status: The HTTP status; 0 when nothing answered.
    """

    def __init__(self, status: int, message: str) -> None:
        """Keep the status beside what the API server said."""
        super().__init__(message)
        self.status = status


# Sends one server-side apply: the object, whether to force, whether to only try; gives the HTTP
# status and the decoded answer.
Apply = Callable[[Object, bool, bool], tuple[int, Any]]


def conflicts(apply: Apply, objects: Iterable[Object]) -> list[Conflict]:
    """Return which fields of objects others own with another value; changes nothing.

    Raises:
        ApplyError: The API server refused an object, or did not answer.
    """
    found = []
    for one in objects:
        found += _conflicts_of(one, *apply(one, False, True))
    return found


def put(apply: Apply, objects: Iterable[Object], *, force: bool) -> None:
    """Apply objects.

    Args:
        apply: Sends one.
        objects: What to apply.
        force: Whether to take over the fields that others own.

    Raises:
        ApplyError: The API server refused one; those before it are applied.
    """
    for one in objects:
        found = _conflicts_of(one, *apply(one, force, False))
        if found:
            raise ApplyError(409, describe(found))


def describe(found: Iterable[Conflict]) -> str:
    """Return the message of an update that conflicts stop, as reports of real clusters quote it."""
    listed = "\n".join(map(str, found))
    return (
        "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. "
        f"Conflicts:\n{listed}"
    )


def without(objects: Iterable[Object], found: Iterable[Conflict]) -> list[Object]:
    """Return objects without the fields that others own: their owners keep them."""
    kept = copy.deepcopy(list(objects))
    by_name = {key_of(one): one for one in kept}
    for conflict in found:
        _remove(by_name[conflict.kind, conflict.name], _steps(conflict.field))
    return kept


def key_of(one: Object) -> tuple[str, str]:
    """Return what tells an object of an add-on from the others: kind with group, and name."""
    return kind_of(one), one["metadata"]["name"]


def kind_of(one: Object) -> str:
    """Return an object's kind with its group, such as `Deployment.apps`."""
    group, slash, _ = one["apiVersion"].partition("/")
    return f"{one['kind']}.{group}" if slash else str(one["kind"])


def _conflicts_of(one: Object, status: int, answer: Any) -> list[Conflict]:
    if status in (200, 201):
        return []
    message = answer.get("message", "") if isinstance(answer, dict) else str(answer)
    causes = answer.get("details", {}).get("causes", []) if isinstance(answer, dict) else []
    clashes = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if status != 409 or not clashes:
        raise ApplyError(status, message)
    return [Conflict(*key_of(one), c["field"], c["message"]) for c in clashes]


def _steps(path: str) -> list[str | dict[str, Any]]:
    steps: list[str | dict[str, Any]] = []
    for field, inside in _STEP.findall(path):
        steps.append(field or _keys(inside))
    return steps


def _keys(inside: str) -> dict[str, Any]:
    """Return the keys by which a list's item is named: `name="coredns",port=53`."""
    pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^,]*)', inside)
    return {name: json.loads(value) for name, value in pairs}


def _remove(thing: Any, steps: list[str | dict[str, Any]]) -> None:
    """Take a field out of an object; what it does not have is no field to take out."""
    for step in steps[:-1]:
        thing = _child(thing, step)
        if thing is None:
            return
    last = steps[-1]
    if isinstance(last, str):
        thing.pop(last, None)
    else:
        item = _child(thing, last)
        if item is not None:
            thing.remove(item)


def _child(thing: Any, step: str | dict[str, Any]) -> Any:
    if isinstance(step, str):
        return thing.get(step)
    return next((item for item in thing if step.items() <= item.items()), None)
