"""IAM policies, held to the decisions that AWS documents."""

import json

import pytest

from eksnet.sandbox.aws.policies import Asked, Decision, PolicyError, decide, parse

ALLOWED, DENIED, NOT = Decision.ALLOWED, Decision.DENIED, Decision.NOT_ALLOWED
ALB = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:loadbalancer/app/a/1"
GROUP = "arn:aws:ec2:ap-northeast-2:111122223333:security-group/sg-1"


def statement(effect="Allow", action="*", resource="*", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def decision(statements, action="eks:DescribeCluster", resource="*", **keys):
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    context = {key.lower(): tuple(values) for key, values in keys.items()}
    return decide(parse(document), Asked(action, resource, context))


@pytest.mark.parametrize(
    ("statements", "action", "resource", "expected"),
    [
        # "By default, all requests are implicitly denied."
        ([], "eks:DescribeCluster", "*", NOT),
        (statement(), "eks:DescribeCluster", "*", ALLOWED),
        # "An explicit deny in any policy overrides any allows."
        ([statement(), statement("Deny", "eks:*")], "eks:DescribeCluster", "*", DENIED),
        ([statement("Deny", "eks:*"), statement()], "ec2:DescribeVpcs", "*", ALLOWED),
        # Actions are not case-sensitive; `*` and `?` stand for any characters.
        (statement(action="EKS:describe*"), "eks:DescribeCluster", "*", ALLOWED),
        (statement(action="eks:Describe?luster"), "eks:DescribeCluster", "*", ALLOWED),
        (statement(action="eks:Describe"), "eks:DescribeCluster", "*", NOT),
        (statement(action=["a:b", "eks:DescribeCluster"]), "eks:DescribeCluster", "*", ALLOWED),
        # Resources are case-sensitive.
        (statement(resource="arn:aws:*:loadbalancer/app/*/*"), "x:y", ALB, ALLOWED),
        (statement(resource="arn:aws:*:loadbalancer/net/*/*"), "x:y", ALB, NOT),
        (statement(resource=ALB.upper()), "x:y", ALB, NOT),
        # A dot is a dot.
        (statement(resource="a.c"), "x:y", "abc", NOT),
    ],
)
def test_effects_actions_and_resources(statements, action, resource, expected):
    assert decision(statements, action, resource) is expected


def test_not_action_is_everything_else():
    only = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    assert decision(only, "ec2:DescribeVpcs") is ALLOWED
    assert decision(only, "iam:CreateUser") is NOT
    deny = {"Effect": "Deny", "NotAction": "eks:*", "Resource": "*"}
    assert decision([statement(), deny], "ec2:DescribeVpcs") is DENIED
    assert decision([statement(), deny], "eks:ListClusters") is ALLOWED


def test_not_resource_is_everything_else():
    only = {"Effect": "Allow", "Action": "*", "NotResource": GROUP}
    assert decision(only, "x:y", ALB) is ALLOWED
    assert decision(only, "x:y", GROUP) is NOT


TAG, CALLER = "aws:ResourceTag/team", "aws:username"


@pytest.mark.parametrize(
    ("condition", "keys", "expected"),
    [
        ({"StringEquals": {TAG: "a"}}, {TAG: ["a"]}, True),
        ({"StringEquals": {TAG: "a"}}, {TAG: ["A"]}, False),
        ({"StringEquals": {TAG: ["b", "a"]}}, {TAG: ["a"]}, True),
        # A key that is not in the request does not match; negated operators do.
        ({"StringEquals": {TAG: "a"}}, {}, False),
        ({"StringNotEquals": {TAG: "a"}}, {}, True),
        ({"StringNotEquals": {TAG: "a"}}, {TAG: ["a"]}, False),
        # Several values of a negated operator: none of them may match.
        ({"StringNotEquals": {TAG: ["a", "b"]}}, {TAG: ["b"]}, False),
        ({"StringNotEquals": {TAG: ["a", "b"]}}, {TAG: ["c"]}, True),
        ({"StringEqualsIfExists": {TAG: "a"}}, {}, True),
        ({"StringEqualsIfExists": {TAG: "a"}}, {TAG: ["b"]}, False),
        ({"StringLike": {TAG: "a*"}}, {TAG: ["abc"]}, True),
        ({"StringEquals": {TAG: "a*"}}, {TAG: ["abc"]}, False),
        ({"StringEqualsIgnoreCase": {TAG: "A"}}, {TAG: ["a"]}, True),
        ({"ArnLike": {TAG: "arn:aws:iam::*:role/*"}}, {TAG: ["arn:aws:iam::1:role/x"]}, True),
        ({"Null": {TAG: "true"}}, {}, True),
        ({"Null": {TAG: "true"}}, {TAG: ["a"]}, False),
        ({"Null": {TAG: "false"}}, {TAG: ["a"]}, True),
        ({"Null": {TAG: False}}, {}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"aws:SecureTransport": ["true"]}, True),
        ({"Bool": {"aws:SecureTransport": True}}, {"aws:SecureTransport": ["false"]}, False),
        # "ForAllValues returns true if the request has no such key."
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {}, True),
        (
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}},
            {"aws:TagKeys": ["a"]}, True,
        ),
        (
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}},
            {"aws:TagKeys": ["a", "c"]}, False,
        ),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}, {"aws:TagKeys": ["c", "a"]}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}, {}, False),
        # Condition keys are not case-sensitive.
        ({"StringEquals": {"AWS:resourcetag/TEAM": "a"}}, {TAG: ["a"]}, True),
        # Several keys and operators: all have to hold.
        ({"StringEquals": {TAG: "a", CALLER: "b"}}, {TAG: ["a"]}, False),
        ({"StringEquals": {TAG: "a"}, "Null": {CALLER: "true"}}, {TAG: ["a"]}, True),
        # Variables; `${*}` is the character.
        ({"StringEquals": {TAG: "${aws:username}"}}, {TAG: ["ann"], CALLER: ["ann"]}, True),
        ({"StringEquals": {TAG: "${aws:username}"}}, {TAG: ["ann"]}, False),
        ({"StringLike": {TAG: "${*}"}}, {TAG: ["x"]}, False),
        ({"StringLike": {TAG: "${*}"}}, {TAG: ["*"]}, True),
    ],
)  # fmt: skip
def test_conditions(condition, keys, expected):
    found = decision(statement(Condition=condition), **keys)
    assert (found is ALLOWED) == expected


def test_a_value_is_never_read_as_a_pattern():
    mine = statement(resource="arn:${aws:username}")
    assert decision(mine, "x:y", "arn:anything", **{CALLER: ["*"]}) is NOT
    assert decision(mine, "x:y", "arn:*", **{CALLER: ["*"]}) is ALLOWED


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"Condition": {"NumericLessThan": {"a": "1"}}}, "NumericLessThan"),
        ({"Condition": {"ForSomeValues:StringEquals": {"a": "1"}}}, "ForSomeValues:StringEquals"),
    ],
)
def test_an_operator_that_is_not_known_is_refused_by_name(change, named):
    for effect in ("Allow", "Deny"):
        with pytest.raises(PolicyError, match=named):
            decision(statement(effect, **change), a=["1"])
    # Where the statement is about something else, it does not matter.
    assert decision(statement(action="ec2:*", **change)) is NOT


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("{", "not JSON"),
        ("[]", "Version"),
        ('{"Version": "2026-01-01", "Statement": []}', "Version"),
        ('{"Statement": 5}', "object"),
        ('{"Statement": {"Effect": "allow", "Action": "*", "Resource": "*"}}', "Effect"),
        ('{"Statement": {"Effect": "Allow", "Resource": "*"}}', "Action or NotAction"),
        ('{"Statement": {"Effect": "Allow", "Action": "*"}}', "Resource or NotResource"),
        ('{"Statement": {"Effect": "Allow", "Action": [], "Resource": "*"}}', "Action must"),
        ('{"Statement": {"Effect": "Allow", "Action": [{}], "Resource": "*"}}', "Action must"),
        (
            '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}}',
            "the element Principal",
        ),
        (
            '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": []}}',
            "Condition must",
        ),
    ],
)
def test_what_is_no_policy(document, told):
    with pytest.raises(PolicyError, match=told):
        parse(document)
