"""The smallest IAM policy and RBAC role: the course runs with them, and they hold no more."""

import json
import subprocess
import sys

import over_eks
import pytest
import recorded
from recorded import Request

from eksnet.aws import rights as aws_rights
from eksnet.cluster import rights

# In `make test`: Kubernetes alone, and an add-on of EKS.
PART = ("01a_dns_records", "02a_coredns_addon")
# In `make soak`: its first cell installs the controller, which the whole course finds installed.
INSTALLS = "04b_annotations"
# What looks around, and takes away what that lesson has left.
COMMANDS = ("doctor", "cost", "rollback", "cleanup --check", "cleanup", "cleanup --check")


@pytest.fixture
def admin(fresh_sandbox):
    return over_eks.administrator(fresh_sandbox.name)


def become_ada(admin, directory, patch):
    """Be the learner, whom the sandbox's own IAM and RBAC hold to the files; return the calls."""
    calls = directory / "calls"
    over_eks.set_variables(patch, over_eks.variables(directory / "bin"))
    over_eks.set_variables(patch, {**over_eks.ada(admin), **recorded.variables(calls)})
    return calls


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.parametrize("name", PART)
def test_a_learner_with_these_rights_alone_runs_a_notebook(admin, tmp_path, monkeypatch, name):
    calls = become_ada(admin, tmp_path, monkeypatch)
    over_eks.compare(name, tmp_path, over_eks.ADA)
    recorded.keep(calls, name)
    assert recorded.outside(calls) == ([], [])


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
def test_a_learner_with_these_rights_alone_installs_the_controller_and_cleans_up(
    admin, tmp_path, monkeypatch
):
    calls = become_ada(admin, tmp_path, monkeypatch)
    over_eks.compare(INSTALLS, tmp_path, over_eks.ADA)
    said = [command(one) for one in COMMANDS]
    recorded.keep(calls, "commands")
    # The doctor asks what the policy allows; it need not be allowed to, and says so.
    assert recorded.outside(calls) == ([], ["iam:SimulatePrincipalPolicy"])
    assert (said[0].returncode, "iam:SimulatePrincipalPolicy" in said[0].stdout) == (2, True)
    # Things are left until the clean-up, and then none is.
    *_, left, cleaned, clean = said
    assert (left.returncode, cleaned.returncode, clean.returncode) == (1, 0, 0), said
    # What could not be found out would be 2.
    assert {one.returncode for one in said[1:]} <= {0, 1}, said


def command(words):
    return subprocess.run(
        [sys.executable, "-m", "eksnet.cli", *words.split()],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("method", "path", "watch", "asked"),
    [
        ("GET", "/version", False, None),
        ("GET", "/apis/apps/v1", False, None),
        ("GET", "/api/v1/nodes", False, Request("list", "", "nodes")),
        ("GET", "/api/v1/namespaces/a", False, Request("get", "", "namespaces", "", "a")),
        ("GET", "/api/v1/namespaces/a/pods", True, Request("watch", "", "pods", "a")),
        # As a program asks that has its own words: CoreDNS in a trial.
        ("GET", "/api/v1/services?limit=5&watch=true", False, Request("watch", "", "services")),
        (
            "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa", False,
            Request("get", "rbac.authorization.k8s.io", "clusterroles", "", "system:a"),
        ),
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
    assert recorded.outside(tmp_path / "calls") == (
        [Request("list", "", "secrets")],
        ["iam:CreateUser"],
    )


def test_each_right_is_used_or_has_another_reason():
    used, others = recorded.rows(recorded.USED), recorded.rows(recorded.OTHERS)
    allowed = set(recorded.granted())
    idle = {one for one in allowed if not any(recorded.is_allowed(right, [one]) for right in used)}
    assert sorted(one for one in idle if not recorded.is_allowed(one, others)) == []
    # A reason stands for something that is allowed, and that nothing shows to be used.
    stale = [one for one in others if not any(recorded.is_allowed(right, [one]) for right in idle)]
    assert stale == []
    assert all(others.values())
    assert [right for right in used if not recorded.is_allowed(right, allowed)] == []


def test_nothing_is_allowed_by_a_star():
    for rule in (rule for one in recorded.learner_roles() for rule in one.get("rules") or ()):
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
    objects = recorded.learner_roles()
    subjects = [one["subjects"] for one in objects if one["kind"].endswith("Binding")]
    assert subjects
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": rights.GROUP}
    assert all(one == [group] for one in subjects)
