"""The widget *CoreDNS replicas*: how many of them two autoscalers want for a cluster's size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from traitlets import Int

from eksnet.coredns.replicas import (
    CORES_PER_REPLICA,
    DEFAULT_MINIMUM,
    LEAST,
    MOST,
    NODES_PER_REPLICA,
    PEAK_MINUTES,
    STEP_MINUTES,
    eks_replicas,
    proportional_replicas,
    steps_down,
)
from eksnet.listing import Listing
from eksnet.panel import Panel, Table
from eksnet.widgets.curve import curve
from eksnet.widgets.model import Model

EKS, PROPORTIONAL = "EKS", "CPA"
MOST_NODES, MOST_CORES = 5_000, 448
NONE = 0
"""The maximum that stands for no maximum."""
_STEPS_SHOWN, _STEPS_DRAWN = 12, 20


@dataclass(frozen=True)
class Wanted:
    """The replicas that an autoscaler wants for a number of nodes.

    Attributes:
        autoscaler: Which one.
        nodes: The nodes.
        replicas: The replicas.
    """

    autoscaler: str
    nodes: int
    replicas: int


class CorednsReplicas(Model):
    """The replicas for a cluster whose nodes are all alike.

    Attributes:
        nodes: The nodes.
        cores: The processor cores of each.
        minimum: `minReplicas` of the EKS add-on.
        maximum: `maxReplicas` of the EKS add-on; 0 for none.
    """

    title: ClassVar[str] = "CoreDNS replicas"
    controls: ClassVar[tuple[str, ...]] = ("nodes", "cores", "minimum", "maximum")

    nodes = Int(40, min=1, max=MOST_NODES).tag(label="nodes")
    cores = Int(64, min=1, max=MOST_CORES).tag(label="cores of a node")
    minimum = Int(DEFAULT_MINIMUM, min=LEAST, max=MOST).tag(label="minReplicas")
    maximum = Int(NONE, min=NONE, max=MOST).tag(label="maxReplicas (0: none)")

    def panel(self) -> Panel:
        """Return both numbers in a sentence, the steps as a chart, and the way back down.

        Raises:
            EksnetError: The bounds exclude each other.
        """
        found = eks_replicas(self.nodes, self.nodes * self.cores, *self._bounds)
        other = proportional_replicas(self.nodes, self.nodes * self.cores)
        sentence = (
            f"{self.nodes:,} nodes / {NODES_PER_REPLICA} ask for {found.by_nodes} replicas, "
            f"{self.nodes * self.cores:,} cores / {CORES_PER_REPLICA} for {found.by_cores}. "
            f"EKS runs {found.replicas}, cluster-proportional-autoscaler (CPA) {other.replicas}."
        )
        drawn = curve(
            list(self._steps()), x="nodes", y="replicas", by="autoscaler",
            axes=("nodes", "replicas"), title="CoreDNS replicas by number of nodes",
        )  # fmt: skip
        return Panel(sentence, (drawn, self._table(), self._way_down(found.replicas)))

    @property
    def _bounds(self) -> tuple[int, int | None]:
        return self.minimum, None if self.maximum == NONE else self.maximum

    def _of(self, nodes: int) -> tuple[int, int]:
        cores = nodes * self.cores
        eks = eks_replicas(nodes, cores, *self._bounds).replicas
        return eks, proportional_replicas(nodes, cores).replicas

    def _steps(self) -> Iterator[Wanted]:
        """Yield the corners of both stairs, up to half as many nodes more than there are.

        Of many steps only some sizes are drawn, with a line from one to the next: nobody would see
        the steps.
        """
        last = min(self.nodes + max(1, self.nodes // 2), MOST_NODES)
        edges = self._edges(last)
        for name, which in ((EKS, 0), (PROPORTIONAL, 1)):
            if len(edges) > _STEPS_DRAWN:
                sizes = {1, self.nodes, *range(last, 1, -max(1, last // _STEPS_DRAWN))}
                yield from (Wanted(name, at, self._of(at)[which]) for at in sorted(sizes))
            else:
                yield from self._stairs(name, which, edges, last)

    def _stairs(self, name: str, which: int, edges: list[int], last: int) -> Iterator[Wanted]:
        before = self._of(1)[which]
        drawn = 1
        yield Wanted(name, 1, before)
        for nodes in edges:
            now = self._of(nodes)[which]
            if now == before:
                continue
            if nodes - 1 > drawn:
                yield Wanted(name, nodes - 1, before)
            yield Wanted(name, nodes, now)
            drawn, before = nodes, now
        if last > drawn:
            yield Wanted(name, last, before)

    def _edges(self, last: int) -> list[int]:
        """Return the numbers of nodes at which a step may be, up to a last one."""
        by_nodes = range(NODES_PER_REPLICA + 1, last + 1, NODES_PER_REPLICA)
        most = math.ceil(last * self.cores / CORES_PER_REPLICA)
        by_cores = (CORES_PER_REPLICA * n // self.cores + 1 for n in range(1, most + 1))
        return sorted(n for n in {2, *by_nodes, *by_cores} if 1 < n <= last)

    def _table(self) -> Table:
        corners = sorted({1, self.nodes, *self._edges(min(2 * self.nodes, MOST_NODES))})
        seen: list[tuple[int, tuple[int, int]]] = []
        for nodes in corners:
            now = self._of(nodes)
            if not seen or seen[-1][1] != now or nodes == self.nodes:
                seen.append((nodes, now))
        here = next(place for place, (nodes, _) in enumerate(seen) if nodes == self.nodes)
        first = max(0, min(here - _STEPS_SHOWN // 2, len(seen) - _STEPS_SHOWN))
        part = seen[first : first + _STEPS_SHOWN]
        rows = tuple(
            (f"{nodes:,}", f"{nodes * self.cores:,}", str(eks), str(other))
            for nodes, (eks, other) in part
        )
        columns = ("nodes", "cores", EKS, PROPORTIONAL)
        return Table("From this size on", Listing(columns, rows, tuple(part)), here - first)

    def _way_down(self, replicas: int) -> Table:
        """Return the replicas once all nodes but two are gone."""
        steps = steps_down(replicas, eks_replicas(2, 2 * self.cores, *self._bounds).replicas)
        minutes = [0, *(PEAK_MINUTES + STEP_MINUTES * n for n in range(len(steps) - 1))]
        rows = tuple((str(m), str(one)) for m, one in zip(minutes, steps, strict=True))
        listing = Listing(("minute", EKS), rows, tuple(steps))
        return Table("Once all nodes but two are gone", listing)
