"""The load balancer controller's own policy: it allows what the controller does, and no more."""

import json
from pathlib import Path

import pytest

from eksnet.sandbox.aws import authorization, decisions, policies
from eksnet.sandbox.aws.principals import Grants, Principal
from tests.sandbox.aws.test_addons import refused
from tests.sandbox.aws.test_elb_desired import forward
from tests.sandbox.aws.test_iam import ACCOUNT, iam, user

__all__ = ["iam", "user"]

FILE = Path(__file__).parents[3] / "data" / "aws_load_balancer_controller_iam_policy.json"
STATEMENTS = json.loads(FILE.read_text())["Statement"]
OWN = [{"Key": "elbv2.k8s.aws/cluster", "Value": "workbook"}]
MORE = [{"Key": "team", "Value": "a"}]
MATCH = [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}]


def rule(number):
    ports = {"FromPort": number, "ToPort": number}
    return [{"IpProtocol": "tcp", **ports, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


def cycle(side, clients):
    """Create, update and delete as the controller does; yield after each call."""
    ec2, elb, facts = clients("ec2"), clients("elbv2"), side.settings.cluster
    for call in (
        "describe_availability_zones", "describe_vpcs", "describe_subnets",
        "describe_security_groups", "describe_instances", "describe_network_interfaces",
        "describe_route_tables", "describe_internet_gateways", "describe_coip_pools",
        "describe_ipam_pools",
    ):  # fmt: skip
        getattr(ec2, call)()
    ec2.get_security_groups_for_vpc(VpcId=facts.vpc_id)
    clients("acm").list_certificates()
    clients("shield").get_subscription_state()
    group = ec2.create_security_group(
        GroupName="k8s", Description="d", VpcId=facts.vpc_id,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": OWN}],
    )["GroupId"]  # fmt: skip
    ec2.create_tags(Resources=[group], Tags=MORE)
    ec2.delete_tags(Resources=[group], Tags=MORE)
    for one in (group, facts.security_group_id):
        ec2.authorize_security_group_ingress(GroupId=one, IpPermissions=rule(80))
    targets = elb.create_target_group(
        Name="k8s-t", Protocol="HTTP", Port=80, VpcId=facts.vpc_id, TargetType="ip", Tags=OWN
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.modify_target_group(TargetGroupArn=targets, HealthCheckPath="/ready")
    elb.modify_target_group_attributes(
        TargetGroupArn=targets, Attributes=[{"Key": "slow_start.duration_seconds", "Value": "30"}]
    )
    arn = elb.create_load_balancer(
        Name="k8s-b", Subnets=list(facts.subnet_ids[:2]), SecurityGroups=[group], Tags=OWN
    )["LoadBalancers"][0]["LoadBalancerArn"]
    own = {"LoadBalancerArn": arn}
    elb.modify_load_balancer_attributes(
        **own, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "30"}]
    )
    elb.set_security_groups(**own, SecurityGroups=[group])
    elb.set_subnets(**own, Subnets=list(facts.subnet_ids[:2]))
    elb.set_ip_address_type(**own, IpAddressType="ipv4")
    elb.modify_capacity_reservation(**own, ResetCapacityReservation=True)
    elb.modify_ip_pools(**own, RemoveIpamPools=["ipv4"])
    for tagged in (arn, targets):
        elb.add_tags(ResourceArns=[tagged], Tags=MORE)
        elb.remove_tags(ResourceArns=[tagged], TagKeys=["team"])
    clients("wafv2").get_web_acl_for_resource(ResourceArn=arn)
    certificate = side.client("acm").request_certificate(DomainName="a.example.com")
    listener = elb.create_listener(
        **own, Protocol="HTTPS", Port=443, DefaultActions=forward(targets), Tags=OWN,
        Certificates=[{"CertificateArn": certificate["CertificateArn"]}],
    )["Listeners"][0]["ListenerArn"]  # fmt: skip
    elb.modify_listener(ListenerArn=listener, DefaultActions=forward(targets))
    elb.modify_listener_attributes(
        ListenerArn=listener,
        Attributes=[{"Key": "routing.http.response.server.enabled", "Value": "false"}],
    )
    extra = side.client("acm").request_certificate(DomainName="b.example.com")["CertificateArn"]
    for call in (elb.add_listener_certificates, elb.remove_listener_certificates):
        call(ListenerArn=listener, Certificates=[{"CertificateArn": extra}])
    made = elb.create_rule(
        ListenerArn=listener, Priority=1, Conditions=MATCH, Actions=forward(targets), Tags=OWN
    )["Rules"][0]["RuleArn"]
    elb.modify_rule(RuleArn=made, Conditions=MATCH)
    elb.set_rule_priorities(RulePriorities=[{"RuleArn": made, "Priority": 5}])
    for tagged in (listener, made):
        elb.add_tags(ResourceArns=[tagged], Tags=MORE)
        elb.remove_tags(ResourceArns=[tagged], TagKeys=["team"])
    for call in (elb.register_targets, elb.deregister_targets):
        call(TargetGroupArn=targets, Targets=[{"Id": "10.0.129.7"}])
    elb.describe_target_health(TargetGroupArn=targets)
    elb.describe_tags(ResourceArns=[arn])
    elb.describe_listener_attributes(ListenerArn=listener)
    elb.describe_capacity_reservation(**own)
    elb.delete_rule(RuleArn=made)
    elb.delete_listener(ListenerArn=listener)
    elb.delete_load_balancer(**own)
    elb.delete_target_group(TargetGroupArn=targets)
    for one in (facts.security_group_id, group):
        ec2.revoke_security_group_ingress(GroupId=one, IpPermissions=rule(80))
    ec2.delete_security_group(GroupId=group)


@pytest.fixture
def asked(side, user, monkeypatch):
    """Do it all with the whole policy, and return what IAM was asked, in order."""
    noted, before = [], authorization.asked

    def note(operation, context):
        found = before(operation, context)
        if context.principal.name == "student":
            noted.append(found)
        return found

    monkeypatch.setattr(authorization, "asked", note)
    cycle(side, user(*STATEMENTS))
    return noted


def first_refusal(asked, statements):
    student = Principal(
        "user", ACCOUNT.split(":")[4], "student", f"{ACCOUNT}:user/student",
        f"{ACCOUNT}:user/student", "AIDA",
    )  # fmt: skip
    grants = Grants(policies.parse(json.dumps({"Statement": statements})))
    told = (decisions.refusal(one, grants, student) for one in asked)
    found = next(filter(None, told), "")
    return found.partition("perform: ")[2].partition(" because")[0]


# By the first action of each statement: what is refused first without it.
TAG = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:"
WITHOUT = {
    "iam:CreateServiceLinkedRole": "",
    "ec2:DescribeAccountAttributes": "ec2:DescribeAvailabilityZones on resource: *",
    "cognito-idp:DescribeUserPoolClient": "acm:ListCertificates on resource: *",
    "ec2:AuthorizeSecurityGroupIngress": "ec2:AuthorizeSecurityGroupIngress on resource: "
    "arn:aws:ec2:ap-northeast-2:111122223333:security-group/sg-00000000000000002",
    "ec2:CreateSecurityGroup": "ec2:CreateSecurityGroup on resource: "
    "arn:aws:ec2:ap-northeast-2:111122223333:security-group/*",
    "elasticloadbalancing:CreateLoadBalancer": "elasticloadbalancing:CreateTargetGroup on "
    f"resource: {TAG}targetgroup/k8s-t/*",
    "elasticloadbalancing:CreateListener": "elasticloadbalancing:CreateListener on resource: "
    f"{TAG}loadbalancer/app/k8s-b/",
    "elasticloadbalancing:ModifyLoadBalancerAttributes": "elasticloadbalancing:ModifyTargetGroup "
    f"on resource: {TAG}targetgroup/k8s-t/",
    "elasticloadbalancing:RegisterTargets": "elasticloadbalancing:RegisterTargets on resource: "
    f"{TAG}targetgroup/k8s-t/",
    "elasticloadbalancing:SetWebAcl": "elasticloadbalancing:ModifyListener on resource: "
    f"{TAG}listener/app/k8s-b/",
}
# Those that share their first action with another one, by their number.
BY_NUMBER = {
    5: "ec2:CreateTags on resource: arn:aws:ec2:ap-northeast-2:111122223333:security-group/*",
    6: "ec2:CreateTags on resource: arn:aws:ec2:ap-northeast-2:111122223333:security-group/sg-",
    7: "ec2:DeleteSecurityGroup on resource: "
    "arn:aws:ec2:ap-northeast-2:111122223333:security-group/sg-",
    10: f"elasticloadbalancing:AddTags on resource: {TAG}loadbalancer/app/k8s-b/",
    11: f"elasticloadbalancing:AddTags on resource: {TAG}listener/app/k8s-b/",
    13: f"elasticloadbalancing:AddTags on resource: {TAG}targetgroup/k8s-t/*",
}


def test_each_statement_is_needed_for_what_it_is_there_for(asked):
    assert first_refusal(asked, STATEMENTS) == ""
    for number, left_out in enumerate(STATEMENTS):
        found = first_refusal(asked, [one for one in STATEMENTS if one is not left_out])
        expected = BY_NUMBER.get(number)
        if expected is None:
            expected = WITHOUT[left_out["Action"][0]]
        assert found.startswith(expected) and bool(found) == bool(expected), (number, found)


def test_without_a_statement_the_services_say_it_in_their_words(side, user):
    without = [one for one in STATEMENTS if "Condition" not in one]
    clients, facts = user(*without), side.settings.cluster
    for service, call, parameters, code, action in (
        ("ec2", "create_security_group",
         {"GroupName": "a", "Description": "d", "VpcId": facts.vpc_id, "TagSpecifications": [
             {"ResourceType": "security-group", "Tags": OWN}]},
         "UnauthorizedOperation", "ec2:CreateTags"),
        ("elbv2", "create_load_balancer",
         {"Name": "a", "Subnets": list(facts.subnet_ids[:2]), "Tags": OWN},
         "AccessDenied", "elasticloadbalancing:CreateLoadBalancer"),
    ):  # fmt: skip
        found, message = refused(getattr(clients(service), call), **parameters)
        assert (found, action in message) == (code, True)


@pytest.mark.parametrize("tags", [[], MORE])
def test_a_load_balancer_without_the_clusters_tag_is_denied(side, user, tags):
    elb, subnets = user(*STATEMENTS)("elbv2"), list(side.settings.cluster.subnet_ids[:2])
    named = {"Name": "a", "Subnets": subnets, **({"Tags": tags} if tags else {})}
    assert refused(elb.create_load_balancer, **named)[0] == "AccessDenied"
