"""What the controller's IAM policy allows on things that the controller has not made; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.loadbalancer.controller import iam_policy

_OWN = "elbv2.k8s.aws/cluster"
# A condition on the tag of what is there, or of what is being created.
_TAGS = (f"aws:ResourceTag/{_OWN}", f"aws:RequestTag/{_OWN}")


def allowed_everywhere(action: str, policy: str = "") -> bool:
    """Tell whether a policy allows an action on any resource, without the cluster's own tag.

    Args:
        action: The action, such as `ec2:DeleteSecurityGroup`.
        policy: The policy as JSON; that of the controller's release when empty.

    Raises:
        EksnetError: The policy does not name the action at all, or is no policy.
    """
    inputs.text(action, "the action", "such as ec2:DeleteSecurityGroup")
    found = [one for one in _statements(policy or iam_policy()) if action in one.get("Action", ())]
    if not found:
        raise EksnetError(
            f"the policy does not name {inputs.shown(action)}",
            "an action that it names, such as elasticloadbalancing:DeleteLoadBalancer",
            'eksnet.data.load_table("controller_policy") lists its statements',
        )
    return not all(map(_needs_tag, found))


def _statements(policy: str) -> Iterator[Mapping[str, Any]]:
    try:
        yield from json.loads(policy)["Statement"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EksnetError(
            "this is no IAM policy", "JSON with a list Statement", "loadbalancer.iam_policy()"
        ) from None


def _needs_tag(statement: Mapping[str, Any]) -> bool:
    """Tell whether a statement holds only for what has the tag, or is created with it."""
    absent = statement.get("Condition", {}).get("Null", {})
    return any(absent.get(key) == "false" for key in _TAGS)
