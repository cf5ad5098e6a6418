"""The checkpoints of 00_setup: where in the VPC things are, and whether the labs can use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from eksnet.aws import refusals
from eksnet.aws.pages import listed
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    failed,
    not_started,
    passed,
    then,
)
from eksnet.cluster.conditions import READY

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NOTEBOOK = "00_setup"
_TWO = 2
_ROLES = {"public": "kubernetes.io/role/elb", "private": "kubernetes.io/role/internal-elb"}
_EVERYWHERE = "0.0.0.0/0"
_SETUP = "docs/own-cluster.md says how a cluster is made"
_NODES = 'cluster.list("nodes", wide=True)'
_LOOK = 'cluster.aws("ec2").describe_subnets()'

Json = Mapping[str, Any]


# What AWS says of the cluster's VPC.


def _vpc(cluster: Cluster) -> str:
    # Whoever may not look into the cluster cannot be told about its network either.
    cluster.list("nodes")
    eks = cluster.aws("eks")
    with refusals.in_words(eks, "EKS"):
        found = eks.describe_cluster(name=cluster.eks_name)["cluster"]
    return str(found["resourcesVpcConfig"]["vpcId"])


def _listed(cluster: Cluster, call: str, key: str) -> list[Json]:
    """Return what EC2 lists in the cluster's VPC."""
    vpc, ec2 = _vpc(cluster), cluster.aws("ec2")
    with refusals.in_words(ec2, "EC2"):
        return list(listed(ec2, call, key, Filters=[{"Name": "vpc-id", "Values": [vpc]}]))


def _kinds_of_subnets(cluster: Cluster) -> dict[str, str]:
    """Return for each subnet whether its route out leads to an internet gateway: public."""
    tables = _listed(cluster, "describe_route_tables", "RouteTables")
    main = next((t for t in tables if any(one.get("Main") for one in t["Associations"])), {})
    own = {one.get("SubnetId"): table for table in tables for one in table["Associations"]}
    return {
        one["SubnetId"]: "public" if _leads_out(own.get(one["SubnetId"], main)) else "private"
        for one in _listed(cluster, "describe_subnets", "Subnets")
    }


def _leads_out(table: Json) -> bool:
    return any(
        route.get("DestinationCidrBlock") == _EVERYWHERE
        and str(route.get("GatewayId", "")).startswith("igw-")
        for route in table.get("Routes") or ()
    )


def _tags(one: Json) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in one.get("Tags") or ()}


# Where things are.


def places(cluster: Cluster, _: Any) -> Any:
    """In which kind of subnet the nodes and the NAT gateway are."""
    kinds = _kinds_of_subnets(cluster)
    instances = [
        one
        for found in _listed(cluster, "describe_instances", "Reservations")
        for one in found["Instances"]
        if one["State"]["Name"] == "running"
    ]
    gateways = _listed(cluster, "describe_nat_gateways", "NatGateways")
    if not instances or not gateways:
        seen = "the VPC has no node" if not instances else "the VPC has no NAT gateway"
        return not_started(seen, "nodes and a NAT gateway in the VPC", _SETUP)
    return {
        "nodes": _one_kind(kinds[one["SubnetId"]] for one in instances),
        "NAT gateway": _one_kind(kinds[one["SubnetId"]] for one in gateways),
    }


def _one_kind(kinds: Iterator[str]) -> str:
    return " and ".join(sorted(set(kinds)))


# Whether the labs can use it.


def _ready(cluster: Cluster, seen: str) -> Observation:
    """Return that something is as it should be; where nobody has looked yet, that is no success."""
    if NOTEBOOK in cluster.current_run.lessons:
        return passed(seen)
    begin = f'eksnet.begin(cluster, "{NOTEBOOK}")'
    return not_started(
        f"{seen}, and the lesson was not begun on this cluster",
        f"the cells of {NOTEBOOK}",
        then("begin", begin),
    )


def zones(cluster: Cluster) -> Observation:
    """Whether there are subnets of each kind in two zones, with the tags of load balancers."""
    kinds = _kinds_of_subnets(cluster)
    subnets = _listed(cluster, "describe_subnets", "Subnets")
    expected = "a public and a private subnet in each of two zones, with their tags"
    if not subnets:
        return not_started("the VPC has no subnet", expected, _SETUP)
    for kind, tag in _ROLES.items():
        own = [one for one in subnets if kinds[one["SubnetId"]] == kind]
        there = {one["AvailabilityZone"] for one in own}
        if len(there) < _TWO:
            seen = f"{len(there)} zones have a {kind} subnet"
            return failed(seen, expected, then("look at them", _LOOK))
        without = sum(tag not in _tags(one) for one in own)
        if without:
            seen = f"{without} of {len(own)} {kind} subnets have no tag {tag}"
            return failed(seen, expected, then("tag them; look at the tags", _LOOK))
    return _ready(cluster, "two zones have a public and a private subnet, with their tags")


def names(cluster: Cluster) -> Observation:
    """Whether the VPC resolves names, and gives instances names."""
    vpc, ec2 = _vpc(cluster), cluster.aws("ec2")
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        with refusals.in_words(ec2, "EC2"):
            found = ec2.describe_vpc_attribute(VpcId=vpc, Attribute=attribute)
        key = attribute[0].upper() + attribute[1:]
        if not found[key]["Value"]:
            enable = f'ec2.modify_vpc_attribute(VpcId="{vpc}", {key}={{"Value": True}})'
            return failed(
                f"{attribute} is off",
                "both attributes of the VPC for the DNS on",
                then("switch it on", 'ec2 = cluster.aws("ec2")', enable),
            )
    return _ready(cluster, "enableDnsSupport and enableDnsHostnames are on")


def nodes(cluster: Cluster) -> Observation:
    """Whether nodes in two zones are Ready."""
    found = cluster.list("nodes")
    expected = "Ready nodes in two zones"
    zone = "topology.kubernetes.io/zone"
    ready = [one for one in found if READY.holds([dict(one)])]
    if not found:
        return not_started("the cluster has no node", expected, _SETUP)
    if len(ready) < len(found):
        seen = f"{len(found) - len(ready)} of {len(found)} nodes are not Ready"
        return failed(seen, expected, then("look at them", _NODES))
    there = {(one["metadata"].get("labels") or {}).get(zone) for one in ready}
    if len(there) < _TWO:
        return failed(f"all nodes are in {len(there)} zone", expected, then("look", _NODES))
    return _ready(cluster, f"{len(ready)} nodes in {len(there)} zones are Ready")


CHECKPOINTS = (
    Definition(
        id="setup-01",
        notebook=NOTEBOOK,
        title="Public and private subnets",
        criteria=(
            Prediction(
                "setup-01.places",
                "The subnets of the nodes and of the NAT gateway",
                2,
                "in which kind of subnet are the nodes, and in which is the NAT gateway: public "
                "or private?",
                'prediction = {"nodes": "", "NAT gateway": ""}  # "public" or "private", for each',
                places,
            ),
        ),
        hints=(
            "Look at the route tables: where does 0.0.0.0/0 lead?",
            "Compare the subnet of each with the subnets whose route leads to an internet gateway.",
            '`cluster.aws("ec2").describe_route_tables()` shows them; change `prediction`, then '
            "check again.",
        ),
        solution="""\
prediction = {"nodes": "private", "NAT gateway": "public"}
eksnet.checkpoint("setup-01").check(prediction)
""",
    ),
    Definition(
        id="setup-02",
        notebook=NOTEBOOK,
        title="The cluster is ready for the labs",
        criteria=(
            Criterion("setup-02.zones", "Two zones have public and private subnets", 1, zones),
            Criterion("setup-02.names", "The VPC has DNS", 1, names),
            Criterion("setup-02.nodes", "Nodes in two zones are Ready", 1, nodes),
        ),
        hints=(
            "Look at the VPC, its subnets and the nodes, as the cells of this notebook do.",
            "Compare the zones and tags of the subnets with those that load balancers need.",
            f"`{_LOOK}` and `{_NODES}` show them; `eksnet reset` makes the sandbox anew.",
        ),
        solution=f"""\
# On the sandbox it is so from the start; `eksnet reset` brings it back.
eksnet.begin(cluster, "{NOTEBOOK}")
""",
    ),
)  # fmt: skip
