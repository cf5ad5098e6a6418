"""The checkpoints of 02d_coredns_autoscaling: the add-on's values, the way up, the way down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    failed,
    not_started,
    passed,
)
from eksnet.cluster import simulated
from eksnet.coredns import addon
from eksnet.coredns.autoscaling import OBSERVED, VALUE
from eksnet.coredns.installed import DEPLOYMENT, SYSTEM
from eksnet.coredns.replicas import Replicas
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NOTEBOOK = "02d_coredns_autoscaling"
LEAST, MOST = 2, 12
_SIZE = "nodes=40, cores=64"
_INSTALL = "coredns.addon.install(cluster)"
_ENABLE = f"""\
values = {{"{VALUE}": {{"enabled": True, "minReplicas": {LEAST}, "maxReplicas": {MOST}}}}}
coredns.addon.update(cluster, values, "OVERWRITE")"""
_GROW = f"grown = coredns.autoscaling.grow(cluster, {_SIZE})"
_SHRINK = f"""\
coredns.autoscaling.start_clock(cluster, 60)
shrunk = coredns.autoscaling.shrink(cluster, {_SIZE})"""


def is_addon(cluster: Cluster) -> Observation:
    """Whether CoreDNS is an add-on of EKS that is well."""
    _deployed(cluster)
    status = addon.describe(cluster)[0].status
    if status == "self-managed":
        return not_started("CoreDNS is self-managed", "an EKS add-on", _INSTALL)
    # While replicas come, EKS may call it DEGRADED.
    if status not in ("ACTIVE", "DEGRADED"):
        return failed(f"the add-on is {status}", "ACTIVE", _ENABLE)
    return passed("CoreDNS is an EKS add-on")


def is_enabled(cluster: Cluster) -> Observation:
    """Whether the add-on's values enable the autoscaler."""
    asked = _asked(cluster)
    if not asked:
        return not_started(f"the values have no {VALUE}", "an autoscaler that is enabled", _ENABLE)
    if asked.get("enabled") is not True:
        return failed("enabled is false", "enabled: true", _ENABLE)
    return passed("the autoscaler is enabled")


def has_bounds(cluster: Cluster) -> Observation:
    """Whether the values have the bounds of the task."""
    asked = _asked(cluster)
    expected = f"minReplicas: {LEAST}, maxReplicas: {MOST}"
    seen = ", ".join(
        f"{name}: {asked[name]}" for name in ("minReplicas", "maxReplicas") if name in asked
    )
    if (asked.get("minReplicas"), asked.get("maxReplicas")) != (LEAST, MOST):
        return failed(seen or "there are no bounds", expected, _ENABLE)
    return passed(seen)


def _asked(cluster: Cluster) -> dict[str, Any]:
    _deployed(cluster)
    values = addon.describe(cluster)[0].configuration or {}
    asked = values.get(VALUE)
    return dict(asked) if isinstance(asked, dict) else {}


def _deployed(cluster: Cluster) -> int:
    """Return the replicas that the Deployment is to have; -1 when there is none."""
    found = cluster.find("deployment", DEPLOYMENT, SYSTEM)
    return -1 if found is None else int(found["spec"]["replicas"])


def grown(cluster: Cluster, handed_in: Any) -> Any:
    """The replicas that came with the nodes."""
    now = _deployed(cluster)
    if not isinstance(handed_in, Listing) or not all(
        isinstance(one, Replicas) for one in handed_in
    ):
        return not_started("no result of `grow` was passed", "the table that it returns", "")
    (found,), how = handed_in, handed_in.rows[0][-1]
    if how != OBSERVED:
        return found.replicas
    if not simulated.fleet(cluster):
        return not_started("there are no simulated nodes any more", f"{found.nodes} nodes", "")
    if now != found.replicas:
        return failed(
            f"the Deployment has {now} replicas now", f"{found.replicas}, as `grow` has seen", ""
        )
    return now


def shrunk(cluster: Cluster, handed_in: Any) -> Any:
    """The numbers of replicas on the way down."""
    now = _deployed(cluster)
    if not isinstance(handed_in, Listing) or not all(isinstance(one, int) for one in handed_in):
        return not_started("no result of `shrink` was passed", "the table that it returns", "")
    steps = list(handed_in)
    if len(steps) < 2:
        return not_started("nothing has shrunk", "a way down from more replicas", "")
    if handed_in.rows[0][-1] == OBSERVED and now != steps[-1]:
        return failed(
            f"the Deployment has {now} replicas now", f"{steps[-1]}, as `shrink` has seen", ""
        )
    return steps


CHECKPOINTS = (
    Definition(
        id="scaling-04",
        notebook=NOTEBOOK,
        title="The autoscaler is on",
        criteria=(
            Criterion("scaling-04.addon", "CoreDNS is an EKS add-on", 1, is_addon),
            Criterion(
                "scaling-04.enabled", "Its values enable the autoscaler", 1, is_enabled,
                needs=("scaling-04.addon",),
            ),
            Criterion(
                "scaling-04.bounds", f"From {LEAST} to {MOST} replicas", 1, has_bounds,
                needs=("scaling-04.enabled",),
            ),
        ),
        hints=(
            "Look at the add-on's configuration values: `coredns.addon.describe(cluster)`.",
            f"Compare the members of `{VALUE}` with the schema: "
            "`coredns.autoscaling.fields(cluster)`.",
            f"Install the add-on, then run:\n{_ENABLE}",
        ),
        solution=f"{_INSTALL}\n{_ENABLE}\n",
    ),
    Definition(
        id="scaling-05",
        notebook=NOTEBOOK,
        title="Replicas that follow the nodes",
        criteria=(
            Prediction(
                "scaling-05.replicas",
                "The replicas of a cluster of 40 nodes with 64 cores",
                2,
                "a cluster has 40 nodes of 64 cores; how many CoreDNS replicas does EKS run?",
                "prediction = 0",
                grown,
                takes="grown",
                gather=_GROW,
            ),
        ),
        hints=(
            "Look at the formula: max(nodes / 16, cores / 256).",
            "Compare both terms: 40 / 16, and 40 times 64 / 256.",
            "Round both up, and put the larger one into `prediction`; the bounds are 2 and "
            f"{MOST}. Then check again.",
        ),
        solution=f"""\
{_INSTALL}
{_ENABLE}
{_GROW}
prediction = 10
eksnet.checkpoint("scaling-05").check(prediction, grown)
""",
    ),
    Definition(
        id="scaling-06",
        notebook=NOTEBOOK,
        title="The way down",
        criteria=(
            Prediction(
                "scaling-06.steps",
                "The numbers of replicas on the way from 10 to 2",
                3,
                "all nodes but two are gone; which numbers of replicas follow, from 10 to 2?",
                "prediction = [10, 0, 2]",
                shrunk,
                takes="shrunk",
                gather=_SHRINK,
            ),
        ),
        hints=(
            "Look at the rule: every three minutes 33 % of the replicas go.",
            "Compare each number with the one before: 33 % of it, rounded down, but one at least.",
            "33 % of 10 is 3.3, so 3 replicas go. Go on like this down to 2, write all numbers "
            "into `prediction`, and check again.",
        ),
        solution=f"""\
{_INSTALL}
{_ENABLE}
{_SHRINK}
prediction = [10, 7, 5, 4, 3, 2]
eksnet.checkpoint("scaling-06").check(prediction, shrunk)
""",
    ),
)  # fmt: skip
