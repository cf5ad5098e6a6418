"""Checks of the account's limits: how much is in use, and whether lessons have room for theirs.

What lessons make is compared with what is free. A cluster that is there has its NAT gateway, its
public address and its instances already: of these only the numbers are told.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet.aws import refusals
from eksnet.aws.pages import listed
from eksnet.doctor import network
from eksnet.doctor.findings import Finding, cannot_tell, finding, ok
from eksnet.errors import RefusedError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

Json = Mapping[str, Any]

# The families of instances that share one quota. Source: the names of EC2's quotas.
_STANDARD = tuple("acdhimrtz")


@dataclass(frozen=True)
class Limit:
    """How much of something there may be, and is.

    Attributes:
        name: What, as a reader knows it.
        most: How many there may be.
        used: How many there are.
        needed: How many lessons make at one time, at most.
        service: The service as the console of Service Quotas has it.
    """

    name: str
    most: int
    used: int
    needed: int
    service: str

    @property
    def free(self) -> int:
        """How many more there may be."""
        return max(self.most - self.used, 0)

    @property
    def has_room(self) -> bool:
        """Whether lessons can make theirs."""
        return self.free >= self.needed

    def __str__(self) -> str:
        return f"{self.used} of {self.most} {self.name}"


def check(cluster: Cluster) -> Iterator[Finding]:
    """Look whether the account's limits leave room for what lessons make.

    Args:
        cluster: The cluster.
    """
    yield from judged(list(balancing(cluster)), cluster.region)
    yield from quotas(cluster)


def judged(limits: Sequence[Limit], region: str) -> Iterator[Finding]:
    """Yield which limits leave no room; where all do, the numbers.

    Args:
        limits: The limits.
        region: The region.
    """
    full = [one for one in limits if not one.has_room]
    for one in full:
        yield finding(
            f"{one.name}: {one.used} of {one.most} are in use, so {one.free} are free, and the "
            f"lessons need {one.needed}",
            "delete what is no longer used, or ask for more: "
            f"https://{region}.console.aws.amazon.com/servicequotas/home/services/{one.service}/"
            "quotas",
        )
    if limits and not full:
        yield ok(f"in use: {', '.join(map(str, limits))}")


# Elastic Load Balancing tells its own.

_BALANCING = "elasticloadbalancing"
# What the lessons have at one time, at most; of one load balancer, whose count begins at none.
_NEEDED: Mapping[str, int] = {
    "application-load-balancers": 2,
    "network-load-balancers": 2,
    "target-groups": 8,
    "listeners-per-application-load-balancer": 3,
    "rules-per-application-load-balancer": 10,
}


def balancing(cluster: Cluster) -> Iterator[Limit]:
    """Yield the limits of load balancers and what belongs to them.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: AWS refused to tell.
    """
    elb = cluster.aws("elbv2")
    with refusals.in_words(elb, "Elastic Load Balancing"):
        told = {one["Name"]: int(one["Max"]) for one in elb.describe_account_limits()["Limits"]}
        kinds = Counter(
            one["Type"] for one in listed(elb, "describe_load_balancers", "LoadBalancers")
        )
        groups = len(list(listed(elb, "describe_target_groups", "TargetGroups")))
    used = {
        "application-load-balancers": kinds["application"],
        "network-load-balancers": kinds["network"],
        "target-groups": groups,
    }
    for name, needed in _NEEDED.items():
        if name in told:
            yield Limit(name, told[name], used.get(name, 0), needed, _BALANCING)


# All others are told by Service Quotas.


@dataclass(frozen=True)
class Quota:
    """A quota as Service Quotas has it.

    Attributes:
        name: What is limited, as a reader knows it.
        service: The service's code there.
        code: Its code.
        needed: How many lessons make at one time, at most.
        used: Returns how many there are.
    """

    name: str
    service: str
    code: str
    needed: int
    used: Callable[[Cluster], int]


def quotas(cluster: Cluster) -> Iterator[Finding]:
    """Look at the limits of the network and of instances.

    Args:
        cluster: The cluster.
    """
    found: list[Limit] = []
    unknown: list[str] = []
    for one in QUOTAS:
        try:
            most = _most(cluster, one)
        except RefusedError as error:
            yield cannot_tell(error.seen, _RIGHTS)
            return
        if most is None:
            unknown.append(one.name)
        else:
            found.append(Limit(one.name, most, one.used(cluster), one.needed, one.service))
    yield from judged(found, cluster.region)
    if unknown:
        yield cannot_tell(
            f"Service Quotas knows no limit of {', '.join(unknown)} in {cluster.region}",
            f"https://{cluster.region}.console.aws.amazon.com/servicequotas/home",
        )


_RIGHTS = (
    "allow servicequotas:GetServiceQuota and servicequotas:GetAWSDefaultServiceQuota: they are in "
    "eksnet/aws/learner_policy.json; docs/own-cluster.md, *Rights*"
)


def _most(cluster: Cluster, quota: Quota) -> int | None:
    """Return a limit: the account's own, else AWS's default; None where there is neither."""
    client = cluster.aws("service-quotas")
    names = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    with refusals.in_words(client, "Service Quotas"):
        # A quota that was never changed may have no value of the account's own.
        for ask in (client.get_service_quota, client.get_aws_default_service_quota):
            with contextlib.suppress(client.exceptions.NoSuchResourceException):
                return int(ask(**names)["Quota"]["Value"])
    return None


def _addresses(cluster: Cluster) -> int:
    return len(cluster.aws("ec2").describe_addresses()["Addresses"])


def _gateways(cluster: Cluster) -> int:
    """Return how many NAT gateways are in the zone that has most: that is what is limited."""
    ec2 = cluster.aws("ec2")
    zones = {
        one["SubnetId"]: one["AvailabilityZone"]
        for one in listed(ec2, "describe_subnets", "Subnets")
    }
    found = listed(ec2, "describe_nat_gateways", "NatGateways")
    count = Counter(zones.get(one["SubnetId"]) for one in found if one["State"] != "deleted")
    return max(count.values(), default=0)


def _groups(cluster: Cluster) -> int:
    return len(list(listed(cluster.aws("ec2"), "describe_security_groups", "SecurityGroups")))


def _interfaces(cluster: Cluster) -> int:
    return len(list(listed(cluster.aws("ec2"), "describe_network_interfaces", "NetworkInterfaces")))


def _rules(cluster: Cluster) -> int:
    """Return how many inbound rules the cluster's security group has: lessons add some there."""
    group = network.described(cluster)["resourcesVpcConfig"]["clusterSecurityGroupId"]
    of = [{"Name": "group-id", "Values": [group]}]
    ec2 = cluster.aws("ec2")
    found = listed(ec2, "describe_security_group_rules", "SecurityGroupRules", Filters=of)
    return sum(not one["IsEgress"] for one in found)


def _vcpus(cluster: Cluster) -> int:
    """Return the vCPUs of running on-demand instances of the standard families."""
    ec2, running = cluster.aws("ec2"), ["pending", "running"]
    of = [{"Name": "instance-state-name", "Values": running}]
    types = Counter(
        one["InstanceType"]
        for reservation in listed(ec2, "describe_instances", "Reservations", Filters=of)
        for one in reservation["Instances"]
        if one["InstanceType"].startswith(_STANDARD) and not one.get("InstanceLifecycle")
    )
    # Without any name it would list all that there are.
    names = {"InstanceTypes": sorted(types)}
    known = listed(ec2, "describe_instance_types", "InstanceTypes", **names) if types else ()
    return sum(types[one["InstanceType"]] * one["VCpuInfo"]["DefaultVCpus"] for one in known)


QUOTAS = (
    Quota("security groups", "vpc", "L-E79EC296", 4, _groups),
    Quota("inbound rules of the cluster's security group", "vpc", "L-0EA8095F", 4, _rules),
    Quota("network interfaces", "vpc", "L-DF5E4CA3", 12, _interfaces),
    Quota("NAT gateways in one zone", "vpc", "L-FE5A380F", 0, _gateways),
    Quota("Elastic IP addresses", "ec2", "L-0263D0A3", 0, _addresses),
    Quota("vCPUs of on-demand instances", "ec2", "L-1216C47A", 0, _vcpus),
)
