"""What is in the account of a fresh sandbox, through boto3, held to the plan of addresses."""

import json
from ipaddress import IPv4Address, IPv4Network

import botocore.exceptions
import pytest

from eksnet.sandbox.vpc import plan

VPC = plan()


@pytest.fixture
def ec2(side):
    return side.client("ec2")


def tags(one):
    return {tag["Key"]: tag["Value"] for tag in one.get("Tags", one.get("TagSet", []))}


def test_one_vpc_with_four_subnets_in_two_zones(side, ec2):
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    facts = side.settings.cluster
    assert (vpc["VpcId"], vpc["CidrBlock"]) == (facts.vpc_id, str(VPC.network))
    assert not vpc["IsDefault"]
    subnets = ec2.describe_subnets()["Subnets"]
    assert sorted(one["SubnetId"] for one in subnets) == list(facts.subnet_ids)
    found = {
        (one["AvailabilityZone"], one["CidrBlock"], one["MapPublicIpOnLaunch"]) for one in subnets
    }
    assert found == {(zone, str(block), kind == "public") for kind, zone, block in VPC.subnets}
    assert len({one["AvailabilityZoneId"] for one in subnets}) == 2


def test_each_subnet_has_the_tag_of_its_role(ec2):
    for role, public in (("elb", True), ("internal-elb", False)):
        wanted = [{"Name": f"tag:kubernetes.io/role/{role}", "Values": ["1"]}]
        found = ec2.describe_subnets(Filters=wanted)["Subnets"]
        assert [one["MapPublicIpOnLaunch"] for one in found] == [public, public]


def test_public_subnets_lead_to_the_internet_gateway_private_ones_to_the_nat_gateway(ec2):
    (gateway,) = ec2.describe_internet_gateways()["InternetGateways"]
    (nat,) = ec2.describe_nat_gateways()["NatGateways"]
    public = {
        one["SubnetId"]: one["MapPublicIpOnLaunch"] for one in ec2.describe_subnets()["Subnets"]
    }
    leads = {}
    for table in ec2.describe_route_tables()["RouteTables"]:
        to = next((r for r in table["Routes"] if r["DestinationCidrBlock"] == "0.0.0.0/0"), {})
        for one in table["Associations"]:
            if "SubnetId" in one:
                leads[one["SubnetId"]] = to.get("GatewayId") or to.get("NatGatewayId")
    assert leads == {
        subnet: gateway["InternetGatewayId"] if is_public else nat["NatGatewayId"]
        for subnet, is_public in public.items()
    }


def test_the_nodes_are_instances_with_their_own_addresses(ec2):
    found = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    assert [
        (i["InstanceId"], i["PrivateIpAddress"], i["PrivateDnsName"],
         i["Placement"]["AvailabilityZone"], i["State"]["Name"], i["InstanceType"])
        for i in found
    ] == [
        (node.instance_id, str(node.address.ip), node.name, node.zone, "running", "m5.large")
        for node in VPC.nodes
    ]  # fmt: skip
    for instance in found:
        assert tags(instance)["kubernetes.io/cluster/workbook"] == "owned"
        (subnet,) = ec2.describe_subnets(SubnetIds=[instance["SubnetId"]])["Subnets"]
        assert IPv4Address(instance["PrivateIpAddress"]) in IPv4Network(subnet["CidrBlock"])
        assert tags(subnet)["kubernetes.io/role/internal-elb"] == "1"


def test_the_pods_addresses_are_secondary_ones_as_they_come_and_go(side, ec2):
    node = VPC.nodes[0]

    def secondary():
        wanted = [{"Name": "attachment.instance-id", "Values": [node.instance_id]}]
        (interface,) = ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
        listed = interface["PrivateIpAddresses"]
        assert [one["PrivateIpAddress"] for one in listed if one["Primary"]] == [
            str(node.address.ip)
        ]
        return [one["PrivateIpAddress"] for one in listed if not one["Primary"]]

    assert secondary() == []
    side.cluster.pods = {node.name: ("10.0.129.2", "10.0.129.3")}
    assert secondary() == ["10.0.129.2", "10.0.129.3"]
    wanted = [{"Name": "addresses.private-ip-address", "Values": ["10.0.129.3"]}]
    (interface,) = ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    assert interface["Attachment"]["InstanceId"] == node.instance_id
    # The API server does not answer: what was known stays.
    side.cluster.pods = None
    assert secondary() == ["10.0.129.2", "10.0.129.3"]
    side.cluster.pods = {node.name: ("10.0.129.3",)}
    assert secondary() == ["10.0.129.3"]


def test_the_cluster_security_group_is_that_of_nodes_and_control_plane(side, ec2):
    facts = side.settings.cluster
    described = side.client("eks").describe_cluster(name="workbook")["cluster"]
    wanted = described["resourcesVpcConfig"]["clusterSecurityGroupId"]
    assert wanted == facts.security_group_id
    (group,) = ec2.describe_security_groups(GroupIds=[wanted])["SecurityGroups"]
    assert group["GroupName"].startswith("eks-cluster-sg-workbook-")
    assert tags(group)["kubernetes.io/cluster/workbook"] == "owned"
    (rule,) = group["IpPermissions"]
    assert rule["IpProtocol"] == "-1"
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [wanted]
    members = ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [wanted]}])
    assert sorted(one["PrivateIpAddress"] for one in members["NetworkInterfaces"]) == sorted(
        [str(VPC.api_server), *(str(node.address.ip) for node in VPC.nodes)]
    )


def test_no_address_stands_twice(ec2):
    interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
    addresses = [one["PrivateIpAddress"] for i in interfaces for one in i["PrivateIpAddresses"]]
    assert len(addresses) == len(set(addresses))


def test_who_is_there(side):
    iam = side.client("iam")
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["learner"]
    (attached,) = iam.list_attached_user_policies(UserName="learner")["AttachedPolicies"]
    assert attached["PolicyName"] == "AdministratorAccess"
    (key,) = iam.list_access_keys(UserName="learner")["AccessKeyMetadata"]
    assert key["AccessKeyId"] == side.keys.access_key
    assert {role["RoleName"] for role in iam.list_roles()["Roles"]} == {
        "workbook-cluster", "workbook-node",
    }  # fmt: skip


def test_the_learner_is_the_same_with_and_without_the_account_loaded(side):
    before = side.client("sts").get_caller_identity()
    assert side.side.account._loaded is None
    side.client("iam").create_user(UserName="x")
    after = side.client("sts").get_caller_identity()
    known = {key: before[key] for key in ("UserId", "Account", "Arn")}
    assert known == {key: after[key] for key in known}
    assert before["UserId"] == side.client("iam").get_user()["User"]["UserId"]


def test_it_is_the_same_every_time(side):
    def told():
        ec2 = side.client("ec2")
        calls = ("vpcs", "subnets", "route_tables", "network_interfaces", "security_groups")
        found = {call: getattr(ec2, f"describe_{call}")() for call in calls}
        return {call: answer.pop("ResponseMetadata") and answer for call, answer in found.items()}

    first = told()
    side.stop()
    side.start()
    second = told()
    for call, answer in first.items():
        assert json.dumps(second[call], default=str) == json.dumps(answer, default=str)


def test_an_account_is_loaded_at_the_start_only_when_somebody_changed_who_there_is(side):
    side.side.account.load_changes()
    assert side.side.account._loaded is None
    side.client("iam").create_user(UserName="x")
    side.stop()
    side.start()
    side.side.account.load_changes()
    assert side.side.account._loaded is not None


def test_nobody_loads_the_account_with_a_key_that_is_unknown(side):
    with pytest.raises(botocore.exceptions.ClientError, match="AuthFailure"):
        side.client("ec2", "AKIAUNKNOWN000000000", "x").describe_vpcs()
    assert side.side.account._loaded is None
