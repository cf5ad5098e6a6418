"""Why a load balancer takes a subnet or leaves it, by the controller's own rules; pure.

The rules are those of `defaultSubnetsResolver` of the controller 3.3.0 (pkg/networking). Which
subnets are taken is said by the controller itself: this only tells why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

_ROLES = {
    "internet-facing": "kubernetes.io/role/elb",
    "internal": "kubernetes.io/role/internal-elb",
}
_CLUSTER = "kubernetes.io/cluster/"
# Each subnet of a load balancer needs this many free addresses.
_FREE = 8


@dataclass(frozen=True)
class Subnet:
    """A subnet of the VPC.

    Attributes:
        id: Its id.
        zone: Its availability zone.
        cidr: Its addresses.
        available: How many of them are free.
        public: Whether its route table leads to an internet gateway.
        tags: Its tags.
    """

    id: str
    zone: str
    cidr: str
    available: int
    public: bool
    tags: Mapping[str, str] = field(hash=False)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Subnet:
        """Return a subnet of an answer of the engine's program."""
        return cls(
            found["id"], found["zone"], found["cidr"], found["available"], found["public"],
            dict(found["tags"] or {}),
        )  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """Whether a load balancer takes a subnet, and why.

    Attributes:
        subnet: The subnet.
        verdict: `taken`, `left`, or `fits` where no load balancer is built that could take it.
        why: The reason.
    """

    subnet: Subnet
    verdict: Literal["taken", "left", "fits"]
    why: str


def choices(
    subnets: Sequence[Subnet],
    taken: Collection[str] | None,
    scheme: str,
    cluster: str,
    *,
    named: bool = False,
    kept: bool = False,
) -> tuple[Choice, ...]:
    """Return for each subnet whether it is taken, and why.

    Args:
        subnets: All subnets of the VPC.
        taken: The ids of those that the controller takes; None where it builds nothing.
        scheme: `internet-facing` or `internal`.
        cluster: The cluster's name.
        named: Whether manifests name the subnets.
        kept: Whether the load balancer exists with this scheme, and so keeps its subnets.
    """
    if named or kept:
        if taken is None:
            return ()
        reasons = _given(subnets, taken, kept=not named)
    else:
        reasons = _discovered(subnets, scheme, cluster)
    ordered = sorted(subnets, key=lambda one: (one.zone, one.id))
    return tuple(
        Choice(one, _verdict(one, taken, *reasons[one.id]), reasons[one.id][1]) for one in ordered
    )


def _verdict(
    one: Subnet, taken: Collection[str] | None, fits: bool, _: str
) -> Literal["taken", "left", "fits"]:
    if taken is None:
        return "fits" if fits else "left"
    return "taken" if one.id in taken else "left"


# Whether a subnet fits, and why or why not.
_Reasons = dict[str, tuple[bool, str]]


def _given(subnets: Sequence[Subnet], taken: Collection[str], *, kept: bool) -> _Reasons:
    words = ("the load balancer is in it already", "the load balancer keeps those that it is in")
    if not kept:
        words = ("the manifest names it", "the manifest names others")
    return {one.id: (one.id in taken, words[one.id not in taken]) for one in subnets}


def _discovered(subnets: Sequence[Subnet], scheme: str, cluster: str) -> _Reasons:
    role, public = _ROLES.get(scheme, ""), scheme == "internet-facing"
    tagged = [one for one in subnets if one.tags.get(role) in ("", "1")]
    candidates = tagged or [one for one in subnets if one.public == public]
    reasons: _Reasons = {}
    for one in subnets:
        has = (
            f"it has the tag {role}=1"
            if one in tagged
            else f"it has no tag {role}=1, and others have one"
        )
        why = (
            has if tagged else f"no subnet is tagged {role}, and it is {_route(public=one.public)}"
        )
        reasons[one.id] = (one in candidates, why)
    unfit = {one.id: (False, why) for one in candidates if (why := _unfit(one, cluster))}
    return reasons | unfit | _second([one for one in candidates if one.id not in unfit], cluster)


def _second(fit: Sequence[Subnet], cluster: str) -> _Reasons:
    """Return why another subnet of the same zone is taken instead: there can be one in each."""
    reasons: _Reasons = {}
    for zone in {one.zone for one in fit}:
        first, *others = sorted(
            (one for one in fit if one.zone == zone),
            key=lambda one: (_CLUSTER + cluster not in one.tags, one.id),
        )
        for one in others:
            before = _before(first, one, cluster)
            why = f"{first.id} is in the same zone and comes first: {before}"
            reasons[one.id] = (False, why)
    return reasons


def _route(*, public: bool) -> str:
    if public:
        return "public: its routes lead to an internet gateway"
    return "private: no route leads to an internet gateway"


def _unfit(one: Subnet, cluster: str) -> str:
    clusters = [key for key in one.tags if key.startswith(_CLUSTER.rstrip("/"))]
    if clusters and _CLUSTER + cluster not in clusters:
        return f"it is tagged for another cluster: {', '.join(sorted(clusters))}"
    if one.available < _FREE:
        return f"{one.available} of its addresses are free, fewer than {_FREE}"
    return ""


def _before(first: Subnet, other: Subnet, cluster: str) -> str:
    key = _CLUSTER + cluster
    if key in first.tags and key not in other.tags:
        return f"it has the tag {key}"
    return "its id does"
