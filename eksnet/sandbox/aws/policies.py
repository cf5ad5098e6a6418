"""What IAM policies say of a request; pure.

The rules are those of the IAM user guide: "Policy evaluation logic" (an explicit deny wins, what
nothing allows is denied) and "IAM JSON policy element reference" (elements, operators, conditions
with several keys or values). What is not known here is refused by its name and never allowed.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

_VERSIONS = ("2012-10-17", "2008-10-17")
_ELEMENTS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
_TRUST_ELEMENTS = {"Sid", "Effect", "Action", "NotAction", "Principal", "Condition"}
# The condition keys that requests here can have; the second are beginnings, a tag's name follows.
_KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principaltype",
        "aws:requestedregion",
        "aws:securetransport",
        "aws:tagkeys",
        "aws:userid",
        "aws:username",
        "ec2:createaction",
        "ec2:region",
        "elasticloadbalancing:createaction",
        "iam:awsservicename",
        "iam:passedtoservice",
        "iam:policyarn",
        "sts:externalid",
        "sts:rolesessionname",
    }
)
_TAG_KEYS = (
    "aws:principaltag/",
    "aws:requesttag/",
    "aws:resourcetag/",
    "ec2:resourcetag/",
    "elasticloadbalancing:resourcetag/",
    "iam:resourcetag/",
)
# Keys of a token, of any issuer: its host and path, then the claim.
_TOKEN_KEY = re.compile(r"[^:/]+\.[^:]+:[a-z_]+")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
# Characters that a policy writes as variables, because they mean something else by themselves.
_LITERAL = {"*": "[*]", "?": "[?]", "$": r"\$"}

Values = tuple[str, ...]


class PolicyError(Exception):
    """A policy that cannot be read, or that uses what the sandbox does not know."""


class Decision(Enum):
    """What policies say of a request."""

    ALLOWED = "allowed"
    DENIED = "explicitly denied"
    NOT_ALLOWED = "not allowed"


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        action: Such as `elasticloadbalancing:CreateRule`.
        resource: The ARN of what it is about; `*` when the action has no resource.
        keys: The condition context: each key in lower case with its values.
    """

    action: str
    resource: str
    keys: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """One key that a statement tests.

    Attributes:
        operator: The operator as written, such as `ForAllValues:StringEquals`.
        key: The condition key in lower case.
        values: What it is compared with.
    """

    operator: str
    key: str
    values: Values


@dataclass(frozen=True)
class Statement:
    """One statement of a policy.

    Attributes:
        denies: Whether its effect is Deny.
        actions: Patterns of actions.
        resources: Patterns of ARNs.
        not_actions: Whether `actions` are those that it is not about.
        not_resources: Whether `resources` are those that it is not about.
        conditions: All of them have to hold.
        principals: In a trust policy, the ARNs, accounts, identity providers or `*` that it is
            about.
    """

    denies: bool
    actions: Values
    resources: Values
    not_actions: bool = False
    not_resources: bool = False
    conditions: tuple[Condition, ...] = ()
    principals: Values = ()


def parse(document: str) -> tuple[Statement, ...]:
    """Return the statements of an identity-based policy.

    Args:
        document: The policy as JSON.

    Raises:
        PolicyError: It is no policy, or uses an element that is not known here.
    """
    return tuple(map(_statement, _listed(document)))


def parse_trust(document: str) -> tuple[Statement, ...]:
    """Return the statements of a role's trust policy.

    Principals that are services are kept out: no request here is made by one.

    Args:
        document: The policy as JSON.

    Raises:
        PolicyError: It is no trust policy, or uses an element that is not known here.
    """
    return tuple(map(_trust_statement, _listed(document)))


def _listed(document: str) -> list[Any]:
    try:
        read = json.loads(document)
    except ValueError:
        raise PolicyError("the policy is not JSON") from None
    if not isinstance(read, dict) or read.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise PolicyError(f"Version must be one of {', '.join(_VERSIONS)}")
    statements = read.get("Statement")
    return statements if isinstance(statements, list) else [statements]


def decide(statements: Iterable[Statement], asked: Asked) -> Decision:
    """Return what statements say of a request: a deny wins, and what nothing allows is denied.

    Args:
        statements: The statements of all policies of the caller.
        asked: The request.

    Raises:
        PolicyError: A condition that is not known here decides: one of a statement that would deny
            the request, or of the one that would allow it when no other does.
    """
    allowed, unknown = False, None
    # A deny first: it wins, also against a condition that is not known.
    for one in sorted(statements, key=lambda statement: not statement.denies):
        try:
            applies = _applies(one, asked)
        except PolicyError as error:
            if one.denies:
                raise
            unknown = error
            continue
        if applies and one.denies:
            return Decision.DENIED
        allowed = allowed or applies
    if unknown and not allowed:
        raise unknown
    return Decision.ALLOWED if allowed else Decision.NOT_ALLOWED


def trusts(statements: Iterable[Statement], asked: Asked, names: Values) -> tuple[Decision, str]:
    """Return what a trust policy says of a caller, and by which of its names.

    Args:
        statements: The statements of the role's trust policy.
        asked: The request to assume the role.
        names: What the policy may call the caller, the most exact first.

    Raises:
        PolicyError: As `decide`.
    """
    listed = tuple(statements)
    decision, by = Decision.NOT_ALLOWED, ""
    for name in names:
        about = [one for one in listed if name in one.principals]
        found = decide(about, asked)
        if found is Decision.DENIED:
            return found, name
        if found is Decision.ALLOWED and not by:
            decision, by = found, name
    return decision, by


# Reading.


def _statement(read: Any) -> Statement:
    if not isinstance(read, dict):
        raise PolicyError("Statement must be an object or a list of objects")
    unknown = sorted(set(read) - _ELEMENTS)
    if unknown:
        raise PolicyError(f"the sandbox does not know the element {unknown[0]}")
    if read.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError("Effect must be Allow or Deny")
    actions, not_actions = _either(read, "Action", "NotAction")
    resources, not_resources = _either(read, "Resource", "NotResource")
    conditions = _conditions(read.get("Condition", {}))
    return Statement(
        read["Effect"] == "Deny", actions, resources, not_actions, not_resources, conditions
    )


def _trust_statement(read: Any) -> Statement:
    if not isinstance(read, dict):
        raise PolicyError("Statement must be an object or a list of objects")
    unknown = sorted(set(read) - _TRUST_ELEMENTS)
    if unknown:
        raise PolicyError(f"the sandbox does not know the element {unknown[0]} of a trust policy")
    identity = {key: value for key, value in read.items() if key != "Principal"}
    statement = _statement({**identity, "Resource": "*"})
    return dataclasses.replace(statement, principals=_principals(read.get("Principal")))


def _principals(read: Any) -> Values:
    if read == "*":
        return ("*",)
    if not isinstance(read, dict):
        raise PolicyError('Principal must be "*" or an object')
    found = _texts(read["AWS"], "Principal") if "AWS" in read else ()
    accounts = (f"arn:aws:iam::{one}:root" if one.isdecimal() else one for one in found)
    providers = _texts(read["Federated"], "Principal") if "Federated" in read else ()
    # A provider has an ARN: `*` is nobody's here, and must not become everybody's.
    return (*accounts, *(one for one in providers if one.startswith("arn:")))


def _either(read: Mapping[str, Any], name: str, negated: str) -> tuple[Values, bool]:
    if (name in read) == (negated in read):
        raise PolicyError(f"a statement has either {name} or {negated}")
    chosen = name if name in read else negated
    return _texts(read[chosen], chosen), chosen == negated


def _texts(read: Any, what: str) -> Values:
    listed = read if isinstance(read, list) else [read]
    # JSON's own true and numbers are allowed where a condition compares with them.
    texts = [_text(one) for one in listed]
    if not texts or None in texts:
        raise PolicyError(f"{what} must be a text or a list of texts")
    return tuple(text for text in texts if text is not None)


def _text(read: Any) -> str | None:
    if isinstance(read, bool):
        return str(read).lower()
    return str(read) if isinstance(read, str | int | float) else None


def _conditions(read: Any) -> tuple[Condition, ...]:
    if not isinstance(read, dict) or not all(isinstance(keys, dict) for keys in read.values()):
        raise PolicyError("Condition must be an object of operators, each with its keys")
    return tuple(
        Condition(operator, key.lower(), _texts(values, f"the condition {key}"))
        for operator, keys in read.items()
        for key, values in keys.items()
    )


# Deciding.


def _applies(one: Statement, asked: Asked) -> bool:
    action = asked.action.lower()
    if any(_matches(p.lower(), action, asked) for p in one.actions) == one.not_actions:
        return False
    if any(_matches(p, asked.resource, asked) for p in one.resources) == one.not_resources:
        return False
    return all(_holds(condition, asked) for condition in one.conditions)


def _holds(condition: Condition, asked: Asked) -> bool:
    quantifier, _, rest = condition.operator.rpartition(":")
    name, optional = (rest[:-8], True) if rest.endswith("IfExists") else (rest, False)
    _check_known(condition, name, quantifier)
    found = asked.keys.get(condition.key)
    if name == "Null":
        return (found is None) == (condition.values[0].lower() == "true")
    test, negated = _OPERATORS[name]

    def passes(value: str) -> bool:
        return any(test(wanted, value, asked) for wanted in condition.values) != negated

    if quantifier == "ForAllValues":
        return all(map(passes, found or ()))
    if quantifier == "ForAnyValue":
        return any(map(passes, found or ()))
    if found is None:
        return optional or negated
    return any(map(passes, found))


def _check_known(condition: Condition, name: str, quantifier: str) -> None:
    quantifiers = ("",) if name == "Null" else ("", "ForAllValues", "ForAnyValue")
    if name not in (*_OPERATORS, "Null") or quantifier not in quantifiers:
        raise PolicyError(f"the sandbox does not know the condition operator {condition.operator}")
    known = condition.key in _KEYS or condition.key.startswith(_TAG_KEYS)
    if not known and not _TOKEN_KEY.fullmatch(condition.key):
        raise PolicyError(f"the sandbox does not know the condition key {condition.key}")


Comparison = Callable[[str, str, Asked], bool]


def _equal(wanted: str, value: str, asked: Asked) -> bool:
    pattern = _pattern(wanted, _known(asked), wild=False)
    return pattern is not None and pattern.fullmatch(value) is not None


def _equal_in_any_case(wanted: str, value: str, asked: Asked) -> bool:
    return _equal(wanted.lower(), value.lower(), asked)


def _matches(wanted: str, value: str, asked: Asked) -> bool:
    pattern = _pattern(wanted, _known(asked), wild=True)
    return pattern is not None and pattern.fullmatch(value) is not None


_OPERATORS: Mapping[str, tuple[Comparison, bool]] = {
    "StringEquals": (_equal, False),
    "StringNotEquals": (_equal, True),
    "StringEqualsIgnoreCase": (_equal_in_any_case, False),
    "StringNotEqualsIgnoreCase": (_equal_in_any_case, True),
    "StringLike": (_matches, False),
    "StringNotLike": (_matches, True),
    "ArnEquals": (_matches, False),
    "ArnLike": (_matches, False),
    "ArnNotEquals": (_matches, True),
    "ArnNotLike": (_matches, True),
    "Bool": (_equal_in_any_case, False),
}


def _known(asked: Asked) -> tuple[tuple[str, str], ...]:
    """Return the keys that have one value: those alone can stand for a variable."""
    return tuple((key, values[0]) for key, values in asked.keys.items() if len(values) == 1)


@lru_cache(maxsize=4096)
def _pattern(
    text: str, known: tuple[tuple[str, str], ...], *, wild: bool
) -> re.Pattern[str] | None:
    """Return what a pattern matches; None when a variable in it has no value: then nothing."""
    parts, end = [], 0
    values = dict(known)
    for variable in _VARIABLE.finditer(text):
        parts.append(_wildcards(text[end : variable.start()], wild))
        name, end = variable[1], variable.end()
        if name in _LITERAL:
            parts.append(_LITERAL[name])
        elif name.lower() in values:
            parts.append(re.escape(values[name.lower()]))
        else:
            return None
    parts.append(_wildcards(text[end:], wild))
    return re.compile("".join(parts), re.DOTALL)


def _wildcards(text: str, wild: bool) -> str:
    escaped = re.escape(text)
    return escaped.replace(r"\*", ".*").replace(r"\?", ".") if wild else escaped
