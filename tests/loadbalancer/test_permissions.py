"""The controller's IAM policy: the table of its statements, and what needs the cluster's tag."""

import json

import pytest

from eksnet import data, loadbalancer
from eksnet.errors import EksnetError

STATEMENTS = json.loads(loadbalancer.iam_policy())["Statement"]
ROWS = data.rows("controller_policy")


def test_the_table_has_a_row_for_each_statement():
    assert [
        (int(row["statement"]), int(row["actions"]), row["first"]) for row in ROWS
    ] == [
        (number, len(one["Action"]), one["Action"][0]) for number, one in enumerate(STATEMENTS, 1)
    ]  # fmt: skip
    assert all(row["for"].endswith(".") for row in ROWS)


@pytest.mark.parametrize("number", range(len(STATEMENTS)))
def test_the_table_names_a_condition_where_there_is_one(number):
    condition, told = STATEMENTS[number].get("Condition", {}), ROWS[number]["only_if"]
    assert bool(condition) == bool(told)
    nulls = condition.get("Null", {})
    if nulls.get("aws:ResourceTag/elbv2.k8s.aws/cluster") == "false":
        assert "has the cluster's tag already" in told
    elif nulls:
        assert "created with the cluster's tag" in told


@pytest.mark.parametrize(
    ("action", "everywhere"),
    [
        ("ec2:DescribeSubnets", True),
        ("ec2:AuthorizeSecurityGroupIngress", True),
        ("ec2:DeleteSecurityGroup", False),
        ("elasticloadbalancing:CreateLoadBalancer", False),
        ("elasticloadbalancing:DeleteLoadBalancer", False),
        ("elasticloadbalancing:DeleteRule", True),
        ("elasticloadbalancing:RegisterTargets", True),
    ],
)
def test_what_is_allowed_on_things_of_others(action, everywhere):
    assert loadbalancer.allowed_everywhere(action) is everywhere


def test_a_policy_without_its_conditions_allows_all_of_it():
    bare = [{key: one[key] for key in ("Effect", "Action", "Resource")} for one in STATEMENTS]
    policy = json.dumps({"Statement": bare})
    assert loadbalancer.allowed_everywhere("ec2:DeleteSecurityGroup", policy)


@pytest.mark.parametrize(
    ("action", "policy"),
    [("s3:GetObject", ""), ("", ""), (None, ""), ("a:B", "no JSON"), ("a:B", "[]"), ("a:B", "{}")],
)
def test_what_is_no_action_of_a_policy_is_refused(action, policy):
    with pytest.raises(EksnetError):
        loadbalancer.allowed_everywhere(action, policy)
