"""The doctor on the live sandbox: nothing on a fresh one, and what is broken there on purpose."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from eksnet import cli, doctor
from eksnet.cluster import Cluster
from eksnet.coredns import addon
from eksnet.course import rollback
from eksnet.doctor.findings import Verdict

pytestmark = pytest.mark.sandbox

WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: eksnet-broken}
webhooks:
- name: broken.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  clientConfig: {service: {name: nobody, namespace: default, path: /}}
  rules:
  - apiGroups: [networking.k8s.io]
    apiVersions: [v1]
    operations: [CREATE]
    resources: [ingresses]
---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: default}
spec: {ports: [{port: 443}], selector: {app: nobody}}
"""
ROLE = "kubernetes.io/role/elb"


def told() -> dict[str, list[str]]:
    """Return what is found, by check."""
    found: dict[str, list[str]] = {}
    for one in doctor.examine().with_verdict(Verdict.FINDING):
        assert one.why
        assert one.remedy
        found.setdefault(one.check, []).append(one.what)
    return found


@contextlib.contextmanager
def broken_webhook(cluster: Cluster) -> Iterator[None]:
    cluster.apply(WEBHOOK)
    try:
        yield
    finally:
        cluster.delete_manifest(WEBHOOK)


def test_the_command_finds_nothing_on_a_fresh_sandbox(cluster: Cluster) -> None:
    done = CliRunner().invoke(cli.app, ["doctor", "--json"])
    said = json.loads(done.stdout)
    bad = [one for one in said["findings"] if one["verdict"] not in ("OK", "SKIPPED")]
    assert (done.exit_code, bad) == (0, [])
    assert {one["check"] for one in said["findings"]} == {
        "connection",
        *(one.name for one in doctor.CHECKS),
    }


def test_a_webhook_that_nobody_answers(cluster: Cluster) -> None:
    before = len(cluster.objects_in("default"))
    with broken_webhook(cluster):
        (what,) = told()["admission"]
        assert "a new Ingress is refused" in what
        assert 'no endpoints available for service "nobody"' in what
    assert told() == {}
    assert len(cluster.objects_in("default")) == before


def test_an_account_that_is_broken_in_three_places(cluster: Cluster) -> None:
    ec2, iam = cluster.aws("ec2"), cluster.aws("iam")
    (first, *_) = ec2.describe_subnets(Filters=[{"Name": "tag-key", "Values": [ROLE]}])["Subnets"]
    vpc, deny = first["VpcId"], {"Effect": "Deny", "Action": "iam:CreateRole", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_user_policy(UserName="learner", PolicyName="no", PolicyDocument=policy)
    ec2.delete_tags(Resources=[first["SubnetId"]], Tags=[{"Key": ROLE}])
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": False})
    try:
        found = told()
        assert set(found) == {"rights in AWS", "subnets", "DNS of the VPC"}
        assert "iam:CreateRole" in found["rights in AWS"][0]
    finally:
        iam.delete_user_policy(UserName="learner", PolicyName="no")
        ec2.create_tags(Resources=[first["SubnetId"]], Tags=[{"Key": ROLE, "Value": "1"}])
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert told() == {}


def test_a_change_of_the_corefile_and_of_the_add_on_are_rolled_back(
    fresh_sandbox: object, cluster: Cluster
) -> None:
    def corefile() -> str:
        return str(cluster.get("configmap/coredns", namespace="kube-system")["data"]["Corefile"])

    before = corefile()
    cluster.edit_configmap("coredns", "Corefile", f"{before}# mine\n", "kube-system")
    number = cluster.snapshots.all()[-1].number
    assert rollback.put_back(rollback.planned(number)).endswith("is restored")
    assert corefile() == before
    addon.install(cluster)
    addon.update(cluster, {"replicaCount": 3})
    addon.update(cluster, {})
    values = [one.number for one in cluster.snapshots.all() if "3" in one.content.get("values", "")]
    rollback.put_back(rollback.planned(values[-1]))
    assert addon.describe(cluster)[0].configuration == {"replicaCount": 3}
    assert cluster.get("deployment/coredns", namespace="kube-system")["spec"]["replicas"] == 3
    (first,) = [one for one in cluster.snapshots.all() if one.before == "its installation"][-1:]
    rollback.put_back(rollback.planned(first.number))
    assert addon.describe(cluster)[0].status == "self-managed"


def test_what_the_sandbox_would_cost(cluster: Cluster) -> None:
    done = CliRunner().invoke(cli.app, ["cost", "--json"])
    said = json.loads(done.stdout)
    assert done.exit_code == 0
    assert said["is_sandbox"]
    assert said["usd_per_hour"] == pytest.approx(0.164)
    assert {one["made_by"] for one in said["items"]} == {"the cluster"}
