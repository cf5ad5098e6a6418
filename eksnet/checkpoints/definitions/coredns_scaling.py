"""The checkpoints of 02b_coredns_scaling: what CoreDNS reads, what it needs, what a name costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    Wait,
    failed,
    not_started,
    not_yet,
    passed,
)
from eksnet.coredns.memory import published
from eksnet.coredns.memory_growth import Taken
from eksnet.coredns.witness import Lookup
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NOTEBOOK = "02b_coredns_scaling"
_PLACE = "eksnet-memory"
_NAMES = ("kubernetes", "www.example.com")
_APPLY = f"run the cells that apply the namespace {_PLACE} and what is in it"
_MEASURE = f"""\
corefile = cluster.get("configmap/coredns", namespace="{_PLACE}")["data"]["Corefile"]
taken = coredns.measure_memory(cluster, corefile, [0, 10_000, 20_000, 30_000])"""
_LOOK_UP = f"""\
lookups = {{name: coredns.look_up(cluster, name, "default") for name in {_NAMES}}}"""
LESS, SAME, MORE = "less", "about the same", "more"
# Within these shares of the formula's slope it is called about the same.
_NEAR = (0.8, 1.25)


def role(cluster: Cluster) -> Observation:
    """Whether the CoreDNS of the lesson may read Services and EndpointSlices, and no Pods."""
    found = cluster.find(f"clusterrole/{_PLACE}")
    expected = "Services, EndpointSlices and namespaces, and no Pods"
    if found is None:
        return not_started(f"there is no ClusterRole {_PLACE}", expected, _APPLY)
    read = {one for rule in found.get("rules") or () for one in rule.get("resources") or ()}
    if "pods" in read:
        return failed("it may read Pods", expected, "take `pods` out of its rules; apply it again")
    missing = sorted({"services", "endpointslices", "namespaces"} - read)
    if missing:
        return failed(f"it may not read {', '.join(missing)}", expected, _APPLY)
    return passed("it may read Services, EndpointSlices and namespaces, and no Pods")


def insecure(cluster: Cluster) -> Observation:
    """Whether its Corefile has `pods insecure`, as the one of EKS."""
    found = cluster.find("configmap/coredns", namespace=_PLACE)
    if found is None:
        return not_started(f"there is no Corefile in {_PLACE}", "`pods insecure`", _MEASURE)
    lines = str((found.get("data") or {}).get("Corefile")).splitlines()
    if ["pods", "insecure"] not in [line.split() for line in lines]:
        return failed("its Corefile has no line `pods insecure`", "that line", _MEASURE)
    return passed("its Corefile has `pods insecure`")


def ready(cluster: Cluster) -> Observation:
    """Whether it is Ready: it has read all that it needs."""
    found = cluster.find("pod/coredns", namespace=_PLACE)
    if found is None:
        return not_started(f"there is no pod coredns in {_PLACE}", "a Ready pod", _MEASURE)
    conditions = (found.get("status") or {}).get("conditions") or ()
    if not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
        return not_yet("the pod coredns is not Ready", "a Ready pod", _MEASURE)
    return passed("the pod coredns is Ready")


def slope(cluster: Cluster, taken: Any) -> Any:
    """How the measured growth is to the formula's, in a word."""
    there = cluster.find("pod/coredns", namespace=_PLACE)
    expected = "two sizes or more, as `coredns.measure_memory` gives them"
    if not isinstance(taken, Listing) or not all(isinstance(one, Taken) for one in taken):
        return not_started("nothing was measured yet", expected, "")
    sizes = {one.objects for one in taken}
    if len(sizes) < 2:
        return not_started("only one size was measured", expected, "")
    if there is None:
        return failed("the CoreDNS that was measured is gone", f"the pod coredns in {_PLACE}", "")
    grown = per_thousand(taken) * published().objects_per_mb / 1000
    least, most = _NEAR
    return LESS if grown < least else MORE if grown > most else SAME


def per_thousand(taken: Listing[Taken]) -> float:
    """Return the megabytes for each 1,000 objects, from the smallest size to the largest."""
    first, *_, last = sorted(taken, key=lambda one: one.objects)
    return 1000 * (last.resident_mb - first.resident_mb) / (last.objects - first.objects)


def queries(cluster: Cluster, lookups: Any) -> Any:
    """How many queries the witness has logged for each name."""
    cluster.get("namespace/default")
    if not isinstance(lookups, dict) or any(
        not isinstance(lookups.get(name), Lookup) for name in _NAMES
    ):
        return not_started(
            "no lookups were passed to the check", f"one of each: {' and '.join(_NAMES)}", ""
        )
    return {name: lookups[name].observed.query_count for name in _NAMES}


CHECKPOINTS = (
    Definition(
        id="scaling-01",
        notebook=NOTEBOOK,
        title="A CoreDNS that may not read Pods",
        criteria=(
            Criterion("scaling-01.role", "Its role has no Pods", 1, role),
            Criterion("scaling-01.corefile", "Its Corefile has `pods insecure`", 1, insecure),
            Criterion(
                "scaling-01.ready", "It is Ready all the same", 1, ready,
                needs=("scaling-01.role", "scaling-01.corefile"),
                wait=Wait("the pod coredns to be Ready", deadline=30),
            ),
        ),
        hints=(
            f"Look at the ClusterRole `{_PLACE}`, and at the pod in the namespace `{_PLACE}`.",
            "Compare the resources of the role with those of `system:coredns`, the role of the "
            "cluster's own CoreDNS.",
            f"Apply the role without `pods`, then measure:\n{_MEASURE}",
        ),
        solution=f"""\
# {_APPLY}, then
{_MEASURE}
""",
    ),
    Definition(
        id="scaling-02",
        notebook=NOTEBOOK,
        title="The memory of records",
        criteria=(
            Prediction(
                "scaling-02.slope",
                "How CoreDNS grows, beside the formula",
                2,
                "with 30,000 addresses more, does CoreDNS's memory grow less than the formula "
                "says, about the same, or more?",
                f'prediction = ""  # "{LESS}", "{SAME}" or "{MORE}"',
                slope,
                takes="taken",
                gather=_MEASURE,
                choices=(LESS, SAME, MORE),
            ),
        ),
        hints=(
            "Look at the column *resident MB* of the measurement.",
            "Compare the difference between its last row and its first one with the formula's: "
            "1 MB for each 1,000 objects.",
            "Divide: (last resident MB - first resident MB) / 30.3. Put `less` for below 0.8, "
            "`more` for above 1.25 into `prediction`, and check again.",
        ),
        solution=f"""\
{_MEASURE}
prediction = "{LESS}"
eksnet.checkpoint("scaling-02").check(prediction, taken)
""",
    ),
    Definition(
        id="scaling-03",
        notebook=NOTEBOOK,
        title="Queries for a name",
        criteria=(
            Prediction(
                "scaling-03.queries",
                "The queries for a name inside and outside of the cluster",
                2,
                f"how many queries does a pod of the namespace default send for "
                f"{' and for '.join(_NAMES)}?",
                'prediction = {"kubernetes": 0, "www.example.com": 0}',
                queries,
                takes="lookups",
                gather=_LOOK_UP,
                column=1,
            ),
        ),
        hints=(
            "Look at the walks: `lookups[\"www.example.com\"].observed`.",
            "Compare how many rows they have. Each row is a query for A and one for AAAA.",
            "Count two queries for each row, put both numbers into `prediction`, and check again.",
        ),
        solution=f"""\
{_LOOK_UP}
prediction = {{"kubernetes": 2, "www.example.com": 10}}
eksnet.checkpoint("scaling-03").check(prediction, lookups)
""",
    ),
)  # fmt: skip
