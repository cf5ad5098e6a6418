"""What is to be beside what is: two trees of parts as one, each part with its change; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from eksnet.loadbalancer.parts import Part

UNKNOWN = "(known after apply)"
Action = Literal["", "added", "changed", "replaced", "removed"]
SIGNS: Mapping[Action, str] = {
    "": " ", "added": "+", "changed": "~", "replaced": "±", "removed": "-",
}  # fmt: skip
# What AWS cannot change: the controller makes another one in its place.
_REPLACED = {
    "load balancer": ("type", "scheme"),
    "target group": ("target type", "protocol", "protocol version"),
}
# What is taken away where the manifest says nothing of it; all else is left as it is.
_TAKEN_AWAY = ("tags", "certificate", "further certificates", "transforms", "client certificates")
# A name is made of other fields, and says nothing that they do not.
_UNCOMPARED = ("name",)


@dataclass(frozen=True)
class Change:
    """One difference between what is planned and what AWS has.

    Attributes:
        action: `added`, `changed`, `replaced` (removed and made anew) or `removed`.
        what: The part, with those that it hangs on.
        field: What of it differs; empty for the whole.
        before: What it is now.
        after: What it would be.
    """

    action: Action
    what: str
    field: str = ""
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        of = f": {self.field}" if self.field else ""
        values = f" {self.before or '(none)'} → {self.after or '(none)'}" if self.field else ""
        return f"{self.action} {self.what}{of}{values}"


@dataclass(frozen=True)
class Node:
    """A part and its change.

    Attributes:
        part: The part as it would be; as it is where it is removed.
        action: What becomes of it; empty for nothing.
        before: The fields that differ, with their values now.
        nodes: What hangs on it.
    """

    part: Part
    action: Action
    before: tuple[tuple[str, str], ...] = ()
    nodes: tuple[Node, ...] = ()

    def changes(self, above: str = "") -> Iterator[Change]:
        """Yield the differences in this part and in all that hangs on it."""
        part = self.part
        # There is one in most stacks, and its name says nothing.
        own = part.kind if part.kind == "load balancer" else f"{part.kind} {part.name}"
        what = f"{above}, {own}" if above else own
        if self.action in ("added", "removed"):
            yield Change(self.action, what)
        for field, before in self.before:
            yield Change(_action(part.kind, field), what, field, before, part[field])
        for node in self.nodes:
            yield from node.changes(what)


def beside(planned: Sequence[Part], existing: Sequence[Part]) -> tuple[Node, ...]:
    """Return both trees as one: first what is to be, then what would be removed.

    Args:
        planned: What is to be.
        existing: What is.
    """
    before = {(one.kind, one.name): one for one in existing}
    nodes = [_node(one, before.pop((one.kind, one.name), None)) for one in planned]
    return (*nodes, *map(_removed, before.values()))


def as_it_is(parts: Sequence[Part]) -> tuple[Node, ...]:
    """Return a tree in which nothing changes: for what there is nothing to compare with."""
    return tuple(Node(one, "", (), as_it_is(one.parts)) for one in parts)


def compare(planned: Sequence[Part], existing: Sequence[Part]) -> tuple[Change, ...]:
    """Return the differences between two trees.

    Args:
        planned: What is to be.
        existing: What is.
    """
    return tuple(change for node in beside(planned, existing) for change in node.changes())


def _node(part: Part, old: Part | None) -> Node:
    if old is None:
        return Node(part, "added", (), beside(part.parts, ()))
    before = tuple(_differing(part, old))
    actions = [_action(part.kind, field) for field, _ in before]
    action: Action = "replaced" if "replaced" in actions else "changed" if actions else ""
    return Node(part, action, before, beside(part.parts, old.parts))


def _removed(part: Part) -> Node:
    return Node(part, "removed", (), tuple(map(_removed, part.parts)))


def _differing(part: Part, old: Part) -> Iterator[tuple[str, str]]:
    for field in dict.fromkeys((*dict(part.fields), *_TAKEN_AWAY)):
        if field not in _UNCOMPARED and not _same(part[field], old[field]):
            yield field, old[field]


def _same(planned: str, existing: str) -> bool:
    """Tell whether a value is as planned; what is known after apply only can be anything."""
    if UNKNOWN not in planned:
        return planned == existing
    wanted, found = planned.split(", "), existing.split(", ")
    known = [one for one in wanted if UNKNOWN not in one]
    return len(wanted) == len(found) and set(known) <= set(found)


def _action(kind: str, field: str) -> Action:
    return "replaced" if field in _REPLACED.get(kind, ()) else "changed"
