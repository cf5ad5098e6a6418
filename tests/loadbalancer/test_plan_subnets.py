"""Why a subnet is taken: the controller's rules as a table."""

from __future__ import annotations

import pytest

from eksnet.loadbalancer.subnets import Subnet, choices

PUBLIC, INTERNAL = "kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"
FIRST = "is in the same zone and comes first"
UNTAGGED = f"no subnet is tagged {INTERNAL}, and it is"
OURS, THEIRS = "kubernetes.io/cluster/lab", "kubernetes.io/cluster/other"


def made(
    name: str, zone: str, tags: dict[str, str], *, public: bool = True, available: int = 100
) -> Subnet:
    return Subnet(f"subnet-{name}", zone, "10.0.0.0/24", available, public, tags)


CASES = {
    "by tag": (
        [made("1", "a", {PUBLIC: "1"}), made("2", "b", {}), made("3", "c", {PUBLIC: ""})],
        "internet-facing",
        {
            "subnet-1": ("fits", f"it has the tag {PUBLIC}=1"),
            "subnet-2": ("left", f"it has no tag {PUBLIC}=1, and others have one"),
            "subnet-3": ("fits", f"it has the tag {PUBLIC}=1"),
        },
    ),
    "a tag with another value is none": (
        [made("1", "a", {INTERNAL: "yes"}, public=False), made("2", "b", {}, public=True)],
        "internal",
        {
            "subnet-1": ("fits", f"{UNTAGGED} private: no route leads to an internet gateway"),
            "subnet-2": ("left", f"{UNTAGGED} public: its routes lead to an internet gateway"),
        },
    ),
    "of another cluster, or full": (
        [
            made("1", "a", {PUBLIC: "1", THEIRS: "shared"}),
            made("2", "b", {PUBLIC: "1", THEIRS: "shared", OURS: "shared"}),
            made("3", "c", {PUBLIC: "1"}, available=7),
            made("4", "d", {PUBLIC: "1"}, available=8),
        ],
        "internet-facing",
        {
            "subnet-1": ("left", f"it is tagged for another cluster: {THEIRS}"),
            "subnet-2": ("fits", f"it has the tag {PUBLIC}=1"),
            "subnet-3": ("left", "7 of its addresses are free, fewer than 8"),
            "subnet-4": ("fits", f"it has the tag {PUBLIC}=1"),
        },
    ),
    "one in each zone": (
        [
            made("1", "a", {PUBLIC: "1"}),
            made("2", "a", {PUBLIC: "1", OURS: "owned"}),
            made("3", "b", {PUBLIC: "1"}),
            made("4", "b", {PUBLIC: "1"}),
        ],
        "internet-facing",
        {
            "subnet-1": ("left", f"subnet-2 {FIRST}: it has the tag {OURS}"),
            "subnet-2": ("fits", f"it has the tag {PUBLIC}=1"),
            "subnet-3": ("fits", f"it has the tag {PUBLIC}=1"),
            "subnet-4": ("left", f"subnet-3 {FIRST}: its id does"),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_why_a_subnet_is_taken_or_left(name: str) -> None:
    subnets, scheme, wanted = CASES[name]
    found = choices(subnets, None, scheme, "lab")
    assert {one.subnet.id: (one.verdict, one.why) for one in found} == wanted
    # The controller's own word counts: its choice is only explained.
    fit = {one.subnet.id for one in found if one.verdict == "fits"}
    assert {
        one.subnet.id for one in choices(subnets, fit, scheme, "lab") if one.verdict == "taken"
    } == fit


NAMED = ("the manifest names it", "the manifest names others")
KEPT = ("the load balancer is in it already", "the load balancer keeps those that it is in")


@pytest.mark.parametrize(
    ("named", "kept", "taken", "left"),
    [
        (True, False, *NAMED),
        (False, True, *KEPT),
        (True, True, *NAMED),
    ],
)
def test_what_is_named_or_kept_is_not_discovered(
    named: bool, kept: bool, taken: str, left: str
) -> None:
    subnets = [made("1", "a", {}), made("2", "b", {PUBLIC: "1"})]
    found = choices(subnets, ["subnet-1"], "internet-facing", "lab", named=named, kept=kept)
    assert [(one.verdict, one.why) for one in found] == [("taken", taken), ("left", left)]
    assert choices(subnets, None, "internet-facing", "lab", named=named, kept=kept) == ()
