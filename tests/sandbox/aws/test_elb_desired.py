"""What the data plane of load balancers is told, and what the API tells of what it has seen."""

import json
import os
import stat
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from eksnet.sandbox.aws.elb import fresh
from eksnet.sandbox.aws.elb.desired import DesiredFile
from eksnet.sandbox.aws.elb.health import (
    DRAINING,
    INITIAL,
    NOT_IN_USE,
    OTHER_ZONE,
    Health,
    Registration,
    drains,
    health,
)
from eksnet.sandbox.aws.elb.observed import Observed

ZONES = ("ap-northeast-2a", "ap-northeast-2c")
SICK = Health("unhealthy", "Target.Timeout", "Request timed out")
PODS = ("10.0.129.7", "10.0.145.9")


def written(side):
    return json.loads(Path(side.settings.desired).read_text())


@pytest.fixture
def elb(side):
    return side.client("elbv2")


@pytest.fixture
def group(side, elb):
    return elb.create_target_group(
        Name="web", Protocol="HTTP", Port=8080, VpcId=side.settings.cluster.vpc_id, TargetType="ip",
        HealthCheckPath="/ready", HealthCheckIntervalSeconds=15, HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip


@pytest.fixture
def balancer(side, elb):
    return elb.create_load_balancer(
        Name="shop", Subnets=list(side.settings.cluster.subnet_ids[:2])
    )["LoadBalancers"][0]


def forward(group):
    return [{"Type": "forward", "TargetGroupArn": group}]


def listen(elb, balancer, group, **more):
    return elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80,
        DefaultActions=forward(group), **more,
    )["Listeners"][0]["ListenerArn"]  # fmt: skip


def states(elb, group, *asked):
    found = elb.describe_target_health(
        TargetGroupArn=group, **({"Targets": list(asked)} if asked else {})
    )["TargetHealthDescriptions"]
    return {
        f"{one['Target']['Id']}:{one['Target']['Port']}": (
            one["TargetHealth"]["State"], one["TargetHealth"].get("Reason"),
        )
        for one in found
    }  # fmt: skip


# The file.


def test_of_a_fresh_account_the_light_half_says_what_moto_says(side, elb, monkeypatch):
    side.side.account.load_changes()
    before = written(side)
    assert before == fresh.desired(side.settings.cluster)
    assert before["load_balancers"] == before["target_groups"] == []
    assert [one["kind"] for one in before["interfaces"]] == [
        "nat", "control_plane", "instance", "instance",
    ]  # fmt: skip
    assert before["interfaces"][2]["addresses"] == ["10.0.128.10"]
    # A change that leaves all as it is: now moto says it.
    side.cluster.pods = {"ip-10-0-128-10.ap-northeast-2.compute.internal": ["10.0.129.7"]}
    side.client("ec2").describe_network_interfaces()
    side.client("ec2").create_key_pair(KeyName="a")
    assert written(side) == before


def test_a_load_balancer_with_its_rules_and_targets(side, elb, balancer, group):
    listener = listen(elb, balancer, group)
    match = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a", "/a/*"]}}]
    for priority, name in ((7, "/later"), (2, "/sooner")):
        elb.create_rule(
            ListenerArn=listener, Priority=priority, Conditions=match,
            Actions=[{"Type": "fixed-response", "FixedResponseConfig": {
                "StatusCode": "404", "MessageBody": name, "ContentType": "text/plain"}}],
        )  # fmt: skip
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": pod} for pod in PODS])
    told = written(side)
    (one,) = told["load_balancers"]
    assert one["arn"] == balancer["LoadBalancerArn"]
    assert (one["name"], one["type"], one["scheme"], one["state"], one["dns_name"]) == (
        "shop", "application", "internet-facing", "active", balancer["DNSName"],
    )  # fmt: skip
    assert one["attributes"]["idle_timeout.timeout_seconds"] == "60"
    assert one["zones"] == [
        {"zone": ZONES[0], "subnet": side.settings.cluster.subnet_ids[0],
         "private": "10.0.0.20", "public": "203.0.113.20"},
        {"zone": ZONES[1], "subnet": side.settings.cluster.subnet_ids[1],
         "private": "10.0.16.20", "public": "203.0.113.21"},
    ]  # fmt: skip
    (heard,) = one["listeners"]
    assert (heard["port"], heard["protocol"], heard["ssl_policy"], heard["certificates"]) == (
        80, "HTTP", "", [],
    )  # fmt: skip
    assert [rule["priority"] for rule in heard["rules"]] == [2, 7, "default"]
    assert heard["rules"][0]["conditions"] == match
    assert heard["rules"][0]["actions"][0]["FixedResponseConfig"]["MessageBody"] == "/sooner"
    (action,) = heard["rules"][-1]["actions"]
    assert action["ForwardConfig"]["TargetGroups"] == [{"TargetGroupArn": group, "Weight": 1}]
    (target_group,) = told["target_groups"]
    assert target_group["used_by"] == [one["arn"]]
    assert target_group["health_check"] == {
        "enabled": True, "protocol": "HTTP", "path": "/ready", "port": "traffic-port",
        "interval": 15, "timeout": 5, "healthy": 2, "unhealthy": 2, "matcher": "200",
    }  # fmt: skip
    assert target_group["targets"] == [
        {"id": pod, "address": pod, "port": 8080, "zone": zone, "draining_since": None}
        for pod, zone in zip(PODS, ZONES, strict=True)
    ]
    described = elb.describe_rules(ListenerArn=listener)["Rules"]
    assert [rule["Priority"] for rule in described] == ["2", "7", "default"]
    assert [rule["RuleArn"] for rule in described] == [rule["arn"] for rule in heard["rules"]]


def test_an_instance_is_reached_at_its_own_address(side, elb, balancer):
    nodes = elb.create_target_group(
        Name="nodes", Protocol="HTTP", Port=80, VpcId=side.settings.cluster.vpc_id
    )["TargetGroups"][0]["TargetGroupArn"]
    instance = f"i-{1:017x}"
    elb.register_targets(TargetGroupArn=nodes, Targets=[{"Id": instance, "Port": 30080}])
    (target,) = written(side)["target_groups"][0]["targets"]
    assert (target["id"], target["address"], target["port"], target["zone"]) == (
        instance, "10.0.128.10", 30080, ZONES[0],
    )  # fmt: skip
    listen(elb, balancer, nodes)
    side.client("ec2").stop_instances(InstanceIds=[instance])
    assert states(elb, nodes) == {f"{instance}:30080": ("unused", "Target.InvalidState")}
    assert written(side)["target_groups"][0]["targets"] == []


def test_security_groups_with_their_rules(side):
    ec2, vpc = side.client("ec2"), side.settings.cluster.vpc_id
    listed = ec2.create_managed_prefix_list(
        PrefixListName="a", MaxEntries=2, AddressFamily="IPv4", Entries=[{"Cidr": "10.9.0.0/16"}]
    )["PrefixList"]["PrefixListId"]
    made = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=made,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81,
             "IpRanges": [{"CidrIp": "0.0.0.0/0"}, {"CidrIp": "10.0.0.0/8"}]},
            {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53,
             "UserIdGroupPairs": [{"GroupId": side.settings.cluster.security_group_id}]},
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
             "PrefixListIds": [{"PrefixListId": listed}]},
        ],
    )  # fmt: skip
    (group,) = (one for one in written(side)["security_groups"] if one["id"] == made)
    everything = {"protocol": "-1", "from": None, "to": None, "cidrs": ["0.0.0.0/0"]}
    assert group["egress"] == [{**everything, "groups": [], "prefix_lists": []}]
    assert group["ingress"] == [
        {"protocol": "tcp", "from": 80, "to": 81, "cidrs": ["0.0.0.0/0", "10.0.0.0/8"],
         "groups": [], "prefix_lists": []},
        {"protocol": "udp", "from": 53, "to": 53, "cidrs": [],
         "groups": [side.settings.cluster.security_group_id], "prefix_lists": []},
        {"protocol": "tcp", "from": 443, "to": 443, "cidrs": [], "groups": [],
         "prefix_lists": [{"id": listed, "cidrs": ["10.9.0.0/16"]}]},
    ]  # fmt: skip


def test_the_file_is_its_owners_alone_and_replaced_only_for_another_content(tmp_path):
    place = tmp_path / "made" / "desired.json"
    file = DesiredFile(place)
    file.write({"a": 1})
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o600
    first = os.stat(place).st_ino
    file.write({"a": 1})
    DesiredFile(place).write({"a": 1})
    assert os.stat(place).st_ino == first
    file.write({"a": 2})
    assert json.loads(place.read_text()) == {"a": 2}
    assert os.stat(place).st_ino != first


def test_after_a_restart_the_file_is_told_again(side, elb, balancer):
    before = written(side)
    side.stop()
    os.unlink(side.settings.desired)
    side.start()
    side.side.account.load_changes()
    assert written(side) == before


def test_a_file_that_cannot_be_written_refuses_nothing(side, capsys):
    place = Path(side.settings.desired)
    place.parent.mkdir(exist_ok=True)
    place.mkdir()
    side.client("ec2").create_key_pair(KeyName="a")
    assert "the load balancers are not told" in capsys.readouterr().err
    place.rmdir()
    side.client("ec2").create_key_pair(KeyName="b")
    assert written(side)["region"] == "ap-northeast-2"


# The health of targets.

RUNNING = Registration(ZONES[0])


@pytest.mark.parametrize(
    ("registration", "zones", "observed", "expected"),
    [
        (RUNNING, None, None, NOT_IN_USE),
        (RUNNING, None, Health("healthy"), NOT_IN_USE),
        (RUNNING, ZONES, None, INITIAL),
        (RUNNING, ZONES, Health("healthy"), Health("healthy")),
        (RUNNING, ZONES, SICK, SICK),
        (RUNNING, ZONES, Health("draining", "a", "b"), INITIAL),
        (RUNNING, ZONES[1:], SICK, OTHER_ZONE),
        (replace(RUNNING, zone="all"), ZONES[1:], SICK, SICK),
        (replace(RUNNING, zone=""), ZONES[1:], SICK, SICK),
        (replace(RUNNING, draining=True), ZONES, SICK, DRAINING),
        (replace(RUNNING, draining=True), None, SICK, DRAINING),
        (replace(RUNNING, instance="running"), ZONES, SICK, SICK),
        (
            replace(RUNNING, instance="stopped"), ZONES, SICK,
            Health("unused", "Target.InvalidState", "Target is in the stopped state"),
        ),
    ],
)  # fmt: skip
def test_what_is_registered_comes_before_what_was_seen(registration, zones, observed, expected):
    assert health(registration, zones, observed) == expected


@pytest.mark.parametrize(
    ("since", "delay", "second", "expected"),
    [(None, 300, 0, False), (0, 30, 29, True), (0, 30, 30, False), (5, 0, 5, False)],
)
def test_how_long_a_target_drains(since, delay, second, expected):
    moment = None if since is None else datetime(2026, 1, 1, 0, 0, since)
    assert drains(moment, delay, datetime(2026, 1, 1, 0, 0, second)) is expected


def test_what_was_seen_is_read_again_when_the_file_is_another_one(tmp_path):
    place = tmp_path / "observed.json"
    observed = Observed(place)
    assert observed.health("g", "10.0.0.1", 80) is None
    seen = {"state": "unhealthy", "reason": "Target.Timeout", "description": "Request timed out"}
    place.write_text(json.dumps({"targets": {"g": {"10.0.0.1:80": seen}}, "load_balancers": {}}))
    assert observed.health("g", "10.0.0.1", 80) == SICK
    assert observed.health("g", "10.0.0.1", 81) is None
    draft = tmp_path / "draft"
    draft.write_text(json.dumps({"targets": {"g": {"10.0.0.1:80": {"state": "healthy"}}}}))
    draft.replace(place)
    assert observed.health("g", "10.0.0.1", 80) == Health("healthy")
    place.unlink()
    assert observed.health("g", "10.0.0.1", 80) is None


def test_the_api_tells_what_was_seen(side, elb, balancer, group):
    targets = [{"Id": PODS[0]}, {"Id": PODS[0], "Port": 9090}, {"Id": PODS[1]}]
    elb.register_targets(TargetGroupArn=group, Targets=targets)
    names = (f"{PODS[0]}:8080", f"{PODS[0]}:9090", f"{PODS[1]}:8080")
    assert states(elb, group) == dict.fromkeys(names, ("unused", "Target.NotInUse"))
    listen(elb, balancer, group)
    assert states(elb, group) == dict.fromkeys(names, ("initial", "Elb.RegistrationInProgress"))
    sick = {"state": "unhealthy", "reason": "Target.FailedHealthChecks", "description": "x"}
    seen = {"targets": {group: {names[0]: {"state": "healthy"}, names[1]: sick}}}
    Path(side.settings.observed).write_text(json.dumps(seen))
    assert states(elb, group) == {
        names[0]: ("healthy", None),
        names[1]: ("unhealthy", "Target.FailedHealthChecks"),
        names[2]: ("initial", "Elb.RegistrationInProgress"),
    }
    (one,) = elb.describe_target_health(
        TargetGroupArn=group, Targets=[{"Id": PODS[0], "Port": 9090}]
    )["TargetHealthDescriptions"]
    assert one == {
        "Target": {"Id": PODS[0], "Port": 9090, "AvailabilityZone": ZONES[0]},
        "HealthCheckPort": "9090",
        "TargetHealth": {
            "State": "unhealthy", "Reason": "Target.FailedHealthChecks", "Description": "x",
        },
    }  # fmt: skip
    assert states(elb, group, {"Id": "10.0.129.99"}) == {
        "10.0.129.99:8080": ("unused", "Target.NotRegistered")
    }
    # With no listener left the group is in no one's use, whatever was seen.
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    assert set(states(elb, group).values()) == {("unused", "Target.NotInUse")}
    assert written(side)["target_groups"][0]["used_by"] == []
