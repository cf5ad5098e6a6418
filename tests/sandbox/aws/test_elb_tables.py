"""Tables of what Elastic Load Balancing takes, names and refuses: one account for all of them."""

import re

import pytest

from tests.sandbox.aws.conftest import Side
from tests.sandbox.aws.test_addons import refused
from tests.sandbox.aws.test_elb import AMAZON, ARN, HEX, ec2, subnets, vpc
from tests.sandbox.aws.test_elb_desired import ZONES, elb, forward, states

__all__ = ["ec2", "elb", "subnets", "vpc"]


@pytest.fixture(scope="module")
def one_side(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        started = Side(tmp_path_factory.mktemp("account"), patch).start()
        yield started
        started.stop()


@pytest.fixture
def side(one_side):
    """An account in which an earlier line of a table has left nothing."""
    yield one_side
    elb = one_side.client("elbv2")
    for one in elb.describe_load_balancers()["LoadBalancers"]:
        elb.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
    for one in elb.describe_target_groups()["TargetGroups"]:
        elb.delete_target_group(TargetGroupArn=one["TargetGroupArn"])


@pytest.mark.parametrize(
    ("kind", "scheme", "arn", "dns"),
    [
        ("application", "internet-facing", "app", r"My-1-\d+\.ap-northeast-2\.elb"),
        ("application", "internal", "app", r"internal-My-1-\d+\.ap-northeast-2\.elb"),
        ("network", "internet-facing", "net", rf"My-1-({HEX})\.elb\.ap-northeast-2"),
        ("network", "internal", "net", rf"My-1-({HEX})\.elb\.ap-northeast-2"),
    ],
)
def test_names_are_those_of_the_kind(elb, subnets, kind, scheme, arn, dns):
    chosen = subnets[:2] if scheme == "internet-facing" else subnets[2:]
    (one,) = elb.create_load_balancer(
        Name="My-1", Type=kind, Scheme=scheme, Subnets=chosen
    )["LoadBalancers"]  # fmt: skip
    found = re.fullmatch(rf"{ARN}loadbalancer/{arn}/My-1/({HEX})", one["LoadBalancerArn"])
    named = re.fullmatch(dns + AMAZON, one["DNSName"])
    assert found and named and named.groups() in ((), found.groups())
    assert one["State"]["Code"] == "provisioning"
    (one,) = elb.describe_load_balancers()["LoadBalancers"]
    assert one["State"]["Code"] == "active"
    assert one["CanonicalHostedZoneId"] == {
        "app": "ZWKZPGTI48KDX", "net": "ZIBE1TIR4HY56",
    }[arn]  # fmt: skip


@pytest.mark.parametrize("name", ["a" * 33, "a_b", "-a", "internal-a"])
def test_a_name_that_aws_refuses(elb, subnets, name):
    assert refused(elb.create_load_balancer, Name=name, Subnets=subnets[:2])[0] == "ValidationError"


@pytest.mark.parametrize(
    ("protocol", "kind", "kept"),
    [
        ("TCP", "instance", "true"),
        ("TCP", "ip", "false"),
        ("UDP", "ip", "true"),
        ("HTTP", "ip", None),
    ],
)
def test_whether_targets_see_their_clients_address(elb, vpc, protocol, kind, kept):
    (made,) = elb.create_target_group(
        Name="t", Protocol=protocol, Port=80, VpcId=vpc, TargetType=kind
    )["TargetGroups"]
    told = elb.describe_target_group_attributes(TargetGroupArn=made["TargetGroupArn"])["Attributes"]
    assert {one["Key"]: one["Value"] for one in told}.get("preserve_client_ip.enabled") == kept


@pytest.mark.parametrize(
    ("protocol", "value", "code"),
    [
        ("TCP", "true", None),
        ("TCP", "false", None),
        ("UDP", "true", None),
        ("UDP", "false", "ValidationError"),
        ("TCP_UDP", "false", "ValidationError"),
        ("HTTP", "true", "ValidationError"),
    ],
)
def test_whether_that_can_be_changed(elb, vpc, protocol, value, code):
    (made,) = elb.create_target_group(
        Name="t", Protocol=protocol, Port=80, VpcId=vpc, TargetType="ip"
    )["TargetGroups"]
    sent = {
        "TargetGroupArn": made["TargetGroupArn"],
        "Attributes": [{"Key": "preserve_client_ip.enabled", "Value": value}],
    }
    if code:
        assert refused(elb.modify_target_group_attributes, **sent)[0] == code
    else:
        elb.modify_target_group_attributes(**sent)


NONE = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:targetgroup/none/0123456789abcdef"
FOREIGN = NONE.replace("111122223333", "444455556666")


@pytest.mark.parametrize(
    ("arn", "refusal"),
    [
        (NONE, ("TargetGroupNotFound", "One or more target groups not found")),
        (FOREIGN, ("ValidationError", f"'{FOREIGN}' is not a valid target group ARN")),
        ("none", ("ValidationError", "'none' is not a valid target group ARN")),
    ],
)
def test_target_groups_that_are_none(elb, arn, refusal):
    one = [{"Id": "10.0.129.7"}]
    for operation, sent in (
        (elb.register_targets, {"Targets": one}),
        (elb.deregister_targets, {"Targets": one}),
        (elb.describe_target_health, {}),
        (elb.modify_target_group, {"HealthCheckPath": "/"}),
        (elb.modify_target_group_attributes, {"Attributes": [{"Key": "x", "Value": "y"}]}),
    ):
        assert refused(operation, TargetGroupArn=arn, **sent) == refusal
    assert refused(elb.describe_target_groups, TargetGroupArns=[arn]) == refusal
    if arn == NONE:
        # What is not there is deleted already.
        elb.delete_target_group(TargetGroupArn=arn)
    else:
        assert refused(elb.delete_target_group, TargetGroupArn=arn) == refusal


@pytest.mark.parametrize(
    ("asked", "path", "matcher"),
    [
        ({"Protocol": "HTTP"}, "/", {"HttpCode": "200"}),
        (
            {"Protocol": "HTTP", "ProtocolVersion": "GRPC"},
            "/AWS.ALB/healthcheck",
            {"GrpcCode": "12"},
        ),
        ({"Protocol": "TCP"}, None, None),
        ({"Protocol": "TCP", "HealthCheckProtocol": "HTTP"}, "/", {"HttpCode": "200-399"}),
    ],
)
def test_health_checks_by_default(elb, vpc, asked, path, matcher):
    (made,) = elb.create_target_group(Name="t", Port=80, VpcId=vpc, **asked)["TargetGroups"]
    assert (made.get("HealthCheckPath"), made.get("Matcher")) == (path, matcher)


def test_a_security_group_that_is_not_there_is_named(ec2):
    assert refused(ec2.describe_security_groups, GroupIds=[f"sg-{2:017x}", "sg-9"]) == (
        "InvalidGroup.NotFound", "The security group 'sg-9' does not exist",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "group", "fits"),
    [
        ("TCP", "TCP", True),
        ("TCP", "TCP_UDP", True),
        ("TCP", "HTTP", False),
        ("UDP", "TCP", False),
        ("UDP", "TCP_UDP", True),
        ("TCP_UDP", "TCP", False),
    ],
)
def test_protocols_of_listener_and_target_group(elb, vpc, subnets, protocol, group, fits):
    (one,) = elb.create_load_balancer(Name="n", Type="network", Subnets=subnets[:1])[
        "LoadBalancers"
    ]
    made = elb.create_target_group(Name="t", Protocol=group, Port=53, VpcId=vpc)
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    asked = {
        "LoadBalancerArn": one["LoadBalancerArn"], "Protocol": protocol, "Port": 53,
        "DefaultActions": forward(arn),
    }  # fmt: skip
    if fits:
        elb.create_listener(**asked)
    else:
        assert refused(elb.create_listener, **asked) == (
            "IncompatibleProtocols",
            f"The listener and its associated target group '{arn}' have incompatible protocols: "
            f"'{protocol}' and '{group}'",
        )


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        ("instance", {"Id": "10.0.129.7"},
         ("ValidationError", "Instance ID '10.0.129.7' is not valid")),
        ("instance", {"Id": "i-0"}, ("ValidationError", "Instance ID 'i-0' is not valid")),
        ("ip", {"Id": f"i-{1:017x}"},
         ("ValidationError", f"The IP address 'i-{1:017x}' is not a valid IPv4 address")),
        ("ip", {"Id": "10.9.0.1"},
         ("ValidationError",
          "The Availability Zone is required for IP address '10.9.0.1' because it is not in the "
          "VPC")),
        ("ip", {"Id": "10.0.129.7", "AvailabilityZone": "all"},
         ("ValidationError",
          "The IP address '10.0.129.7' is within the VPC, and cannot have its Availability Zone "
          f"overridden to 'all' from '{ZONES[0]}'")),
        ("ip", {"Id": "8.8.8.8", "AvailabilityZone": "all"},
         ("ValidationError",
          "The IP address '8.8.8.8' must be in the VPC or in one of the blocks "
          "10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16")),
        ("ip", {"Id": "10.9.0.1", "AvailabilityZone": "all"}, "all"),
        ("ip", {"Id": "10.0.129.7"}, ZONES[0]),
        ("ip", {"Id": "10.0.145.7", "AvailabilityZone": ZONES[1]}, ZONES[1]),
        ("instance", {"Id": f"i-{2:017x}"}, ZONES[1]),
    ],
)  # fmt: skip
def test_what_can_be_registered(elb, vpc, kind, target, expected):
    made = elb.create_target_group(Name="t", Protocol="HTTP", Port=80, VpcId=vpc, TargetType=kind)
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    asked = {"TargetGroupArn": arn, "Targets": [target]}
    if isinstance(expected, tuple):
        assert refused(elb.register_targets, **asked) == expected
        assert states(elb, arn) == {}
    else:
        elb.register_targets(**asked)
        (one,) = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        assert one["Target"] == {**target, "Port": 80, "AvailabilityZone": expected}


def test_an_instance_of_another_vpc(elb, ec2):
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    made = elb.create_target_group(Name="t", Protocol="HTTP", Port=80, VpcId=vpc)
    arn, node = made["TargetGroups"][0]["TargetGroupArn"], f"i-{1:017x}"
    assert refused(elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": node}])[0] == (
        "InvalidTarget"
    )


@pytest.mark.parametrize(
    ("service", "call", "asked", "key"),
    [
        ("elbv2", "describe_trust_stores", {}, "TrustStores"),
        ("ec2", "describe_coip_pools", {}, "CoipPools"),
        ("ec2", "describe_ipam_pools", {}, "IpamPools"),
        ("wafv2", "list_web_acls", {"Scope": "REGIONAL"}, "WebACLs"),
        ("waf-regional", "list_web_acls", {}, "WebACLs"),
        ("shield", "list_protections", {}, "Protections"),
    ],
)
def test_of_what_the_account_has_nothing(side, service, call, asked, key):
    assert getattr(side.client(service), call)(**asked)[key] == []


@pytest.mark.parametrize(
    ("service", "call", "asked", "code"),
    [
        ("elbv2", "describe_trust_stores", {"Names": ["a"]}, "TrustStoreNotFound"),
        ("ec2", "get_coip_pool_usage", {"PoolId": "ipv4pool-coip-1"}, "InvalidPoolID.NotFound"),
        ("ec2", "describe_ipam_pools", {"IpamPoolIds": ["ipam-pool-1"]},
         "InvalidIpamPoolId.NotFound"),
        ("shield", "describe_protection", {"ResourceArn": ARN}, "ResourceNotFoundException"),
        ("shield", "create_subscription", {}, "UnknownOperationException"),
        ("wafv2", "associate_web_acl", {"WebACLArn": ARN, "ResourceArn": ARN},
         "UnknownOperationException"),
    ],
)  # fmt: skip
def test_what_is_asked_of_nothing(side, service, call, asked, code):
    assert refused(getattr(side.client(service), call), **asked)[0] == code


def test_the_security_groups_of_a_vpc(side, ec2, vpc):
    found = ec2.get_security_groups_for_vpc(VpcId=vpc)["SecurityGroupForVpcs"]
    assert [one["GroupId"] for one in found] == [f"sg-{1:017x}", f"sg-{2:017x}"]
    (own,) = ec2.get_security_groups_for_vpc(
        VpcId=vpc, Filters=[{"Name": "group-id", "Values": [f"sg-{2:017x}"]}]
    )["SecurityGroupForVpcs"]
    assert (own["PrimaryVpcId"], own["GroupName"]) == (vpc, "eks-cluster-sg-workbook-1")


def test_what_the_controller_reads_of_the_network(side, ec2, vpc):
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert set(ZONES) <= {zone["ZoneName"] for zone in zones}
    (own,) = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    assert [one["CidrBlock"] for one in own["CidrBlockAssociationSet"]] == ["10.0.0.0/16"]
    tagged = [{"Name": "tag:kubernetes.io/role/elb", "Values": ["", "1"]}]
    found = ec2.describe_subnets(Filters=[*tagged, {"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    assert len(found) == 2
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    assert len(tables["RouteTables"]) == 3
