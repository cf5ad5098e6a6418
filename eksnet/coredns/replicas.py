"""How many CoreDNS replicas a cluster of a size gets: EKS's autoscaler and the one of Kubernetes.

Sources: "Scale CoreDNS Pods for high DNS traffic" of the EKS user guide (the formula, ten-minute
peaks, up at once, a third fewer every three minutes; it does not say how a part of a replica is
rounded), and cluster-proportional-autoscaler, `pkg/autoscaler/controller/linearcontroller`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from eksnet import inputs
from eksnet.data import load_table
from eksnet.errors import EksnetError
from eksnet.listing import Listing

NODES_PER_REPLICA, CORES_PER_REPLICA = 16, 256
# What the add-on's schema allows, and the minimum that holds when none is given.
LEAST, MOST, DEFAULT_MINIMUM = 2, 1000, 2
MOST_NODES, MOST_CORES = 100_000, 10_000_000
PEAK_MINUTES, STEP_MINUTES = 10, 3
_PLATFORM = re.compile(r"eks\.(\d{1,4})")
_ADDON = re.compile(r"v(\d{1,4})\.(\d{1,4})\.(\d{1,4})-eksbuild\.(\d{1,4})")
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.\d+)?")


@dataclass(frozen=True)
class Replicas:
    """What a cluster of a size gets.

    Attributes:
        nodes: Its nodes.
        cores: Their processor cores, all together.
        by_nodes: The replicas that the nodes ask for.
        by_cores: The replicas that the cores ask for.
        replicas: What is left of the larger of the two within the bounds.
    """

    nodes: int
    cores: int
    by_nodes: int
    by_cores: int
    replicas: int


def eks_replicas(
    nodes: int, cores: int, minimum: int = DEFAULT_MINIMUM, maximum: int | None = None
) -> Replicas:
    """Return the replicas that the autoscaler of the EKS add-on wants.

    max(nodes / 16, cores / 256), rounded up (a guess: AWS does not say), within the bounds.

    Args:
        nodes: The cluster's nodes.
        cores: Their processor cores, all together.
        minimum: `minReplicas`, 2 to 1000.
        maximum: `maxReplicas`, 2 to 1000; None for no bound.

    Raises:
        EksnetError: A number is out of range.

    >>> eks_replicas(40, 40 * 64).replicas
    10
    """
    check_bounds(minimum, maximum)
    by_nodes, by_cores = _wanted(nodes, cores, NODES_PER_REPLICA, CORES_PER_REPLICA)
    most = MOST if maximum is None else maximum
    return Replicas(nodes, cores, by_nodes, by_cores, min(max(by_nodes, by_cores, minimum), most))


def proportional_replicas(nodes: int, cores: int, *, spread: bool = True) -> Replicas:
    """Return the replicas that cluster-proportional-autoscaler wants, as Kubernetes sets it up.

    Its mode linear with `coresPerReplica: 256, nodesPerReplica: 16` of Kubernetes' own
    `dns-horizontal-autoscaler.yaml`: at least one replica, and two where there are two nodes.

    Args:
        nodes: The cluster's nodes that take pods.
        cores: Their processor cores, all together.
        spread: `preventSinglePointFailure`.

    Raises:
        EksnetError: A number is out of range.

    >>> proportional_replicas(1, 2).replicas, proportional_replicas(2, 4).replicas
    (1, 2)
    """
    by_nodes, by_cores = _wanted(nodes, cores, NODES_PER_REPLICA, CORES_PER_REPLICA)
    least = 2 if spread and nodes > 1 else 1
    return Replicas(nodes, cores, by_nodes, by_cores, max(by_nodes, by_cores, least))


def steps_down(replicas: int, target: int) -> list[int]:
    """Return the numbers of replicas on the way down, one for each three minutes.

    A third fewer each time, rounded down (a guess: AWS does not say), but one fewer at least, and
    never below the target.

    Args:
        replicas: Where it begins.
        target: Where it ends.

    Raises:
        EksnetError: A number is out of range.

    >>> steps_down(10, 2)
    [10, 7, 5, 4, 3, 2]
    """
    inputs.count(replicas, "the number of replicas", LEAST, MOST)
    inputs.count(target, "the target", LEAST, MOST)
    steps = [replicas]
    while steps[-1] > target:
        fewer = max(1, math.floor(steps[-1] * 0.33))
        steps.append(max(target, steps[-1] - fewer))
    return steps


def compare_autoscalers(sizes: Iterable[tuple[int, int]]) -> Listing[Replicas]:
    """Return both autoscalers' replicas for several sizes.

    Args:
        sizes: Pairs of nodes and cores.

    Raises:
        EksnetError: A number is out of range.
    """
    found = tuple(eks_replicas(nodes, cores) for nodes, cores in sizes)
    rows = tuple(
        (str(one.nodes), str(one.cores), str(one.by_nodes), str(one.by_cores), str(one.replicas),
         str(proportional_replicas(one.nodes, one.cores).replicas))
        for one in found
    )  # fmt: skip
    columns = ("nodes", "cores", "by nodes", "by cores", "EKS", "proportional autoscaler")
    return Listing(columns, rows, found)


@dataclass(frozen=True)
class Prerequisite:
    """One of the conditions for the autoscaler of EKS.

    Attributes:
        what: What has to be so.
        wanted: The least that is needed.
        found: What there is.
        holds: Whether it is enough.
    """

    what: str
    wanted: str
    found: str
    holds: bool


def autoscaling_prerequisites(kubernetes: str, platform: str, addon: str) -> Listing[Prerequisite]:
    """Return whether a cluster can have the autoscaler of the EKS add-on.

    Args:
        kubernetes: The cluster's version, such as `1.29`.
        platform: Its platform version, such as `eks.7`.
        addon: The version of the add-on coredns, such as `v1.11.1-eksbuild.9`; empty where CoreDNS
            is self-managed.

    Raises:
        EksnetError: A version is not written so.
    """
    minor = _numbers(_VERSION, kubernetes, "the Kubernetes version", "1.35")[1]
    known = {str(row.kubernetes): row for row in load_table("coredns_autoscaling").itertuples()}
    row = known.get(f"1.{minor}")
    least = row.platform_version if row else "any"
    found = (
        Prerequisite("Kubernetes", "1.25 or later", kubernetes, minor >= 25),
        Prerequisite("platform version", least, platform, _reaches(_PLATFORM, platform, least)),
        _addon_prerequisite(addon, row.addon_version if row else "any"),
    )
    rows = tuple((p.what, p.wanted, p.found, "yes" if p.holds else "no") for p in found)
    return Listing(("condition", "needed", "found", "holds"), rows, found)


def check_bounds(minimum: int, maximum: int | None) -> None:
    """Refuse bounds that the add-on's schema does not allow, or that exclude each other.

    Args:
        minimum: `minReplicas`.
        maximum: `maxReplicas`; None for no bound.

    Raises:
        EksnetError: They are out of range.
    """
    inputs.count(minimum, "minReplicas", LEAST, MOST)
    if maximum is not None:
        inputs.count(maximum, "maxReplicas", minimum, MOST)


def _wanted(nodes: int, cores: int, per_node: int, per_core: int) -> tuple[int, int]:
    inputs.count(nodes, "the number of nodes", 0, MOST_NODES)
    inputs.count(cores, "the number of cores", 0, MOST_CORES)
    return math.ceil(nodes / per_node), math.ceil(cores / per_core)


def _addon_prerequisite(addon: str, least: str) -> Prerequisite:
    what = "coredns as an EKS add-on"
    if not addon:
        return Prerequisite(what, least, "self-managed", False)
    return Prerequisite(what, least, addon, _reaches(_ADDON, addon, least))


def _reaches(pattern: re.Pattern[str], found: str, least: str) -> bool:
    example = "eks.7" if pattern is _PLATFORM else "v1.11.1-eksbuild.9"
    numbers = _numbers(pattern, found, "the version", example)
    return least == "any" or numbers >= _numbers(pattern, least, "the version", example)


def _numbers(pattern: re.Pattern[str], text: str, what: str, example: str) -> tuple[int, ...]:
    match = pattern.fullmatch(inputs.text(text, what))
    if match is None:
        raise EksnetError(
            f"{what} is {inputs.shown(text)}", f"one such as {example}", "look at describe_cluster"
        )
    return tuple(map(int, match.groups()))
