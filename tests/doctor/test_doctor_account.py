"""The checks of the AWS account, each with what breaks it: the account is the sandbox's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.servicequotas.exceptions import NoSuchResource

from eksnet.aws.rights import policy
from eksnet.cluster import Cluster
from eksnet.cluster.targets import Target
from eksnet.doctor import installed, limits, network, rights
from eksnet.doctor.examination import CHECKS, made
from eksnet.doctor.findings import Finding, Verdict
from eksnet.doctor.limits import Limit
from eksnet.loadbalancer.subnets import Subnet
from eksnet.sandbox.aws.eks import catalogue
from eksnet.sandbox.aws.quotas import Quotas, Responses
from tests.sandbox.aws.conftest import Side

CHECK = {one.name: one for one in CHECKS}
VPC, LEARNER = "vpc-00000000000000001", "arn:aws:iam::111122223333:user/learner"
ROLES = {"internet-facing": "kubernetes.io/role/elb", "internal": "kubernetes.io/role/internal-elb"}


def found(name: str, cluster: Cluster) -> list[Finding]:
    return list(made(CHECK[name], Target("eks", "workbook"), cluster))


def findings(name: str, cluster: Cluster) -> list[Finding]:
    return [one for one in found(name, cluster) if one.verdict is not Verdict.OK]


@pytest.mark.parametrize("check", [one.name for one in CHECKS if one.needs.name == "ACCOUNT"])
def test_a_fresh_account_is_fine(check: str, eks: Cluster) -> None:
    assert {one.verdict for one in found(check, eks)} == {Verdict.OK}


# DNS.


@pytest.mark.parametrize("attribute", ["EnableDnsSupport", "EnableDnsHostnames"])
def test_dns_that_is_off(attribute: str, eks: Cluster, side: Side) -> None:
    ec2 = side.client("ec2")
    ec2.modify_vpc_attribute(VpcId=VPC, **{attribute: {"Value": False}})
    (one,) = findings("DNS of the VPC", eks)
    assert f"{attribute[0].lower()}{attribute[1:]} is off" in one.what
    # The remedy, as the AWS CLI would send it.
    option = one.remedy.rpartition("--")[2]
    assert "".join(map(str.capitalize, option.split("-"))) == attribute
    ec2.modify_vpc_attribute(VpcId=VPC, **{attribute: {"Value": True}})
    assert findings("DNS of the VPC", eks) == []


def test_other_name_servers(eks: Cluster, side: Side) -> None:
    ec2 = side.client("ec2")
    servers = [{"Key": "domain-name-servers", "Values": ["192.0.2.53"]}]
    options = ec2.create_dhcp_options(DhcpConfigurations=servers)["DhcpOptions"]["DhcpOptionsId"]
    ec2.associate_dhcp_options(DhcpOptionsId=options, VpcId=VPC)
    (one,) = findings("DNS of the VPC", eks)
    assert "192.0.2.53" in one.what
    assert "AmazonProvidedDNS" in one.remedy


# Subnets.


def subnet(name: str, zone: str, public: bool = False, free: int = 250, **tags: str) -> Subnet:
    return Subnet(name, zone, "10.0.0.0/24", free, public, tags)


def tagged(role: str) -> dict[str, str]:
    return {role: "1"}


ELB = ROLES["internet-facing"]
SUBNETS = {
    "two tagged": ([subnet("s-1", "a", True, **tagged(ELB)),
                    subnet("s-2", "b", True, **tagged(ELB))], ""),
    "found by their routes": ([subnet("s-1", "a", True), subnet("s-2", "b", True)], ""),
    "one is not tagged": (
        [subnet("s-1", "a", True, **tagged(ELB)), subnet("s-2", "b", True)],
        f"aws ec2 create-tags --resources s-1 s-2 --tags Key={ELB},Value=1"),
    "too few free addresses": (
        [subnet("s-1", "a", True), subnet("s-2", "b", True, free=7)],
        "create public subnets with 8 free addresses in two zones"),
    "one zone": ([subnet("s-1", "a", True), subnet("s-2", "a", True)],
                 "create public subnets with 8 free addresses in two zones"),
    "none": ([], "create public subnets"),
    "of another cluster": (
        [subnet("s-1", "a", True, **{"kubernetes.io/cluster/other": "owned"}),
         subnet("s-2", "b", True)],
        "create public subnets with 8 free addresses in two zones"),
    "another one of the zone has it": (
        [subnet("s-1", "a", True, **tagged(ELB)), subnet("s-2", "a", True),
         subnet("s-3", "b", True), subnet("s-4", "b")],
        f"aws ec2 create-tags --resources s-1 s-3 --tags Key={ELB},Value=1"),
}  # fmt: skip


@pytest.mark.parametrize("what", SUBNETS)
def test_subnets_are_judged_by_the_controllers_rules(what: str) -> None:
    subnets, remedy = SUBNETS[what]
    one = network.judged("internet-facing", subnets, "workbook")
    assert one.verdict is (Verdict.FINDING if remedy else Verdict.OK)
    assert one.remedy.startswith(remedy)


@pytest.mark.parametrize("scheme", ROLES)
def test_a_subnet_that_lost_its_tag_and_its_remedy(scheme: str, eks: Cluster, side: Side) -> None:
    ec2, role = side.client("ec2"), ROLES[scheme]
    with_tag = [{"Name": "tag-key", "Values": [role]}]
    (first, *_) = ec2.describe_subnets(Filters=with_tag)["Subnets"]
    ec2.delete_tags(Resources=[first["SubnetId"]], Tags=[{"Key": role}])
    (one,) = findings("subnets", eks)
    assert one.what.startswith(f"{scheme} load balancers find subnets only in")
    assert one.remedy.startswith("aws ec2 create-tags --resources ")
    # The remedy does as it says.
    ids = one.remedy.partition("--resources ")[2].partition(" --tags")[0].split()
    assert first["SubnetId"] in ids
    ec2.create_tags(Resources=ids, Tags=[{"Key": role, "Value": "1"}])
    assert findings("subnets", eks) == []


TABLES = [
    {"Associations": [{"Main": True}], "Routes": [{"GatewayId": "igw-1"}]},
    {"Associations": [{"SubnetId": "s-1"}], "Routes": [{"NatGatewayId": "nat-1"}]},
    {"Associations": [{"SubnetId": "s-2"}], "Routes": [{"GatewayId": "local"}]},
]


@pytest.mark.parametrize(("name", "public"), [("s-1", False), ("s-2", False), ("s-3", True)])
@pytest.mark.parametrize("order", [1, -1])
def test_a_subnet_without_a_table_has_the_main_one(name: str, public: bool, order: int) -> None:
    assert network.is_public(name, TABLES[::order]) is public


# Limits.


@pytest.mark.parametrize(
    ("used", "free"), [(0, None), (18, None), (19, 1), (20, 0), (21, 0)]
)  # fmt: skip
def test_limits(used: int, free: int | None) -> None:
    full = Limit("application-load-balancers", 20, used, 2, "elasticloadbalancing")
    other = Limit("target-groups", 3000, 0, 8, "elasticloadbalancing")
    told = [one for one in limits.judged([full, other], "eu-west-1") if one.remedy]
    assert len(told) == (free is not None)
    for one in told:
        assert f"{used} of 20 are in use, so {free} are free" in one.what
        assert one.remedy.endswith(
            "https://eu-west-1.console.aws.amazon.com/servicequotas/home/services/"
            "elasticloadbalancing/quotas"
        )


def test_load_balancers_of_the_account_are_counted(eks: Cluster, side: Side) -> None:
    elb = side.client("elbv2")
    for number in range(19):
        elb.create_load_balancer(Name=f"old-{number}", Subnets=_subnets(side), Type="network")
    (one,) = findings("limits", eks)
    assert "network-load-balancers: 19 of 20 are in use, so 1 are free" in one.what


def test_what_is_in_use_is_told(eks: Cluster, side: Side) -> None:
    ec2 = side.client("ec2")
    ec2.allocate_address(Domain="vpc")
    ec2.create_security_group(GroupName="x", Description="d", VpcId=VPC)
    balancing, network = [one.what for one in found("limits", eks)]
    assert "0 of 100 rules-per-application-load-balancer" in balancing
    groups = len(ec2.describe_security_groups()["SecurityGroups"])
    interfaces = len(ec2.describe_network_interfaces()["NetworkInterfaces"])
    assert network == (
        f"in use: {groups} of 2500 security groups, "
        "1 of 60 inbound rules of the cluster's security group, "
        f"{interfaces} of 5000 network interfaces, 1 of 5 NAT gateways in one zone, "
        "2 of 5 Elastic IP addresses, 4 of 5 vCPUs of on-demand instances"
    )


def test_security_groups_that_are_nearly_all_in_use(
    eks: Cluster, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = len(side.client("ec2").describe_security_groups()["SecurityGroups"])
    monkeypatch.setattr(Quotas, "get_service_quota", lambda *_, **__: {"Value": groups + 3.0})
    (one,) = [one for one in findings("limits", eks) if one.what.startswith("security groups")]
    assert f"{groups} of {groups + 3} are in use, so 3 are free, and the lessons need 4" in one.what
    assert one.remedy.endswith("/servicequotas/home/services/vpc/quotas")


@pytest.mark.parametrize("denied", ["GetServiceQuota", "Get*"])
def test_who_may_not_ask_for_quotas_is_told_so(denied: str, eks: Cluster, side: Side) -> None:
    deny = {"Effect": "Deny", "Action": f"servicequotas:{denied}", "Resource": "*"}
    side.client("iam").put_user_policy(
        UserName="learner", PolicyName="no",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [deny]}),
    )  # fmt: skip
    balancing, one = found("limits", eks)
    assert balancing.verdict is Verdict.OK
    assert one.verdict is Verdict.CANNOT_TELL
    assert "servicequotas:GetServiceQuota" in one.what
    assert "learner_policy.json" in one.remedy
    assert {"servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota"} <= set(
        policy()["Statement"][0]["Action"]
    )


def test_a_quota_without_a_value_of_the_accounts_own_has_its_default(
    eks: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Responses) -> str:
        raise NoSuchResource

    before = found("limits", eks)
    monkeypatch.setattr(Responses, "get_service_quota", refuse)
    assert found("limits", eks) == before


def test_a_quota_that_aws_does_not_know_leaves_the_others(
    eks: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Quotas.get_service_quota

    def answer(self: Quotas, service_code: str, quota_code: str) -> dict[str, Any]:
        if quota_code == "L-1216C47A":
            raise NoSuchResource
        return real(self, service_code, quota_code)

    monkeypatch.setattr(Quotas, "get_service_quota", answer)
    _, others, unknown = found("limits", eks)
    assert "2 of 5" not in others.what
    assert "1 of 5 NAT gateways" in others.what
    assert unknown.verdict is Verdict.CANNOT_TELL
    assert unknown.what.startswith("Service Quotas knows no limit of vCPUs of on-demand instances")


def _subnets(side: Side) -> list[str]:
    return list(side.settings.cluster.subnet_ids[:2])


# Rights.

DENY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Action": ["iam:CreateRole", "eks:UpdateAddon"],
                   "Resource": "*"}],
}  # fmt: skip


def test_actions_that_are_denied_are_named_with_their_lessons(eks: Cluster, side: Side) -> None:
    side.client("iam").put_user_policy(
        UserName="learner", PolicyName="no", PolicyDocument=json.dumps(DENY)
    )
    told = [one.what for one in findings("rights in AWS", eks)]
    assert told == [
        f"{LEARNER} is not allowed eks:UpdateAddon, of the statement CoreDnsAddon",
        f"{LEARNER} is not allowed iam:CreateRole, of the statement ControllerIdentity",
    ]


def test_the_policy_for_learners_is_what_is_asked_for(eks: Cluster, side: Side) -> None:
    iam = side.client("iam")
    document = json.dumps(policy())
    arn = iam.create_policy(PolicyName="own", PolicyDocument=document)["Policy"]["Arn"]
    simulate = {**DENY, "Statement": [{"Effect": "Allow", "Action": "iam:Simulate*",
                                       "Resource": "*"}]}  # fmt: skip
    iam.put_user_policy(
        UserName="learner", PolicyName="simulate", PolicyDocument=json.dumps(simulate)
    )
    iam.attach_user_policy(UserName="learner", PolicyArn=arn)
    everything = "arn:aws:iam::aws:policy/AdministratorAccess"
    iam.detach_user_policy(UserName="learner", PolicyArn=everything)
    # Smallest as it is, it has all of that; without a statement, that one is named.
    assert findings("rights in AWS", eks) == []


@pytest.mark.parametrize("left_out", ["CoreDnsAddon", "MadeByHand", "Certificates"])
def test_each_statement_that_is_missing_is_named(left_out: str, eks: Cluster, side: Side) -> None:
    mine = policy()
    mine["Statement"] = [one for one in mine["Statement"] if one["Sid"] != left_out]
    mine["Statement"] += [{"Effect": "Allow", "Action": "iam:Simulate*", "Resource": "*"}]
    iam = side.client("iam")
    iam.put_user_policy(UserName="learner", PolicyName="own", PolicyDocument=json.dumps(mine))
    everything = "arn:aws:iam::aws:policy/AdministratorAccess"
    iam.detach_user_policy(UserName="learner", PolicyArn=everything)
    (one,) = findings("rights in AWS", eks)
    assert one.what.endswith(f"of the statement {left_out}")


def test_every_action_is_one_with_a_resource_of_its_own() -> None:
    for one in rights.grants("111122223333", "eu-west-1", "mine"):
        assert "*" not in one.action
        assert one.resource == "*" or ":111122223333:" in one.resource
    resources = {one.action: one.resource for one in rights.grants("1", "eu-west-1", "mine")}
    assert resources["eks:DescribeCluster"] == "*"
    assert resources["eks:UpdateAddon"] == "arn:aws:eks:eu-west-1:1:addon/mine/coredns/*"
    assert ":role/" in resources["iam:CreateRole"]
    assert ":policy/" in resources["iam:GetPolicy"]
    assert ":role/" in resources["iam:AttachRolePolicy"]
    assert ":oidc-provider/" in resources["iam:GetOpenIDConnectProvider"]


def test_who_may_not_simulate_is_told_so(eks: Cluster, side: Side) -> None:
    policy = {**DENY, "Statement": [{**DENY["Statement"][0], "Action": "iam:Simulate*"}]}  # type: ignore[dict-item]
    side.client("iam").put_user_policy(
        UserName="learner", PolicyName="no", PolicyDocument=json.dumps(policy)
    )
    (one,) = found("rights in AWS", eks)
    assert one.verdict is Verdict.CANNOT_TELL
    assert "iam:SimulatePrincipalPolicy" in one.remedy


class Identity:
    """An account in which somebody else asks."""

    region, eks_name = "eu-west-1", "mine"

    def __init__(self, arn: str) -> None:
        self.arn = arn
        self.simulated: list[str] = []

    def aws(self, service: str) -> Any:
        return self

    class exceptions:  # noqa: N801
        ClientError = ClientError

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": self.arn, "Account": "111122223333"}

    def get_role(self, RoleName: str) -> dict[str, Any]:  # noqa: N803
        return {"Role": {"Arn": f"arn:aws:iam::111122223333:role/aws-reserved/{RoleName}"}}

    def simulate_principal_policy(self, **asked: Any) -> dict[str, Any]:
        self.simulated.append(asked["PolicySourceArn"])
        decided = [{"EvalActionName": one, "EvalDecision": "allowed"}
                   for one in asked["ActionNames"]]  # fmt: skip
        return {"EvaluationResults": decided}


def test_a_session_of_a_role_is_judged_by_the_role_with_its_path() -> None:
    one = Identity("arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_1/me@example.com")
    (told,) = rights.aws(one)  # type: ignore[arg-type]
    assert told.verdict is Verdict.OK
    role = "arn:aws:iam::111122223333:role/aws-reserved/AWSReservedSSO_Admin_1"
    assert set(one.simulated) == {role}


def test_the_root_user_is_a_finding() -> None:
    (told,) = rights.aws(Identity("arn:aws:iam::111122223333:root"))  # type: ignore[arg-type]
    assert told.verdict is Verdict.FINDING


# Add-ons.

OFFERED = [
    {"addonVersion": "v2", "compatibilities": [{"defaultVersion": False}]},
    {"addonVersion": "v1", "compatibilities": [{"defaultVersion": True}]},
]


@pytest.mark.parametrize(
    ("fields", "says", "remedy"),
    [
        ({}, "coredns v1", ""),
        (
            {"status": "DEGRADED",
             "health": {"issues": [{"code": "Insufficient", "message": "no pods"}]}},
            "coredns is DEGRADED (Insufficient: no pods)",
            "aws eks describe-addon --cluster-name mine --addon-name coredns",
        ),
        (
            {"addonVersion": "v0"},
            "coredns is v0, which EKS does not offer for Kubernetes 1.35",
            "aws eks update-addon --cluster-name mine --addon-name coredns --addon-version v1 "
            "--resolve-conflicts PRESERVE",
        ),
    ],
)  # fmt: skip
def test_add_ons(fields: dict[str, Any], says: str, remedy: str) -> None:
    addon = {"addonName": "coredns", "addonVersion": "v1", "status": "ACTIVE",
             "health": {"issues": []}, **fields}  # fmt: skip
    one = installed.judged("mine", "1.35", addon, OFFERED)
    assert (one.what, one.remedy) == (says, remedy)


def test_an_add_on_whose_pods_are_missing(eks: Cluster, side: Side) -> None:
    side.client("eks").create_addon(clusterName="workbook", addonName="coredns")
    assert [one.what for one in findings("add-ons", eks)] == ["coredns is CREATING"]
    side.worker.work_once()
    assert findings("add-ons", eks) == []
    side.cluster.waits = "the Deployment has no replicas"
    (one,) = findings("add-ons", eks)
    assert one.what.startswith("coredns is DEGRADED (InsufficientNumberOfReplicas: ")


def test_a_schema_without_the_autoscaler(eks: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = catalogue.addon("coredns").schema["definitions"]["Coredns"]
    monkeypatch.setitem(definition, "properties", {})
    (one,) = findings("add-on schema", eks)
    assert "has no value autoScaling" in one.what
    assert "--addon-name coredns" in one.remedy
