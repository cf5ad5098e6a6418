"""Who owns which field of an object: the API server's own record, `metadata.managedFields`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eksnet.listing import Listing

# The fields of which a status is made belong to controllers, and say nothing about who configures.
_STATUS = "status"


@dataclass(frozen=True)
class Owned:
    """A field and a manager that owns it; others may own it with the same value.

    Attributes:
        path: The field, such as `.data.Corefile` or `.spec.replicas`.
        manager: The field manager, such as `eks` or `kubectl-edit`.
        operation: `Apply` for server-side apply, `Update` for everything else.
    """

    path: str
    manager: str
    operation: str


def owners(thing: Mapping[str, Any], below: str = "") -> Listing[Owned]:
    """Return who owns the fields of an object; fields of its status are left out.

    Args:
        thing: The object, as `Cluster.get` returns it.
        below: A path such as `.data`: only this field and what is in it.
    """
    found = sorted(_owned(thing), key=lambda one: (one.path, one.manager, one.operation))
    return Listing.of(
        (one for one in found if _is_below(one.path, below)),
        {
            "field": lambda one: one.path,
            "manager": lambda one: one.manager,
            "operation": lambda one: one.operation,
        },
    )


def _owned(thing: Mapping[str, Any]) -> Iterator[Owned]:
    for entry in thing["metadata"].get("managedFields") or ():
        if entry.get("subresource") != _STATUS:
            for path in _leaves(entry.get("fieldsV1") or {}, ""):
                yield Owned(path, entry.get("manager", ""), entry.get("operation", ""))


def _leaves(fields: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield the paths of a FieldsV1 that hold nothing more (Kubernetes API reference, FieldsV1)."""
    children = {name: child for name, child in fields.items() if name != "."}
    if not children and path:
        yield path
    for name, child in children.items():
        yield from _leaves(child, path + _step(name))


def _step(name: str) -> str:
    """Return a step as the API server's own messages write it."""
    kind, _, rest = name.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        keys = json.loads(rest)
        inside = ",".join(f"{key}={json.dumps(value)}" for key, value in sorted(keys.items()))
        return f"[{inside}]"
    # `v:` is an item by its value, `i:` one by its number.
    return f"[{'=' if kind == 'v' else ''}{rest}]"


def _is_below(path: str, below: str) -> bool:
    return not below or path == below or path.startswith((f"{below}.", f"{below}["))
