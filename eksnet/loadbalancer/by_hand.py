"""What 09_lab_target_group_binding makes in AWS by hand, deleted in the order that works.

A listener uses the target group, the load balancer the security group, and a rule of the nodes'
group names that one. So each can be deleted only after what uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.aws import refusals
from eksnet.aws.pages import listed
from eksnet.cluster import DeadlineError
from eksnet.cluster.countdown import until

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

# The load balancer and its security group have one name.
BALANCER = "eksnet-nlb"
GROUPS = ("eksnet-web", "eksnet-nodes")
_IN_USE, _GONE = "DependencyViolation", "InvalidGroup.NotFound"
_TIMEOUT = 300


def balancer(cluster: Cluster) -> dict[str, Any] | None:
    """Return the load balancer as AWS describes it; None when there is none."""
    return next(_named(cluster, "describe_load_balancers", "LoadBalancer", BALANCER), None)


def target_group(cluster: Cluster, name: str) -> dict[str, Any] | None:
    """Return a target group as AWS describes it; None when there is none."""
    return next(_named(cluster, "describe_target_groups", "TargetGroup", name), None)


def left_by_hand(cluster: Cluster) -> list[str]:
    """Return what there is of it, in words.

    Args:
        cluster: The cluster.
    """
    found = [f"the load balancer {BALANCER}"] if balancer(cluster) else []
    found += [f"the target group {name}" for name in GROUPS if target_group(cluster, name)]
    return [*found, *(f"the security group {BALANCER}" for _ in _security_groups(cluster))]


def delete_by_hand(cluster: Cluster) -> None:
    """Delete it: load balancer with listeners, target groups, security group; what there is.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: AWS refused, or something still uses the security group.
    """
    elb = cluster.aws("elbv2")
    with refusals.in_words(elb, "ELB"):
        if found := balancer(cluster):
            # Its listeners go with it.
            elb.delete_load_balancer(LoadBalancerArn=found["LoadBalancerArn"])
        for name in GROUPS:
            if group := target_group(cluster, name):
                elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
    for security_group in _security_groups(cluster):
        _close_for(cluster, security_group)
        delete_security_group(cluster, security_group)


def delete_security_group(cluster: Cluster, group: str, timeout: float = _TIMEOUT) -> None:
    """Delete a security group as soon as nothing uses it any more; one that is gone is no error.

    A load balancer that is deleted keeps its network interfaces for a while, and these its groups.

    Args:
        cluster: The cluster.
        group: The security group's id.
        timeout: How long to wait, in seconds.

    Raises:
        DeadlineError: Something still uses it.
        EksnetError: AWS refused for another reason.
    """
    ec2 = cluster.aws("ec2")
    text, used = inputs.text(group, "the security group", "such as sg-0123"), ""

    def deleted() -> bool:
        nonlocal used
        try:
            ec2.delete_security_group(GroupId=text)
        except ec2.exceptions.ClientError as error:
            code, used = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if code not in (_IN_USE, _GONE):
                raise
            return bool(code == _GONE)
        return True

    with refusals.in_words(ec2, "EC2"):
        if not until(f"{text} to be unused", deleted, timeout, poll=2):
            raise DeadlineError(
                f"after {timeout:g} s: {used}",
                "a security group that nothing uses",
                "delete the load balancer and the bindings that name it first",
            )


def _named(cluster: Cluster, call: str, kind: str, name: str) -> Iterator[dict[str, Any]]:
    elb = cluster.aws("elbv2")
    with refusals.in_words(elb, "ELB"):
        found = listed(elb, call, f"{kind}s")
        yield from (one for one in found if one[f"{kind}Name"] == name)


def _security_groups(cluster: Cluster) -> list[str]:
    ec2 = cluster.aws("ec2")
    wanted = [{"Name": "group-name", "Values": [BALANCER]}]
    with refusals.in_words(ec2, "EC2"):
        found = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
    return [one["GroupId"] for one in found]


def _close_for(cluster: Cluster, group: str) -> None:
    """Revoke the rules of other groups that name this one: a binding that went wrong left them."""
    ec2 = cluster.aws("ec2")
    wanted = [{"Name": "ip-permission.group-id", "Values": [group]}]
    with refusals.in_words(ec2, "EC2"):
        for other in ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]:
            for rule in other["IpPermissions"]:
                pairs = [one for one in rule["UserIdGroupPairs"] if one["GroupId"] == group]
                if not pairs:
                    continue
                named = {key: rule[key] for key in ("IpProtocol", "FromPort", "ToPort")
                         if key in rule}  # fmt: skip
                pair = [{"GroupId": group}]
                ec2.revoke_security_group_ingress(
                    GroupId=other["GroupId"], IpPermissions=[{**named, "UserIdGroupPairs": pair}]
                )
