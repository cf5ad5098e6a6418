"""The autoscaler of the EKS add-on coredns on a cluster: who can have it, and what it does there.

Where a number of nodes is needed that a cluster does not have, the sandbox simulates it. On every
other cluster the same functions compute what would follow, say so, and wait for nothing.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.cluster import simulated
from eksnet.cluster.conditions import Condition
from eksnet.cluster.countdown import until
from eksnet.coredns import addon
from eksnet.coredns.installed import DEPLOYMENT, SYSTEM
from eksnet.coredns.replicas import (
    DEFAULT_MINIMUM,
    PEAK_MINUTES,
    STEP_MINUTES,
    Prerequisite,
    Replicas,
    autoscaling_prerequisites,
    eks_replicas,
    steps_down,
)
from eksnet.data import load_table
from eksnet.errors import EksnetError
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

VALUE = "autoScaling"
OBSERVED, COMPUTED = "observed", "computed"
_DEFAULT_TIMEOUT = 120.0


def prerequisites(cluster: Cluster) -> Listing[Prerequisite]:
    """Return whether this cluster can have the autoscaler, as EKS describes cluster and add-on.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account.
    """
    described = cluster.aws("eks").describe_cluster(name=cluster.eks_name)["cluster"]
    version = addon.describe(cluster)[0].version
    return autoscaling_prerequisites(described["version"], described["platformVersion"], version)


@dataclass(frozen=True)
class Field:
    """A member of the value `autoScaling`.

    Attributes:
        name: Its name.
        kind: Its type in the schema.
        default: Its default; empty for none.
        bounds: Its bounds; empty for none.
        required: Whether it has to be given.
    """

    name: str
    kind: str
    default: str
    bounds: str
    required: bool


def fields(cluster: Cluster) -> Listing[Field]:
    """Return what the schema of this add-on's version says of `autoScaling`, beside the known one.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account, or CoreDNS is self-managed.
    """
    found = fields_of(_schema(cluster))
    known = {one.name: one for one in published_fields()}
    names = [one.name for one in found] + [name for name in known if name not in _names(found)]
    given = {one.name: one for one in found}
    rows = tuple(
        (name, one.kind, one.default or "none", one.bounds or "none",
         "yes" if one.required else "no", _beside(given.get(name), known.get(name)))
        for name in names
        if (one := given.get(name) or known[name])
    )  # fmt: skip
    columns = ("field", "type", "default", "bounds", "required", "than the published schema")
    return Listing(columns, rows, tuple(given.get(name) or known[name] for name in names))


def _names(found: tuple[Field, ...]) -> set[str]:
    return {one.name for one in found}


def _beside(given: Field | None, known: Field | None) -> str:
    if given is None:
        return "missing"
    if known is None:
        return "more"
    return "same" if given == known else "other"


def fields_of(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return the members of `autoScaling` in a schema of the add-on; none where it is not known.

    Args:
        schema: The JSON schema, as `describe-addon-configuration` gives it.
    """
    scaling = _resolved(schema, _resolved(schema, schema).get("properties", {}).get(VALUE, {}))
    required = scaling.get("required", ())
    return tuple(
        Field(
            name,
            str(one.get("type", "")),
            "" if one.get("default") is None else json.dumps(one["default"]),
            f"{one['minimum']} to {one['maximum']}" if {"minimum", "maximum"} <= one.keys() else "",
            name in required,
        )
        for name, one in sorted(scaling.get("properties", {}).items())
    )


def _resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a part of a schema; where it refers to a definition, that one."""
    reference = str(part.get("$ref", ""))
    if not reference.startswith("#/definitions/"):
        return part
    found: Mapping[str, Any] = schema["definitions"][reference.rpartition("/")[2]]
    return found


def published_fields() -> tuple[Field, ...]:
    """Return the fields of the schema that was published: that of an add-on of 2024."""
    return tuple(
        Field(row.field, row.type, row.default, row.bounds, row.required == "yes")
        for row in load_table("coredns_autoscaling_schema").fillna("").astype(str).itertuples()
    )


def _schema(cluster: Cluster) -> Mapping[str, Any]:
    version = addon.describe(cluster)[0].version
    if not version:
        raise EksnetError(
            "CoreDNS is self-managed: it has no configuration values",
            "the EKS add-on coredns",
            "coredns.addon.install(cluster)",
        )
    found = cluster.aws("eks").describe_addon_configuration(
        addonName=addon.NAME, addonVersion=version
    )
    schema: Mapping[str, Any] = json.loads(found["configurationSchema"])
    return schema


# What it does.


def bounds(cluster: Cluster) -> tuple[int, int | None] | None:
    """Return `minReplicas` and `maxReplicas` of the add-on; None while it does not scale.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account.
    """
    values = (addon.describe(cluster)[0].configuration or {}).get(VALUE) or {}
    if not values.get("enabled"):
        return None
    return values.get("minReplicas", DEFAULT_MINIMUM), values.get("maxReplicas")


def wanted(cluster: Cluster) -> Replicas:
    """Return what the formula makes of the nodes that the cluster has now, within the bounds.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account, or the add-on does not scale.
    """
    nodes = cluster.list("nodes")
    cores = sum(map(simulated.cores_of, nodes))
    return eks_replicas(len(nodes), cores, *_needed_bounds(cluster))


def _needed_bounds(cluster: Cluster) -> tuple[int, int | None]:
    found = bounds(cluster)
    if found is None:
        raise EksnetError(
            "the add-on does not scale: its values do not enable the autoscaler",
            'the value {"autoScaling": {"enabled": true}}',
            'coredns.addon.update(cluster, {"autoScaling": {"enabled": True}})',
        )
    return found


def grow(
    cluster: Cluster, nodes: int, cores: int, timeout: float = _DEFAULT_TIMEOUT
) -> Listing[Replicas]:
    """Let the cluster have so many nodes, and return the replicas that follow.

    In the sandbox nodes are simulated beside its own, and the replicas are those that the
    autoscaler sets. On another cluster the replicas are computed, and nothing is changed.

    Args:
        cluster: The cluster.
        nodes: How many nodes there are to be in all.
        cores: The processor cores of each one that is simulated.
        timeout: How long to wait for the autoscaler, in seconds.

    Raises:
        EksnetError: The add-on does not scale, a number is out of range, or the replicas did not
            come.
    """
    inputs.seconds(timeout)
    least, most = _needed_bounds(cluster)
    if not _observes(cluster):
        return _row(eks_replicas(nodes, nodes * cores, least, most), COMPUTED)
    simulated.start_fleet(cluster, nodes, cores)
    found = wanted(cluster)
    if not until(
        f"{found.replicas} replicas", lambda: replicas(cluster) == found.replicas, timeout
    ):
        raise _not_followed(replicas(cluster), found.replicas, timeout)
    return _row(found, OBSERVED)


def _row(found: Replicas, how: str) -> Listing[Replicas]:
    row = (str(found.nodes), str(found.by_nodes), str(found.by_cores), str(found.replicas), how)
    return Listing(("nodes", "by nodes", "by cores", "replicas", "how"), (row,), (found,))


def replicas(cluster: Cluster) -> int:
    """Return the replicas that the Deployment coredns is to have.

    Args:
        cluster: The cluster.
    """
    return int(cluster.get("deployment", DEPLOYMENT, SYSTEM)["spec"]["replicas"])


def shrink(
    cluster: Cluster, nodes: int, cores: int, timeout: float = _DEFAULT_TIMEOUT
) -> Listing[int]:
    """Take away what `grow` has added, and return the numbers of replicas on the way down.

    In the sandbox they are those that the autoscaler sets one after the other, as a watch of the
    Deployment sees them; nodes that are not simulated any more are simulated once more before. On
    another cluster they are computed.

    Args:
        cluster: The cluster.
        nodes: How many nodes there were in all.
        cores: The processor cores of each one that is simulated.
        timeout: How long to wait for the last number, in seconds.

    Raises:
        EksnetError: As `grow`; or the replicas do not come down in time: start a clock.
    """
    begin = grow(cluster, nodes, cores, timeout)[0].replicas
    if not _observes(cluster):
        return _ladder(steps_down(begin, _needed_bounds(cluster)[0]), COMPUTED)
    simulated.end_fleet(cluster)
    target, seen = wanted(cluster).replicas, [begin]

    def arrived(deployment: Mapping[str, Any]) -> bool:
        now = int(deployment["spec"]["replicas"])
        if seen[-1] != now:
            seen.append(now)
        return now == target

    # `wait` tells the reader what it waited for; the table does.
    with contextlib.redirect_stdout(io.StringIO()):
        way = Condition(f"at {target} replicas", arrived)
        cluster.wait("deployment", DEPLOYMENT, way, SYSTEM, timeout)
    return _ladder(seen, OBSERVED)


def _ladder(steps: list[int], how: str) -> Listing[int]:
    minutes = [0, *(PEAK_MINUTES + STEP_MINUTES * number for number in range(len(steps) - 1))]
    rows = tuple((str(minute), str(many), how) for minute, many in zip(minutes, steps, strict=True))
    return Listing(("minute by the rule", "replicas", "how"), rows, tuple(steps))


def _observes(cluster: Cluster) -> bool:
    return cluster.target.kind == "sandbox"


def _not_followed(seen: int, expected: int, timeout: float) -> EksnetError:
    return EksnetError(
        f"after {timeout:g} s the Deployment {DEPLOYMENT} has {seen} replicas",
        f"{expected}, by the number of nodes and cores",
        "eksnet logs aws shows what the AWS side of the sandbox says",
    )


def start_clock(cluster: Cluster, factor: int = 60) -> None:
    """Let the autoscaler's clock run faster, and say what ten minutes take then.

    Args:
        cluster: The cluster; on any but the sandbox nothing is changed.
        factor: How many times as fast, 1 to 120.

    Raises:
        EksnetError: There is no such factor.
    """
    if not _observes(cluster):
        print("EKS's autoscaler has its own clock: ten minutes take ten minutes")
        return
    simulated.start_clock(cluster, factor)
    print(
        f"the autoscaler's clock runs {factor} times as fast: ten minutes take "
        f"{60 * PEAK_MINUTES / factor:g} s"
    )


def end_clock(cluster: Cluster) -> None:
    """Let the autoscaler's clock run as clocks do.

    Args:
        cluster: The cluster.
    """
    if _observes(cluster):
        simulated.end_clock(cluster)
    print("the autoscaler's clock runs as yours")
