"""The path of a packet: from the client through the node's hooks to where it ends. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from eksnet import inputs
from eksnet.kubeproxy import Packet, PacketWalk, Step
from eksnet.kubeproxy.walk import ACCEPTED
from eksnet.panel import MARK, Text
from eksnet.picture import (
    BAD,
    DASHED,
    FAINT,
    HERE,
    INK,
    LINE,
    Picture,
    Point,
    arrow,
    box,
    line,
    lines,
    text,
    texts,
)

HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_A_PROCESS = "process of the node"
_CLIENT, _END, _PROCESS, _ROUTE = "client", "end", "process", "route"
_SIZE = (104.0, 44.0)
_WIDE = (228.0, 44.0)
# The upper left corners. A packet that passes goes straight on; one for the node goes down.
_CORNERS: Mapping[str, Point] = MappingProxyType({
    _CLIENT: (4, 44), "prerouting": (132, 44), "forward": (276, 44), "postrouting": (400, 44),
    _END: (532, 44), "input": (204, 130), "output": (328, 130), _PROCESS: (204, 206),
})  # fmt: skip
_WIDTH, _HEIGHT, _FRAME, _FRAME_SIZE = 640.0, 270.0, (120.0, 24.0), (396.0, 238.0)
_ROAD, _FORK, _RISE = 66.0, 256.0, 390.0
# The way from each place to the next, in points.
_ROADS: Mapping[tuple[str, str], tuple[Point, ...]] = MappingProxyType({
    (_CLIENT, "prerouting"): ((108, _ROAD), (132, _ROAD)),
    ("prerouting", _ROUTE): ((236, _ROAD), (_FORK, _ROAD)),
    (_ROUTE, "forward"): ((_FORK, _ROAD), (276, _ROAD)),
    (_ROUTE, "input"): ((_FORK, _ROAD), (_FORK, 130)),
    ("forward", "postrouting"): ((380, _ROAD), (400, _ROAD)),
    ("postrouting", _END): ((504, _ROAD), (532, _ROAD)),
    ("input", _PROCESS): ((_FORK, 174), (_FORK, 206)),
    (_PROCESS, "output"): ((_RISE, 206), (_RISE, 174)),
    ("output", "postrouting"): ((_RISE, 130), (_RISE, 104), (414, 104), (414, 88)),
    # What a process sends to its own node comes back over the loopback interface.
    ("postrouting", "input"): ((474, 88), (474, 116), (290, 116), (290, 130)),
})  # fmt: skip
_ALWAYS = tuple(way for way in _ROADS if way != ("postrouting", "input"))


@dataclass(frozen=True)
class Place:
    """One place of a packet's path.

    Attributes:
        name: What it is called.
        words: The address there, or which steps are taken there.
        here: Whether the packet is there.
    """

    name: str
    words: str
    here: bool = False


def packet_path(walk: PacketWalk, here: int | None = None, *, client: str = "client") -> Picture:
    """Draw a packet's way from the client through the node's hooks, with the place where it is.

    Args:
        walk: The way, predicted or along rules that were read; of `walk.matched` fewer steps count.
        here: The index of the step that the packet is at, from 0; None for none.
        client: What the sender is called.

    Raises:
        EksnetError: There is no such step.
    """
    if here is not None:
        inputs.count(here, "the step's index", 0, max(len(walk) - 1, 0))
    step = None if here is None or not walk else walk[here]
    step_lines = _step_lines(walk, step)
    places = list(_places(walk, step, client))
    said = " → ".join(f"{MARK + ' ' if one.here else ''}{one.name} ({one.words})" for one in places)
    words = "\n".join(filter(None, (said, *step_lines)))
    height = _HEIGHT + LINE * sum(len(lines(one, _WIDTH - 16)) for one in step_lines)
    caption = "The packet's path"
    spoken = f"{caption}: {words}".replace("\n", "; ")
    drawn = (*_roads(walk, step), *_boxes(walk, places), *_below(step_lines))
    return Picture(caption, spoken, (_WIDTH, height), drawn, Text(caption, words))


def _places(walk: PacketWalk, step: Step | None, client: str) -> Iterator[Place]:
    """Yield the places of the path in order: the sender, the hooks, the end."""
    yield Place(_sender(walk, client), _end_of(walk.packet, "source"))
    for hook in walk.hooks:
        yield Place(hook, _steps(walk, hook), step is not None and step.hook == hook)
    name, words = _receiver(walk)
    yield Place(name, words)


def _sender(walk: PacketWalk, client: str) -> str:
    return _A_PROCESS if walk.node.owns(walk.packet.source) else client


def _receiver(walk: PacketWalk) -> tuple[str, str]:
    if walk.verdict != ACCEPTED:
        return f"✗ {walk.verdict}", "goes no further"
    if walk.node.owns(walk.final.destination):
        return _A_PROCESS, _end_of(walk.final, "destination")
    return "endpoint" if walk.is_translated else "destination", _end_of(walk.final, "destination")


def _steps(walk: PacketWalk, hook: str) -> str:
    """Return which steps are taken in a hook, counted from 1."""
    numbers = [number for number, step in enumerate(walk, start=1) if step.hook == hook]
    if not numbers:
        return "no step"
    first, last = numbers[0], numbers[-1]
    return f"step {first}" if first == last else f"steps {first}-{last}"


def _end_of(packet: Packet, side: str) -> str:
    address, port = (
        (packet.source, packet.source_port)
        if side == "source"
        else (packet.destination, packet.port)
    )
    return f"{address}:{port}" if port else address


def _step_lines(walk: PacketWalk, step: Step | None) -> tuple[str, ...]:
    """Return where the packet is and what it is like there, in lines; nothing without a step."""
    if step is None:
        return ()
    number = walk.items.index(step) + 1
    return (
        f"{MARK} step {number} of {len(walk)}: {step.hook}, table {step.table}, chain {step.chain}",
        f"the packet: {step.after}",
    )


# The drawing.


def _way(walk: PacketWalk) -> tuple[str, ...]:
    """Return the places of the drawing that the packet comes to, in order."""
    starts = _PROCESS if walk.node.owns(walk.packet.source) else _CLIENT
    found = [starts]
    for hook in walk.hooks:
        if found[-1] == "prerouting":
            found.append(_ROUTE)
        found.append(hook)
    if walk.verdict == ACCEPTED:
        found.append(_PROCESS if found[-1] == "input" else _END)
    return tuple(found)


def _roads(walk: PacketWalk, step: Step | None) -> Iterator[str]:
    """Draw the node and every way through it; the packet's own in strong lines."""
    yield box(_FRAME, _FRAME_SIZE, FAINT)
    yield text((_FRAME[0] + 8, 18), f"node {walk.node.name} {walk.node.address}".replace("  ", " "))
    taken = list(pairwise(_way(walk)))
    for road in _ALWAYS:
        if road not in taken:
            yield _road(road, FAINT)
    at_end = step is None or step is walk.items[-1]
    reached = False
    for road in taken:
        ahead = reached and not at_end
        yield _road(road, HERE, width=3, dash=DASHED if ahead else "")
        reached = reached or (step is not None and road[1] == step.hook)
    yield f'<circle class="tip {FAINT}" cx="{_FORK:g}" cy="{_ROAD:g}" r="4"/>'
    yield text((_FORK, _ROAD - 28), "route", anchor="middle")


def _road(road: tuple[str, str], kind: str, *, width: float = 1, dash: str = "") -> str:
    """Draw the way between two places; where a route is chosen it only forks."""
    pen = line if road[1] == _ROUTE else arrow
    return pen(_ROADS[road], kind, width=width, dash=dash)


def _boxes(walk: PacketWalk, places: Sequence[Place]) -> Iterator[str]:
    """Draw every place; those that the packet does not come to are faint."""
    sender, *hooks, receiver = places
    met = {place.name: place for place in hooks}
    for hook in HOOKS:
        yield _box(hook, met.get(hook) or Place(hook, ""), hook in met)
    from_node = walk.node.owns(walk.packet.source)
    to_node = walk.verdict == ACCEPTED and walk.node.owns(walk.final.destination)
    process = sender if from_node else receiver if to_node else Place(_A_PROCESS, "")
    yield _box(_PROCESS, process, from_node or to_node)
    yield _box(_CLIENT, Place(_CLIENT, "") if from_node else sender, not from_node)
    if walk.verdict == ACCEPTED and not to_node:
        yield _box(_END, receiver, True)
    else:
        yield _box(_END, Place("endpoint", ""), False)
    if walk.verdict != ACCEPTED:
        yield _turned_away(walk.hooks[-1], receiver.name)


def _box(at: str, place: Place, used: bool) -> str:
    (x, y), size = _CORNERS[at], _WIDE if at == _PROCESS else _SIZE
    middle = x + size[0] / 2
    # An address alone fits into a small box; its port stands below.
    inside, colon, below = (
        place.words.partition(":") if at in (_CLIENT, _END) else (place.words, "", "")
    )
    name = 18 if place.words else 27
    marks = (
        box((x, y), size, *((HERE, 3) if place.here else (INK, 1.5) if used else (FAINT, 1))),
        text(
            (middle, y + name), f"{MARK} " * place.here + place.name, anchor="middle", strong=used
        ),
        text((middle, y + 35), inside, anchor="middle"),
        text((middle, y + size[1] + LINE), colon + below, anchor="middle"),
    )
    return "".join(marks)


def _turned_away(hook: str, words: str) -> str:
    """Draw a sign at the hook where the packet ends, beside the ways that lead on from there."""
    (x, y), (across, down) = _CORNERS[hook], _SIZE
    beside = hook in ("input", "output")
    at = (x + across / 2 + 12 * beside, y + down + LINE)
    return (
        f"{box((x, y), _SIZE, BAD, width=3)}"
        f"{text(at, words, anchor='start' if beside else 'middle', strong=True)}"
    )


def _below(step_lines: Sequence[str]) -> Iterator[str]:
    """Write lines below the drawing."""
    y = _HEIGHT + 10
    for number, one in enumerate(step_lines):
        found = lines(one, _WIDTH - 16)
        yield texts((8, y), found, strong=number == 0)
        y += LINE * len(found)
