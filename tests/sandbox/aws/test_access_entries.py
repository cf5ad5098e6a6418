"""Access entries through boto3: what EKS keeps, and what it refuses in which words."""

import json

import botocore.exceptions
import pytest

from eksnet.sandbox.aws.settings import ACCOUNT
from tests.sandbox.aws.test_addons import refused
from tests.sandbox.aws.test_authenticator import made, review

LEARNER = f"arn:aws:iam::{ACCOUNT}:user/learner"
NODES = f"arn:aws:iam::{ACCOUNT}:role/workbook-node"
HERE = {"clusterName": "workbook"}
POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKS{}Policy"
CLUSTER = {"type": "cluster"}
MISSING = (
    "The specified principalArn could not be found. You can view your available access entries "
    "with 'list-access-entries'."
)


def entry(eks, principal=LEARNER):
    return eks.describe_access_entry(**HERE, principalArn=principal)["accessEntry"]


def policies(eks, principal=LEARNER):
    said = eks.list_associated_access_policies(**HERE, principalArn=principal)
    return {
        one["policyArn"].rpartition("/")[2]: one["accessScope"]
        for one in said["associatedAccessPolicies"]
    }


def test_the_creator_is_admin_and_the_nodes_have_an_entry(eks):
    assert eks.list_access_entries(**HERE)["accessEntries"] == [NODES, LEARNER]
    found = entry(eks)
    assert (found["type"], found["username"], found["kubernetesGroups"]) == (
        "STANDARD",
        LEARNER,
        [],
    )
    assert found["accessEntryArn"].startswith(
        f"arn:aws:eks:ap-northeast-2:{ACCOUNT}:access-entry/workbook/user/{ACCOUNT}/learner/"
    )
    assert policies(eks) == {"AmazonEKSClusterAdminPolicy": {"type": "cluster", "namespaces": []}}
    nodes = entry(eks, NODES)
    assert (nodes["type"], nodes["username"]) == ("EC2_LINUX", "system:node:{{EC2PrivateDNSName}}")
    access = eks.describe_cluster(name="workbook")["cluster"]["accessConfig"]
    assert access == {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True}


def test_an_entry_is_deleted_created_and_changed(side, eks):
    assert review(side, made(side))["authenticated"]
    eks.delete_access_entry(**HERE, principalArn=LEARNER)
    status = review(side, made(side))
    assert (status["authenticated"], status["error"]) == (
        False, f"{LEARNER} has no access entry",
    )  # fmt: skip
    created = eks.create_access_entry(
        **HERE, principalArn=LEARNER, kubernetesGroups=["viewers"], tags={"a": "b"}
    )["accessEntry"]
    assert (created["username"], created["tags"]) == (LEARNER, {"a": "b"})
    assert review(side, made(side))["user"]["groups"] == ["viewers"]
    assert policies(eks) == {}
    eks.update_access_entry(**HERE, principalArn=LEARNER, username="me")
    user = review(side, made(side))["user"]
    assert (user["username"], user["groups"]) == ("me", ["viewers"])
    eks.update_access_entry(**HERE, principalArn=LEARNER, kubernetesGroups=[])
    user = review(side, made(side))["user"]
    assert (user["username"], user["groups"]) == ("me", [])


def test_policies_come_with_a_scope_and_go(eks):
    eks.associate_access_policy(
        **HERE, principalArn=LEARNER, policyArn=POLICY.format("Edit"),
        accessScope={"type": "namespace", "namespaces": ["shop", "dev-*"]},
    )  # fmt: skip
    assert policies(eks)["AmazonEKSEditPolicy"]["namespaces"] == ["shop", "dev-*"]
    again = eks.associate_access_policy(
        **HERE, principalArn=LEARNER, policyArn=POLICY.format("Edit"), accessScope=CLUSTER
    )["associatedAccessPolicy"]
    assert again["accessScope"] == {"type": "cluster", "namespaces": []}
    assert again["associatedAt"] < again["modifiedAt"]
    filtered = {"associatedPolicyArn": POLICY.format("Edit")}
    assert eks.list_access_entries(**HERE, **filtered)["accessEntries"] == [LEARNER]
    eks.disassociate_access_policy(**HERE, principalArn=LEARNER, policyArn=POLICY.format("Edit"))
    assert eks.list_access_entries(**HERE, **filtered)["accessEntries"] == []
    assert list(policies(eks)) == ["AmazonEKSClusterAdminPolicy"]


def test_the_policies_that_there_are(eks):
    listed = eks.list_access_policies()["accessPolicies"]
    assert [one["name"] for one in listed] == [
        f"AmazonEKS{name}Policy" for name in ("Admin", "ClusterAdmin", "Edit", "View")
    ]
    assert listed[0]["arn"] == POLICY.format("Admin")
    pages = eks.get_paginator("list_access_policies").paginate(PaginationConfig={"PageSize": 3})
    assert [len(page["accessPolicies"]) for page in pages] == [3, 1]
    assert refused(eks.list_access_policies, nextToken="x")[0] == "InvalidParameterException"


INVALID = "InvalidParameterException"
PRINCIPAL = "The specified principalArn is invalid: invalid principal."


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            {"principalArn": LEARNER}, "ResourceInUseException",
            "The specified access entry resource is already in use on this cluster.",
        ),
        ({"principalArn": f"arn:aws:iam::{ACCOUNT}:user/nobody"}, INVALID, PRINCIPAL),
        ({"principalArn": f"arn:aws:iam::{ACCOUNT}:group/all"}, INVALID, PRINCIPAL),
        ({"principalArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/a/b"}, INVALID, PRINCIPAL),
        ({"principalArn": "me"}, INVALID, PRINCIPAL),
        (
            {"principalArn": f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/x/y"}, INVALID,
            "The caller is not allowed to modify access entries with a principalArn value of a "
            "Service Linked Role",
        ),
        (
            {"kubernetesGroups": ["system:masters"]}, INVALID,
            "The kubernetes group name system:masters is invalid, it cannot start with system:",
        ),
        ({"username": "system:admin"}, INVALID, "The username must not begin with system:"),
        ({"username": "eks:x"}, INVALID, "The username must not begin with eks:"),
        (
            {"username": "john{{SessionName}}"}, INVALID,
            "The username must have a colon before {{SessionName}}",
        ),
        (
            {"type": "FARGATE_LINUX"}, INVALID,
            "access entries of type FARGATE_LINUX are not part of this sandbox",
        ),
    ],
)  # fmt: skip
def test_what_is_no_access_entry(eks, change, code, message):
    if change.get("principalArn") != LEARNER:
        eks.delete_access_entry(**HERE, principalArn=LEARNER)
    assert refused(eks.create_access_entry, **{**HERE, "principalArn": LEARNER, **change}) == (
        code, message,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        ({"policyArn": POLICY.format("Nothing")}, INVALID, "list-access-policies"),
        ({"policyArn": "AmazonEKSViewPolicy"}, INVALID, "list-access-policies"),
        ({"accessScope": {"type": "namespace"}}, INVALID, "has namespaces"),
        ({"accessScope": {"type": "cluster", "namespaces": ["a"]}}, INVALID, "has namespaces"),
        ({"accessScope": {"type": "all"}}, INVALID, "must be one of cluster, namespace, not all"),
        (
            {"accessScope": {"type": "namespace", "namespaces": ["[a]"]}}, INVALID,
            "'[a]' is not the name of a namespace",
        ),
        ({"principalArn": NODES}, "InvalidRequestException", "type EC2_LINUX"),
        ({"principalArn": "arn:x"}, "ResourceNotFoundException", MISSING),
    ],
)  # fmt: skip
def test_what_cannot_be_associated(eks, change, code, part):
    said = {"principalArn": LEARNER, "policyArn": POLICY.format("View"), "accessScope": CLUSTER}
    told = refused(eks.associate_access_policy, **HERE, **{**said, **change})
    assert (told[0], part in told[1]) == (code, True), told
    assert list(policies(eks)) == ["AmazonEKSClusterAdminPolicy"]


def test_an_entry_that_is_not_there(eks):
    nobody = {**HERE, "principalArn": f"arn:aws:iam::{ACCOUNT}:user/nobody"}
    for call in (
        eks.describe_access_entry, eks.update_access_entry, eks.delete_access_entry,
        eks.list_associated_access_policies,
    ):  # fmt: skip
        assert refused(call, **nobody) == ("ResourceNotFoundException", MISSING)
    own = {**HERE, "principalArn": LEARNER, "policyArn": POLICY.format("View")}
    assert refused(eks.disassociate_access_policy, **own)[0] == "ResourceNotFoundException"


def test_another_cluster_is_not_there(eks):
    code, message = refused(eks.list_access_entries, clusterName="other")
    assert (code, message) == ("ResourceNotFoundException", "No cluster found for name: other.")


def test_they_outlive_the_process(side, eks):
    eks.update_access_entry(**HERE, principalArn=LEARNER, kubernetesGroups=["ops"])
    eks.associate_access_policy(
        **HERE, principalArn=LEARNER, policyArn=POLICY.format("View"),
        accessScope={"type": "namespace", "namespaces": ["shop"]},
    )  # fmt: skip
    before = (entry(eks), policies(eks))
    side.stop()
    side.start()
    assert (entry(side.client()), policies(side.client())) == before


def test_records_of_an_earlier_version_get_the_first_entries(side):
    side.stop()
    file = side.records
    file.write_text(json.dumps({"addons": {}, "updates": {}}))
    side.start()
    assert side.client().list_access_entries(**HERE)["accessEntries"] == [NODES, LEARNER]


def test_a_deleted_entry_stays_deleted(side, eks):
    eks.delete_access_entry(**HERE, principalArn=LEARNER)
    side.stop()
    side.start()
    with pytest.raises(botocore.exceptions.ClientError):
        entry(side.client())
