"""Checks of rights: on the cluster by reviews of the API server, in AWS by IAM's own simulation."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet.aws import refusals
from eksnet.doctor.findings import Finding, finding, ok
from eksnet.errors import EksnetError, RefusedError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_SYSTEM = "kube-system"


@dataclass(frozen=True)
class Right:
    """What lessons do in a cluster.

    Attributes:
        lessons: Which lessons do it.
        verbs: The verbs.
        resource: The kind's plural, with a part of it.
        group: Its API group.
        namespace: The only namespace in which they do it; empty for any.
    """

    lessons: str
    verbs: tuple[str, ...]
    resource: str
    group: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{'.'.join(filter(None, (self.resource, self.group)))}{where}"


_READ, _MAKE = ("get", "list", "watch"), ("create", "delete", "patch")
RIGHTS = (
    *(Right("all", _READ, kind) for kind in ("pods", "services", "configmaps", "nodes")),
    Right("all", _READ, "endpointslices", "discovery.k8s.io"),
    Right("all", _READ, "deployments", "apps"),
    Right("all", ("get",), "pods/log"),
    Right("all", ("create", "delete", "get"), "namespaces"),
    Right("all", _MAKE, "pods"),
    Right("all", ("create",), "pods/exec"),
    Right("all", _MAKE, "services"),
    Right("all", _MAKE, "deployments", "apps"),
    Right("01b, 02b", _MAKE, "clusterrolebindings", "rbac.authorization.k8s.io"),
    Right("02, 05, 06", ("update", "patch"), "configmaps", namespace=_SYSTEM),
    Right("02, 05, 06", ("patch",), "deployments", "apps", _SYSTEM),
    Right("06, 07, 08", _MAKE, "ingresses", "networking.k8s.io"),
    Right("07", _MAKE, "customresourcedefinitions", "apiextensions.k8s.io"),
    Right("07", ("create", "delete", "update"), "secrets", namespace=_SYSTEM),
    Right("07", _MAKE, "serviceaccounts", namespace=_SYSTEM),
    Right(
        "07", ("create", "delete"), "validatingwebhookconfigurations",
        "admissionregistration.k8s.io",
    ),
)  # fmt: skip
"""What lessons do, each kind once; `eksnet.doctor` asks the API server about each verb."""


def kubernetes(cluster: Cluster, rights: Sequence[Right] = RIGHTS) -> Iterator[Finding]:
    """Ask the API server whether the learner may do what lessons do.

    Args:
        cluster: The cluster.
        rights: What lessons do.
    """
    missing: dict[str, list[str]] = {}
    for right in rights:
        if verbs := [verb for verb in right.verbs if not _may(cluster, verb, right)]:
            missing.setdefault(right.lessons, []).append(f"{'/'.join(verbs)} {right}")
    for lessons, things in missing.items():
        yield finding(f"you may not {', '.join(things)}: {_needed(lessons)}", _GRANT)
    if not missing:
        yield ok(f"you may do all {sum(len(one.verbs) for one in rights)} things that lessons do")


def _needed(lessons: str) -> str:
    return "all lessons need it" if lessons == "all" else f"lessons {lessons} need it"


def _may(cluster: Cluster, verb: str, right: Right) -> bool:
    return cluster.may(verb, right.resource, right.namespace, group=right.group)


_GRANT = (
    "whoever administers the cluster grants it: `aws eks associate-access-policy --cluster-name "
    "NAME --principal-arn ARN --access-scope type=cluster --policy-arn "
    "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy`, or a ClusterRole"
)


# AWS.


@dataclass(frozen=True)
class Grant:
    """What lessons do in an AWS account.

    Attributes:
        lessons: Which lessons do it.
        actions: The actions of IAM.
        resource: The resource, with `{account}`, `{region}` and `{cluster}`.
    """

    lessons: str
    actions: tuple[str, ...]
    resource: str = "*"


_CLUSTER = "arn:aws:eks:{region}:{account}:cluster/{cluster}"
_ADDON = "arn:aws:eks:{region}:{account}:addon/{cluster}/coredns/*"
_ROLE = "arn:aws:iam::{account}:role/AmazonEKSLoadBalancerControllerRole"
_POLICY = "arn:aws:iam::{account}:policy/AWSLoadBalancerControllerIAMPolicy"
_PROVIDER = "arn:aws:iam::{account}:oidc-provider/oidc.eks.{region}.amazonaws.com/*"
GRANTS = (
    Grant("02a, 02d", ("eks:DescribeAddonVersions", "eks:DescribeAddonConfiguration")),
    Grant("02a, 02d", ("eks:DescribeCluster", "eks:ListAddons", "eks:CreateAddon"), _CLUSTER),
    Grant("02a, 02d", ("eks:DescribeAddon", "eks:UpdateAddon", "eks:DeleteAddon"), _ADDON),
    Grant("06 to 09", (
        "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeVpcAttribute",
        "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups",
        "elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeTags",
        "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:DescribeAccountLimits",
    )),
    Grant("07", ("iam:GetPolicy", "iam:CreatePolicy", "iam:DeletePolicy"), _POLICY),
    Grant("07", (
        "iam:GetRole", "iam:CreateRole", "iam:DeleteRole", "iam:AttachRolePolicy",
        "iam:DetachRolePolicy", "iam:ListAttachedRolePolicies",
    ), _ROLE),
    Grant("07", (
        "iam:GetOpenIDConnectProvider", "iam:CreateOpenIDConnectProvider",
        "iam:DeleteOpenIDConnectProvider",
    ), _PROVIDER),
    Grant("08b", ("acm:ImportCertificate", "acm:RequestCertificate", "acm:ListCertificates")),
)  # fmt: skip
"""What lessons do in AWS; `eksnet.doctor` has IAM simulate it."""

_ASSUMED = re.compile(
    r"arn:(?P<partition>[\w-]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/"
)


def aws(cluster: Cluster, grants: Sequence[Grant] = GRANTS) -> Iterator[Finding]:
    """Have IAM simulate whether the learner may do what lessons do in AWS.

    Args:
        cluster: The cluster.
        grants: What lessons do.
    """
    sts = cluster.aws("sts")
    with refusals.in_words(sts, "STS"):
        caller = sts.get_caller_identity()
    if str(caller["Arn"]).endswith(":root"):
        yield finding(
            "you are the account's root user",
            "sign in as a user or a role: nobody can limit what the root user does",
        )
        return
    places = {"account": caller["Account"], "region": cluster.region, "cluster": cluster.eks_name}
    who = principal(cluster, str(caller["Arn"]))
    denied: dict[str, list[str]] = {}
    for grant in grants:
        resource = grant.resource.format(**places)
        if actions := _denied(cluster, who, grant.actions, resource):
            denied.setdefault(grant.lessons, []).extend(actions)
    for lessons, refused in denied.items():
        yield finding(
            f"{who} is not allowed {', '.join(refused)}: {_needed(lessons)}",
            "allow these actions in a policy of this user or role: "
            "docs/own-cluster.md has the smallest policy",
        )
    if not denied:
        count = sum(len(one.actions) for one in grants)
        yield ok(f"{who} is allowed all {count} actions of lessons, as IAM simulates them")


def principal(cluster: Cluster, arn: str) -> str:
    """Return whose policies count for a caller: the role, for one that was assumed.

    Args:
        cluster: The cluster.
        arn: The caller's ARN, as STS tells it.
    """
    assumed = _ASSUMED.match(arn)
    if assumed is None:
        return arn
    # The ARN of a session leaves out the role's path, such as that of the roles of SSO.
    iam = cluster.aws("iam")
    with _simulating(iam):
        return str(iam.get_role(RoleName=assumed["role"])["Role"]["Arn"])


@contextlib.contextmanager
def _simulating(iam: Any) -> Iterator[None]:
    """Say which right is missing where IAM does not let anybody look."""
    try:
        with refusals.in_words(iam, "IAM"):
            yield
    except RefusedError as error:
        raise EksnetError(error.seen, "the right to look at your own rights", _SIMULATE) from None


_SIMULATE = "allow iam:GetRole and iam:SimulatePrincipalPolicy on your own user or role"


def _denied(cluster: Cluster, who: str, actions: Sequence[str], resource: str) -> list[str]:
    iam = cluster.aws("iam")
    with _simulating(iam):
        found: list[dict[str, Any]] = iam.simulate_principal_policy(
            PolicySourceArn=who, ActionNames=list(actions), ResourceArns=[resource]
        )["EvaluationResults"]
    return [one["EvalActionName"] for one in found if one["EvalDecision"] != "allowed"]
