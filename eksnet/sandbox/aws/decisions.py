"""Whether IAM lets a principal do what it asks for, and AWS's words when it does not; pure."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from eksnet.sandbox.aws.policies import Asked, Decision, PolicyError, decide, parse_trust, trusts
from eksnet.sandbox.aws.principals import Grants, Principal

_NOT_ALLOWED = "because no identity-based policy allows the {action} action"
_DENIED = "with an explicit deny in an identity-based policy"
_LIMITED = "because no permissions boundary or session policy allows the {action} action"


def refusal(asked: Iterable[Asked], grants: Grants, principal: Principal) -> str:
    """Return why a request is denied; empty when all that it asks for is allowed.

    Args:
        asked: All that has to be allowed.
        grants: What the principal's policies say.
        principal: Who asks.
    """
    for one in asked:
        if reason := _reason(one, grants):
            return _words(principal, one, reason)
    return ""


def simulated(asked: Asked, grants: Grants) -> str:
    """Return the decision on a request as IAM's simulation writes it.

    Args:
        asked: The request.
        grants: What the principal's policies say.
    """
    reason = _reason(asked, grants)
    if not reason:
        return "allowed"
    return "explicitDeny" if reason == _DENIED else "implicitDeny"


def assuming(asked: Asked, trust: str | None, grants: Grants, principal: Principal) -> str:
    """Return why a role may not be assumed; empty when it may.

    The role's trust policy has to allow it. Where that names the account alone, the caller's own
    policies have to allow it too; where it names the caller, they need not.

    Args:
        asked: The request to assume the role.
        trust: The role's trust policy; None when there is no such role.
        grants: What the caller's policies say.
        principal: Who asks.
    """
    names = (principal.arn, principal.identity, f"arn:aws:iam::{principal.account}:root", "*")
    exact = (principal.arn, principal.identity)
    try:
        decision, by = trusts(parse_trust(trust), asked, names) if trust else _NOBODY
    except PolicyError as error:
        return _words(principal, asked, f"because {error}")
    if decision is not Decision.ALLOWED:
        return _words(principal, asked, "")
    reason = _reason(asked, grants)
    if reason == _NOT_ALLOWED.format(action=asked.action) and by in exact:
        return ""
    return _words(principal, asked, reason) if reason else ""


_NOBODY = (Decision.NOT_ALLOWED, "")


def trusts_provider(asked: Asked, trust: str | None, provider: str) -> bool:
    """Tell whether a role may be assumed with a token of an identity provider.

    Nobody's own policies count: there is no caller before the role.

    Args:
        asked: The request to assume the role.
        trust: The role's trust policy; None when there is no such role.
        provider: The provider's ARN.
    """
    if trust is None:
        return False
    try:
        return trusts(parse_trust(trust), asked, (provider,))[0] is Decision.ALLOWED
    except PolicyError as error:
        # AWS tells the client no reason; whoever looks for it finds it in `eksnet logs aws`.
        print(f"{asked.resource} cannot be assumed: {error}", file=sys.stderr, flush=True)
        return False


def _reason(one: Asked, grants: Grants) -> str:
    """Return the last part of AWS's words; empty when it is allowed."""
    try:
        own = decide(grants.statements, one)
        limits = [decide(limit, one) for limit in grants.limits]
    except PolicyError as error:
        return f"because {error}"
    if Decision.DENIED in (own, *limits):
        return _DENIED
    if own is Decision.NOT_ALLOWED:
        return _NOT_ALLOWED.format(action=one.action)
    return _LIMITED.format(action=one.action) if Decision.NOT_ALLOWED in limits else ""


def _words(principal: Principal, one: Asked, reason: str) -> str:
    what = f"is not authorized to perform: {one.action} on resource: {one.resource}"
    return f"User: {principal.arn} {what} {reason}".rstrip()
