"""What a plan says of random manifests equals what the real controller then makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import controlled
import drawn
import pytest
from controlled import NAMESPACE, text
from drawn import Account
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_plan_live import controller, known_names

from eksnet.cluster import Cluster, Condition
from eksnet.loadbalancer import annotations, catalogues, plan
from eksnet.loadbalancer.differences import compare
from eksnet.loadbalancer.planned import Plan, Stack

__all__ = ["controller"]
SOMEWHERE = Account(("arn:a", "arn:b"), {"internal": ("subnet-1",), "internet-facing": ()}, "sg-1")
PLAIN = re.compile(rf"{catalogues.INGRESS}|{catalogues.SERVICE}(aws-load-balancer-)?")
# So many load balancers' manifests are planned, made and deleted together.
BATCH = 10
numbers = count(1)


def test_every_annotation_is_drawn_or_left_out_with_a_reason() -> None:
    seen: set[str] = set()

    @settings(max_examples=200, derandomize=True, database=None)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        for one in (
            *data.draw(drawn.groups(SOMEWHERE, 1)),
            data.draw(drawn.balancers(SOMEWHERE, 1)),
        ):
            seen.update(PLAIN.sub("", name) for name in one["metadata"]["annotations"])

    draw()
    known = {PLAIN.sub("", one.name) for one in annotations.catalogue()}
    # With a place for a name or a port in them.
    places = {
        "actions.": "actions.${action-name}",
        "conditions.": "conditions.${conditions-name}",
        "target-group-attributes.": "target-group-attributes.${port}",
    }
    for prefix, name in places.items():
        if any(one.startswith(prefix) for one in seen):
            seen.add(name)
    assert known - drawn.LEFT_OUT.keys() - seen == set()
    assert drawn.LEFT_OUT.keys() <= known


@pytest.fixture(scope="module")
def account(controller: Cluster) -> Iterator[Account]:
    """Two certificates and a security group for manifests to name."""
    acm, ec2 = controller.aws("acm"), controller.aws("ec2")
    arns = [acm.request_certificate(DomainName=host)["CertificateArn"] for host in drawn.HOSTS]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="own", Description="own", VpcId=vpc)["GroupId"]
    found = ec2.describe_subnets()["Subnets"]
    subnets = {
        scheme: tuple(
            sorted(
                one["SubnetId"]
                for one in found
                if any(tag["Key"] == f"kubernetes.io/role/{role}" for tag in one["Tags"])
            )
        )
        for scheme, role in (("internal", "internal-elb"), ("internet-facing", "elb"))
    }
    yield Account(tuple(arns), subnets, group)
    ec2.delete_security_group(GroupId=group)
    for arn in arns:
        acm.delete_certificate(CertificateArn=arn)


def check(cluster: Cluster, account: Account, data: st.DataObject) -> None:
    """Plan, apply, compare and delete the load balancers of a batch together."""
    batch = [manifest(account, data) for _ in range(BATCH)]
    everything = text(*(one for objects in batch for one in objects))
    # Shown when the test fails.
    print(everything)
    before = plan(cluster, everything)
    assert before.fine, before.refused
    cluster.apply(everything)
    try:
        for one in (one for objects in batch for one in objects):
            controlled.wait_for_address(cluster, one["kind"], one["metadata"]["name"])
        wait_for_targets(cluster)
        after = plan(cluster, everything)
        found = [f"{one}\n{text(*objects)}" for objects in batch for one in differences(
            cluster, before, after, {name(one) for one in objects})]  # fmt: skip
        assert found == []
        # Beside the load balancers, the security groups of nodes and pods.
        assert list(map(str, after.changes)) == []
    finally:
        cluster.delete_manifest(everything, timeout=180)


def manifest(account: Account, data: st.DataObject) -> list[dict[str, Any]]:
    """Draw the Ingresses of one load balancer, and sometimes a Service with another one."""
    number = next(numbers)
    objects = data.draw(drawn.groups(account, number))
    if data.draw(st.booleans()):
        objects.append(data.draw(drawn.balancers(account, number)))
    return objects


def name(one: dict[str, Any]) -> str:
    return f"{one['metadata']['namespace']}/{one['metadata']['name']}"


def differences(cluster: Cluster, before: Plan, after: Plan, names: set[str]) -> Iterator[str]:
    """Yield where what was planned for some objects is not what is there now."""
    for stack in before.stacks:
        if not names & set(stack.members):
            continue
        existing = after.stack(stack.id).existing or ()
        yield from map(str, compare(stack.planned or (), existing))
        yield from sorted(known_names(stack) - {part["name"] for part in existing})
        yield from registered_otherwise(cluster, stack)


def wait_for_targets(cluster: Cluster) -> None:
    """Wait until the controller has done what each target group binding asks for."""

    def observed(one: dict[str, Any]) -> bool:
        return one.get("status", {}).get("observedGeneration") == one["metadata"]["generation"]

    for binding in cluster.list("targetgroupbindings", NAMESPACE):
        name = binding["metadata"]["name"]
        done = Condition("reconciled", observed)
        cluster.wait("targetgroupbinding", name, done, NAMESPACE)


def registered_otherwise(cluster: Cluster, stack: Stack) -> Iterator[str]:
    """Yield where what is registered now is not what was planned."""
    elbv2 = cluster.aws("elbv2")
    for part in stack.planned or ():
        if part.kind != "target group" or "known after apply" in part["name"]:
            continue
        (group,) = elbv2.describe_target_groups(Names=[part["name"]])["TargetGroups"]
        health = elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        found = {
            (one["Target"]["Id"], one["Target"]["Port"])
            for one in health["TargetHealthDescriptions"]
        }
        planned = {(one.id, one.port) for one in stack.targets[part.name]}
        if found != planned:
            yield f"{part.name} has the targets {found}, and {planned} were planned"


QUIET = {
    "phases": (Phase.generate,),
    "suppress_health_check": list(HealthCheck),
    "database": None,
    "deadline": None,
}


@pytest.mark.sandbox
@settings(max_examples=20 // BATCH, derandomize=True, **QUIET)  # type: ignore[arg-type]
@given(data=st.data())
def test_what_is_planned_is_what_is_made(
    controller: Cluster, account: Account, data: st.DataObject
) -> None:
    check(controller, account, data)


@pytest.mark.sandbox
@pytest.mark.soak
@settings(max_examples=300 // BATCH, **QUIET)  # type: ignore[arg-type]
@given(data=st.data())
def test_what_is_planned_is_what_is_made_for_longer(
    controller: Cluster, account: Account, data: st.DataObject
) -> None:
    check(controller, account, data)
