"""The checkpoints of 00_setup on networks that are right, and that are not."""

from __future__ import annotations

from typing import Any

import pytest
from account import put_account
from fake_api import FakeApi
from lab_api import Check

from eksnet.checkpoints import State
from eksnet.cluster import connect_read_only, runs

P, F = State.PASS, State.FAIL
ZONES = ("zone-a", "zone-c")
PLACES = {"nodes": "private", "NAT gateway": "public"}
ELB, INTERNAL = "kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"


def put_setup(
    api: FakeApi,
    *,
    nodes: str | None = "private",
    gateway: str = "public",
    zones: tuple[str, ...] = ZONES,
    tag: str = ELB,
    hostnames: bool = True,
    ready: tuple[bool, ...] = (True, True),
    node_zones: tuple[str, ...] = ZONES,
    begun: bool = True,
) -> None:
    """Make a VPC with a public and a private subnet in each zone, and a cluster in it.

    Args:
        api: The API server.
        nodes: In which kind of subnet the nodes are; None for no nodes.
        gateway: In which kind the NAT gateway is.
        zones: The zones that have subnets.
        tag: The tag of the public subnets.
        hostnames: Whether instances get names.
        ready: Whether each node of the cluster is Ready.
        node_zones: The zones of the nodes, by their labels.
        begun: Whether the lesson was begun.
    """
    if begun:
        runs.note(connect_read_only().directory, "00_setup")
    subnets = [
        {
            "SubnetId": f"{kind}-{zone}",
            "AvailabilityZone": zone,
            "Tags": [{"Key": tag if kind == "public" else INTERNAL, "Value": "1"}],
        }
        for kind in ("public", "private")
        for zone in zones
    ]
    out = {"public": {"GatewayId": "igw-1"}, "private": {"NatGatewayId": "nat-1"}}
    tables = [
        {
            "Associations": [{"SubnetId": f"{kind}-{zone}", "Main": False} for zone in zones],
            "Routes": [{"DestinationCidrBlock": "0.0.0.0/0", **route}],
        }
        for kind, route in out.items()
    ]
    instances = [
        {"SubnetId": f"{nodes}-{zone}", "State": {"Name": "running"}} for zone in zones if nodes
    ]
    gateways = [{"SubnetId": f"{gateway}-{zone}"} for zone in zones[:1]]
    put_account(
        api,
        {
            "describe_cluster": {"cluster": {"resourcesVpcConfig": {"vpcId": "vpc-1"}}},
            "describe_subnets": {"Subnets": subnets},
            "describe_route_tables": {"RouteTables": tables},
            "describe_instances": {"Reservations": [{"Instances": instances}]},
            "describe_nat_gateways": {"NatGateways": gateways},
            "describe_vpc_attribute": {
                "EnableDnsSupport": {"Value": True},
                "EnableDnsHostnames": {"Value": hostnames},
            },
        },
    )
    for path in [one for one in api.objects if one.startswith("/api/v1/nodes/")]:
        api.remove(path)
    for number, (holds, zone) in enumerate(zip(ready, node_zones, strict=False)):
        condition = {"type": "Ready", "status": str(holds)}
        labels = {"labels": {"topology.kubernetes.io/zone": zone}}
        fields: dict[str, Any] = {"metadata": labels, "status": {"conditions": [condition]}}
        api.put(f"/api/v1/nodes/node-{number}", fields)


def test_a_subnet_without_a_table_of_its_own_has_the_main_one(
    api: FakeApi, checkpoint: Check
) -> None:
    put_setup(api)
    service = api.ec2  # type: ignore[attr-defined]
    public, private = service.answers["describe_route_tables"]["RouteTables"]
    private["Associations"] = [{"Main": True}]
    assert checkpoint("setup-01").check(PLACES).state is P
    private["Associations"], public["Associations"] = [], [*public["Associations"], {"Main": True}]
    assert checkpoint("setup-01").check(PLACES).state is F


def test_nothing_is_earned_before_the_lesson_is_begun(api: FakeApi, checkpoint: Check) -> None:
    put_setup(api, begun=False)
    runs.note(connect_read_only().directory, "01a_dns_records")
    result = checkpoint("setup-02").check()
    assert (result.state, result.points) == (State.NOT_STARTED, 0)
    assert 'eksnet.begin(cluster, "00_setup")' in result.outcomes[0].observation.next_step
    runs.note(connect_read_only().directory, "00_setup")
    assert checkpoint("setup-02").check().state is P


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"zones": ("zone-a",)}, "1 zones have a public subnet"),
        ({"tag": "other"}, f"2 of 2 public subnets have no tag {ELB}"),
    ],
)
def test_what_is_wrong_with_the_subnets_is_said(
    api: FakeApi, checkpoint: Check, fields: dict[str, Any], said: str
) -> None:
    put_setup(api, **fields)
    outcome = checkpoint("setup-02").check().outcomes[0]
    assert (outcome.state, outcome.observation.observed) == (F, said)
