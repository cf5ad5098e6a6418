"""Who signed a request: AWS's Signature Version 4, in a header or in a presigned URL.

The rules are those of "AWS Signature Version 4 for API requests" in the IAM user guide; botocore's
signers (`botocore.auth.SigV4Auth`, `SigV4QueryAuth`) are what the tests hold this to.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from urllib.parse import parse_qsl, quote, unquote_plus

_ALGORITHM = "AWS4-HMAC-SHA256"
_TIMESTAMP = "%Y%m%dT%H%M%SZ"
# "A request must reach AWS within five minutes of its time stamp", before and after.
SKEW = timedelta(minutes=5)
# A presigned call of STS is a token for the API server: aws-iam-authenticator's
# `presignedURLExpiration`, whatever X-Amz-Expires says.
TOKEN_LIFETIME = timedelta(minutes=15)
_LONGEST = timedelta(days=7)


class Fault(Enum):
    """Why a request counts as nobody's."""

    UNSIGNED = "unsigned"
    INCOMPLETE = "incomplete"
    UNKNOWN_KEY = "unknown key"
    UNKNOWN_TOKEN = "unknown session token"
    EXPIRED_TOKEN = "expired session token"
    WRONG_SIGNATURE = "wrong signature"
    WRONG_SCOPE = "wrong scope"
    WRONG_BODY = "wrong body"
    EXPIRED = "expired"
    EARLY = "not yet valid"


class SignatureError(Exception):
    """A request whose signature does not hold.

    Attributes:
        fault: The kind of fault.
    """

    def __init__(self, fault: Fault, message: str) -> None:
        """Keep the fault beside the message for the caller."""
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True)
class Request:
    """An HTTP request as it arrived.

    Attributes:
        method: The HTTP method.
        path: The path as sent, percent-encoded.
        query: What follows the question mark, as sent.
        headers: The headers, names in lower case.
        body: The body, whole.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Secret:
    """What belongs to an access key.

    Attributes:
        key: The secret access key.
        token: The session token of temporary credentials; empty for long-term ones.
        expires: When temporary credentials end.
    """

    key: str
    token: str = ""
    expires: datetime | None = None


@dataclass(frozen=True)
class Signer:
    """Who signed a request, and for what.

    Attributes:
        access_key: The access key's id.
        region: The region of the credential scope.
        service: The service of the credential scope, such as `eks`.
    """

    access_key: str
    region: str
    service: str


Secrets = Callable[[str], Secret | None]


@dataclass(frozen=True)
class _Claim:
    """What a request says of its own signature, before any of it is believed."""

    access_key: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    moment: datetime
    token: str
    payload: str
    parameters: tuple[tuple[str, str], ...]
    lifetime: timedelta | None

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def verify(request: Request, secrets: Secrets, now: datetime) -> Signer:
    """Return who signed a request.

    A request that is repeated within its validity is accepted, as by AWS.

    Args:
        request: The request.
        secrets: Finds the secret of an access key's id; None where there is no such key.
        now: The present moment, with its time zone.

    Raises:
        SignatureError: The request is not signed, or its signature does not hold.
    """
    claim = _claim(request)
    secret = secrets(claim.access_key)
    if secret is None:
        raise SignatureError(
            Fault.UNKNOWN_KEY, "The security token included in the request is invalid."
        )
    if not hmac.compare_digest(secret.token.encode(), claim.token.encode()):
        raise SignatureError(
            Fault.UNKNOWN_TOKEN, "The security token included in the request is invalid."
        )
    if not hmac.compare_digest(_signature(request, claim, secret.key), claim.signature):
        raise SignatureError(
            Fault.WRONG_SIGNATURE,
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. "
            "Consult the service documentation for details.",
        )
    if secret.expires and secret.expires <= now:
        raise SignatureError(
            Fault.EXPIRED_TOKEN, "The security token included in the request is expired"
        )
    _check_headers(request, claim)
    _check_body(request, claim)
    _check_time(claim, now)
    return Signer(claim.access_key, claim.region, claim.service)


# What the request says.


def _claim(request: Request) -> _Claim:
    header = request.headers.get("authorization", "")
    if header.startswith(_ALGORITHM):
        return _from_header(request, header)
    parameters = dict(parse_qsl(request.query, keep_blank_values=True))
    if parameters.get("X-Amz-Algorithm") == _ALGORITHM:
        return _from_query(request, parameters)
    raise SignatureError(Fault.UNSIGNED, "Missing Authentication Token")


def _from_header(request: Request, header: str) -> _Claim:
    pieces = (piece.strip().partition("=") for piece in header.removeprefix(_ALGORITHM).split(","))
    said = {name: value for name, _, value in pieces}
    payload = request.headers.get("x-amz-content-sha256") or _digest(request.body)
    return _complete(
        said.get("Credential", ""),
        said.get("SignedHeaders", ""),
        said.get("Signature", ""),
        request.headers.get("x-amz-date", ""),
        token=request.headers.get("x-amz-security-token", ""),
        payload=payload,
        parameters=tuple(_parameters(request.query)),
        lifetime=None,
    )


def _from_query(request: Request, said: Mapping[str, str]) -> _Claim:
    seconds = said.get("X-Amz-Expires", "")
    if not seconds.isdecimal():
        raise SignatureError(Fault.INCOMPLETE, "X-Amz-Expires must be a number of seconds")
    lifetime = timedelta(seconds=int(seconds)) if len(seconds) < 9 else timedelta.max
    if lifetime > _LONGEST:
        raise SignatureError(Fault.INCOMPLETE, "X-Amz-Expires must be less than a week")
    parameters = tuple(p for p in _parameters(request.query) if p[0] != "X-Amz-Signature")
    return _complete(
        said.get("X-Amz-Credential", ""),
        said.get("X-Amz-SignedHeaders", ""),
        said.get("X-Amz-Signature", ""),
        said.get("X-Amz-Date", ""),
        token=said.get("X-Amz-Security-Token", ""),
        payload=_digest(b""),
        parameters=parameters,
        lifetime=lifetime,
    )


def _complete(
    credential: str,
    signed: str,
    signature: str,
    date: str,
    *,
    token: str,
    payload: str,
    parameters: tuple[tuple[str, str], ...],
    lifetime: timedelta | None,
) -> _Claim:
    """Return a claim of which each part is there and fits the others."""
    parts = credential.split("/")
    names = tuple(signed.split(";"))
    try:
        moment = datetime.strptime(date, _TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        raise SignatureError(
            Fault.INCOMPLETE, "Date must be in ISO-8601 'basic format'. "
            f"Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None  # fmt: skip
    if len(parts) != 5 or not all(parts) or not signature or "host" not in names:
        raise SignatureError(
            Fault.INCOMPLETE, "Authorization requires 'Credential', 'Signature' and "
            "'SignedHeaders' with 'host' among them."
        )  # fmt: skip
    access_key, day, region, service, end = parts
    if end != "aws4_request" or day != date[:8]:
        raise SignatureError(
            Fault.WRONG_SCOPE, "Credential should be scoped to the date of the request and "
            f"end with 'aws4_request', not '{'/'.join(parts[1:])}'."
        )  # fmt: skip
    return _Claim(
        access_key, day, region, service, names, signature, moment, token, payload, parameters,
        lifetime,
    )  # fmt: skip


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a query as they were sent, decoded once and encoded as AWS does."""
    for piece in query.split("&") if query else ():
        name, _, value = piece.partition("=")
        yield unquote_plus(name), unquote_plus(value)


# What it should be.


def _signature(request: Request, claim: _Claim, secret: str) -> str:
    text = "\n".join(
        [
            _ALGORITHM,
            claim.moment.strftime(_TIMESTAMP),
            claim.scope,
            _digest(_canonical(request, claim).encode()),
        ]
    )
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = _mac(key, part)
    return _mac(key, text).hex()


def _canonical(request: Request, claim: _Claim) -> str:
    encoded = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in claim.parameters
    )
    headers = "".join(f"{name}:{_one_line(request.headers, name)}\n" for name in claim.signed)
    return "\n".join(
        [
            request.method,
            # Encoded a second time, as every service but S3 has it.
            quote(_normal(request.path), safe="/~"),
            "&".join(f"{name}={value}" for name, value in encoded),
            headers,
            ";".join(claim.signed),
            claim.payload,
        ]
    )


def _normal(path: str) -> str:
    """Return a path without empty, `.` and `..` segments, as every service but S3 has it."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    end = "/" if kept and path.endswith("/") else ""
    return "/" + "/".join(kept) + end


def _one_line(headers: Mapping[str, str], name: str) -> str:
    return " ".join(headers.get(name, "").split())


def _check_headers(request: Request, claim: _Claim) -> None:
    """Refuse a header of AWS's own that anybody could have added afterwards."""
    loose = [n for n in request.headers if n.startswith("x-amz-") and n not in claim.signed]
    if loose:
        raise SignatureError(
            Fault.WRONG_SIGNATURE,
            f"There were headers present in the request which were not signed: {', '.join(loose)}",
        )


def _check_body(request: Request, claim: _Claim) -> None:
    """Refuse a body that is not the one that was signed."""
    if claim.lifetime is None and claim.payload != _digest(request.body):
        raise SignatureError(
            Fault.WRONG_BODY, "The provided 'x-amz-content-sha256' header does not match "
            "what was computed."
        )  # fmt: skip
    if claim.lifetime is not None and request.body:
        raise SignatureError(Fault.WRONG_BODY, "A presigned request has no body.")


def _check_time(claim: _Claim, now: datetime) -> None:
    lifetime = claim.lifetime or SKEW
    if claim.lifetime is not None and claim.service == "sts":
        lifetime = TOKEN_LIFETIME
    written, present = claim.moment.strftime(_TIMESTAMP), now.strftime(_TIMESTAMP)
    if claim.moment + lifetime < now:
        oldest = (now - lifetime).strftime(_TIMESTAMP)
        raise SignatureError(
            Fault.EXPIRED, f"Signature expired: {written} is now earlier than {oldest} "
            f"({present} - {int(lifetime.total_seconds() // 60)} min.)"
        )  # fmt: skip
    if claim.moment - SKEW > now:
        newest = (now + SKEW).strftime(_TIMESTAMP)
        raise SignatureError(
            Fault.EARLY, f"Signature not yet current: {written} is still later than {newest} "
            f"({present} + {int(SKEW.total_seconds() // 60)} min.)"
        )  # fmt: skip


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
