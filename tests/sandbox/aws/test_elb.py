"""Elastic Load Balancing as the API has it: one test for each thing that moto has otherwise."""

import functools
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eksnet.sandbox.aws import account
from tests.sandbox.aws.test_addons import refused
from tests.sandbox.aws.test_elb_desired import (
    PODS,
    ZONES,
    balancer,
    elb,
    forward,
    group,
    listen,
    states,
    written,
)

__all__ = ["balancer", "elb", "group"]

AMAZON = r"\.amazonaws\.com"
MATCH = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}]
HEX = "[0-9a-f]{16}"
ARN = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:"


@pytest.fixture
def ec2(side):
    return side.client("ec2")


@pytest.fixture
def subnets(side):
    return list(side.settings.cluster.subnet_ids)


@pytest.fixture
def vpc(side):
    return side.settings.cluster.vpc_id


def fixed(number):
    return [
        {
            "Type": "fixed-response",
            "FixedResponseConfig": {"StatusCode": "200", "MessageBody": str(number)},
        }
    ]


def refused_to(call, *words, **named):
    return refused(functools.partial(call, *words), **named)


def interfaces(ec2):
    found = ec2.describe_network_interfaces()["NetworkInterfaces"]
    return {one["Description"]: one for one in found if one["Description"].startswith("ELB ")}


def security_group(ec2, vpc, name="g"):
    return ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"]


# Names and ids.


def test_listeners_and_rules_have_ids_of_16_digits(elb, balancer, group):
    listener = listen(elb, balancer, group)
    place = balancer["LoadBalancerArn"].replace("loadbalancer/", "listener/")
    assert re.fullmatch(rf"{place}/{HEX}", listener)
    place = listener.replace("listener/", "listener-rule/")
    (default,) = elb.describe_rules(ListenerArn=listener)["Rules"]
    assert re.fullmatch(rf"{place}/{HEX}", default["RuleArn"])
    assert (default["Priority"], default["IsDefault"]) == ("default", True)


def test_the_same_again_is_the_same_one_and_something_else_is_refused(
    elb, balancer, group, subnets, vpc
):
    asked = {"Name": "shop", "Subnets": subnets[:2]}
    (again,) = elb.create_load_balancer(**asked)["LoadBalancers"]
    assert again["LoadBalancerArn"] == balancer["LoadBalancerArn"]
    assert refused(elb.create_load_balancer, **asked, Scheme="internal") == (
        "DuplicateLoadBalancerName",
        "A load balancer with the same name 'shop' exists, but with different settings",
    )
    wanted = {"Name": "web", "Protocol": "HTTP", "VpcId": vpc, "TargetType": "ip"}
    (again,) = elb.create_target_group(**wanted, Port=8080)["TargetGroups"]
    assert again["TargetGroupArn"] == group
    assert refused(elb.create_target_group, **wanted, Port=1) == (
        "DuplicateTargetGroupName",
        "A target group with the same name 'web' exists, but with different settings",
    )
    arn = listen(elb, balancer, group)
    assert listen(elb, balancer, group) == arn
    (other,) = elb.create_target_group(**wanted | {"Name": "other"}, Port=1)["TargetGroups"]
    assert refused_to(listen, elb, balancer, other["TargetGroupArn"]) == (
        "DuplicateListener",
        "A listener already exists on this port for this load balancer "
        f"'{balancer['LoadBalancerArn']}'",
    )


def test_attributes_at_first(elb, balancer, group):
    arn = balancer["LoadBalancerArn"]
    told = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    own = {one["Key"]: one["Value"] for one in told}
    assert (own["idle_timeout.timeout_seconds"], own["routing.http2.enabled"]) == ("60", "true")
    assert refused(
        elb.modify_load_balancer_attributes, LoadBalancerArn=arn,
        Attributes=[{"Key": "idle.timeout", "Value": "1"}],
    ) == (
        "ValidationError", "Load balancer attribute key 'idle.timeout' is not recognized",
    )  # fmt: skip
    for key, value, code in (
        ("deregistration_delay.timeout_seconds", "3600", None),
        ("deregistration_delay.timeout_seconds", "3601", "ValidationError"),
        ("deregistration_delay", "1", "ValidationError"),
    ):
        sent = {"TargetGroupArn": group, "Attributes": [{"Key": key, "Value": value}]}
        if code:
            assert refused(elb.modify_target_group_attributes, **sent)[0] == code
        else:
            elb.modify_target_group_attributes(**sent)


def test_a_changed_health_check(side, elb, group):
    (changed,) = elb.modify_target_group(
        TargetGroupArn=group, HealthCheckPath="/live", Matcher={"HttpCode": "200-299"},
        HealthCheckPort="9000", HealthCheckTimeoutSeconds=2, UnhealthyThresholdCount=3,
    )["TargetGroups"]  # fmt: skip
    assert (changed["HealthCheckPath"], changed["Matcher"]) == ("/live", {"HttpCode": "200-299"})
    assert written(side)["target_groups"][0]["health_check"] == {
        "enabled": True, "protocol": "HTTP", "path": "/live", "port": "9000",
        "interval": 15, "timeout": 2, "healthy": 2, "unhealthy": 3, "matcher": "200-299",
    }  # fmt: skip
    assert refused(elb.modify_target_group, TargetGroupArn=group, HealthCheckTimeoutSeconds=15) == (
        "ValidationError", "Health check timeout '15' must be smaller than the interval '15'",
    )  # fmt: skip
    assert refused(elb.modify_target_group, TargetGroupArn=group, Matcher={"HttpCode": "x"})[0] == (
        "ValidationError"
    )


# Subnets and interfaces.


def test_one_zone_and_two_subnets_in_one_zone(elb, ec2, subnets, vpc):
    assert refused(elb.create_load_balancer, Name="a", Subnets=subnets[:1]) == (
        "ValidationError",
        "At least two subnets in two different Availability Zones must be specified",
    )
    assert refused(elb.create_load_balancer, Name="a", Subnets=[subnets[0], subnets[2]]) == (
        "InvalidConfigurationRequest",
        "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
    )
    assert refused(elb.create_load_balancer, Name="a", Subnets=[subnets[0], "subnet-0"]) == (
        "SubnetNotFound", "The subnet ID 'subnet-0' does not exist",
    )  # fmt: skip
    assert not interfaces(ec2)
    elb.create_load_balancer(Name="a", Type="network", Subnets=subnets[:1])
    assert len(interfaces(ec2)) == 1


def test_an_internet_facing_one_needs_an_internet_gateway(elb, ec2):
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    made = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=zone)
        for number, zone in enumerate(ZONES)
    ]
    own = [one["Subnet"]["SubnetId"] for one in made]
    assert refused(elb.create_load_balancer, Name="a", Subnets=own) == (
        "InvalidSubnet", f"VPC {vpc} has no internet gateway",
    )  # fmt: skip
    elb.create_load_balancer(Name="a", Scheme="internal", Subnets=own)


def test_a_subnet_without_room(elb, ec2, vpc, subnets):
    small = ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.0.200.0/28", AvailabilityZone=ZONES[0]
    )["Subnet"]["SubnetId"]  # fmt: skip
    for number in range(4):
        ec2.create_network_interface(SubnetId=small, PrivateIpAddress=f"10.0.200.{4 + number}")
    asked = {"Scheme": "internal", "Subnets": [small, subnets[3]]}
    code, message = refused(elb.create_load_balancer, Name="a", **asked)
    assert code == "InvalidSubnet" and message.startswith(
        f"Not enough IP space available in {small}."
    )


def test_interfaces_come_and_go_with_the_load_balancer(side, elb, ec2, subnets, vpc):
    groups = [security_group(ec2, vpc, name) for name in "ab"]
    (one,) = elb.create_load_balancer(
        Name="a", Subnets=subnets[:2], SecurityGroups=groups[:1]
    )["LoadBalancers"]  # fmt: skip
    arn = one["LoadBalancerArn"]
    description = f"ELB {arn.split(':loadbalancer/')[1]}"
    found = ec2.describe_network_interfaces(
        Filters=[{"Name": "description", "Values": [description]}]
    )["NetworkInterfaces"]
    assert [
        (i["SubnetId"], i["PrivateIpAddress"], i["Association"]["PublicIp"], i["Status"],
         i["RequesterManaged"], [g["GroupId"] for g in i["Groups"]])
        for i in found
    ] == [
        (subnets[0], "10.0.0.20", "203.0.113.20", "in-use", True, groups[:1]),
        (subnets[1], "10.0.16.20", "203.0.113.21", "in-use", True, groups[:1]),
    ]  # fmt: skip
    assert refused(ec2.delete_network_interface, NetworkInterfaceId=found[0]["NetworkInterfaceId"])[
        0
    ] == ("InvalidParameterValue")
    elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=groups)
    told = [one for one in written(side)["interfaces"] if one["kind"] == "load_balancer"]
    assert [one["groups"] for one in told] == [sorted(groups)] * 2
    # It keeps its interface where it stays.
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.32.0/20", AvailabilityZone=ZONES[1])
    third = ec2.describe_subnets(Filters=[{"Name": "cidrBlock", "Values": ["10.0.32.0/20"]}])
    other = third["Subnets"][0]["SubnetId"]
    zones = elb.set_subnets(LoadBalancerArn=arn, Subnets=[subnets[0], other])["AvailabilityZones"]
    assert [zone["SubnetId"] for zone in zones] == [subnets[0], other]
    assert [one["private"] for one in written(side)["load_balancers"][0]["zones"]] == [
        "10.0.0.20", "10.0.32.20",
    ]  # fmt: skip
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert not [one for one in written(side)["interfaces"] if one["kind"] == "load_balancer"]
    elb.create_load_balancer(Name="b", Scheme="internal", Subnets=subnets[2:])
    assert [one["addresses"] for one in written(side)["interfaces"][-2:]] == [
        ["10.0.128.20"], ["10.0.144.20"],
    ]  # fmt: skip
    assert written(side)["load_balancers"][0]["zones"][0]["public"] is None


def test_a_network_load_balancer_at_addresses_that_were_asked_for(side, elb, ec2, subnets):
    elastic = ec2.allocate_address(Domain="vpc")
    assert elastic["PublicIp"] == "203.0.113.20"
    asked = {"SubnetId": subnets[0], "AllocationId": elastic["AllocationId"]}
    (one,) = elb.create_load_balancer(
        Name="n", Type="network", SubnetMappings=[asked, {"SubnetId": subnets[1]}]
    )["LoadBalancers"]
    (zone,) = written(side)["load_balancers"][0]["zones"][:1]
    assert zone["public"] == elastic["PublicIp"]
    assert one["AvailabilityZones"][0]["LoadBalancerAddresses"] == [
        {"IpAddress": elastic["PublicIp"], "AllocationId": elastic["AllocationId"]}
    ]
    assert written(side)["load_balancers"][0]["zones"][1]["public"] == "203.0.113.21"
    assert refused(
        elb.create_load_balancer, Name="m", Type="network", SubnetMappings=[asked]
    )[0] == "AllocationIdNotFound"  # fmt: skip
    private = {"SubnetId": subnets[2], "PrivateIPv4Address": "10.0.128.77"}
    elb.create_load_balancer(Name="p", Type="network", Scheme="internal", SubnetMappings=[private])
    assert written(side)["load_balancers"][1]["zones"][0]["private"] == "10.0.128.77"
    private["PrivateIPv4Address"] = "10.0.129.7"
    assert refused(
        elb.create_load_balancer, Name="q", Type="network", Scheme="internal",
        SubnetMappings=[private],
    )[0] == "InvalidConfigurationRequest"  # fmt: skip
    elb.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
    (free,) = ec2.describe_addresses(AllocationIds=[elastic["AllocationId"]])["Addresses"]
    assert not free.get("NetworkInterfaceId")


def test_what_is_in_use_stays(side, elb, ec2, subnets, vpc):
    used, other = security_group(ec2, vpc, "a"), security_group(ec2, vpc, "b")
    (one,) = elb.create_load_balancer(
        Name="a", Subnets=subnets[:2], SecurityGroups=[used]
    )["LoadBalancers"]  # fmt: skip
    blocked = ("DependencyViolation", f"resource {used} has a dependent object")
    assert refused(ec2.delete_security_group, GroupId=used) == blocked
    assert refused(ec2.delete_subnet, SubnetId=subnets[0]) == (
        "DependencyViolation", f"The subnet '{subnets[0]}' has dependencies and cannot be deleted.",
    )  # fmt: skip
    elb.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
    # A rule of another group.
    rule = [
        {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": used}]}
    ]
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=rule)
    assert refused(ec2.delete_security_group, GroupId=used) == blocked
    ec2.revoke_security_group_ingress(GroupId=other, IpPermissions=rule)
    ec2.delete_security_group(GroupId=used)
    cluster = side.settings.cluster.security_group_id
    assert refused(ec2.delete_security_group, GroupId=cluster)[0] == "DependencyViolation"
    default = f"sg-{1:017x}"
    assert refused(ec2.delete_security_group, GroupId=default) == (
        "CannotDelete",
        f'the specified group: "{default}" name: "default" cannot be deleted by a user',
    )


def test_interfaces_get_free_addresses_in_order(ec2, subnets):
    made = [ec2.create_network_interface(SubnetId=subnets[2])["NetworkInterface"] for _ in "ab"]
    assert [one["PrivateIpAddress"] for one in made] == ["10.0.128.20", "10.0.128.21"]
    ec2.delete_network_interface(NetworkInterfaceId=made[0]["NetworkInterfaceId"])
    (again,) = [ec2.create_network_interface(SubnetId=subnets[2])["NetworkInterface"]]
    assert again["PrivateIpAddress"] == "10.0.128.20"


def test_a_nat_gateway_goes_with_its_interface(ec2):
    (gateway,) = ec2.describe_nat_gateways()["NatGateways"]
    (address,) = gateway["NatGatewayAddresses"]
    own = {"NetworkInterfaceId": address["NetworkInterfaceId"]}
    assert refused(ec2.delete_network_interface, **own)[0] == "InvalidParameterValue"
    ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
    assert refused(ec2.delete_network_interface, **own)[0] == "InvalidNetworkInterfaceID.NotFound"
    assert refused(ec2.delete_nat_gateway, NatGatewayId="nat-9")[0] == "NatGatewayNotFound"


def test_a_vpc_goes_with_its_default_security_group(ec2):
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    ec2.delete_vpc(VpcId=vpc)
    assert vpc not in {one["VpcId"] for one in ec2.describe_security_groups()["SecurityGroups"]}


@pytest.mark.parametrize("kind", ["application", "network"])
@pytest.mark.parametrize(
    ("group", "code", "says"),
    [
        ("sg-0", "InvalidSecurityGroup", "The security group 'sg-0' does not exist ("),
        ("other", "InvalidConfigurationRequest", "One or more security groups are invalid"),
    ],
)
def test_security_groups_that_it_cannot_have(elb, ec2, subnets, kind, group, code, says):
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    found = [security_group(ec2, vpc) if group == "other" else group]
    asked = {"Name": "a", "Type": kind, "Subnets": subnets[:2], "SecurityGroups": found}
    told = refused(elb.create_load_balancer, **asked)
    assert (told[0], told[1].startswith(says)) == (code, True)


def test_without_security_groups_an_alb_has_the_default_one_and_an_nlb_none(
    side, elb, balancer, subnets
):
    assert balancer["SecurityGroups"] == [f"sg-{1:017x}"]
    (one,) = elb.create_load_balancer(Name="n", Type="network", Subnets=subnets[:1])[
        "LoadBalancers"
    ]
    assert one.get("SecurityGroups", []) == []
    assert written(side)["interfaces"][-1]["groups"] == []
    assert refused(
        elb.set_security_groups, LoadBalancerArn=one["LoadBalancerArn"],
        SecurityGroups=[f"sg-{1:017x}"],
    )[0] == "InvalidConfigurationRequest"  # fmt: skip


def test_deletion_protection(side, elb, balancer):
    arn = balancer["LoadBalancerArn"]
    on = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=on)
    assert refused(elb.delete_load_balancer, LoadBalancerArn=arn) == (
        "OperationNotPermitted",
        f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
    )
    assert len(written(side)["load_balancers"]) == 1
    on[0]["Value"] = "false"
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=on)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert refused(elb.describe_load_balancers, LoadBalancerArns=[arn]) == (
        "LoadBalancerNotFound", "One or more load balancers not found",
    )  # fmt: skip
    assert refused(elb.describe_load_balancers, Names=["shop"]) == (
        "LoadBalancerNotFound", "Load balancers '[shop]' not found",
    )  # fmt: skip
    # As documented: what is gone already is deleted without an error.
    elb.delete_load_balancer(LoadBalancerArn=arn)


# Listeners.


def requested(side, name="shop.example.com"):
    return side.client("acm").request_certificate(DomainName=name)["CertificateArn"]


def https(elb, balancer, group, **more):
    return elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTPS", Port=443,
        DefaultActions=forward(group), **more,
    )["Listeners"][0]  # fmt: skip


def test_what_https_needs(side, elb, balancer, group):
    assert refused_to(https, elb, balancer, group) == (
        "ValidationError", "A certificate must be specified for HTTPS listeners",
    )  # fmt: skip
    unknown = "arn:aws:acm:ap-northeast-2:111122223333:certificate/0"
    assert refused_to(https, elb, balancer, group, Certificates=[{"CertificateArn": unknown}]) == (
        "CertificateNotFound", f"Certificate '{unknown}' not found",
    )  # fmt: skip
    own = [{"CertificateArn": requested(side)}]
    assert refused_to(https, elb, balancer, group, Certificates=own, SslPolicy="TLS-9") == (
        "SSLPolicyNotFound", "SSL policy 'TLS-9' not found",
    )  # fmt: skip
    assert refused_to(listen, elb, balancer, group, Certificates=own)[0] == "ValidationError"
    assert refused_to(listen, elb, balancer, group, SslPolicy="TLS-9")[0] == "ValidationError"
    assert not elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    made = https(elb, balancer, group, Certificates=own)
    assert (made["SslPolicy"], made["Certificates"]) == ("ELBSecurityPolicy-2016-08", own)


def test_certificates_for_clients_that_name_a_host(side, elb, balancer, group):
    own, *more = [
        requested(side, name) for name in ("a.example.com", "b.example.com", "c.example.com")
    ]
    arn = https(elb, balancer, group, Certificates=[{"CertificateArn": own}])["ListenerArn"]
    for one in (*more, more[0]):
        elb.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": one}])
    # Only the default one; the others are asked for by themselves, each once.
    (told,) = elb.describe_listeners(ListenerArns=[arn])["Listeners"]
    assert told["Certificates"] == [{"CertificateArn": own}]
    listed = elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    assert [(one["CertificateArn"], one["IsDefault"]) for one in listed] == [
        (own, True), (more[0], False), (more[1], False),
    ]  # fmt: skip
    wanted = written(side)["load_balancers"][0]["listeners"][0]["certificates"]
    assert [(one["default"], one["names"]) for one in wanted] == [
        (True, ["a.example.com"]), (False, ["b.example.com"]), (False, ["c.example.com"]),
    ]  # fmt: skip
    assert refused(
        elb.remove_listener_certificates, ListenerArn=arn, Certificates=[{"CertificateArn": own}]
    )[0] == "OperationNotPermitted"  # fmt: skip
    elb.remove_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": more[0]}])
    # The default one is replaced, and the others stay.
    elb.modify_listener(ListenerArn=arn, Certificates=[{"CertificateArn": more[0]}])
    listed = elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    assert [one["CertificateArn"] for one in listed] == more


def test_a_changed_listener(side, elb, balancer, group):
    arn = listen(elb, balancer, group)
    assert refused(elb.modify_listener, ListenerArn=arn, Protocol="HTTPS")[0] == "ValidationError"
    own = requested(side)
    elb.modify_listener(
        ListenerArn=arn, Protocol="HTTPS", Port=8443, Certificates=[{"CertificateArn": own}],
        DefaultActions=fixed(1),
    )  # fmt: skip
    (told,) = written(side)["load_balancers"][0]["listeners"]
    assert (told["protocol"], told["port"], told["ssl_policy"]) == (
        "HTTPS", 8443, "ELBSecurityPolicy-2016-08",
    )  # fmt: skip
    assert told["rules"][0]["actions"][0]["Type"] == "fixed-response"
    attributes = elb.modify_listener_attributes(
        ListenerArn=arn,
        Attributes=[{"Key": "routing.http.response.server.enabled", "Value": "false"}],
    )["Attributes"]
    assert attributes == [{"Key": "routing.http.response.server.enabled", "Value": "false"}]
    elb.delete_listener(ListenerArn=arn)
    assert refused(elb.describe_listeners, ListenerArns=[arn]) == (
        "ListenerNotFound", "One or more listeners not found",
    )  # fmt: skip


def test_tcp_and_udp_have_each_their_own_port(elb, vpc, subnets):
    (one,) = elb.create_load_balancer(Name="n", Type="network", Subnets=subnets[:1])[
        "LoadBalancers"
    ]
    groups = {
        protocol: elb.create_target_group(
            Name=protocol.lower(), Protocol=protocol, Port=53, VpcId=vpc
        )
        for protocol in ("TCP", "UDP")
    }
    for protocol, made in groups.items():
        own = {
            "LoadBalancerArn": one["LoadBalancerArn"], "Protocol": protocol, "Port": 53,
            "DefaultActions": forward(made["TargetGroups"][0]["TargetGroupArn"]),
        }  # fmt: skip
        (made,), (again,) = (elb.create_listener(**own)["Listeners"] for _ in range(2))
        assert again == made
    (other,) = elb.create_target_group(Name="other", Protocol="UDP", Port=53, VpcId=vpc)[
        "TargetGroups"
    ]
    own["DefaultActions"] = forward(other["TargetGroupArn"])
    assert refused(elb.create_listener, **own)[0] == "DuplicateListener"


def test_a_target_group_is_of_one_load_balancer(elb, balancer, group, subnets):
    arn = listen(elb, balancer, group)
    (other,) = elb.create_load_balancer(Name="o", Subnets=subnets[:2])["LoadBalancers"]
    assert refused_to(listen, elb, other, group) == (
        "TargetGroupAssociationLimit",
        "The following target groups cannot be associated with more than one load balancer: "
        + group,
    )
    (used,) = elb.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])[
        "TargetGroups"
    ]
    assert used["LoadBalancerArns"] == [balancer["LoadBalancerArn"]]
    assert (
        elb.describe_target_groups(LoadBalancerArn=other["LoadBalancerArn"])["TargetGroups"] == []
    )
    assert refused(elb.delete_target_group, TargetGroupArn=group) == (
        "ResourceInUse", f"Target group '{group}' is currently in use by a listener or a rule",
    )  # fmt: skip
    # It is free as soon as nothing forwards to it: nothing stale stays.
    elb.delete_listener(ListenerArn=arn)
    (told,) = elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"]
    assert told.get("LoadBalancerArns", []) == []
    listen(elb, other, group)
    elb.delete_load_balancer(LoadBalancerArn=other["LoadBalancerArn"])
    elb.delete_target_group(TargetGroupArn=group)
    elb.delete_target_group(TargetGroupArn=group)


def test_what_is_of_another_vpc(elb, ec2, balancer):
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    made = elb.create_target_group(Name="t", Protocol="HTTP", Port=80, VpcId=vpc)
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    assert refused_to(listen, elb, balancer, arn) == (
        "InvalidConfigurationRequest",
        f"Target group '{arn}' is in a different VPC than load balancer "
        f"'{balancer['LoadBalancerArn']}'",
    )
    other = security_group(ec2, vpc)
    rule = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": other}]}]
    assert refused(
        ec2.authorize_security_group_ingress, GroupId=f"sg-{2:017x}", IpPermissions=rule
    ) == (
        "InvalidGroup.NotFound",
        "You have specified two resources that belong to different networks.",
    )


# Rules.


@pytest.fixture
def rules(elb, balancer, group):
    listener = listen(elb, balancer, group)
    made = [
        elb.create_rule(
            ListenerArn=listener, Priority=number, Conditions=MATCH, Actions=fixed(number)
        )
        for number in (1, 2, 3)
    ]
    return [one["Rules"][0]["RuleArn"] for one in made]


def order(elb, rules):
    listed = elb.describe_rules(
        ListenerArn=rules[0].replace("listener-rule/", "listener/").rpartition("/")[0]
    )["Rules"]
    return [rules.index(one["RuleArn"]) + 1 for one in listed if not one["IsDefault"]]


def moved(rules, **numbers):
    return [{"RuleArn": rules[int(one[1]) - 1], "Priority": to} for one, to in numbers.items()]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        # Each takes the place that another leaves: the call is one step.
        ({"r1": 2, "r2": 3, "r3": 1}, [3, 1, 2]),
        ({"r1": 2, "r2": 1}, [2, 1, 3]),
        ({"r2": 1, "r1": 10}, [2, 3, 1]),
        ({"r1": 1}, [1, 2, 3]),
    ],
)
def test_priorities_that_move_within_a_call(elb, rules, numbers, expected):
    elb.set_rule_priorities(RulePriorities=moved(rules, **numbers))
    assert order(elb, rules) == expected


def test_priorities_that_are_refused_change_nothing(elb, rules):
    assert refused(elb.set_rule_priorities, RulePriorities=moved(rules, r1=5, r2=3)) == (
        "PriorityInUse", "Priority '3' is currently in use",
    )  # fmt: skip
    assert refused(elb.set_rule_priorities, RulePriorities=moved(rules, r1=5, r2=5))[0] == (
        "ValidationError"
    )
    assert order(elb, rules) == [1, 2, 3]
    listener = rules[0].replace("listener-rule/", "listener/").rpartition("/")[0]
    assert refused(
        elb.create_rule, ListenerArn=listener, Priority=2, Conditions=MATCH, Actions=fixed(1)
    ) == ("PriorityInUse", "Priority '2' is currently in use")


def test_rules_that_are_not_there_and_the_default_one(elb, rules):
    elb.delete_rule(RuleArn=rules[0])
    assert refused(elb.delete_rule, RuleArn=rules[0])[0] == "RuleNotFound"
    listener = rules[0].replace("listener-rule/", "listener/").rpartition("/")[0]
    default = elb.describe_rules(ListenerArn=listener)["Rules"][-1]["RuleArn"]
    assert refused(elb.delete_rule, RuleArn=default) == (
        "OperationNotPermitted", f"Default rule '{default}' cannot be deleted",
    )  # fmt: skip


def test_expressions_and_transforms_of_a_rule_are_kept(side, elb, rules):
    match = [{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/a[0-9]$"]}}]
    rewrite = [
        {
            "Type": "url-rewrite",
            "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a", "Replace": "/b"}]},
        }
    ]
    elb.modify_rule(RuleArn=rules[0], Conditions=match, Transforms=rewrite)
    told = written(side)["load_balancers"][0]["listeners"][0]["rules"][0]
    assert (told["conditions"], told["transforms"]) == (match, rewrite)
    elb.modify_rule(RuleArn=rules[0], ResetTransforms=True)
    assert "transforms" not in written(side)["load_balancers"][0]["listeners"][0]["rules"][0]


# Targets.


def test_targets_drain_until_the_delay_is_over(side, elb, balancer, group, monkeypatch):
    listen(elb, balancer, group)
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}]
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=delay)
    elb.register_targets(
        TargetGroupArn=group,
        Targets=[{"Id": PODS[0]}, {"Id": PODS[0], "Port": 9090}, {"Id": PODS[1]}],
    )
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": PODS[0], "Port": 9090}])
    draining = ("draining", "Target.DeregistrationInProgress")
    initial = ("initial", "Elb.RegistrationInProgress")
    assert states(elb, group) == {
        f"{PODS[0]}:8080": initial, f"{PODS[0]}:9090": draining, f"{PODS[1]}:8080": initial,
    }  # fmt: skip
    since = written(side)["target_groups"][0]["targets"][1]["draining_since"]
    assert datetime.fromisoformat(since).tzinfo == UTC
    # Whoever asks again does not begin the delay anew; who registers it again, ends it.
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": PODS[0], "Port": 9090}])
    assert written(side)["target_groups"][0]["targets"][1]["draining_since"] == since
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": PODS[0], "Port": 9090}])
    assert written(side)["target_groups"][0]["targets"][1]["draining_since"] is None
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": PODS[1]}, {"Id": "10.0.129.200"}])
    assert states(elb, group)[f"{PODS[1]}:8080"] == draining
    later = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=31)
    monkeypatch.setattr("eksnet.sandbox.aws.repeatable.now", lambda: later)
    assert f"{PODS[1]}:8080" not in states(elb, group)
    assert states(elb, group, {"Id": PODS[1]}) == {
        f"{PODS[1]}:8080": ("unused", "Target.NotRegistered")
    }


@pytest.mark.parametrize("delay", ["0", "30"])
def test_what_nothing_is_sent_to_goes_at_once(side, elb, balancer, group, delay):
    if delay == "0":
        listen(elb, balancer, group)
    attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": delay}
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[attribute])
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": PODS[0]}])
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": PODS[0]}])
    assert states(elb, group) == {}
    assert written(side)["target_groups"][0]["targets"] == []


def test_a_zone_that_the_load_balancer_does_not_have(side, elb, vpc, subnets):
    made = elb.create_target_group(Name="t", Protocol="TCP", Port=80, VpcId=vpc, TargetType="ip")
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    (one,) = elb.create_load_balancer(Name="n", Type="network", Subnets=subnets[:1])[
        "LoadBalancers"
    ]
    elb.create_listener(
        LoadBalancerArn=one["LoadBalancerArn"], Protocol="TCP", Port=80, DefaultActions=forward(arn)
    )
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": pod} for pod in PODS])
    assert states(elb, arn) == {
        f"{PODS[0]}:80": ("initial", "Elb.RegistrationInProgress"),
        f"{PODS[1]}:80": ("unused", "Target.NotInUse"),
    }
    assert [t["id"] for t in written(side)["target_groups"][0]["targets"]] == [PODS[0]]


def test_a_terminated_instance_is_no_target_any_more(elb, ec2, vpc):
    made = elb.create_target_group(Name="t", Protocol="HTTP", Port=80, VpcId=vpc)
    arn, node = made["TargetGroups"][0]["TargetGroupArn"], f"i-{2:017x}"
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": node}])
    ec2.terminate_instances(InstanceIds=[node])
    assert states(elb, arn) == {}


# What moto has no operation for.


def test_what_the_chart_asks_by_default(side, balancer):
    arn = balancer["LoadBalancerArn"]
    assert side.client("shield").get_subscription_state()["SubscriptionState"] == "INACTIVE"
    for service in ("wafv2", "waf-regional"):
        told = side.client(service).get_web_acl_for_resource(ResourceArn=arn)
        assert set(told) == {"ResponseMetadata"}


def test_reserved_capacity_and_pools(elb, balancer):
    own = {"LoadBalancerArn": balancer["LoadBalancerArn"]}
    assert "MinimumLoadBalancerCapacity" not in elb.describe_capacity_reservation(**own)
    elb.modify_capacity_reservation(**own, MinimumLoadBalancerCapacity={"CapacityUnits": 200})
    told = elb.describe_capacity_reservation(**own)
    assert told["MinimumLoadBalancerCapacity"] == {"CapacityUnits": 200}
    assert [one["State"]["Code"] for one in told["CapacityReservationState"]] == ["provisioned"] * 2
    elb.modify_capacity_reservation(**own, ResetCapacityReservation=True)
    assert "MinimumLoadBalancerCapacity" not in elb.describe_capacity_reservation(**own)
    elb.modify_ip_pools(**own, RemoveIpamPools=["ipv4"])
    pools = {"Ipv4IpamPoolId": "ipam-pool-1"}
    assert refused(elb.modify_ip_pools, **own, IpamPools=pools)[0] == "ValidationError"


# Nothing is left.


def test_everything_deleted_leaves_nothing(side, elb, ec2, subnets, vpc):
    before = json.loads(json.dumps(_told(side)))
    used = security_group(ec2, vpc)
    (one,) = elb.create_load_balancer(
        Name="a", Subnets=subnets[:2], SecurityGroups=[used], Tags=[{"Key": "a", "Value": "b"}]
    )["LoadBalancers"]  # fmt: skip
    made = elb.create_target_group(
        Name="t", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip",
        Tags=[{"Key": "a", "Value": "b"}],
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    listener = listen(elb, one, made)
    rule = elb.create_rule(
        ListenerArn=listener, Priority=1, Conditions=MATCH, Actions=forward(made)
    )
    elb.register_targets(TargetGroupArn=made, Targets=[{"Id": PODS[0]}])
    assert len(ec2.describe_network_interfaces()["NetworkInterfaces"]) == 6
    elb.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
    elb.delete_target_group(TargetGroupArn=made)
    ec2.delete_security_group(GroupId=used)
    assert _told(side) == before
    assert refused(elb.describe_rules, RuleArns=[rule["Rules"][0]["RuleArn"]])[0] == "RuleNotFound"
    tagging = side.client("resourcegroupstaggingapi")
    listed = tagging.get_resources(ResourceTypeFilters=["elasticloadbalancing"])
    assert listed["ResourceTagMappingList"] == []


def _told(side):
    side.client("ec2").create_tags(Resources=[f"sg-{1:017x}"], Tags=[{"Key": "a", "Value": "b"}])
    return written(side)


def test_what_carries_traffic_is_told_for_these_services(side):
    assert set(account._CARRYING) == {"elasticloadbalancing", "ec2", "acm"}
    assert not Path(side.settings.desired).exists()
    side.client("iam").create_user(UserName="a")
    assert not Path(side.settings.desired).exists()
