"""A chart of measurements: how something grows, a line for each series. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.panel import Table
from eksnet.picture import (
    BAD,
    DASHED,
    DOTTED,
    FAINT,
    GOOD,
    HERE,
    LINE,
    ODD,
    Picture,
    Point,
    line,
    text,
)

_WIDTH, _HEIGHT = 560.0, 320.0
_LEFT, _TOP, _RIGHT, _BOTTOM = 64.0, 34.0, 430.0, 264.0
_TICKS = 5
# A series has a colour, a stroke and a shape of its points: any of them tells it apart.
_LOOKS = (
    (HERE, "", "circle"),
    (ODD, DASHED, "square"),
    (GOOD, DOTTED, "diamond"),
    (BAD, "8 3 2 3", "triangle"),
)


def curve(
    found: Iterable[Any],
    *,
    x: str = "services",
    y: str = "microseconds",
    by: str = "mode",
    axes: tuple[str, str] | None = None,
    title: str = "",
) -> Picture:
    """Draw measurements as lines, such as those of `kubeproxy.measure_lookup_time`.

    Args:
        found: The measurements: objects with these attributes.
        x: The attribute to the right.
        y: The attribute upwards; both axes begin at 0.
        by: The attribute whose values have a line each, up to four.
        axes: What the two axes are called; as the attributes when None.
        title: What the chart is called; made of the axes' names when empty.

    Raises:
        EksnetError: There is nothing to draw, there are more than four lines, or something is no
            measurement.
    """
    series: dict[str, list[Point]] = {}
    for one in found:
        name, point = _measured(one, x, y, by)
        series.setdefault(name, []).append(point)
    if not 1 <= len(series) <= len(_LOOKS):
        raise EksnetError(
            f"there are {len(series)} lines to draw", f"1 to {len(_LOOKS)}, each a {by}"
        )
    lines = {name: sorted(points) for name, points in series.items()}
    axes = axes or (x, y)
    called = title or f"{axes[1]} by number of {axes[0]}".capitalize()
    rows = tuple((name, _said(a), _said(b)) for name, points in lines.items() for a, b in points)
    spoken = "; ".join(
        f"{name}: " + ", ".join(f"{_said(b)} at {_said(a)}" for a, b in points)
        for name, points in lines.items()
    )
    table = Table(called, Listing((by, *axes), rows, rows))
    drawn = tuple(_chart(lines, *axes))
    return Picture(called, f"{called}. {spoken}.", (_WIDTH, _HEIGHT), drawn, table)


def _measured(one: object, x: str, y: str, by: str) -> tuple[str, Point]:
    """Return a measurement's line and point."""
    try:
        point = float(getattr(one, x)), float(getattr(one, y))
        name = str(getattr(one, by))
    except inputs.ODD:
        point, name = (-1.0, -1.0), ""
    if not all(0 <= part < math.inf for part in point):
        raise EksnetError(
            f"{inputs.shown(one)} is not a measurement with {x}, {y} and {by}",
            "numbers from 0 on, as `kubeproxy.measure_lookup_time` gives them",
        )
    return name, point


@dataclass(frozen=True)
class _Axis:
    """From values to pixels.

    Attributes:
        start: The pixel of 0.
        end: The pixel of the last tick.
        step: From tick to tick.
        last: The last tick.
    """

    start: float
    end: float
    step: float
    last: float

    def at(self, value: float) -> float:
        return round(self.start + (self.end - self.start) * value / self.last, 1)

    @property
    def ticks(self) -> Iterator[float]:
        return itertools.takewhile(
            lambda tick: tick <= self.last, (self.step * number for number in itertools.count())
        )


def _axis(start: float, end: float, largest: float) -> _Axis:
    """Return an axis from 0 whose steps are 1, 2 or 5 times a power of ten."""
    if largest <= 0:
        return _Axis(start, end, 1, 1)
    power = 10.0
    while power * _TICKS > largest:
        power /= 10
    while power * _TICKS * 10 <= largest:
        power *= 10
    step = next(power * n for n in (1, 2, 5, 10) if power * n * _TICKS >= largest)
    return _Axis(start, end, step, step * -(-largest // step))


def _chart(series: Mapping[str, Sequence[Point]], x: str, y: str) -> Iterator[str]:
    across = _axis(_LEFT, _RIGHT, max(point[0] for of in series.values() for point in of))
    up = _axis(_BOTTOM, _TOP, max(point[1] for of in series.values() for point in of))
    for tick in up.ticks:
        yield line(((_LEFT, up.at(tick)), (_RIGHT, up.at(tick))), FAINT, width=0.5)
        yield text((_LEFT - 8, up.at(tick) + 4), _said(tick), anchor="end")
    for tick in across.ticks:
        yield line(((across.at(tick), _BOTTOM), (across.at(tick), _BOTTOM + 5)), FAINT)
        yield text((across.at(tick), _BOTTOM + 20), _said(tick), anchor="middle")
    yield line(((_LEFT, _TOP), (_LEFT, _BOTTOM), (_RIGHT, _BOTTOM)))
    yield text((8, 18), y, strong=True)
    yield text(((_LEFT + _RIGHT) / 2, _HEIGHT - 12), x, anchor="middle", strong=True)
    named: list[float] = []
    for of, look in zip(series.values(), _LOOKS, strict=False):
        yield _line([(across.at(a), up.at(b)) for a, b in of], *look)
    # The names stand at the lines' ends, one below the other where these meet.
    for name, of in sorted(series.items(), key=lambda one: up.at(one[1][-1][1])):
        place = max([up.at(of[-1][1]) + 4, *(taken + LINE for taken in named)])
        named.append(place)
        yield text((across.at(of[-1][0]) + 12, place), f"{name} {_said(of[-1][1])}", strong=True)


def _line(points: Sequence[Point], colour: str, dash: str, shape: str) -> str:
    return line(points, colour, width=2, dash=dash) + "".join(
        _point(point, colour, shape) for point in points
    )


_CORNERS: Mapping[str, Sequence[Point]] = {
    "square": ((-4, -4), (4, -4), (4, 4), (-4, 4)),
    "diamond": ((0, -6), (6, 0), (0, 6), (-6, 0)),
    "triangle": ((0, -6), (6, 5), (-6, 5)),
}


def _point(at: Point, colour: str, shape: str) -> str:
    x, y = at
    if shape == "circle":
        return f'<circle class="tip {colour}" cx="{x:g}" cy="{y:g}" r="4.5"/>'
    along = " ".join(f"{x + a:g},{y + b:g}" for a, b in _CORNERS[shape])
    return f'<polygon class="tip {colour}" points="{along}"/>'


def _said(value: float) -> str:
    """Return a number with as many places as are worth it."""
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
