"""Signing in to the sandbox's API server: tokens, access entries and policies, through kubectl."""

import http.client
import json
import os
import signal
import ssl
from datetime import UTC, datetime, timedelta

import faults
import pytest

import eksnet
from eksnet.aws import Account
from eksnet.aws.tokens import token
from eksnet.cluster import access as reached
from eksnet.cluster import connect
from eksnet.cluster.countdown import until
from eksnet.sandbox import lifecycle, paths
from eksnet.sandbox.aws.access import access
from eksnet.sandbox.aws.settings import ACCOUNT

pytestmark = pytest.mark.sandbox
LEARNER = f"arn:aws:iam::{ACCOUNT}:user/learner"
HERE = {"clusterName": "workbook", "principalArn": LEARNER}
POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKS{}Policy"
# Longer than the API server believes what it was told.
PATIENCE = 30


@pytest.fixture
def own(live_sandbox):
    """The learner's account of the suite's sandbox."""
    return reached.sandbox_account(live_sandbox.name)


def made(account, minutes=0, **changes):
    signer = Account(**{**vars(account), **changes})
    return token(signer, datetime.now(UTC) + timedelta(minutes=minutes)).text


def asked(bearer, path="/api/v1/nodes"):
    """Ask the API server with a token; return the HTTP status."""
    found = access()
    trust = ssl.create_default_context(cafile=str(found.authority))
    host = found.api_server.removeprefix("https://")
    connection = http.client.HTTPSConnection(host, context=trust, timeout=30)
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    connection.request("GET", path, headers=headers)
    return connection.getresponse().status


def test_the_learner_is_who_eks_says(kubectl, own):
    user = json.loads(kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert (user["username"], user["groups"]) == (LEARNER, ["system:authenticated"])
    assert user["uid"] == f"aws-iam-authenticator:{ACCOUNT}:{user['extra']['principalId'][0]}"
    assert user["extra"]["accessKeyId"] == [own.access_key]


def test_rbac_does_not_list_what_access_policies_allow(kubectl):
    assert kubectl("auth", "can-i", "*", "*").strip() == "yes"
    assert "*.*" not in kubectl("auth", "can-i", "--list")


def test_a_kubeconfig_has_no_secret_and_no_certificate_of_a_user(live_sandbox):
    text = live_sandbox.kubeconfig.read_text()
    own = json.loads(paths.paths().aws_keys.read_text())
    assert own["secret"] not in text and "client-key" not in text
    assert not (paths.paths().identity / "admin.key").exists()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"minutes": -14}, 200),
        ({"minutes": -16}, 401),
        ({"minutes": 20}, 401),
        ({"cluster": "another"}, 401),
        ({"secret": "wrong"}, 401),
        ({"access_key": "AKIAUNKNOWN"}, 401),
        ({"endpoint": "http://192.0.2.1"}, 401),
        ({"region": "us-east-1"}, 200),
        ({"endpoint": "https://sts.ap-northeast-2.amazonaws.com"}, 200),
    ],
)
def test_which_tokens_open_the_cluster(own, changes, status):
    bearer = made(own, **changes)
    # The same bytes again are accepted, as on AWS.
    assert [asked(bearer) for _ in range(2)] == [status, status]


def test_nothing_else_opens_it(own):
    good = made(own)
    for bearer in ("", "x", good[:-4], f"{good}AAAA", good.replace("k8s-aws-v1.", "k8s-aws-v2.")):
        assert asked(bearer) == 401
    assert asked("", "/healthz") == 200


def test_the_tokens_of_pods_are_the_clusters_issuers_and_still_open_it(cluster, kubectl):
    issuer = cluster.aws("eks").describe_cluster(name="workbook")["cluster"]["identity"]["oidc"]
    published = json.loads(kubectl("get", "--raw", "/.well-known/openid-configuration"))
    assert published["issuer"] == issuer["issuer"]
    bearer = kubectl("create", "token", "default").strip()
    # It is somebody, without any rights.
    assert asked(bearer) == 403


def test_who_impersonates_has_no_access_policies(kubectl):
    told = kubectl("get", "nodes", "--as", LEARNER, code=1)
    assert f'User "{LEARNER}" cannot list resource "nodes"' in told


def status_is(bearer, path, status):
    return until(path, lambda: asked(bearer, path) == status, PATIENCE)


@pytest.fixture
def entry(cluster):
    """EKS's API, and the learner's access entry as it was afterwards."""
    eks = cluster.aws("eks")
    yield eks
    listed = eks.list_access_entries(clusterName="workbook")["accessEntries"]
    if LEARNER in listed:
        eks.delete_access_entry(**HERE)
    eks.create_access_entry(**HERE)
    admin = POLICY.format("ClusterAdmin")
    eks.associate_access_policy(**HERE, policyArn=admin, accessScope={"type": "cluster"})
    assert until("the learner's access entry", signs_in, PATIENCE)


def signs_in():
    try:
        connect("sandbox")
    except eksnet.EksnetError:
        return False
    return True


def test_the_entry_decides_who_gets_in_and_its_policies_what_may_be_done(entry, own):
    bearer = made(own)
    pods, system = ("/api/v1/namespaces/default/pods", "/api/v1/namespaces/kube-system/pods")
    entry.disassociate_access_policy(**HERE, policyArn=POLICY.format("ClusterAdmin"))
    assert status_is(bearer, pods, 403)
    entry.associate_access_policy(
        **HERE, policyArn=POLICY.format("View"),
        accessScope={"type": "namespace", "namespaces": ["def*"]},
    )  # fmt: skip
    assert status_is(bearer, pods, 200)
    assert asked(bearer, system) == 403
    assert asked(bearer, "/api/v1/namespaces/default/secrets") == 403
    entry.delete_access_entry(**HERE)
    assert status_is(bearer, pods, 401)
    with pytest.raises(eksnet.EksnetError, match="Unauthorized") as refused:
        connect("sandbox")
    assert "eksnet logs aws" in refused.value.next_step
    assert f"{LEARNER} has no access entry" in paths.paths().log("aws").read_text()


def test_groups_are_those_of_rbac(entry, own, cluster):
    manifest = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: node-watchers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: watchers}]
"""
    cluster.apply(manifest)
    bearer = made(own)
    entry.disassociate_access_policy(**HERE, policyArn=POLICY.format("ClusterAdmin"))
    entry.update_access_entry(**HERE, kubernetesGroups=["watchers"])
    assert status_is(bearer, "/api/v1/nodes", 403)
    assert status_is(bearer, "/api/v1/pods", 200)
    entry.associate_access_policy(
        **HERE, policyArn=POLICY.format("ClusterAdmin"), accessScope={"type": "cluster"}
    )
    assert status_is(bearer, "/api/v1/nodes", 200)
    cluster.delete_manifest(manifest)


def test_a_killed_authenticator_comes_back(cluster, own):
    before = faults.component_pid("aws")
    os.kill(before, signal.SIGKILL)
    gone = ([], [before])
    assert until("another process", lambda: faults.component_pids("aws") not in gone, PATIENCE)
    # It counts as up when somebody can sign in.
    lifecycle.up()
    assert asked(made(own, minutes=-1)) == 200


def test_no_pod_reaches_the_authenticator(cluster):
    # What nc complains of is another stream than the codes, so it may come after them.
    script = (
        "for address in 10.0.0.10 10.0.0.11;"
        " do nc -w 3 $address 21362 </dev/null 2>/dev/null; echo $?; done"
    )
    assert cluster.run("busybox:1.36", ["sh", "-c", script]).output.split() == ["1", "1"]
