"""What can go wrong between a learner and an EKS cluster, on the sandbox as one.

Each call either succeeds after waiting, or stops with a clear word and can be made again; nothing
of it is lost or left.
"""

import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import between
import pytest

from eksnet.aws.tokens import Token, token
from eksnet.cluster import eks, guard, targets
from eksnet.cluster.client import ApiError
from eksnet.errors import EksnetError, RefusedError
from eksnet.sandbox import environment, lifecycle
from eksnet.sandbox.aws.access import access
from eksnet.sandbox.aws.settings import ACCOUNT

pytestmark = pytest.mark.sandbox
TARGET = targets.parse("eks:workbook@ap-northeast-2")
SPACE = "own"
POD = f"""
{{apiVersion: v1, kind: Namespace, metadata: {{name: {SPACE}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: one, namespace: {SPACE}}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, image: "busybox:1.36", command: [sleep, infinity]}}]
"""
CUT = 10
STUDENT = f"arn:aws:iam::{ACCOUNT}:user/student"


@dataclass
class Between:
    """What is between the learner and the sandbox.

    Attributes:
        api: The wire to the API server.
        gate: The wire to AWS.
        aws: AWS behind it.
    """

    api: between.Wire
    gate: between.Wire
    aws: between.Aws

    def cut(self, seconds):
        self.api.cut(seconds)
        self.gate.cut(seconds)


@pytest.fixture
def way(live_sandbox, monkeypatch):
    lifecycle.up()
    found = access()
    api = between.Wire(int(found.api_server.rpartition(":")[2]))
    aws = between.Aws(found.endpoint, found.api_server, api)
    gate = between.Wire(aws.server_port)
    for name, value in environment.variables(os.environ).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{gate.port}")
    # Tokens are signed for the address that the cluster knows.
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", found.endpoint)
    monkeypatch.setenv("EKSNET_CHANGES", TARGET.name)
    monkeypatch.setattr(eks, "_found", {})
    monkeypatch.setattr(guard, "_named", set())
    yield Between(api, gate, aws)
    for one in (api, gate, aws):
        one.close()


@pytest.fixture
def own(way, cluster):
    """The learner's own cluster, with nothing of the test's own left in the end."""
    yield eks.open_own(TARGET, None)
    cluster.delete(f"namespace/{SPACE}")


@pytest.fixture
def student(cluster, monkeypatch, way):
    """Somebody who may sign in, and nothing else; returns what takes the key away."""
    iam, aws = cluster.aws("iam"), cluster.aws("eks")
    arn = iam.create_user(UserName="student")["User"]["Arn"]
    key = iam.create_access_key(UserName="student")["AccessKey"]
    document = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",'
        ' "Action": ["eks:DescribeCluster", "eks:ListAddons"]}]}'
    )
    iam.put_user_policy(UserName="student", PolicyName="own", PolicyDocument=document)
    aws.create_access_entry(clusterName="workbook", principalArn=arn, kubernetesGroups=["students"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])

    def take_away():
        iam.delete_access_key(UserName="student", AccessKeyId=key["AccessKeyId"])

    yield take_away
    for one in iam.list_access_keys(UserName="student")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="student", AccessKeyId=one["AccessKeyId"])
    aws.delete_access_entry(clusterName="workbook", principalArn=arn)
    iam.delete_user_policy(UserName="student", PolicyName="own")
    iam.delete_user(UserName="student")


def test_a_cut_of_ten_seconds_is_waited_for(own, way):
    began = time.monotonic()
    way.cut(CUT)
    own.apply(POD)
    assert time.monotonic() - began > CUT - 1
    own.wait("pod/one", condition="Ready", namespace=SPACE)
    assert own.aws("eks").list_clusters()["clusters"] == ["workbook"]
    assert way.api.cuts == 1


def test_a_wait_goes_on_after_a_cut(own, way):
    own.apply(
        POD.replace("sleep, infinity", "sh, -c, sleep 3").replace(
            "spec:", "spec:\n  restartPolicy: Never"
        )
    )
    threading.Timer(1, lambda: way.cut(CUT)).start()
    own.wait("pod/one", condition=has_ended, namespace=SPACE)
    assert way.api.cuts == 1


def has_ended(pod):
    return any("terminated" in one["state"] for one in pod["status"].get("containerStatuses", ()))


def test_aws_is_waited_for_through_a_cut_or_says_so(own, way):
    way.cut(CUT)
    try:
        own.aws("eks").list_clusters()
    except EksnetError as error:
        assert "EKS did not answer" in error.seen
        between.until(lambda: answers(own), CUT)
    assert own.aws("eks").list_clusters()["clusters"] == ["workbook"]


def answers(own):
    try:
        return bool(own.aws("eks").list_clusters())
    except EksnetError:
        return False


def test_a_cut_that_lasts_is_told_and_the_cell_runs_again(own, way, monkeypatch):
    monkeypatch.setattr("eksnet.cluster.waits.PATIENCE", 2.0)
    way.cut(6)
    with pytest.raises(EksnetError, match="did not answer") as caught:
        own.apply(POD)
    assert caught.value.next_step
    monkeypatch.setattr("eksnet.cluster.waits.PATIENCE", 30.0)
    assert [one.result for one in own.apply(POD)] == ["created", "created"]


def test_an_expired_token_is_replaced_in_the_middle(own):
    tokens = own._client._sign_in_again.__self__
    now = datetime.now(UTC)
    old = token(own.account(), now - timedelta(minutes=30))
    tokens._token = Token(old.text, now + timedelta(hours=1))
    assert [one.result for one in own.apply(POD)] == ["created", "created"]
    assert tokens._token.text != old.text


def test_a_busy_aws_is_waited_for(own, way):
    left = iter(range(3))
    way.aws.refuse = lambda path: (
        (429, "TooManyRequestsException", "Too many") if next(left, None) is not None else None
    )
    assert own.aws("eks").list_clusters()["clusters"] == ["workbook"]


def test_a_key_that_is_taken_away_stops_with_a_clear_word(student, way, cluster):
    own = eks.open_own(TARGET, None)
    student()
    with pytest.raises(EksnetError, match="AWS does not know your credentials"):
        own.aws("eks").describe_cluster(name="workbook")
    tokens = own._client._sign_in_again.__self__
    # Of another second: the API server remembers who has signed the one before.
    tokens._now = lambda: datetime.now(UTC) + timedelta(minutes=1)
    tokens.forget()
    with pytest.raises(ApiError) as caught:
        own.apply(POD)
    assert caught.value.status == 401
    assert "renew your credentials" in caught.value.next_step
    assert cluster.find(f"namespace/{SPACE}") is None


def test_what_is_forbidden_says_what_and_leaves_nothing(student, way, cluster):
    own = eks.open_own(TARGET, None)
    with pytest.raises(RefusedError, match='cannot get resource "namespaces"') as caught:
        own.apply(POD)
    assert "auth can-i --list" in caught.value.next_step
    with pytest.raises(RefusedError, match=r"EKS refused: User: .*user/student is not authorized"):
        own.aws("eks").create_addon(clusterName="workbook", addonName="coredns")
    assert cluster.find(f"namespace/{SPACE}") is None


def test_who_has_no_access_entry_is_told_how_to_get_one(student, way, cluster):
    named = {"clusterName": "workbook", "principalArn": STUDENT}
    cluster.aws("eks").delete_access_entry(**named)
    try:
        with pytest.raises(EksnetError, match="there is no access entry for it") as caught:
            eks.open_own(TARGET, None)
        assert f"--principal-arn {STUDENT} " in caught.value.next_step
    finally:
        cluster.aws("eks").create_access_entry(**named)
