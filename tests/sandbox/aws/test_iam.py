"""What IAM lets users and roles do, through boto3 and in each service's own words."""

import json
from datetime import UTC, datetime, timedelta

import botocore.exceptions
import pytest

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ACCOUNT = "arn:aws:iam::111122223333"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal, action="sts:AssumeRole", **more):
    return policy({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, **more})


def refused(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**parameters)
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


@pytest.fixture
def iam(side):
    return side.client("iam")


@pytest.fixture
def user(side, iam):
    """Return a function that makes a user with statements and returns its clients."""

    def make(*statements, name="student"):
        iam.create_user(UserName=name)
        if statements:
            document = policy(*statements)
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return lambda service: side.client(service, key["AccessKeyId"], key["SecretAccessKey"])

    return make


@pytest.fixture
def assume(side):
    """Return a function that assumes a role and returns the session's clients."""

    def do(role, client=None, **more):
        sts = client or side.client("sts")
        arn = f"{ACCOUNT}:role/{role}"
        got = sts.assume_role(RoleArn=arn, RoleSessionName="lesson", **more)["Credentials"]
        words = got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"]
        return lambda service: side.client(service, *words)

    return do


@pytest.mark.parametrize(
    ("service", "call", "parameters", "code", "action"),
    [
        ("ec2", "describe_vpcs", {}, "UnauthorizedOperation", "ec2:DescribeVpcs"),
        ("eks", "list_clusters", {}, "AccessDeniedException", "eks:ListClusters"),
        ("acm", "list_certificates", {}, "AccessDeniedException", "acm:ListCertificates"),
        ("iam", "list_users", {}, "AccessDenied", "iam:ListUsers"),
        (
            "elbv2", "describe_load_balancers", {}, "AccessDenied",
            "elasticloadbalancing:DescribeLoadBalancers",
        ),
        ("route53", "list_hosted_zones", {}, "AccessDenied", "route53:ListHostedZones"),
        (
            "resourcegroupstaggingapi", "get_resources", {}, "AccessDeniedException",
            "tag:GetResources",
        ),
        (
            "sts", "assume_role",
            {"RoleArn": f"{ACCOUNT}:role/workbook-node", "RoleSessionName": "other"},
            "AccessDenied", "sts:AssumeRole",
        ),
    ],
)  # fmt: skip
def test_what_no_policy_allows_is_denied(user, service, call, parameters, code, action):
    found, message = refused(getattr(user()(service), call), **parameters)
    assert found == code
    words = f"User: {ACCOUNT}:user/student is not authorized to perform: {action} on resource: "
    assert message.startswith(words)


def test_who_a_user_is_needs_no_permission(user):
    found = user(allow("*", **{}) | {"Effect": "Deny"})("sts").get_caller_identity()
    assert found["Arn"] == f"{ACCOUNT}:user/student"


def test_a_policy_allows_what_it_names_and_no_more(user):
    clients = user(allow(["ec2:Describe*", "eks:DescribeCluster"]))
    assert clients("ec2").describe_vpcs()["Vpcs"]
    assert clients("eks").describe_cluster(name="workbook")["cluster"]
    code, _ = refused(clients("ec2").create_vpc, CidrBlock="10.1.0.0/16")
    assert code == "UnauthorizedOperation"
    assert refused(clients("eks").list_clusters)[0] == "AccessDeniedException"


def test_a_resource_is_named_by_its_arn(user):
    clusters = "arn:aws:eks:ap-northeast-2:111122223333:cluster"
    eks = user(allow("eks:*", f"{clusters}/workbook"))("eks")
    assert eks.describe_cluster(name="workbook")
    message = refused(eks.describe_cluster, name="other")[1]
    assert f"on resource: {clusters}/other because no identity-based policy" in message


# What belongs to the cluster, by the ARN that EKS tells and by its tags.

HERE = {"clusterName": "workbook"}
OWNED_BY_A = {"tags": {"team": "a"}}


def an_addon(eks):
    named = {**HERE, "addonName": "coredns"}
    return eks.create_addon(**named, **OWNED_BY_A)["addon"]["addonArn"], "describe_addon", named


def a_node_group(eks):
    named = {**HERE, "nodegroupName": "workbook"}
    arn = eks.describe_nodegroup(**named)["nodegroup"]["nodegroupArn"]
    return arn, "describe_nodegroup", named


def an_access_entry(eks):
    named = {**HERE, "principalArn": f"{ACCOUNT}:user/student"}
    made = eks.create_access_entry(**named, **OWNED_BY_A)["accessEntry"]
    return made["accessEntryArn"], "describe_access_entry", named


def an_association(eks):
    asked = {"namespace": "shop", "serviceAccount": "web", "roleArn": f"{ACCOUNT}:role/app"}
    made = eks.create_pod_identity_association(**HERE, **asked, **OWNED_BY_A)["association"]
    named = {**HERE, "associationId": made["associationId"]}
    return made["associationArn"], "describe_pod_identity_association", named


TAGGED = (an_addon, an_access_entry, an_association)


@pytest.mark.parametrize("make", [*TAGGED, a_node_group])
def test_what_belongs_to_the_cluster_is_allowed_and_denied_by_its_exact_arn(iam, user, eks, make):
    clients = user()
    arn, call, named = make(eks)
    describe = getattr(clients("eks"), call)

    def has(*statements):
        document = policy(*statements)
        iam.put_user_policy(UserName="student", PolicyName="own", PolicyDocument=document)

    has(allow("eks:*", arn))
    assert describe(**named)
    has(allow("eks:*", f"{arn}0"))
    code, message = refused(describe, **named)
    assert code == "AccessDeniedException" and f"on resource: {arn} because no" in message
    has(EVERYTHING, allow("eks:*", arn) | {"Effect": "Deny"})
    assert refused(describe, **named)[1].endswith("explicit deny in an identity-based policy")
    has(EVERYTHING, allow("eks:*", f"{arn}0") | {"Effect": "Deny"})
    assert describe(**named)


@pytest.mark.parametrize("make", TAGGED)
@pytest.mark.parametrize(("team", "may"), [("a", False), ("b", True)])
def test_a_deny_by_a_tag_of_what_belongs_to_the_cluster(user, eks, make, team, may):
    tagged = {"Condition": {"StringEquals": {"aws:ResourceTag/team": team}}}
    clients = user(EVERYTHING, allow("eks:*", **tagged) | {"Effect": "Deny"})
    _, call, named = make(eks)
    describe = getattr(clients("eks"), call)
    if may:
        assert describe(**named)
    else:
        assert refused(describe, **named)[1].endswith("explicit deny in an identity-based policy")


def test_a_policy_for_one_addon_holds_before_it_is_there(user):
    arn = "arn:aws:eks:ap-northeast-2:111122223333:addon/workbook/coredns/*"
    eks = user(allow("eks:*", arn))("eks")
    named = {**HERE, "addonName": "coredns"}
    assert refused(eks.describe_addon, **named)[0] == "ResourceNotFoundException"
    # A creation is about the cluster.
    assert refused(eks.create_addon, **named)[0] == "AccessDeniedException"


def test_an_explicit_deny_wins_and_says_so(user):
    ec2 = user(EVERYTHING, allow("ec2:DeleteVpc") | {"Effect": "Deny"})("ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    message = refused(ec2.delete_vpc, VpcId=vpc["VpcId"])[1]
    assert message.endswith("with an explicit deny in an identity-based policy")


def test_policies_of_groups_and_managed_ones_count(side, iam, user):
    clients = user()
    iam.create_group(GroupName="readers")
    iam.put_group_policy(
        GroupName="readers", PolicyName="own", PolicyDocument=policy(allow("ec2:DescribeVpcs"))
    )
    iam.add_user_to_group(GroupName="readers", UserName="student")
    assert clients("ec2").describe_vpcs()["Vpcs"]
    arn = iam.create_policy(PolicyName="keys", PolicyDocument=policy(allow("iam:ListUsers")))[
        "Policy"
    ]["Arn"]
    iam.attach_user_policy(UserName="student", PolicyArn=arn)
    assert clients("iam").list_users()["Users"]
    iam.detach_user_policy(UserName="student", PolicyArn=arn)
    assert refused(clients("iam").list_users)[0] == "AccessDenied"
    iam.attach_user_policy(UserName="student", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert clients("iam").list_users()["Users"]


def test_a_key_that_is_inactive_or_deleted_is_nobodys(iam, user):
    sts = user()("sts")
    (key,) = iam.list_access_keys(UserName="student")["AccessKeyMetadata"]
    named = {"UserName": "student", "AccessKeyId": key["AccessKeyId"]}
    iam.update_access_key(**named, Status="Inactive")
    assert refused(sts.get_caller_identity)[0] == "InvalidClientTokenId"
    iam.update_access_key(**named, Status="Active")
    assert sts.get_caller_identity()
    iam.delete_access_key(**named)
    assert refused(sts.get_caller_identity)[0] == "InvalidClientTokenId"


# Roles.


def test_a_role_may_what_its_policies_say(iam, assume):
    iam.create_role(RoleName="viewer", AssumeRolePolicyDocument=trust(f"{ACCOUNT}:user/learner"))
    document = policy(allow("ec2:DescribeVpcs"))
    iam.put_role_policy(RoleName="viewer", PolicyName="own", PolicyDocument=document)
    session = assume("viewer")
    who = session("sts").get_caller_identity()
    assert who["Arn"] == "arn:aws:sts::111122223333:assumed-role/viewer/lesson"
    assert session("ec2").describe_vpcs()["Vpcs"]
    code, message = refused(session("iam").list_users)
    assert code == "AccessDenied" and "assumed-role/viewer/lesson is not authorized" in message


@pytest.mark.parametrize(
    ("principal", "own", "may"),
    [
        # Who is named needs no policy of its own in the same account.
        (f"{ACCOUNT}:user/student", (), True),
        # The account hands the decision to its users' policies.
        (f"{ACCOUNT}:root", (), False),
        (f"{ACCOUNT}:root", (allow("sts:AssumeRole"),), True),
        ("111122223333", (allow("sts:AssumeRole"),), True),
        (f"{ACCOUNT}:user/other", (allow("sts:AssumeRole"),), False),
        (f"{ACCOUNT}:user/student", (allow("sts:*") | {"Effect": "Deny"},), False),
        (f"{ACCOUNT}:root", (allow("sts:AssumeRole", f"{ACCOUNT}:role/other"),), False),
    ],
)
def test_who_may_assume_a_role(iam, user, assume, principal, own, may):
    iam.create_role(RoleName="viewer", AssumeRolePolicyDocument=trust(principal))
    sts = user(*own)("sts")
    if may:
        assert assume("viewer", sts)("sts").get_caller_identity()
    else:
        words = {"RoleArn": f"{ACCOUNT}:role/viewer", "RoleSessionName": "other"}
        assert refused(sts.assume_role, **words)[0] == "AccessDenied"


def test_a_role_that_is_not_there_or_trusts_a_service_alone(side):
    for role in ("nobody", "workbook-node"):
        words = {"RoleArn": f"{ACCOUNT}:role/{role}", "RoleSessionName": "other"}
        assert refused(side.client("sts").assume_role, **words)[0] == "AccessDenied"


def test_an_external_id_is_a_condition_of_trust(iam, assume, side):
    condition = {"Condition": {"StringEquals": {"sts:ExternalId": "autumn"}}}
    document = trust(f"{ACCOUNT}:user/learner", **condition)
    iam.create_role(RoleName="viewer", AssumeRolePolicyDocument=document)
    words = {"RoleArn": f"{ACCOUNT}:role/viewer", "RoleSessionName": "other"}
    assert refused(side.client("sts").assume_role, **words)[0] == "AccessDenied"
    assert assume("viewer", ExternalId="autumn")("sts").get_caller_identity()


def test_a_sessions_policy_and_a_boundary_limit_it(iam, assume):
    arn = iam.create_policy(PolicyName="only", PolicyDocument=policy(allow("ec2:*")))["Policy"]
    iam.create_role(
        RoleName="bounded", AssumeRolePolicyDocument=trust(f"{ACCOUNT}:user/learner"),
        PermissionsBoundary=arn["Arn"],
    )  # fmt: skip
    iam.put_role_policy(RoleName="bounded", PolicyName="all", PolicyDocument=policy(EVERYTHING))
    session = assume("bounded")
    assert session("ec2").describe_vpcs()["Vpcs"]
    assert "permissions boundary" in refused(session("iam").list_users)[1]
    narrow = assume("bounded", Policy=policy(allow("ec2:DescribeSubnets")))
    assert narrow("ec2").describe_subnets()["Subnets"]
    assert refused(narrow("ec2").describe_vpcs)[0] == "UnauthorizedOperation"


def test_a_session_ends(iam, assume, side, monkeypatch):
    iam.create_role(RoleName="viewer", AssumeRolePolicyDocument=trust(f"{ACCOUNT}:user/learner"))
    session = assume("viewer", DurationSeconds=900)
    assert session("sts").get_caller_identity()
    later = datetime.now(UTC) + timedelta(seconds=901)
    monkeypatch.setattr(side.side.front, "_now", lambda: later)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: later, raising=False)
    monkeypatch.setattr("botocore.compat.get_current_datetime", lambda **_: later, raising=False)
    assert refused(session("sts").get_caller_identity)[0] == "ExpiredToken"


def test_a_sessions_key_without_its_token_is_nobodys(iam, side):
    iam.create_role(RoleName="viewer", AssumeRolePolicyDocument=trust(f"{ACCOUNT}:user/learner"))
    words = {"RoleArn": f"{ACCOUNT}:role/viewer", "RoleSessionName": "other"}
    got = side.client("sts").assume_role(**words)["Credentials"]
    for token in (None, "another"):
        sts = side.client("sts", got["AccessKeyId"], got["SecretAccessKey"], token)
        assert refused(sts.get_caller_identity)[0] == "InvalidClientTokenId"


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("get_session_token", {}),
        ("get_federation_token", {"Name": "other"}),
        (
            "assume_role",
            {
                "RoleArn": f"{ACCOUNT}:role/x", "RoleSessionName": "other",
                "PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}],
            },
        ),
    ],
)  # fmt: skip
def test_what_sts_does_not_have_here_is_refused_by_name(side, operation, parameters):
    code, message = refused(getattr(side.client("sts"), operation), **parameters)
    assert code == "InvalidAction"
    assert operation.replace("_", "") in message.lower() and "not part of this sandbox" in message


# Conditions, as the policy of the AWS Load Balancer Controller has them.

GROUPS = "arn:aws:ec2:*:*:security-group/*"
OWNED = "elbv2.k8s.aws/cluster"
CONTROLLER = (
    allow("ec2:CreateSecurityGroup"),
    allow(
        "ec2:CreateTags", GROUPS,
        Condition={
            "StringEquals": {"ec2:CreateAction": "CreateSecurityGroup"},
            "Null": {f"aws:RequestTag/{OWNED}": "false"},
        },
    ),
    allow(
        ["ec2:DeleteSecurityGroup"], "*",
        Condition={"Null": {f"aws:ResourceTag/{OWNED}": "false"}},
    ),
    allow(
        ["elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"], "*",
        Condition={"Null": {f"aws:RequestTag/{OWNED}": "false"}},
    ),
    allow(
        "elasticloadbalancing:AddTags",
        ["arn:aws:elasticloadbalancing:*:*:targetgroup/*/*"],
        Condition={
            "StringEquals": {"elasticloadbalancing:CreateAction": ["CreateTargetGroup"]},
            "Null": {f"aws:RequestTag/{OWNED}": "false"},
        },
    ),
    allow(
        "elasticloadbalancing:DeleteTargetGroup", "*",
        Condition={"Null": {f"aws:ResourceTag/{OWNED}": "false"}},
    ),
    allow(
        "elasticloadbalancing:RegisterTargets",
        "arn:aws:elasticloadbalancing:*:*:targetgroup/*/*",
    ),
    allow(
        "iam:CreateServiceLinkedRole", "*",
        Condition={
            "StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}
        },
    ),
)  # fmt: skip


def test_tags_decide_on_security_groups_as_the_controllers_policy_says(side, user):
    ec2, vpc = user(*CONTROLLER)("ec2"), side.settings.cluster.vpc_id
    group = {"GroupName": "g", "Description": "d", "VpcId": vpc}

    def tagged(**tags):
        listed = [{"Key": key.replace("_", "."), "Value": value} for key, value in tags.items()]
        return [{"ResourceType": "security-group", "Tags": listed}]

    own = [{"ResourceType": "security-group", "Tags": [{"Key": OWNED, "Value": "workbook"}]}]
    assert refused(ec2.create_security_group, **group, TagSpecifications=tagged(team="a")) [0] == (
        "UnauthorizedOperation"
    )  # fmt: skip
    made = ec2.create_security_group(**group, TagSpecifications=own)["GroupId"]
    # The tag was allowed with the creation alone.
    assert refused(ec2.create_tags, Resources=[made], Tags=[{"Key": OWNED, "Value": "x"}])[0] == (
        "UnauthorizedOperation"
    )
    plain = ec2.create_security_group(**{**group, "GroupName": "plain"})["GroupId"]
    assert refused(ec2.delete_security_group, GroupId=plain)[0] == "UnauthorizedOperation"
    ec2.delete_security_group(GroupId=made)


def test_tags_decide_on_target_groups(side, user):
    elb, vpc = user(*CONTROLLER)("elbv2"), side.settings.cluster.vpc_id
    group = {"Name": "t", "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip"}
    assert refused(elb.create_target_group, **group)[0] == "AccessDenied"
    tags = [{"Key": OWNED, "Value": "workbook"}]
    arn = elb.create_target_group(**group, Tags=tags)["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.129.2"}])
    other = side.client("elbv2").create_target_group(**{**group, "Name": "other"})
    arns = other["TargetGroups"][0]["TargetGroupArn"]
    assert refused(elb.delete_target_group, TargetGroupArn=arns)[0] == "AccessDenied"
    elb.delete_target_group(TargetGroupArn=arn)


def test_a_service_linked_role_for_one_service(user):
    iam = user(*CONTROLLER)("iam")
    assert iam.create_service_linked_role(AWSServiceName="elasticloadbalancing.amazonaws.com")
    code, _ = refused(iam.create_service_linked_role, AWSServiceName="spot.amazonaws.com")
    assert code == "AccessDenied"


def test_a_role_is_passed_only_with_permission(user):
    parameters = {
        "clusterName": "workbook", "addonName": "coredns",
        "serviceAccountRoleArn": f"{ACCOUNT}:role/workbook-node",
    }  # fmt: skip
    message = refused(user(allow("eks:*"))("eks").create_addon, **parameters)[1]
    assert "is not authorized to perform: iam:PassRole on resource" in message


# What is not known is refused by name.


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            allow("*", Condition={"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}),
            "the condition operator DateLessThan",
        ),
        (
            allow("*", Condition={"NumericLessThan": {"aws:RequestTag/size": "3"}}),
            "the condition operator NumericLessThan",
        ),
        (
            allow("*", Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}}),
            "the condition key aws:sourcevpc",
        ),
    ],
)
def test_a_condition_that_is_not_known_allows_nothing(user, statement, named):
    code, message = refused(user(statement)("ec2").describe_vpcs)
    assert code == "UnauthorizedOperation"
    assert message.endswith(f"because the sandbox does not know {named}")


def test_a_deny_whose_condition_is_not_known_denies(user):
    unknown = {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}
    deny = allow("ec2:*", Condition=unknown) | {"Effect": "Deny"}
    message = refused(user(EVERYTHING, deny)("ec2").describe_vpcs)[1]
    assert "does not know the condition operator DateLessThan" in message


def test_an_unknown_condition_does_not_take_away_what_another_statement_allows(user):
    unknown = allow("*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    assert user(unknown, allow("ec2:DescribeVpcs"))("ec2").describe_vpcs()["Vpcs"]
