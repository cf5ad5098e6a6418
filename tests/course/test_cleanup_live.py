"""The clean-up on the suite's sandbox: whole, cut off at each of its writes, and beside others."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import eksnet
from eksnet.cluster import waiting
from eksnet.cluster.countdown import until
from eksnet.course import cleanup
from eksnet.loadbalancer import controller, install_controller, provisioned
from eksnet.sandbox import lifecycle

pytestmark = pytest.mark.sandbox
SPACE = "left-over"
TAGS = [{"Key": "eksnet", "Value": "course"}]
APP = f"""
{{apiVersion: v1, kind: Namespace, metadata: {{name: {SPACE}}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: {SPACE}}},
 spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{name: web, namespace: {SPACE}, labels: {{app: web}}}},
 spec: {{containers: [{{name: web, image: "pause:3.10"}}], terminationGracePeriodSeconds: 0}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web, namespace: {SPACE},
           annotations: {{alb.ingress.kubernetes.io/target-type: ip}}}}
spec: {{ingressClassName: alb, defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}}}
"""
ROLE = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: left-over}}"


@pytest.fixture
def cluster(live_sandbox):
    lifecycle.up()
    found = eksnet.connect("sandbox")
    yield found
    cleanup.clean_up(found)


def leave(cluster):
    """Leave something of each step: a binding, load balancers of both kinds, the controller."""
    install_controller(cluster)
    cluster.apply(APP)
    cluster.apply(ROLE)
    cluster.wait("pod/web", namespace=SPACE, timeout=180)
    cluster.wait("ingress/web", condition=provisioned, namespace=SPACE, timeout=180)
    until("the controller's rule for pods", lambda: "security group rule" in left(cluster), 180)
    elb, ec2 = cluster.aws("elbv2"), cluster.aws("ec2")
    described = cluster.aws("eks").describe_cluster(name=cluster.eks_name)["cluster"]
    network = described["resourcesVpcConfig"]
    group = elb.create_target_group(
        Name="by-hand", Protocol="TCP", Port=80, VpcId=network["vpcId"], TargetType="ip", Tags=TAGS
    )["TargetGroups"][0]["TargetGroupArn"]
    balancer = elb.create_load_balancer(
        Name="by-hand", Type="network", Scheme="internal", Subnets=network["subnetIds"][-2:],
        Tags=TAGS,
    )["LoadBalancers"][0]["LoadBalancerArn"]  # fmt: skip
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(
        LoadBalancerArn=balancer, Protocol="TCP", Port=80, DefaultActions=forward, Tags=TAGS
    )
    cluster.apply(f"""
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {{name: by-hand, namespace: {SPACE}}}
spec: {{targetGroupARN: "{group}", targetType: ip, serviceRef: {{name: web, port: 80}}}}
""")
    specified = [{"ResourceType": "security-group", "Tags": TAGS}]
    ec2.create_security_group(
        GroupName="by-hand", Description="d", VpcId=network["vpcId"], TagSpecifications=specified
    )


def left(cluster):
    return {one.what for one in cleanup.left_over(cluster).left}


STEPS = [
    "1. TargetGroupBindings: deleted TargetGroupBinding left-over/by-hand",
    "2. load balancers made by hand: deleted load balancer by-hand, target group by-hand",
    "3. Ingresses and Services with load balancers: deleted Ingress left-over/web",
]


def test_all_is_deleted_in_order_and_the_audit_proves_it(fresh_sandbox, cluster, capsys):
    before = cleanup.left_over(cluster)
    assert before.clean, before
    leave(cluster)
    found = left(cluster)
    assert found >= {
        "Ingress", "TargetGroupBinding", "load balancer", "listener", "target group",
        "network interface", "security group", "security group rule", "role", "policy",
        "OIDC provider", "part of the controller", "Namespace", "ClusterRole",
    }  # fmt: skip
    check = [sys.executable, "-m", "eksnet", "cleanup", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    capsys.readouterr()
    assert cleanup.clean_up(cluster).clean
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        f"{number}. {title}" for number, (title, _) in enumerate(cleanup.STEPS, 1)
    ]
    assert said[:3] == STEPS
    assert said[4].endswith("deleted ClusterRole left-over, Namespace left-over")
    assert cluster.find("namespace", SPACE) is None
    assert not controller.is_installed(cluster)
    done = subprocess.run([*check, "--json"], capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["left"]) == (0, [])
    # A second time there is nothing to do.
    assert cleanup.clean_up(cluster).clean
    again = capsys.readouterr().out.splitlines()
    assert all(line.endswith(": nothing to delete") for line in again)


class CutOffError(BaseException):
    """The clean-up was interrupted; no `except Exception` may hide it."""


def test_cut_off_wherever_it_may_be_it_goes_on_and_ends_clean(cluster, monkeypatch):
    """Each run may write once more than the one before it, or is cut off while it waits."""
    leave(cluster)
    kubernetes = cluster._client
    allowed = [0]

    def guard():
        if allowed[0] == 0:
            raise CutOffError
        allowed[0] -= 1

    monkeypatch.setattr(kubernetes, "_guard", guard)
    ran, wait_until = 0, waiting.until
    while True:
        ran += 1
        allowed[0] = ran
        waits = [ran in (2, 4)]

        def interrupted(*words, waits=waits, **named):
            if waits[0]:
                raise CutOffError
            return wait_until(*words, **named)

        monkeypatch.setattr(waiting, "until", interrupted)
        try:
            audit = cleanup.clean_up(cluster)
        except CutOffError:
            continue
        break
    assert ran > 5
    assert audit.clean, audit
    monkeypatch.setattr(kubernetes, "_guard", lambda: None)


def test_without_the_controller_it_is_brought_back_or_its_tags_lead_to_orphans(cluster, capsys):
    leave(cluster)
    cluster.helm(f"uninstall {controller.NAME} -n {controller.NAMESPACE} --wait")
    # One whose finalizer was removed by hand, and one that waits for the controller.
    cluster.delete("ingress/web", namespace=SPACE, wait=False)
    cluster.patch("ingress", "web", {"metadata": {"finalizers": None}}, SPACE)
    cluster.delete("targetgroupbinding/by-hand", namespace=SPACE, wait=False)
    assert {one.what for one in cleanup.left_over(cluster).left if one.by_controller} >= {
        "load balancer", "listener", "target group", "security group", "security group rule",
    }  # fmt: skip
    capsys.readouterr()
    assert cleanup.clean_up(cluster).clean
    said = capsys.readouterr().out
    for what in (controller.BINDING, "load balancer", "target group"):
        assert f"1 {what} of the controller" in said


def test_what_was_there_before_the_course_stays(cluster):
    ours = "{apiVersion: v1, kind: Namespace, metadata: {name: left-over}}"
    theirs = "{apiVersion: v1, kind: Namespace, metadata: {name: theirs}}"
    cluster.apply(theirs, mark=False)
    try:
        # Applied again with the marks, it still is not the course's.
        for manifest in (theirs, ours, ours):
            cluster.apply(manifest)
        labels = cluster.get("namespace", SPACE)["metadata"]["labels"]
        assert labels["eksnet"] == "course"
        assert "eksnet" not in cluster.get("namespace", "theirs")["metadata"]["labels"]
        assert [one.name for one in cleanup.left_over(cluster).left] == [SPACE]
        assert cleanup.clean_up(cluster).clean
        assert cluster.find("namespace", "theirs") is not None
    finally:
        cluster.delete("namespace", "theirs")
    assert cluster.find("namespace", SPACE) is None
