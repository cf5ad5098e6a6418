"""The widget *CoreDNS memory*: the published formula, the published points, what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from traitlets import Bool, Int, Tuple

from eksnet.coredns.memory import (
    MOST_OBJECTS,
    Line,
    Measured,
    fit,
    measurements,
    memory,
    published,
)
from eksnet.listing import Listing
from eksnet.panel import Panel, Table
from eksnet.widgets.curve import curve
from eksnet.widgets.model import Model

FORMULA, POINTS, FIT = "formula", "published", "their fit"
_AXES = ("pods and Services", "MB")


class CorednsMemory(Model):
    """How much memory CoreDNS needs for a cluster of a size, by formula and by measurements.

    Attributes:
        pods: The cluster's pods.
        services: Its Services.
        autopath: Whether the plugin `autopath` is on, and CoreDNS keeps every pod in memory.
        measured: What was measured by the reader, in the mode without autopath.
    """

    title: ClassVar[str] = "CoreDNS memory"
    controls: ClassVar[tuple[str, ...]] = ("pods", "services", "autopath")

    pods = Int(15_000, min=0, max=MOST_OBJECTS // 2).tag(label="pods")
    services = Int(820, min=0, max=MOST_OBJECTS // 2).tag(label="Services")
    autopath = Bool(False).tag(label="autopath")
    measured: Any = Tuple()

    @property
    def mode(self) -> str:
        """The mode as the document calls it."""
        return "autopath" if self.autopath else "default"

    @property
    def objects(self) -> int:
        """Pods and Services together."""
        return self.pods + self.services

    def panel(self) -> Panel:
        """Return the megabytes in a sentence, the curves, and the published points as a table."""
        line, fitted = published(self.mode), fit(measurements(self.mode))
        needed = memory(self.pods, self.services, self.mode)
        sentence = (
            f"{self.objects:,} objects: {needed:.1f} MB by the formula "
            f"objects / {line.objects_per_mb:g} + {line.base:g}, "
            f"{fitted.at(self.objects):.1f} MB by the published points themselves, which lie on "
            f"objects / {fitted.objects_per_mb:.0f} + {fitted.base:.1f}."
        )
        called = f"CoreDNS's memory, {self.mode}"
        drawn = curve(
            list(self._points(line, fitted)),
            x="objects", y="mb", by="mode", axes=_AXES, title=called,
        )  # fmt: skip
        table = Table("Published measurements", measurements(self.mode))
        mine = (Table("Measured here", self._here()),) if self._shown_here else ()
        return Panel(sentence, (drawn, table, *mine))

    @property
    def _shown_here(self) -> tuple[Measured, ...]:
        return () if self.autopath else tuple(self.measured)

    def _points(self, line: Line, fitted: Line) -> Iterator[Measured]:
        points = measurements(self.mode)
        last = max(self.objects, *(one.objects for one in points))
        for name, of in ((FORMULA, line), (FIT, fitted)):
            for at in sorted({0, self.objects, last}):
                yield Measured(name, at, round(of.at(at), 1))
        for one in points:
            yield Measured(POINTS, one.objects, one.mb)
        yield from self._shown_here

    def _here(self) -> Listing[Measured]:
        rows = tuple((f"{one.objects:,}", f"{one.mb:.1f}") for one in self._shown_here)
        return Listing(("pods + Services", "MB"), rows, self._shown_here)
