"""The controller on the suite's sandbox: installed, repaired, removed; by hand and by `begin`."""

from __future__ import annotations

import json

import pytest

import eksnet
from eksnet.cluster.countdown import until
from eksnet.loadbalancer import (
    controller,
    install_controller,
    provisioned,
    uninstall_controller,
)
from eksnet.sandbox import lifecycle

pytestmark = pytest.mark.sandbox
SPACE = "balanced"
SERVICE = "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [{port: 80}]}}"
# A Service that nobody serves: what the controller makes for it can be deleted all the same.
INGRESS = f"""
{{apiVersion: v1, kind: Namespace, metadata: {{name: {SPACE}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {SPACE}}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: {SPACE}
  annotations: {{alb.ingress.kubernetes.io/target-type: ip}}
spec:
  ingressClassName: alb
  defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}
"""


@pytest.fixture
def cluster(live_sandbox):
    lifecycle.up()
    found = eksnet.connect("sandbox")
    yield found
    uninstall_controller(found)
    found.delete(f"namespace/{SPACE}")


def leave_all_in_aws(cluster):
    """Let an Ingress go with the controller unable to delete what it made, and able again after."""
    iam = cluster.aws("iam")
    (attached,) = iam.list_attached_role_policies(RoleName=controller.ROLE)["AttachedPolicies"]
    attached = {"RoleName": controller.ROLE, "PolicyArn": attached["PolicyArn"]}
    iam.detach_role_policy(**attached)
    cluster.delete("ingress/web", namespace=SPACE, wait=False)
    cluster.patch("ingress", "web", {"metadata": {"finalizers": None}}, SPACE)
    iam.attach_role_policy(**attached)


def left_in_aws(cluster):
    """Return what the controller makes in AWS and is still there."""
    balancing, ec2 = cluster.aws("elbv2"), cluster.aws("ec2")
    wanted = [{"Name": "tag:elbv2.k8s.aws/cluster", "Values": [cluster.eks_name]}]
    groups = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
    return [
        *(one["LoadBalancerName"] for one in balancing.describe_load_balancers()["LoadBalancers"]),
        *(one["TargetGroupName"] for one in balancing.describe_target_groups()["TargetGroups"]),
        *(one["GroupName"] for one in groups),
    ]


def test_from_nothing_to_nothing(cluster, capsys):
    install_controller(cluster)
    assert controller.what_is_wrong(cluster) == ""
    revision = json.loads(cluster.helm("list -n kube-system -o json").stdout)[0]["revision"]
    # Again, and with the role's trust wrong: what is right stays, what is wrong is corrected.
    install_controller(cluster)
    again = json.loads(cluster.helm("list -n kube-system -o json").stdout)[0]["revision"]
    assert again == revision
    iam = cluster.aws("iam")
    wrong = controller.trust_policy(cluster, "system:serviceaccount:default:other")
    iam.update_assume_role_policy(RoleName=controller.ROLE, PolicyDocument=wrong)
    assert "trusts another" in controller.what_is_wrong(cluster)
    install_controller(cluster)
    assert controller.what_is_wrong(cluster) == ""
    # It works: an Ingress gets its load balancer, with the course's tag, and a pod's role made it.
    cluster.apply(INGRESS)
    elb = cluster.aws("elbv2")
    # Not anything: security group and target group come before it.
    assert until(
        "a load balancer", lambda: bool(elb.describe_load_balancers()["LoadBalancers"]), 120
    )
    (made,) = elb.describe_load_balancers()["LoadBalancers"]
    (told,) = elb.describe_tags(ResourceArns=[made["LoadBalancerArn"]])["TagDescriptions"]
    assert {"Key": "eksnet", "Value": "course"} in told["Tags"]
    # With its pods gone nothing of this could be deleted: they are brought back for it.
    cluster.patch("deployment", controller.NAME, {"spec": {"replicas": 0}}, controller.NAMESPACE)
    controller.wait_until_unanswered(cluster)
    with pytest.raises(eksnet.EksnetError, match=r"mservice\.elbv2\.k8s\.aws"):
        cluster.apply(SERVICE)
    uninstall_controller(cluster)
    assert left_in_aws(cluster) == []
    assert not controller.is_installed(cluster)
    assert not controller.has_identities(cluster)
    assert cluster.find("ingress/web", namespace=SPACE) is None
    uninstall_controller(cluster)


def test_a_lesson_that_needs_it_gets_it_and_another_one_begins_without(fresh_sandbox, cluster):
    assert controller.what_is_wrong(cluster) == "it is not installed"
    # What a learner reads is the same, whether this call has installed it or an earlier one.
    for _ in range(2):
        assert repr(eksnet.begin(cluster, "08a_lab_ingress")).splitlines() == [
            "08a_lab_ingress: the cluster is in the state that this lesson expects",
            "the AWS Load Balancer Controller is ready",
        ]
        assert controller.what_is_wrong(cluster) == ""
    (left,) = eksnet.begin(cluster, "05_lab_hosts").left
    assert (left.by, left.done) == ("08a_lab_ingress", "removed")
    assert not controller.is_installed(cluster)


def test_after_what_it_left_was_deleted_it_makes_all_anew(cluster):
    """Its pods remember the id of the security group that its load balancers share."""
    eksnet.begin(cluster, "08a_lab_ingress")
    cluster.apply(INGRESS)
    cluster.wait("ingress/web", condition=provisioned, namespace=SPACE, timeout=180)
    leave_all_in_aws(cluster)
    assert left_in_aws(cluster)
    eksnet.begin(cluster, "08a_lab_ingress")
    assert left_in_aws(cluster) == []
    cluster.apply(INGRESS)
    cluster.wait("ingress/web", condition=provisioned, namespace=SPACE, timeout=180)
