"""Bearer tokens for the API server of EKS, made in this process: no call, no import of botocore.

A token is a presigned call of STS, as `aws eks get-token` makes it; the tests hold it to botocore's
own signer. Importing that would take longer than a sandbox takes to answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from eksnet.aws.account import Account

_ALGORITHM, _HEADERS = "AWS4-HMAC-SHA256", "host;x-k8s-aws-id"
_PREFIX = "k8s-aws-v1."
# STS takes a presigned call for 15 minutes. Like the AWS CLI, leave one of them for slow clocks.
_LIFETIME = timedelta(minutes=14)
# What a token is made for may take a while: it is renewed before its last minutes.
_RENEWED = timedelta(minutes=4)


@dataclass(frozen=True)
class Token:
    """A bearer token.

    Attributes:
        text: What follows `Bearer`.
        ends: When it should be used no longer.
    """

    text: str
    ends: datetime


class Tokens:
    """The tokens of one account for its cluster, each renewed before it ends."""

    def __init__(
        self,
        account: Callable[[], Account],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare; nothing is signed yet.

        Args:
            account: Returns whose keys sign, asked each time: those of a role are renewed, too.
            now: Tells the time.
        """
        self._account = account
        self._now = now
        self._token: Token | None = None

    def __call__(self) -> str:
        """Return a token that lasts for minutes."""
        now = self._now()
        if self._token is None or self._token.ends - now < _RENEWED:
            self._token = token(self._account(), now)
        return self._token.text

    def forget(self) -> None:
        """Have the next token be a new one: this one was refused."""
        self._token = None


def token(account: Account, now: datetime) -> Token:
    """Return a token for an account's cluster.

    Args:
        account: Whose keys sign.
        now: The present moment, with its time zone.
    """
    url = _presigned(account, now)
    text = base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return Token(_PREFIX + text, now + _LIFETIME)


def _presigned(account: Account, now: datetime) -> str:
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = "/".join((stamp[:8], account.region, "sts", "aws4_request"))
    said = {
        "Action": "GetCallerIdentity",
        "Version": "2011-06-15",
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{account.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": "60",
        **({"X-Amz-Security-Token": account.session} if account.session else {}),
        "X-Amz-SignedHeaders": _HEADERS,
    }
    # In the order of the names: so it is signed.
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in said.items())
    sts = account.sts or account.endpoint
    headers = f"host:{urlsplit(sts).netloc}\nx-k8s-aws-id:{account.cluster}\n"
    call = "\n".join(("GET", "/", query, headers, _HEADERS, _digest("")))
    text = "\n".join((_ALGORITHM, stamp, scope, _digest(call)))
    key = f"AWS4{account.secret}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    return f"{sts}/?{query}&X-Amz-Signature={_mac(key, text).hex()}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
