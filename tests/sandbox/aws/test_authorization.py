"""What a request asks of IAM, held to the Service Authorization Reference; pure."""

import pytest

from eksnet.sandbox.aws import operations
from eksnet.sandbox.aws.authorization import Context, asked
from eksnet.sandbox.aws.operations import Operation, OperationError, flattened
from eksnet.sandbox.aws.principals import Principal
from eksnet.sandbox.aws.signatures import Request

ACCOUNT, REGION = "111122223333", "ap-northeast-2"
WHO = Principal(
    "user", ACCOUNT, "learner", f"arn:aws:iam::{ACCOUNT}:user/learner",
    f"arn:aws:iam::{ACCOUNT}:user/learner", "AIDA1", tags={"Team": "a"},
)  # fmt: skip
EC2, ELB = f"arn:aws:ec2:{REGION}:{ACCOUNT}", f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
IAM, EKS = f"arn:aws:iam::{ACCOUNT}", f"arn:aws:eks:{REGION}:{ACCOUNT}"
GROUP, VPC, SUBNET = "sg-00000000000000002", "vpc-00000000000000001", "subnet-00000000000000001"
TAGS = {f"{EC2}:security-group/{GROUP}": {"team": "b"}}

OF_CLUSTER = {("w", "addon", "a"): f"{EKS}:addon/w/a/1-2"}


def context(principal=WHO):
    names = {("role", "ops"): f"{IAM}:role/teams/ops"}
    return Context(
        ACCOUNT, REGION, principal, lambda arn: TAGS.get(arn, {}), lambda *n: names.get(n),
        lambda *n: OF_CLUSTER.get(n),
    )  # fmt: skip


def told(service, name, parameters):
    sent = {key.replace("__", "."): value for key, value in parameters.items()}
    found = asked(Operation(service, name, sent), context())
    return [(one.action, one.resource) for one in found]


@pytest.mark.parametrize(
    ("service", "name", "parameters", "expected"),
    [
        ("ec2", "DescribeSecurityGroups", {"GroupId__1": GROUP}, ["*"]),
        (
            "ec2", "CreateSecurityGroup", {"VpcId": VPC, "GroupName": "g"},
            [f"{EC2}:security-group/*", f"{EC2}:vpc/{VPC}"],
        ),
        # The group that a rule names is not what the action is about.
        (
            "ec2", "AuthorizeSecurityGroupIngress",
            {"GroupId": GROUP, "IpPermissions__1__Groups__1__GroupId": "sg-00000000000000009"},
            [f"{EC2}:security-group/{GROUP}"],
        ),
        ("ec2", "DeleteSecurityGroup", {"GroupId": GROUP}, [f"{EC2}:security-group/{GROUP}"]),
        (
            "ec2", "RunInstances",
            {"ImageId": "ami-00000000000000001", "SubnetId": SUBNET, "SecurityGroupId__1": GROUP},
            [
                f"{EC2}:instance/*", f"arn:aws:ec2:{REGION}::image/ami-00000000000000001",
                f"{EC2}:subnet/{SUBNET}", f"{EC2}:security-group/{GROUP}",
            ],
        ),
        ("elasticloadbalancing", "DescribeRules", {"ListenerArn": f"{ELB}:listener/x"}, ["*"]),
        (
            "elasticloadbalancing", "CreateLoadBalancer", {"Name": "b", "Type": "network"},
            [f"{ELB}:loadbalancer/net/b/*"],
        ),
        (
            "elasticloadbalancing", "CreateListener",
            {
                "LoadBalancerArn": f"{ELB}:loadbalancer/app/b/1",
                "DefaultActions__1__TargetGroupArn": f"{ELB}:targetgroup/t/1",
            },
            [f"{ELB}:loadbalancer/app/b/1"],
        ),
        (
            "elasticloadbalancing", "SetRulePriorities",
            {"RulePriorities__1__RuleArn": f"{ELB}:listener-rule/app/b/1/2/3"},
            [f"{ELB}:listener-rule/app/b/1/2/3"],
        ),
        ("iam", "CreateUser", {"UserName": "x", "Path": "/teams/"}, [f"{IAM}:user/teams/x"]),
        # An existing one with the path that it has; and oneself, when nobody is named.
        ("iam", "PutRolePolicy", {"RoleName": "ops"}, [f"{IAM}:role/teams/ops"]),
        ("iam", "CreateAccessKey", {}, [f"{IAM}:user/learner"]),
        ("iam", "ListUsers", {}, ["*"]),
        (
            "iam", "AttachRolePolicy",
            {"RoleName": "ops", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
            [f"{IAM}:role/teams/ops"],
        ),
        (
            "iam", "CreateServiceLinkedRole",
            {"AWSServiceName": "elasticloadbalancing.amazonaws.com"},
            [f"{IAM}:role/aws-service-role/elasticloadbalancing.amazonaws.com/*"],
        ),
        ("sts", "AssumeRole", {"RoleArn": f"{IAM}:role/ops"}, [f"{IAM}:role/ops"]),
        ("acm", "ListCertificates", {}, ["*"]),
        (
            "acm", "DescribeCertificate", {"CertificateArn": "arn:aws:acm:r:1:certificate/1"},
            ["arn:aws:acm:r:1:certificate/1"],
        ),
        ("route53", "GetHostedZone", {"Id": "Z1"}, ["arn:aws:route53:::hostedzone/Z1"]),
        ("eks", "ListClusters", {}, ["*"]),
        ("eks", "DescribeCluster", {"name": "w"}, [f"{EKS}:cluster/w"]),
        ("eks", "CreateAddon", {"clusterName": "w", "addonName": "a"}, [f"{EKS}:cluster/w"]),
        ("eks", "DeleteAddon", {"clusterName": "w", "addonName": "a"}, [f"{EKS}:addon/w/a/1-2"]),
        ("eks", "DescribeUpdate", {"name": "w", "addonName": "a"}, [f"{EKS}:addon/w/a/1-2"]),
        # What is not there has an ARN of the documented form.
        ("eks", "DeleteAddon", {"clusterName": "w", "addonName": "b"}, [f"{EKS}:addon/w/b/*"]),
        (
            "eks", "DescribeAccessEntry",
            {"clusterName": "w", "principalArn": f"{IAM}:role/teams/ops"},
            [f"{EKS}:access-entry/w/role/{ACCOUNT}/ops/*"],
        ),
        (
            "eks", "DeletePodIdentityAssociation", {"clusterName": "w", "associationId": "a-1"},
            [f"{EKS}:podidentityassociation/w/a-1"],
        ),
    ],
)  # fmt: skip
def test_the_resources_of_an_action(service, name, parameters, expected):
    assert told(service, name, parameters) == [(f"{service}:{name}", one) for one in expected]


def test_the_tagging_api_has_a_prefix_of_its_own():
    assert told("tagging", "GetResources", {}) == [("tag:GetResources", "*")]


@pytest.mark.parametrize(
    ("service", "name", "parameters", "action", "key"),
    [
        (
            "ec2", "CreateSecurityGroup",
            {"VpcId": VPC, "TagSpecification__1__Tag__1__Key": "team"},
            "ec2:CreateTags", "ec2:createaction",
        ),
        (
            "elasticloadbalancing", "CreateTargetGroup", {"Name": "t", "Tags__1__Key": "team"},
            "elasticloadbalancing:AddTags", "elasticloadbalancing:createaction",
        ),
        ("iam", "CreateRole", {"RoleName": "r", "Tags__1__Key": "team"}, "iam:TagRole", None),
    ],
)  # fmt: skip
def test_tags_at_a_creation_ask_for_a_second_action(service, name, parameters, action, key):
    sent = {k.replace("__", "."): v for k, v in parameters.items()}
    *_, last = asked(Operation(service, name, sent), context())
    assert last.action == action
    assert last.keys["aws:requesttag/team"] == ("",) and last.keys["aws:tagkeys"] == ("team",)
    assert key is None or last.keys[key] == (name,)


def test_the_context_of_a_request():
    (one,) = asked(Operation("ec2", "DeleteSecurityGroup", {"GroupId": GROUP}), context())
    assert one.keys == {
        "aws:principalaccount": (ACCOUNT,), "aws:principalarn": (WHO.identity,),
        "aws:principaltype": ("User",), "aws:principaltag/team": ("a",),
        "aws:requestedregion": (REGION,), "aws:securetransport": ("false",),
        "aws:userid": ("AIDA1",), "aws:username": ("learner",), "ec2:region": (REGION,),
        "aws:resourcetag/team": ("b",), "ec2:resourcetag/team": ("b",),
    }  # fmt: skip


def test_the_tags_of_a_request_are_those_of_what_is_made():
    sent = {"VpcId": VPC, "TagSpecification.1.Tag.1.Key": "team"}
    group, vpc, tagging = asked(Operation("ec2", "CreateSecurityGroup", sent), context())
    assert "aws:requesttag/team" in group.keys and "aws:requesttag/team" in tagging.keys
    assert "aws:requesttag/team" not in vpc.keys


def test_a_role_in_a_session_is_no_user():
    role = Principal(
        "role", ACCOUNT, "ops", f"{IAM}:role/ops", "arn:aws:sts::1:assumed-role/ops/s", "AROA1:s"
    )
    (one,) = asked(Operation("iam", "ListUsers"), context(role))
    assert one.keys["aws:principaltype"] == ("AssumedRole",) and "aws:username" not in one.keys
    assert one.keys["aws:principalarn"] == (f"{IAM}:role/ops",)


# Reading a request.


def test_operations_of_each_protocol():
    form = Request("POST", "/", body=b"Action=CreateTags&Version=1&Tag.1.Key=a%20b&Tag.1.Value=c")
    found = operations.read("ec2", form)
    assert (found.name, found.tags()) == ("CreateTags", {"a b": "c"})
    members = Request(
        "POST", "/", body=b"Action=X&Version=1&Tags.member.1.Key=a&Tags.member.1.Value="
    )
    assert operations.read("iam", members).tags() == {"a": ""}
    headers = {"x-amz-target": "CertificateManager.RequestCertificate"}
    body = b'{"DomainName": "a", "Tags": [{"Key": "k", "Value": "v"}]}'
    found = operations.read("acm", Request("POST", "/", headers=headers, body=body))
    assert (found.name, found.parameters["DomainName"]) == ("RequestCertificate", "a")
    assert found.tags() == {"k": "v"}
    found = operations.read("route53", Request("GET", "/2013-04-01/hostedzone/Z1/rrset"))
    assert (found.name, found.parameters) == ("ListResourceRecordSets", {"Id": "Z1"})
    presigned = Request("GET", "/", "Action=GetCallerIdentity&Version=1&X-Amz-Signature=0")
    assert operations.read("sts", presigned) == Operation("sts", "GetCallerIdentity", {})


@pytest.mark.parametrize(
    ("service", "request_", "code"),
    [
        ("ec2", Request("POST", "/", body=b"Version=1"), "MissingAction"),
        (
            "elasticloadbalancing",
            Request("POST", "/", body=b"Action=DescribeLoadBalancers&Version=2012-06-01"),
            "InvalidAction",
        ),
        (
            "acm", Request("POST", "/", headers={"x-amz-target": "C.List"}, body=b"["),
            "SerializationException",
        ),
        ("route53", Request("GET", "/nothing"), "InvalidAction"),
    ],
)  # fmt: skip
def test_a_request_without_an_operation(service, request_, code):
    with pytest.raises(OperationError) as refused:
        operations.read(service, request_)
    assert refused.value.code == code


def test_json_is_flat():
    assert flattened({"a": [{"b": 1}, {"b": True}], "c": {"d": "x"}, "e": []}) == {
        "a.1.b": "1", "a.2.b": "True", "c.d": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reads"),
    [("DescribeVpcs", True), ("ListUsers", True), ("GetUser", True), ("CreateUser", False),
     ("AssumeRole", False), ("GenerateCredentialReport", False)],
)  # fmt: skip
def test_what_changes_nothing(name, reads):
    assert Operation("iam", name).reads is reads
