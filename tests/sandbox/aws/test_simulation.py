"""IAM's simulation: what it says of a request is what becomes of the request."""

import json

import botocore.exceptions
import pytest

LEARNER = "arn:aws:iam::111122223333:user/learner"
ROLE = "arn:aws:iam::111122223333:role/workbook-node"


def statement(effect, action, resource="*", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def simulated(side, action, resource="*", source=LEARNER):
    """Return the decision on one action, and who is judged."""
    (one,) = side.client("iam").simulate_principal_policy(
        PolicySourceArn=source, ActionNames=[action], ResourceArns=[resource]
    )["EvaluationResults"]
    assert (one["EvalActionName"], one["EvalResourceName"]) == (action, resource)
    return one["EvalDecision"]


@pytest.fixture
def limited(side):
    """Give the learner one policy, and nothing else but what these tests need."""

    def limit(*statements):
        iam = side.client("iam")
        own = statement("Allow", ["iam:Simulate*", "iam:PutUserPolicy"])
        iam.put_user_policy(
            UserName="learner", PolicyName="own",
            PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [own, *statements]}),
        )  # fmt: skip
        iam.detach_user_policy(
            UserName="learner", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        )

    return limit


CASES = (
    ("allowed", [statement("Allow", "ec2:DescribeVpcs")]),
    ("implicitDeny", [statement("Allow", "ec2:DescribeSubnets")]),
    ("explicitDeny", [statement("Allow", "ec2:*"), statement("Deny", "ec2:Describe*")]),
    ("allowed", [statement("Allow", "ec2:*",
                           Condition={"StringEquals": {"aws:username": "learner"}})]),
    ("implicitDeny", [statement("Allow", "ec2:*",
                                Condition={"StringEquals": {"aws:username": "other"}})]),
)  # fmt: skip


@pytest.mark.parametrize(("decision", "statements"), CASES)
def test_a_decision_is_what_becomes_of_the_request(side, limited, decision, statements):
    limited(*statements)
    assert simulated(side, "ec2:DescribeVpcs") == decision
    if decision == "allowed":
        assert side.client("ec2").describe_vpcs()["Vpcs"]
    else:
        with pytest.raises(botocore.exceptions.ClientError, match="UnauthorizedOperation"):
            side.client("ec2").describe_vpcs()


def test_a_resource_counts(side, limited):
    limited(statement("Allow", "iam:GetRole", ROLE))
    assert simulated(side, "iam:GetRole", ROLE) == "allowed"
    assert simulated(side, "iam:GetRole", f"{ROLE}-2") == "implicitDeny"


def test_a_role_is_judged_by_its_own_policies(side):
    assert simulated(side, "ec2:DescribeInstances", source=ROLE) == "allowed"
    assert simulated(side, "iam:CreateRole", source=ROLE) == "implicitDeny"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"PolicySourceArn": f"{LEARNER}2"}, "NoSuchEntity"),
        ({"PolicySourceArn": LEARNER, "ResourceOwner": LEARNER}, "InvalidInput"),
    ],
)
def test_what_cannot_be_simulated_is_refused(side, asked, code):
    with pytest.raises(botocore.exceptions.ClientError, match=code):
        side.client("iam").simulate_principal_policy(ActionNames=["ec2:DescribeVpcs"], **asked)


def test_it_may_be_denied_itself(side, limited):
    limited(statement("Deny", "iam:Simulate*"))
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        simulated(side, "ec2:DescribeVpcs")
