"""The bearer tokens of EKS: a presigned `GetCallerIdentity` of STS that is signed for one cluster.

`aws eks get-token` makes them without a call. What counts as a token is what aws-iam-authenticator
accepts (`Verify` in its pkg/token/token.go); whose it is, only its signature says. Pure.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

PREFIX = "k8s-aws-v1."
# What a Kubernetes user's UID begins with when a token named the user.
_UID_PREFIX = "aws-iam-authenticator:"
# The header in which a caller signs which cluster the token is for.
CLUSTER_HEADER = "x-k8s-aws-id"
_LONGEST = 4096
_LONGEST_EXPIRY = 900
_PARAMETERS = {
    "action", "version", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires",
    "x-amz-security-token", "x-amz-signature", "x-amz-signedheaders",
}  # fmt: skip
_SESSION = re.compile(r"arn:aws:sts::(\d+):assumed-role/([^/]+)/(.+)")
_TEMPLATE = re.compile(r"\{\{(\w+)\}\}")


class TokenError(Exception):
    """A token that is none, or that does not open the cluster."""


class Caller(Protocol):
    """What GetCallerIdentity says of whoever signed it."""

    @property
    def account(self) -> str:
        """The account's id."""

    @property
    def arn(self) -> str:
        """The ARN of the user, or of the role's session."""

    @property
    def user_id(self) -> str:
        """The unique id, such as `AIDA…` or `AROA…:SESSION`."""


@dataclass(frozen=True)
class Presigned:
    """The call that a token holds.

    Attributes:
        origin: Scheme and host that it was signed for, such as `https://sts.amazonaws.com`.
        query: Its query, as signed.
        access_key: The access key's id that it names.
    """

    origin: str
    query: str
    access_key: str

    @property
    def host(self) -> str:
        """The host that it was signed for, with its port."""
        return self.origin.partition("://")[2]


@dataclass(frozen=True)
class Identity:
    """The user or the session that STS names.

    Attributes:
        arn: The ARN of the user, or of the role's session.
        account: The account's id.
        principal_id: The unique id of the user or the role, such as `AIDA…` or `AROA…`.
        session: The session's name; empty for a user.
        access_key: The access key's id that signed.
    """

    arn: str
    account: str
    principal_id: str
    session: str
    access_key: str

    @property
    def canonical_arn(self) -> str:
        """The ARN of the user or the role, the role's without its path."""
        found = _SESSION.fullmatch(self.arn)
        return f"arn:aws:iam::{found[1]}:role/{found[2]}" if found else self.arn

    @property
    def uid(self) -> str:
        """The UID of the Kubernetes user."""
        return f"{_UID_PREFIX}{self.account}:{self.principal_id}"

    @property
    def extra(self) -> dict[str, list[str]]:
        """What the API server is told besides, as seen in `kubectl auth whoami` on EKS."""
        said = {
            "accessKeyId": self.access_key,
            "arn": self.arn,
            "canonicalArn": self.canonical_arn,
            "principalId": self.principal_id,
            "sessionName": self.session,
            "sigs.k8s.io/aws-iam-authenticator/principalId": self.principal_id,
        }
        return {name: [value] for name, value in said.items()}


def principal_id(uid: str) -> str:
    """Return the unique id in the UID of a user that a token named; empty for another's UID."""
    return uid.rpartition(":")[2] if uid.startswith(_UID_PREFIX) else ""


def presigned(token: str, origins: Collection[str]) -> Presigned:
    """Return the call that a token holds; nothing of it is verified yet.

    Args:
        token: The bearer token.
        origins: Where STS is, such as `https://sts.amazonaws.com`.

    Raises:
        TokenError: It is no token of EKS.
    """
    if len(token) > _LONGEST or not token.startswith(PREFIX):
        raise TokenError(f"not a token of at most {_LONGEST} characters that starts with {PREFIX}")
    try:
        url = urlsplit(_decoded(token.removeprefix(PREFIX)))
    except ValueError as error:
        raise TokenError(f"the token holds no URL: {error}") from None
    origin = f"{url.scheme}://{url.netloc}"
    if origin not in origins or url.path != "/" or url.fragment:
        raise TokenError(f"{origin}{url.path} is not an address of STS")
    pairs = [(name.lower(), value) for name, value in parse_qsl(url.query, keep_blank_values=True)]
    _check(pairs)
    return Presigned(origin, url.query, dict(pairs)["x-amz-credential"].partition("/")[0])


def _decoded(text: str) -> str:
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(str(error)) from None


def _check(pairs: list[tuple[str, str]]) -> None:
    """Refuse a query that is not that of one signed GetCallerIdentity."""
    said = dict(pairs)
    unknown = sorted(set(said) - _PARAMETERS)
    if unknown or len(said) < len(pairs):
        raise TokenError(f"the URL has parameters too many: {', '.join(unknown) or 'one twice'}")
    if said.get("action") != "GetCallerIdentity":
        raise TokenError(f"the call is {said.get('action')!r}, not GetCallerIdentity")
    if CLUSTER_HEADER not in said.get("x-amz-signedheaders", "").lower().split(";"):
        raise TokenError(f"the header {CLUSTER_HEADER} is not signed")
    seconds = said.get("x-amz-expires", "")
    if not (seconds.isascii() and seconds.isdecimal()) or int(seconds) > _LONGEST_EXPIRY:
        raise TokenError(f"X-Amz-Expires is {seconds!r}, not a number of at most {_LONGEST_EXPIRY}")
    if not said.get("x-amz-credential"):
        raise TokenError("the URL names no access key")


def identity(caller: Caller, access_key: str) -> Identity:
    """Return who a caller is to the API server.

    Args:
        caller: The user or the session that STS names.
        access_key: The access key's id that signed the call.
    """
    own_id, _, session = caller.user_id.partition(":")
    return Identity(caller.arn, caller.account, own_id, session, access_key)


def username(template: str, caller: Identity) -> str:
    """Return the Kubernetes username that an access entry's username means for a caller.

    Args:
        template: The access entry's username; `{{SessionName}}` stands for the name of the role's
            session with `-` for each `@`, `{{SessionNameRaw}}` for it as it is.
        caller: Who signed the token.
    """
    known = {"SessionName": caller.session.replace("@", "-"), "SessionNameRaw": caller.session}
    return _TEMPLATE.sub(lambda found: known.get(found[1], found[0]), template)
