"""The smallest IAM policy and RBAC role: the course runs with them, and they hold no more."""

import json
import os
import shutil
from pathlib import Path

import over_eks
import pytest
import recorded
from recorded import Request
from test_over_eks import NAMES, compare

from eksnet.aws import rights as aws_rights
from eksnet.cluster import connecting, guard, rights, targets
from eksnet.sandbox.aws.settings import ACCOUNT

ADA = f"arn:aws:iam::{ACCOUNT}:user/ada"
# In `make test`: Kubernetes alone, and an add-on of EKS.
PART = ("01a_dns_records", "02a_coredns_addon")


@pytest.fixture
def ada(fresh_sandbox, tmp_path, monkeypatch):
    """A learner who has these rights and no others; returns the endpoint of her AWS."""
    admin = connecting._open_sandbox(
        targets.parse("sandbox"), fresh_sandbox.name, guard.allow_changes
    )
    iam = admin.aws("iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    made = iam.create_policy(
        PolicyName="eksnet-learner", PolicyDocument=json.dumps(aws_rights.policy())
    )
    iam.attach_user_policy(UserName="ada", PolicyArn=made["Policy"]["Arn"])
    admin.aws("eks").create_access_entry(
        clusterName="workbook", principalArn=ADA, kubernetesGroups=[rights.GROUP]
    )
    admin.apply(rights.MANIFEST.read_text())
    for name, value in over_eks.variables(tmp_path / "bin").items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    monkeypatch.setenv("PYTHONPATH", str(recorded.DIRECTORY))
    monkeypatch.setenv("EKSNET_RECORDED", str(tmp_path / "calls"))
    return os.environ["AWS_ENDPOINT_URL"]


def roles():
    return recorded.roles(rights.MANIFEST.read_text())


def outside(directory):
    """Return the calls of a run that the files do not allow."""
    requests, actions = recorded.read(directory / "calls")
    allowed = recorded.allowed_actions(aws_rights.policy())
    return (
        sorted(one for one in requests if not recorded.allows(roles(), one)),
        sorted(
            one
            for one in actions
            # Never denied, whatever a policy says.
            if one != "sts:GetCallerIdentity" and not recorded.is_allowed(one, allowed)
        ),
    )


def run(name, endpoint, directory):
    """Run a notebook as the learner, whom the sandbox's own IAM and RBAC hold to the files."""
    compare(name, endpoint, directory, caller=ADA)
    if kept := os.environ.get("KEEP_CALLS"):
        shutil.copy(directory / "calls", Path(kept) / name)
    assert outside(directory) == ([], [])


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.parametrize("name", PART)
def test_a_learner_with_these_rights_alone_runs_a_notebook(ada, tmp_path, name):
    run(name, ada, tmp_path)


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in NAMES if name not in PART])
def test_a_learner_with_these_rights_alone_runs_the_course(ada, tmp_path, name):
    run(name, ada, tmp_path)


@pytest.mark.parametrize(
    ("method", "path", "watch", "asked"),
    [
        ("GET", "/version", False, None),
        ("GET", "/apis/apps/v1", False, None),
        ("GET", "/api/v1/nodes", False, Request("list", "", "nodes")),
        ("GET", "/api/v1/namespaces/a", False, Request("get", "", "namespaces", "", "a")),
        ("GET", "/api/v1/namespaces/a/pods", True, Request("watch", "", "pods", "a")),
        (
            "GET", "/api/v1/namespaces/a/pods/b/log", False,
            Request("get", "", "pods/log", "a", "b"),
        ),
        (
            "PATCH", "/apis/apps/v1/namespaces/a/deployments/b", False,
            Request("patch", "apps", "deployments", "a", "b"),
        ),
        ("DELETE", "/api/v1/namespaces/a", False, Request("delete", "", "namespaces", "", "a")),
        (
            "POST", "/api/v1/namespaces/a/pods/b/exec", False,
            Request("create", "", "pods/exec", "a", "b"),
        ),
    ],
)  # fmt: skip
def test_a_recorded_request_is_what_rbac_decides_on(method, path, watch, asked):
    assert recorded.request(method, path, watch=watch) == asked


def test_a_call_outside_is_found(tmp_path):
    calls = [
        {"method": "GET", "path": "/api/v1/secrets", "watch": False},
        {"method": "GET", "path": "/api/v1/nodes", "watch": False},
        {"service": "iam", "operation": "CreateUser"},
        {"service": "eks", "operation": "DescribeCluster"},
        {"service": "sts", "operation": "GetCallerIdentity"},
    ]
    (tmp_path / "calls").write_text("".join(json.dumps(one) + "\n" for one in calls))
    assert outside(tmp_path) == ([Request("list", "", "secrets")], ["iam:CreateUser"])


def test_nothing_is_allowed_by_a_star():
    for rule in (rule for one in roles() for rule in one.get("rules") or ()):
        assert "*" not in [*rule["verbs"], *rule["apiGroups"], *rule["resources"]]
    for action in recorded.allowed_actions(aws_rights.policy()):
        service, _, name = action.partition(":")
        # What only tells may be named by its first word.
        assert "*" not in name or name.startswith(("Describe", "List", "Get")), action
        assert service and name != "*"


def test_the_policy_fits_into_one_policy_of_iam():
    # IAM counts no white space, and lets a managed policy have 6,144 characters.
    assert len(json.dumps(aws_rights.policy(), separators=(",", ":"))) < 6144


def test_what_changes_iam_is_limited_to_what_the_course_makes():
    for statement in aws_rights.policy()["Statement"]:
        if any(one.startswith("iam:") and ":List" not in one for one in statement["Action"]):
            resources = statement["Resource"]
            assert all("/" in one and not one.endswith("/*") for one in resources), resources


def test_the_manifest_binds_the_roles_to_the_group_of_learners():
    objects = roles()
    subjects = [one["subjects"] for one in objects if one["kind"].endswith("Binding")]
    assert subjects
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": rights.GROUP}
    assert all(one == [group] for one in subjects)
