"""The autoscaler of the add-on coredns: replicas that follow the number of nodes and cores.

Documented ("Scale CoreDNS Pods for high DNS traffic" of the EKS user guide): max(nodes / 16,
cores / 256); demand is the peak of ten minutes; up at once; down by 33 % every three minutes.
Guessed: fractions are rounded up, of a third at least one replica goes, and the first step down
comes as soon as the peak is ten minutes old.

`decide` is pure. `Autoscaler` reads the cluster, asks it, and sets the replicas.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from eksnet.sandbox.aws.eks.ownership import ApplyError
from eksnet.sandbox.aws.eks.records import Addon, Store, Wanted
from eksnet.sandbox.paths import write_private

MANAGER = "coredns-autoscaler"
"""The field manager that sets the replicas. What EKS calls its own is not documented: a guess."""
ADDON = "coredns"
NODES_PER_REPLICA, CORES_PER_REPLICA = 16, 256
WINDOW, STEP = 600.0, 180.0
"""How long a peak counts, and from one step down to the next, in seconds."""
FEWER = 0.33
LEAST, MOST = 2, 1000
# How often to look, in seconds of the autoscaler's clock, and within which bounds in real ones.
_LOOK, _SOONEST, _LATEST = 10.0, 0.5, 2.0


@dataclass(frozen=True)
class Size:
    """A cluster's size: all its nodes, and their processor cores together."""

    nodes: int
    cores: int


@dataclass(frozen=True)
class Bounds:
    """`minReplicas` and `maxReplicas`."""

    least: int = LEAST
    most: int = MOST


@dataclass(frozen=True)
class Memory:
    """What the autoscaler has to remember, so that its end and a new start change nothing.

    Attributes:
        clock: The autoscaler's time in seconds, as it was at `real`.
        real: The real time in seconds since 1970.
        factor: How many times as fast as a real clock the autoscaler's has run since then.
        demand: From when on so many replicas were wanted, by the autoscaler's time, oldest first.
        stepped: When the replicas were last made fewer; None when they never were.
    """

    clock: float
    real: float
    factor: float = 1.0
    demand: tuple[tuple[float, int], ...] = ()
    stepped: float | None = None

    def at(self, real: float, factor: float) -> Memory:
        """Return the same with the clock moved on; it never goes back.

        Args:
            real: The real time now.
            factor: How fast the clock runs from now on.
        """
        passed = max(0.0, real - self.real) * self.factor
        return replace(self, clock=self.clock + passed, real=real, factor=factor)


def wanted(size: Size) -> int:
    """Return the replicas that a cluster of a size asks for, before any bound."""
    by_nodes = math.ceil(size.nodes / NODES_PER_REPLICA)
    by_cores = math.ceil(size.cores / CORES_PER_REPLICA)
    return max(by_nodes, by_cores)


def decide(memory: Memory, demand: int, replicas: int, bounds: Bounds) -> tuple[Memory, int]:
    """Return how many replicas there are to be now, and what to remember.

    Args:
        memory: What was remembered, its clock at now.
        demand: The replicas that the cluster asks for now.
        replicas: The replicas that there are.
        bounds: The bounds.
    """
    now = memory.clock
    known = _since(memory.demand, now, demand)
    peak = max(many for _, many in known)
    target = min(max(peak, bounds.least), bounds.most)
    memory = replace(memory, demand=known)
    if replicas <= target:
        return memory, target
    if replicas > bounds.most:
        return memory, bounds.most
    if memory.stepped is not None and now - memory.stepped < STEP:
        return memory, replicas
    fewer = max(1, math.floor(replicas * FEWER))
    return replace(memory, stepped=now), max(target, replicas - fewer)


def _since(
    demand: tuple[tuple[float, int], ...], now: float, latest: int
) -> tuple[tuple[float, int], ...]:
    """Return the demand with the latest added, without what ended before the window began."""
    known = demand if demand and demand[-1][1] == latest else (*demand, (now, latest))
    # Each lasts until the next begins; the last one lasts still.
    ends = [since for since, _ in known[1:]] + [math.inf]
    return tuple(one for one, end in zip(known, ends, strict=True) if end > now - WINDOW)


def asked_for(name: str, wanted: Wanted) -> Mapping[str, Any] | None:
    """Return what an add-on's values say of the autoscaler; None when they do not enable it."""
    # A schema's validator takes a while to load, and most clusters have no add-on.
    from eksnet.sandbox.aws.eks import catalogue

    values = catalogue.values(catalogue.addon(name), wanted.configuration)
    asked: Mapping[str, Any] = values.get("autoScaling") or {}
    return asked if asked.get("enabled") else None


@lru_cache(maxsize=8)
def bounds_of(name: str, wanted: Wanted, platform: str) -> Bounds | None:
    """Return the bounds within which an add-on is scaled; None when it is not.

    Args:
        name: The add-on.
        wanted: Its version and configuration values.
        platform: The cluster's platform version, such as `eks.1`.
    """
    from eksnet.sandbox.aws.eks import catalogue

    asked = asked_for(name, wanted)
    if asked is None or not catalogue.addon(name).scales(wanted.version, platform):
        return None
    least = asked.get("minReplicas", LEAST)
    # A maximum below the minimum: the schema allows it, and what EKS does then is a guess.
    return Bounds(least, max(least, asked.get("maxReplicas") or MOST))


class Fleet(Protocol):
    """What the autoscaler needs of the cluster; each raises ApplyError when it cannot be had."""

    def size(self) -> Size:
        """Return the cluster's size."""

    def replicas(self) -> int:
        """Return the replicas that the Deployment coredns is to have."""

    def scale(self, replicas: int) -> None:
        """Set them, as the field manager of the autoscaler."""

    def clock_factor(self) -> float:
        """Return how many times as fast as a real clock the autoscaler's runs; 0: not at all."""


class Autoscaler:
    """Looks after the replicas while the add-on's values ask for it."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        platform: str,
        file: Path,
        real: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is done before `run` or `look`.

        Args:
            store: What EKS remembers.
            fleet: The cluster.
            platform: The cluster's platform version.
            file: Where the autoscaler keeps what it has to remember.
            real: Tells the real time in seconds.
        """
        self._store, self._fleet, self._platform = store, fleet, platform
        self._file, self._real = file, real
        self._memory = _read(file)
        self._woken = threading.Event()

    def wake(self) -> None:
        """Say that the add-on has changed."""
        self._woken.set()

    def run(self) -> None:
        """Look as often as it is worth it; never return."""
        while True:
            self._woken.clear()
            self._woken.wait(self.look())

    def look(self) -> float | None:
        """Do what is to be done now; return when to look again, in seconds; None: when woken."""
        addon = self._store.settled.addons.get(ADDON)
        if addon is not None and addon.waits:
            return _LATEST
        bounds = self._bounds(addon)
        if bounds is None:
            self._forget()
            return None
        try:
            factor = self._follow(bounds)
        except ApplyError:
            # The API server does not answer, or the Deployment is not there: it may come back.
            return _LATEST
        return min(_LATEST, max(_SOONEST, _LOOK / factor)) if factor else _SOONEST

    def _bounds(self, addon: Addon | None) -> Bounds | None:
        if addon is None or addon.applied is None:
            return None
        return bounds_of(addon.name, addon.applied, self._platform)

    def _forget(self) -> None:
        self._memory = None
        self._file.unlink(missing_ok=True)

    def _follow(self, bounds: Bounds) -> float:
        """Decide once, and return how fast the clock runs."""
        # A clock that stands still says that nodes are coming or going; it does so from before the
        # first until after the last of them.
        factor = self._fleet.clock_factor()
        demand = wanted(self._fleet.size())
        factor = min(factor, self._fleet.clock_factor())
        real = self._real()
        before = self._memory or Memory(0.0, real)
        replicas = self._fleet.replicas()
        after, many = decide(before.at(real, factor), demand, replicas, bounds)
        # What was decided is kept before it is done: a crash in between puts a step down off until
        # the next one is due, where the other order could take two at once.
        if _news(after) != _news(before):
            write_private(self._file, json.dumps(asdict(after)))
        self._memory = after
        if many != replicas:
            self._fleet.scale(many)
        return factor


def _news(memory: Memory) -> tuple[object, ...]:
    """Return what cannot be computed from an older memory and the real time."""
    return memory.factor, memory.demand, memory.stepped


def _read(file: Path) -> Memory | None:
    """Return what an earlier process has written; None when there is nothing."""
    if not file.exists():
        return None
    read: dict[str, Any] = json.loads(file.read_text())
    demand = tuple((float(since), int(many)) for since, many in read["demand"])
    return Memory(**{**read, "demand": demand})
