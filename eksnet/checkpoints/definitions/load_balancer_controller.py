"""The checkpoints of 04a_load_balancer_controller: the reconcile loop, and what its role may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet import loadbalancer
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    failed,
    not_started,
    not_yet,
    passed,
    then,
)
from eksnet.checkpoints.definitions.lab_ingress import (
    ADDRESS,
    INGRESS,
    NAMESPACE,
    RULES,
    TARGETS,
    address,
    find_ingress,
    healthy,
)
from eksnet.loadbalancer import controller

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NOTEBOOK = "04a_load_balancer_controller"
_PREFIX = "ingress.k8s.aws/"
_FORWARD = "forward to web:80"
_TOUCH = """\
touched = {"metadata": {"annotations": {"eksnet/touched": "yes"}}}
cluster.patch("ingress", "web", touched, "app-ns")"""
# Short words for a learner, and the actions of the policy.
ACTIONS = {
    "delete a load balancer": "elasticloadbalancing:DeleteLoadBalancer",
    "delete a security group": "ec2:DeleteSecurityGroup",
    "open a port of a security group": "ec2:AuthorizeSecurityGroupIngress",
    "register a target": "elasticloadbalancing:RegisterTargets",
}


def finalizer(cluster: Cluster) -> Observation:
    """Whether the controller has a finalizer on the Ingress."""
    ingress = find_ingress(cluster)
    expected = f"a finalizer that contains {_PREFIX}"
    if ingress is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", expected, "apply it")
    found = ingress["metadata"].get("finalizers") or ()
    if not any(_PREFIX in one for one in found):
        seen = f"its finalizers are {', '.join(found) or 'none'}"
        return failed(seen, expected, "its class has to be alb, and the controller has to run")
    return passed("the controller has a finalizer on it")


def rule(cluster: Cluster) -> Observation:
    """Whether a rule of the load balancer leads to the Service."""
    if find_ingress(cluster) is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", _FORWARD, "apply it")
    found = [one.action for one in loadbalancer.rules(cluster, INGRESS, NAMESPACE)]
    if _FORWARD not in found:
        seen = f"the rules are: {', '.join(found) or 'none'}"
        return not_yet(seen, _FORWARD, then("give the controller a reason to look again", _TOUCH))
    return passed("a rule leads to web:80")


def permissions(cluster: Cluster, _: Any) -> Any:
    """What the policy allows on things of others, once the controller's role has it."""
    expected = "the controller's role with its policy"
    step = "loadbalancer.install_controller(cluster)"
    account = cluster.find("serviceaccount", controller.NAME, controller.NAMESPACE)
    if account is None or controller.role(cluster) is None:
        return not_started(f"there is no role {controller.ROLE}", expected, step)
    if controller.POLICY not in controller.attached_policies(cluster):
        return not_started("the role does not have the policy", expected, step)
    return {
        words: "yes" if loadbalancer.allowed_everywhere(action) else "no"
        for words, action in ACTIONS.items()
    }


CHECKPOINTS = (
    Definition(
        id="balancer-01",
        notebook=NOTEBOOK,
        title="The loop has closed",
        criteria=(
            Criterion("balancer-01.finalizer", "The controller holds the Ingress", 1, finalizer),
            Criterion(
                "balancer-01.address",
                "The Ingress has the load balancer's name",
                1,
                address,
                needs=("balancer-01.finalizer",),
                wait=ADDRESS,
            ),
            Criterion(
                "balancer-01.rule",
                "A rule leads to the Service",
                1,
                rule,
                needs=("balancer-01.address",),
                wait=RULES,
            ),
            Criterion(
                "balancer-01.targets",
                "The load balancer's targets are healthy",
                1,
                healthy,
                needs=("balancer-01.address",),
                wait=TARGETS,
            ),
        ),
        hints=(
            "Look at the Ingress `web` in `app-ns`: its finalizers, its status, its events.",
            "Compare the rules of the load balancer with the paths of the Ingress.",
            'Any change of the Ingress starts the loop again: `cluster.patch("ingress", "web", …)`',
        ),
        solution=f"""\
# The Ingress is there, and somebody has deleted the rule:
{_TOUCH}
loadbalancer.wait_for_targets(cluster, "web", "app-ns", count=2)
""",
    ),
    Definition(
        id="balancer-02",
        notebook=NOTEBOOK,
        title="What the role may do to others",
        criteria=(
            Prediction(
                "balancer-02.permissions",
                "What you predicted of the policy",
                2,
                "May the controller do each of these things to what it has not made itself, and "
                "what has no tag of the cluster?",
                "prediction = {" + ", ".join(f'"{words}": ""' for words in ACTIONS) + "}",
                permissions,
            ),
        ),
        hints=(
            "Look at the statements of the policy that name the action.",
            "Compare their conditions: is one of them without `aws:ResourceTag`?",
            '`eksnet.data.load_table("controller_policy")`',
        ),
        solution="""\
prediction = {
    "delete a load balancer": "no",
    "delete a security group": "no",
    "open a port of a security group": "yes",
    "register a target": "yes",
}
""",
    ),
)
