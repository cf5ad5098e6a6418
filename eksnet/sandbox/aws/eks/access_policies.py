"""What the access policies of EKS allow in the cluster; pure.

On EKS they are no RBAC objects: an authorizer beside RBAC decides by them. So does this one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("access_policies.json")
_ARN = "arn:aws:eks::aws:cluster-access-policy/"


@dataclass(frozen=True)
class Rule:
    """What a policy allows; the names are those of a rule of RBAC.

    Attributes:
        verbs: The verbs.
        groups: The API groups; the core group is the empty name.
        resources: The resources, with their subresource behind a slash.
        urls: The paths that belong to no resource.
    """

    verbs: frozenset[str]
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Asked:
    """What somebody asks the API server for.

    Attributes:
        verb: The verb, such as `list`.
        group: The API group.
        resource: The resource with its subresource, such as `pods/log`; empty for a path.
        namespace: The namespace; empty for all of them, and for what is in none.
        url: The path, when it is about no resource.
    """

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    url: str = ""


def asked(review: Mapping[str, Any]) -> Asked:
    """Return what the spec of a SubjectAccessReview asks for."""
    if "resourceAttributes" not in review:
        said = review.get("nonResourceAttributes") or {}
        return Asked(said.get("verb", ""), url=said.get("path", ""))
    said = review["resourceAttributes"]
    parts = (said.get("resource", ""), said.get("subresource", ""))
    return Asked(
        said.get("verb", ""),
        said.get("group", ""),
        "/".join(filter(None, parts)),
        said.get("namespace", ""),
    )


def arn(name: str) -> str:
    """Return the ARN of an access policy."""
    return _ARN + name


@cache
def policies() -> Mapping[str, tuple[Rule, ...]]:
    """Return the rules of each access policy by its ARN."""
    table = json.loads(_TABLE.read_text())
    rules = {name: tuple(map(_rule, told)) for name, told in table["rules"].items()}
    return {
        arn(policy): tuple(rule for part in parts for rule in rules[part])
        for policy, parts in table["policies"].items()
    }


def _rule(told: Mapping[str, list[str]]) -> Rule:
    return Rule(**{name: frozenset(values) for name, values in told.items()})


def allows(policy: str, namespaces: tuple[str, ...], what: Asked) -> bool:
    """Tell whether an associated access policy allows something.

    Args:
        policy: The policy's ARN.
        namespaces: The namespaces of its scope, `*` for any characters; none for the cluster.
        what: What is asked for.
    """
    if namespaces and not _is_in(what.namespace, namespaces):
        return False
    return any(_matches(rule, what) for rule in policies().get(policy, ()))


def _is_in(namespace: str, namespaces: tuple[str, ...]) -> bool:
    return bool(namespace) and any(fnmatchcase(namespace, pattern) for pattern in namespaces)


def _matches(rule: Rule, what: Asked) -> bool:
    if not _has(rule.verbs, what.verb):
        return False
    if what.url:
        return _has(rule.urls, what.url)
    return _has(rule.groups, what.group) and _has(rule.resources, what.resource)


def _has(names: frozenset[str], name: str) -> bool:
    return name in names or "*" in names
