"""A planned load balancer as a picture: its listeners, rules, target groups and targets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet.listing import Listing
from eksnet.loadbalancer.parts import Part
from eksnet.panel import Table
from eksnet.picture import FAINT, LINE, Picture, arrow, box, lines, text, texts

if TYPE_CHECKING:
    from eksnet.loadbalancer.planned import Stack

_WIDTH = 620.0
_INDENT, _LEFT, _GAP, _PAD = 26.0, 12.0, 12.0, 8.0
# Targets beyond this many are counted.
_MOST = 6


@dataclass(frozen=True)
class Box:
    """A box of the picture.

    Attributes:
        depth: How far in it stands: 0 for the load balancer.
        what: What it is, such as `listener`.
        words: What is said of it.
    """

    depth: int
    what: str
    words: str


def boxes(stack: Stack) -> tuple[Box, ...]:
    """Return the boxes of a load balancer, each before what hangs on it.

    Args:
        stack: The load balancer in a plan; nothing is drawn of one that is not built.
    """
    planned = stack.planned or ()
    groups = {one.name: one for one in planned if one.kind == "target group"}
    return tuple(
        found for part in planned if part.kind == "load balancer"
        for found in _balancer(part, groups, stack)
    )  # fmt: skip


def _balancer(part: Part, groups: dict[str, Part], stack: Stack) -> Iterator[Box]:
    yield Box(0, "load balancer", ", ".join(filter(None, (part["type"], part["scheme"]))))
    seen: set[str] = set()
    for listener in part.parts:
        if listener.kind != "listener":
            continue
        yield Box(1, "listener", f"{listener['protocol']} {listener.name}")
        rules = [(f"rule {one['priority']}", one.name, one["action"]) for one in listener.parts]
        for title, condition, action in (*rules, ("default", "", listener["default"])):
            if not action:
                continue
            yield Box(2, title, f"{condition} → {action}" if condition else action)
            for name in _led_to(action, groups):
                yield from _group(groups[name], stack, known=name in seen)
                seen.add(name)


def _led_to(action: str, groups: dict[str, Part]) -> list[str]:
    """Return the target groups that an action names, in its order."""
    if "forward to " not in action:
        return []
    named = re.split(r"[ ,]+", action.partition("forward to ")[2])
    return [name for name in named if name in groups]


def _group(part: Part, stack: Stack, *, known: bool) -> Iterator[Box]:
    spoken = " ".join(filter(None, (part["protocol"], part["port"])))
    yield Box(3, "target group", f"{part.name}: {part['target type']}, {spoken}")
    targets = stack.targets.get(part.name, ())
    if known:
        return
    for target in targets[:_MOST]:
        yield Box(4, "target", f"{target.of or target.id}, port {target.port}")
    if len(targets) > _MOST:
        yield Box(4, "target", f"{len(targets) - _MOST} more")
    if not targets:
        yield Box(4, "targets", stack.without.get(part.name, "none"))


def balancer_tree(stack: Stack, *, title: str = "") -> Picture:
    """Draw a planned load balancer with its listeners, rules, target groups and targets.

    Args:
        stack: The load balancer in a plan.
        title: What the picture is called; the title of the stack when empty.
    """
    caption = title or stack.title
    found = boxes(stack)
    rows = tuple((str(one.depth), one.what, one.words) for one in found)
    table = Table(caption, Listing(("depth", "what", "words"), rows, found))
    told = "; ".join(f"{one.what} {one.words}" for one in found) or "nothing is built"
    drawn, height = _drawn(found)
    return Picture(caption, f"{caption}: {told}.", (_WIDTH, height), drawn, table)


def _drawn(found: tuple[Box, ...]) -> tuple[tuple[str, ...], float]:
    """Draw the boxes below each other; each is led to from the one that it hangs on."""
    if not found:
        return (text((_LEFT, 24), "nothing is built"),), 40.0
    marks, y = [], _GAP
    feet: dict[int, float] = {}
    for one in found:
        left = _LEFT + _INDENT * one.depth
        across = _WIDTH - left - _LEFT
        said = lines(f"{one.what}: {one.words}", across - 2 * _PAD)
        high = LINE * len(said) + 8
        if one.depth:
            x = left - _INDENT / 2
            middle = y + high / 2
            marks.append(arrow(((x, feet[one.depth - 1]), (x, middle), (left, middle)), FAINT))
        marks.append(box((left, y), (across, high)) + texts((left + _PAD, y + LINE), said))
        feet[one.depth] = y + high
        y += high + _GAP
    return tuple(marks), y
