"""Who makes a request: the user or role behind an access key, and what it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eksnet.sandbox.aws.policies import Statement


@dataclass(frozen=True)
class Principal:
    """A user, or a role in a session.

    Attributes:
        kind: `user` or `role`.
        account: The account's id.
        name: The user's or the role's name, without its path.
        identity: The ARN of the IAM user or role itself: what access entries of EKS name.
        arn: The ARN that GetCallerIdentity tells: of the user, or of the role's session.
        user_id: The unique id, such as `AIDA…` or `AROA…:SESSION`.
        session: The name of the role's session; empty for a user.
        tags: The tags of the user or role.
    """

    kind: str
    account: str
    name: str
    identity: str
    arn: str
    user_id: str
    session: str = ""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Grants:
    """What the policies of a principal say.

    Attributes:
        statements: Those of its own policies and its groups'.
        limits: Those of its permissions boundary and of its session's policy: each has to allow a
            request, too.
    """

    statements: tuple[Statement, ...]
    limits: tuple[tuple[Statement, ...], ...] = ()
