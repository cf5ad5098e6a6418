"""How much memory CoreDNS needs for a cluster of a size: the published formula and its points.

Source: `kubernetes/Scaling_CoreDNS.md` of coredns/deployment (2020-07-09). The points were measured
in 2018, with the CoreDNS and Kubernetes of that time, on a virtual machine of two
processors. Megabytes are as there: of the process, without a word whether they are 10^6 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eksnet import inputs
from eksnet.data import load_table
from eksnet.listing import Listing

MODES = ("default", "autopath")
# Objects for each megabyte, and the megabytes of an empty cluster; 30 of these are a full cache of
# 10,000 entries, and 5 the buffers of 30,000 queries a second.
_PER_MEGABYTE = {"default": 1000, "autopath": 250}
_BASE = {"default": 54, "autopath": 56}
MOST_OBJECTS = 10_000_000
MOST_MB = 1_000_000


@dataclass(frozen=True)
class Line:
    """Memory as a straight line over the number of objects.

    Attributes:
        objects_per_mb: How many pods and Services need one megabyte more.
        base: The megabytes of an empty cluster.
    """

    objects_per_mb: float
    base: float

    def at(self, objects: float) -> float:
        """Return the megabytes for a number of pods and Services together.

        Args:
            objects: The number.

        Raises:
            EksnetError: It is negative or too large.
        """
        inputs.amount(objects, "the number of pods and Services", 2 * MOST_OBJECTS)
        return objects / self.objects_per_mb + self.base


@dataclass(frozen=True)
class Measured:
    """A published measurement.

    Attributes:
        mode: `default` or `autopath`.
        objects: Pods and Services together.
        mb: What the process took, with full buffers and a full cache added, in megabytes.
    """

    mode: str
    objects: int
    mb: float

    def __post_init__(self) -> None:
        """Refuse what is no measurement."""
        inputs.amount(self.objects, "the number of pods and Services", 2 * MOST_OBJECTS)
        inputs.amount(self.mb, "the memory", MOST_MB)


def memory(pods: int, services: int, mode: str = "default") -> float:
    """Return the megabytes that CoreDNS needs, by the published formula.

    MB = (pods + services) / 1000 + 54; with autopath, which keeps every pod in memory,
    (pods + services) / 250 + 56.

    Args:
        pods: Pods of the cluster.
        services: Services of the cluster.
        mode: `default` or `autopath`.

    Raises:
        EksnetError: A number is negative or too large, or there is no such mode.

    >>> memory(150000, 8200)
    212.2
    """
    inputs.count(pods, "the number of pods", 0, MOST_OBJECTS)
    inputs.count(services, "the number of Services", 0, MOST_OBJECTS)
    return published(mode).at(pods + services)


def published(mode: str = "default") -> Line:
    """Return the published formula as a line.

    Args:
        mode: `default` or `autopath`.

    Raises:
        EksnetError: There is no such mode.
    """
    inputs.one_of(mode, MODES, "mode")
    return Line(_PER_MEGABYTE[mode], _BASE[mode])


def measurements(mode: str = "default") -> Listing[Measured]:
    """Return the published measurements beside what the formula says for the same sizes.

    Args:
        mode: `default` or `autopath`.

    Raises:
        EksnetError: There is no such mode.
    """
    line = published(mode)
    points = tuple(
        Measured(mode, int(row.pods + row.services), row.measured_mb + row.buffer_mb + row.cache_mb)
        for row in load_table("coredns_memory").itertuples()
        if row.mode == mode
    )
    rows = tuple(
        (f"{one.objects:,}", f"{one.mb:.0f}", f"{line.at(one.objects):.1f}",
         f"{100 * (line.at(one.objects) / one.mb - 1):+.0f} %")
        for one in points
    )  # fmt: skip
    return Listing(("pods + Services", "measured MB", "formula MB", "formula is"), rows, points)


def fit(points: Iterable[Measured]) -> Line:
    """Return the line that least squares lay through measurements.

    Args:
        points: Two measurements or more, of different sizes.

    Raises:
        EksnetError: There are fewer.
    """
    import numpy as np

    measured = list(points)
    inputs.count(len({one.objects for one in measured}), "the number of sizes", 2, MOST_OBJECTS)
    slope, base = np.polyfit([one.objects for one in measured], [one.mb for one in measured], 1)
    return Line(float(1 / slope), float(base))
