"""Named conditions: what to wait for, as pure functions of the objects that are there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eksnet.endpoints import ready_endpoints
from eksnet.errors import EksnetError

Json = dict[str, Any]
Test = Callable[[Json], bool]

FORMS = (
    "Deleted, EndpointsReady, a condition such as Ready, Available or Complete, "
    "jsonpath={.status.phase}=Running, or eksnet.cluster.Condition(name, function)"
)


@dataclass(frozen=True)
class Condition:
    """Something to wait for.

    Attributes:
        name: How it is called in what the reader sees.
        test: Tells of an object (a dict) whether it holds.
    """

    name: str
    test: Test

    def holds(self, objects: Sequence[Json]) -> bool:
        """Tell whether it holds for any of the objects.

        Args:
            objects: The objects that are waited for, as they are now.
        """
        return any(map(self.test, objects))

    def terminal_reason(self, objects: Sequence[Json]) -> str:
        """Return why waiting on makes no sense; empty when it does.

        Args:
            objects: The objects that are waited for, as they are now.
        """
        return ""


@dataclass(frozen=True)
class _Deleted(Condition):
    def holds(self, objects: Sequence[Json]) -> bool:
        return not super().holds(objects)


def deleted(uid: str) -> Condition:
    """Return the condition that an object is there no more, whatever has its name now.

    Args:
        uid: The object's; when empty, any object counts.
    """
    return _Deleted("Deleted", lambda one: uid in ("", one["metadata"].get("uid")))


@dataclass(frozen=True)
class _Status(Condition):
    def terminal_reason(self, objects: Sequence[Json]) -> str:
        return next(filter(None, (_ended(one, self.name) for one in objects)), "")


ENDPOINTS_READY = "EndpointsReady"


def named(condition: str | Condition | Test) -> Condition:
    """Return the condition of a name, or the one that was given.

    Args:
        condition: `Deleted`; `EndpointsReady` (of a Service); the type of an entry of
            status.conditions, with `=False` when it shall not hold; `jsonpath={PATH}` or
            `jsonpath={PATH}=VALUE`; a Condition; or a function with a name.

    Raises:
        EksnetError: It is none of these.
    """
    if isinstance(condition, Condition):
        return condition
    if not isinstance(condition, str):
        return _of_function(condition)
    if condition == "Deleted":
        return deleted("")
    if condition == ENDPOINTS_READY:
        return Condition(condition, has_ready_endpoint)
    if condition.startswith("jsonpath="):
        return Condition(condition, _json_path(condition))
    if match := re.fullmatch(r"([A-Za-z][\w./-]*)(?:=(True|False|Unknown))?", condition):
        kind, status = match[1], match[2] or "True"
        return _Status(condition, lambda one: _has_condition(one, kind, status))
    raise EksnetError(f"{condition!r} is not a condition", FORMS)


READY = named("Ready")


def has_ready_endpoint(endpoint_slice: Json) -> bool:
    """Tell whether an EndpointSlice holds an address that traffic may go to."""
    return any(endpoint.get("addresses") for endpoint in ready_endpoints([endpoint_slice]))


def _of_function(function: Test) -> Condition:
    name = getattr(function, "__name__", "")
    if not callable(function) or not name or name == "<lambda>":
        raise EksnetError(f"{function!r} has no name to show", FORMS)
    return Condition(name.replace("_", " "), function)


def _has_condition(one: Json, kind: str, status: str) -> bool:
    state = one.get("status") or {}
    generation = one["metadata"].get("generation", 0)
    # A controller that has not seen the newest spec speaks of the one before.
    if state.get("observedGeneration", generation) < generation:
        return False
    for condition in state.get("conditions") or ():
        if condition.get("type") == kind and condition.get("status") == status:
            seen = condition.get("observedGeneration", generation)
            return bool(seen >= generation)
    return False


def _ended(one: Json, wanted: str) -> str:
    """Return how an object ended that can no longer come to what is wanted."""
    state = one.get("status") or {}
    if wanted == "Complete" and _has_condition(one, "Failed", "True"):
        return "it failed"
    if wanted == "Ready" and one.get("kind") == "Pod" and state.get("phase") == "Failed":
        return "it ended"
    return ""


_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[([0-9]{1,9})\]|\['([^']+)'\]")


def _json_path(text: str) -> Test:
    match = re.fullmatch(r"jsonpath=\{((?:[^{}'=]|'[^']*')+)\}(?:=(.*))?", text)
    path = match[1] if match else ""
    steps = list(_STEP.finditer(path))
    if match is None or "".join(step[0] for step in steps) != path:
        raise EksnetError(
            f"{text!r} is not a path", "jsonpath={.field.list[0]['a.b/c']}, optionally with =VALUE"
        )
    keys = [int(step[2]) if step[2] else step[1] or step[3] for step in steps]
    wanted = match[2]

    def test(one: Json) -> bool:
        value = _at(one, keys)
        return value is not None if wanted is None else _text(value) == wanted

    return test


def _at(value: Any, keys: Sequence[str | int]) -> Any:
    for key in keys:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe(objects: Sequence[Json]) -> str:
    """Return what is to be seen of the objects' state, a line for each fact."""
    if not objects:
        return "it is missing"
    return "\n".join(line for one in objects for line in _facts(one))


def _facts(one: Json) -> list[str]:
    state = one.get("status") or {}
    facts = [f"phase: {state['phase']}"] if state.get("phase") else []
    if left := _finalizers(one["metadata"]):
        facts.append(f"on its way out: whoever set {', '.join(left)} has not removed it yet")
    for condition in state.get("conditions") or ():
        because = ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
        fact = f"{condition.get('type')}: {condition.get('status')}"
        facts.append(f"{fact} ({because})" if because else fact)
    for container in state.get("containerStatuses") or ():
        facts.extend(_container(container))
    if one.get("kind") == "EndpointSlice":
        total = len(one.get("endpoints") or ())
        facts.append(f"{total} endpoints, {'ready' if has_ready_endpoint(one) else 'none ready'}")
    return facts or ["it exists, but its status is empty"]


def _finalizers(metadata: Json) -> list[str]:
    """Return what keeps an object that is being deleted, but for the API server's own."""
    if "deletionTimestamp" not in metadata:
        return []
    return [one for one in metadata.get("finalizers") or () if one != "foregroundDeletion"]


def _container(status: Json) -> list[str]:
    for state, detail in (status.get("state") or {}).items():
        if state in ("waiting", "terminated") and detail:
            because = ": ".join(filter(None, (detail.get("reason"), detail.get("message"))))
            return [f"container {status['name']}: {state} ({because})"]
    return []
