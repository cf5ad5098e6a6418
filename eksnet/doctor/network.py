"""Checks of the account's network: the VPC's DNS, and the subnets of load balancers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eksnet.aws import refusals
from eksnet.aws.pages import listed
from eksnet.aws.tags import of_list
from eksnet.doctor.findings import Finding, finding, ok
from eksnet.loadbalancer import subnets
from eksnet.loadbalancer.subnets import Subnet

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

Json = dict[str, Any]

# An Application Load Balancer has to be in two zones.
_ZONES = 2
_SCHEMES = {
    "internet-facing": ("kubernetes.io/role/elb", "public"),
    "internal": ("kubernetes.io/role/internal-elb", "private"),
}
_ATTRIBUTES = {
    "enableDnsSupport": "--enable-dns-support",
    "enableDnsHostnames": "--enable-dns-hostnames",
}


def described(cluster: Cluster) -> Json:
    """Return the cluster as EKS describes it.

    Args:
        cluster: The cluster.
    """
    eks = cluster.aws("eks")
    with refusals.in_words(eks, "EKS"):
        found: Json = eks.describe_cluster(name=cluster.eks_name)["cluster"]
    return found


def vpc(cluster: Cluster) -> str:
    """Return the id of the cluster's VPC."""
    return str(described(cluster)["resourcesVpcConfig"]["vpcId"])


# DNS.


def dns(cluster: Cluster) -> Iterator[Finding]:
    """Look at the VPC's DNS settings.

    Args:
        cluster: The cluster.
    """
    ec2, where = cluster.aws("ec2"), vpc(cluster)
    wrong = 0
    for attribute, option in _ATTRIBUTES.items():
        with refusals.in_words(ec2, "EC2"):
            found = ec2.describe_vpc_attribute(VpcId=where, Attribute=attribute)
        if not found[f"{attribute[0].upper()}{attribute[1:]}"]["Value"]:
            wrong += 1
            yield finding(
                f"{attribute} is off in {where}",
                f"aws ec2 modify-vpc-attribute --region {cluster.region} --vpc-id {where} {option}",
            )
    if servers := _other_servers(ec2, where):
        wrong += 1
        yield finding(
            f"the DHCP options of {where} name the servers {', '.join(servers)}",
            "have these servers forward `amazonaws.com` and `compute.internal` to the VPC's "
            "resolver, or give the VPC options with domain-name-servers=AmazonProvidedDNS",
        )
    if not wrong:
        yield ok(f"DNS support and DNS host names are on in {where}")


def _other_servers(ec2: Any, where: str) -> list[str]:
    """Return the name servers of a VPC's DHCP options, if they are not AWS's own."""
    with refusals.in_words(ec2, "EC2"):
        (found,) = ec2.describe_vpcs(VpcIds=[where])["Vpcs"]
        options = found.get("DhcpOptionsId") or ""
        if not options.startswith("dopt-"):
            return []
        sets = ec2.describe_dhcp_options(DhcpOptionsIds=[options])["DhcpOptions"]
    values = [
        value["Value"]
        for one in sets
        for setting in one["DhcpConfigurations"]
        if setting["Key"] == "domain-name-servers"
        for value in setting["Values"]
    ]
    return [] if "AmazonProvidedDNS" in values else values


# Subnets.


def load_balancer_subnets(cluster: Cluster) -> Iterator[Finding]:
    """Look whether load balancers of either scheme find subnets in two zones.

    Args:
        cluster: The cluster.
    """
    found = subnets_of(cluster, vpc(cluster))
    for scheme in _SCHEMES:
        yield judged(scheme, found, cluster.eks_name)


def judged(scheme: str, found: Sequence[Subnet], cluster: str) -> Finding:
    """Return whether load balancers of a scheme find subnets, by the controller's own rules.

    Args:
        scheme: `internet-facing` or `internal`.
        found: All subnets of the VPC.
        cluster: The cluster's name.
    """
    fit, zones = _fitting(scheme, found, cluster)
    if len(zones) >= _ZONES:
        return ok(f"{scheme}: {', '.join(one.id for one in fit)} in {', '.join(zones)}")
    where = f"only in {zones[0]}" if zones else "in no zone"
    choices = subnets.choices(found, None, scheme, cluster)
    left = "; ".join(f"{one.subnet.id} ({one.subnet.zone}): {one.why}" for one in choices)
    return finding(
        f"{scheme} load balancers find subnets {where}: {left or 'the VPC has no subnets'}",
        _remedy(scheme, found, cluster),
    )


def _fitting(scheme: str, found: Sequence[Subnet], cluster: str) -> tuple[list[Subnet], list[str]]:
    """Return the subnets that load balancers of a scheme can take, and their zones."""
    choices = subnets.choices(found, None, scheme, cluster)
    fit = [one.subnet for one in choices if one.verdict == "fits"]
    return fit, sorted({one.zone for one in fit})


def _remedy(scheme: str, found: Sequence[Subnet], cluster: str) -> str:
    """Return the command that tags what would fit then, or what else there has to be."""
    role, kind = _SCHEMES[scheme]
    tagged = [
        replace(one, tags={**one.tags, role: "1"}) if one.public == (kind == "public") else one
        for one in found
    ]
    fit, zones = _fitting(scheme, tagged, cluster)
    if len(zones) < _ZONES:
        return f"create {kind} subnets with 8 free addresses in two zones, tagged {role}=1"
    ids = " ".join(one.id for one in fit)
    return f"aws ec2 create-tags --resources {ids} --tags Key={role},Value=1"


def subnets_of(cluster: Cluster, where: str) -> tuple[Subnet, ...]:
    """Return the subnets of a VPC.

    Args:
        cluster: The cluster.
        where: The VPC's id.
    """
    ec2, of_vpc = cluster.aws("ec2"), [{"Name": "vpc-id", "Values": [where]}]
    with refusals.in_words(ec2, "EC2"):
        found = list(listed(ec2, "describe_subnets", "Subnets", Filters=of_vpc))
        tables = list(listed(ec2, "describe_route_tables", "RouteTables", Filters=of_vpc))
    return tuple(
        Subnet(
            one["SubnetId"],
            one["AvailabilityZone"],
            one["CidrBlock"],
            one["AvailableIpAddressCount"],
            is_public(one["SubnetId"], tables),
            of_list(one.get("Tags")),
        )
        for one in found
    )


def is_public(subnet: str, tables: Iterable[Json]) -> bool:
    """Tell whether a subnet's routes lead to an internet gateway.

    Args:
        subnet: The subnet's id.
        tables: The route tables of its VPC; the main one is of subnets that name none.
    """
    own: Json = {}
    for table in tables:
        for one in table.get("Associations") or ():
            if one.get("SubnetId") == subnet or (one.get("Main") and not own):
                own = table
    return any(str(one.get("GatewayId", "")).startswith("igw-") for one in own.get("Routes") or ())
