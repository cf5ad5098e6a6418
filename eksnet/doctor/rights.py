"""Checks of rights: on the cluster by reviews of the API server, in AWS by IAM's own simulation.

What is asked for are the smallest rights with which the course runs, as the two files have them
that administrators apply: `eksnet/cluster/learner_role.yaml` and `eksnet/aws/learner_policy.json`.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import eksnet.cluster
from eksnet.aws import refusals
from eksnet.aws import rights as policies
from eksnet.doctor.findings import Finding, finding, ok
from eksnet.errors import EksnetError, RefusedError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

ROLES = Path(eksnet.cluster.__file__).with_name("learner_role.yaml")
_FOR = {"eksnet-learner": "all lessons need it", "eksnet-controller": "06 to 09 need it"}


@dataclass(frozen=True)
class Right:
    """What lessons do in a cluster.

    Attributes:
        needed: Which lessons need it.
        verb: The verb.
        group: The API group.
        resource: The kind's plural, with a part of it.
        namespace: The only namespace in which they do it; empty for any.
        name: The only object to which they do it; empty for any.
    """

    needed: str
    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def thing(self) -> str:
        """What it is a right on."""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{'.'.join(filter(None, (self.resource, self.group)))}{where}"


def rights() -> tuple[Right, ...]:
    """Return what lessons do in a cluster, by the roles of learners."""
    roles = (one for one in yaml.safe_load_all(ROLES.read_text()) if one["kind"].endswith("Role"))
    return tuple(
        dict.fromkeys(
            Right(_FOR[role["metadata"]["name"]], verb, group, resource,
                  role["metadata"].get("namespace", ""), name)
            for role in roles
            for rule in role["rules"]
            for group, resource, verb, name in itertools.product(
                rule["apiGroups"], rule["resources"], rule["verbs"],
                rule.get("resourceNames", [""]),
            )
        )
    )  # fmt: skip


def kubernetes(cluster: Cluster, wanted: Sequence[Right] | None = None) -> Iterator[Finding]:
    """Ask the API server whether the learner may do what lessons do.

    Args:
        cluster: The cluster.
        wanted: What lessons do; by the roles of learners when None.
    """
    if cluster.may("*", "*", group="*"):
        yield ok("you may do everything")
        return
    wanted = rights() if wanted is None else wanted
    missing: dict[str, dict[str, list[str]]] = {}
    for right in wanted:
        if not cluster.may(
            right.verb, right.resource, right.namespace, group=right.group, name=right.name
        ):
            things = missing.setdefault(right.needed, {})
            things.setdefault(right.thing, []).append(right.verb)
    for needed, things in missing.items():
        said = "; ".join(f"{'/'.join(verbs)} {thing}" for thing, verbs in things.items())
        yield finding(f"you may not {said}: {needed}", _GRANT)
    if not missing:
        yield ok(f"you may do all {len(wanted)} things that lessons do")


_GRANT = (
    "whoever administers the cluster runs `kubectl apply -f eksnet/cluster/learner_role.yaml` and "
    "`aws eks create-access-entry --cluster-name NAME --principal-arn ARN --kubernetes-groups "
    "eksnet-learners`"
)


# AWS.


@dataclass(frozen=True)
class Grant:
    """What lessons do in an AWS account.

    Attributes:
        purpose: What it is for: the name of its statement in the policy.
        action: The action of IAM.
        resource: The resource.
    """

    purpose: str
    action: str
    resource: str = "*"


# IAM simulates no action with a star: those that the course calls itself.
_STARS = {
    "ec2:Describe*": (
        "ec2:DescribeAddresses", "ec2:DescribeInstances", "ec2:DescribeInstanceTypes",
        "ec2:DescribeNatGateways", "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
        "ec2:DescribeVpcAttribute", "ec2:DescribeVpcs",
    ),
    "elasticloadbalancing:Describe*": (
        "elasticloadbalancing:DescribeAccountLimits", "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTags", "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
    ),
}  # fmt: skip
# Which of several resources an action is about, by words in the two; the first that fits.
_ABOUT = (
    (r"eks:CreateAddon|eks:ListAddons", ":cluster/"),
    (r"eks:.*(Addon|Update).*", ":addon/"),
    (r"iam:.*OpenIDConnectProvider", ":oidc-provider/"),
    (r"iam:(Create|Delete|Get|Tag|List)Polic.*", ":policy/"),
    (r"iam:.*Role.*", ":role/"),
)


def grants(account: str, region: str, cluster: str) -> tuple[Grant, ...]:
    """Return what lessons do in an AWS account, by the policy of learners.

    Statements with a condition are left out: a simulation would have to be told what is compared.

    Args:
        account: The account's id.
        region: The region.
        cluster: The cluster's name.
    """
    return tuple(
        Grant(one["Sid"], action, _filled(_about(action, _several(one["Resource"])), account,
                                          region, cluster))
        for one in policies.policy()["Statement"]
        if "Condition" not in one
        for written in _several(one["Action"])
        for action in _STARS.get(written, (written,))
    )  # fmt: skip


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _about(action: str, resources: Sequence[str]) -> str:
    words = [word for pattern, word in _ABOUT if re.fullmatch(pattern, action)]
    fits = [one for word in words for one in resources if word in one]
    return (fits or list(resources))[0]


def _filled(resource: str, account: str, region: str, cluster: str) -> str:
    """Return an ARN of the account's own in the place of a pattern."""
    if resource == "*":
        return resource
    arn, partition, service, _, _, name = resource.split(":", 5)
    kind, slash, rest = name.partition("/")
    rest = f"{cluster}{rest[1:]}" if service == "eks" and rest.startswith("*") else rest
    where = "" if service == "iam" else region
    return ":".join((arn, partition, service, where, account, f"{kind}{slash}{rest}"))


_ASSUMED = re.compile(
    r"arn:(?P<partition>[\w-]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/"
)


def aws(cluster: Cluster) -> Iterator[Finding]:
    """Have IAM simulate whether the learner may do what lessons do in AWS.

    Args:
        cluster: The cluster.
    """
    sts = cluster.aws("sts")
    with refusals.in_words(sts, "STS"):
        caller: Mapping[str, str] = sts.get_caller_identity()
    if caller["Arn"].endswith(":root"):
        yield finding(
            "you are the account's root user",
            "sign in as a user or a role: nobody can limit what the root user does",
        )
        return
    wanted = grants(caller["Account"], cluster.region, cluster.eks_name)
    who = principal(cluster, caller["Arn"])
    denied = list(_denied(cluster, who, wanted))
    for purpose, group in itertools.groupby(denied, key=lambda one: one.purpose):
        yield finding(
            f"{who} is not allowed {', '.join(one.action for one in group)}, of the statement "
            f"{purpose}",
            "attach the policy eksnet/aws/learner_policy.json to this user or role: "
            "docs/own-cluster.md, *Rights*",
        )
    if not denied:
        yield ok(f"{who} is allowed all {len(wanted)} actions of lessons, as IAM simulates them")


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


def _denied(cluster: Cluster, who: str, wanted: Sequence[Grant]) -> Iterator[Grant]:
    """Yield what is denied, asked for in as few calls as there are statements and resources."""
    iam = cluster.aws("iam")
    for _, group in itertools.groupby(wanted, key=lambda one: (one.purpose, one.resource)):
        asked = {one.action: one for one in group}
        (resource,) = {one.resource for one in asked.values()}
        with _simulating(iam):
            found = iam.simulate_principal_policy(
                PolicySourceArn=who, ActionNames=list(asked), ResourceArns=[resource]
            )["EvaluationResults"]
        for one in found:
            if one["EvalDecision"] != "allowed":
                yield asked[one["EvalActionName"]]
