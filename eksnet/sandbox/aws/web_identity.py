"""Tokens of service accounts, with which pods get the credentials of a role.

What AWS asks of an OpenID Connect token stands in "AssumeRoleWithWebIdentity" (AWS STS API
Reference) and "Create an OpenID Connect (OIDC) identity provider in IAM" (IAM User Guide). The
messages were seen in public reports, but for that of a wrong signature, which is the reference's
description of the error: docs/fidelity.md says so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from eksnet.sandbox.aws import decisions
from eksnet.sandbox.aws.operations import Operation
from eksnet.sandbox.aws.policies import Asked, Values
from eksnet.sandbox.aws.signatures import Request

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

NAME = "AssumeRoleWithWebIdentity"
ACTION = f"sts:{NAME}"
# What EKS's issuers sign with; AWS itself takes other algorithms from other issuers.
_ALGORITHM = "RS256"
_LONGEST = 20_000
_SHORTEST_SESSION, _LONGEST_SESSION, _SESSION = 900, 43_200, 3_600
_NEEDED = ("RoleArn", "RoleSessionName", "WebIdentityToken")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
# What goes on to what hands out the credentials: the token is no longer needed, and kept nowhere.
_PASSED_ON = ("RoleArn", "RoleSessionName", "DurationSeconds", "Policy")
_INVALID = "InvalidIdentityToken"
_NO_JWT = (
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
)
_NOT_VALIDATED = (
    "The web identity token that was passed could not be validated by AWS. Get a new identity "
    "token from the identity provider and then retry the request."
)
_NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference "
    "AssumeRoleWithWebIdentity documentation for requirements"
)


class WebIdentityError(Exception):
    """A call that gets no credentials.

    Attributes:
        code: STS's error code.
        status: The HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """Keep code and status beside the message for the caller."""
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Provider:
    """An OpenID Connect provider in IAM.

    Attributes:
        arn: Its ARN.
        client_ids: The audiences for which it takes tokens.
    """

    arn: str
    client_ids: tuple[str, ...]


@dataclass(frozen=True)
class Token:
    """What a token says of itself, before any of it is believed.

    Attributes:
        issuer: The URL of who issued it.
        subject: The service account, such as `system:serviceaccount:default:web`.
        audiences: Those that it is made for.
        expires: When it ends, in seconds since 1970.
        key: The id of the key that signed it.
        algorithm: How it is signed.
        signed: What is signed.
        signature: The signature.
    """

    issuer: str
    subject: str
    audiences: tuple[str, ...]
    expires: int
    key: str
    algorithm: str
    signed: bytes
    signature: bytes

    @property
    def name(self) -> str:
        """The issuer as IAM names it: without its scheme."""
        return self.issuer.removeprefix("https://")


@dataclass(frozen=True)
class Issuer:
    """Who issues the cluster's tokens.

    Attributes:
        url: Its URL.
        public_key: The file of its public key, PEM.
    """

    url: str
    public_key: Path

    @cached_property
    def _key(self) -> RSAPublicKey:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        loaded = load_pem_public_key(self.public_key.read_bytes())
        assert isinstance(loaded, RSAPublicKey)
        return loaded

    @cached_property
    def key_id(self) -> str:
        """The key's id, as Kubernetes computes it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        der = self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return _encoded(hashlib.sha256(der).digest())

    def signed(self, token: Token) -> bool:
        """Tell whether a token with this issuer's key id has its signature."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            self._key.verify(token.signature, token.signed, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def configuration(self) -> bytes:
        """Return the discovery document, with the fields of EKS's issuers."""
        document = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": "urn:kubernetes:programmatic_authorization",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "claims_supported": ["sub", "iss"],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
        }
        return json.dumps(document).encode()

    def keys(self) -> bytes:
        """Return the public keys as a JSON Web Key Set (RFC 7517)."""
        numbers = self._key.public_numbers()
        key = {
            "kty": "RSA",
            "e": _encoded(_bytes(numbers.e)),
            "n": _encoded(_bytes(numbers.n)),
            "kid": self.key_id,
            "use": "sig",
            "alg": _ALGORITHM,
        }
        return json.dumps({"keys": [key]}).encode()


def is_call(request: Request) -> bool:
    """Tell whether a request is an unsigned AssumeRoleWithWebIdentity, as every SDK sends it."""
    is_signed = "authorization" in request.headers or "X-Amz-Algorithm=" in request.query
    sent = f"{request.query}&{request.body.decode(errors='replace')}"
    return not is_signed and f"Action={NAME}" in sent.split("&")


def check(operation: Operation) -> None:
    """Refuse a call without a parameter that it needs, or has one with a value that AWS refuses.

    Raises:
        WebIdentityError: It does.
    """
    sent = operation.parameters
    for name in _NEEDED:
        if not sent.get(name):
            raise _constraint("null", name, "Member must not be null")
    if not _SESSION_NAME.fullmatch(sent["RoleSessionName"]):
        constraint = r"Member must satisfy regular expression pattern: [\w+=,.@-]*"
        raise _constraint(f"'{sent['RoleSessionName']}'", "RoleSessionName", constraint)
    seconds = duration(operation)
    if seconds < _SHORTEST_SESSION:
        bound = f"greater than or equal to {_SHORTEST_SESSION}"
    elif seconds > _LONGEST_SESSION:
        bound = f"less than or equal to {_LONGEST_SESSION}"
    else:
        return
    raise _constraint(f"'{seconds}'", "DurationSeconds", f"Member must have value {bound}")


def check_length(operation: Operation, longest: int) -> None:
    """Refuse a session that is longer than its role allows.

    Args:
        operation: The call.
        longest: For how many seconds a session of the role may last.

    Raises:
        WebIdentityError: It is.
    """
    if duration(operation) > longest:
        message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise WebIdentityError("ValidationError", message)


def _constraint(value: str, name: str, constraint: str) -> WebIdentityError:
    where = name[0].lower() + name[1:]
    return WebIdentityError(
        "ValidationError",
        f"1 validation error detected: Value {value} at '{where}' failed to satisfy "
        f"constraint: {constraint}",
    )


def duration(operation: Operation) -> int:
    """Return for how many seconds credentials are asked; 0 for what is no number."""
    text = operation.parameters.get("DurationSeconds", str(_SESSION))
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def read(text: str) -> Token:
    """Return what a token says.

    Raises:
        WebIdentityError: It is no JSON Web Token with the claims of an OpenID Connect one.
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError
        head, body, signature = text.split(".")
        header, claims = json.loads(_decoded(head)), json.loads(_decoded(body))
        audience = claims["aud"]
        return Token(
            issuer=_text(claims["iss"]),
            subject=_text(claims["sub"]),
            audiences=tuple(map(_text, audience if isinstance(audience, list) else [audience])),
            expires=int(claims["exp"]),
            key=_text(header.get("kid", "")),
            algorithm=_text(header["alg"]),
            signed=f"{head}.{body}".encode(),
            signature=_decoded(signature),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WebIdentityError(_INVALID, _NO_JWT) from None


def verify(token: Token, provider: Provider | None, issuer: Issuer, now: datetime) -> None:
    """Refuse a token that is not who it says it is for.

    Args:
        token: The token.
        provider: The provider in IAM that has the token's issuer; None when there is none.
        issuer: The one issuer whose keys can be had here.
        now: The present moment, with its time zone.

    Raises:
        WebIdentityError: It does not hold.
    """
    if provider is None:
        message = f"No OpenIDConnect provider found in your account for {token.issuer}"
        raise WebIdentityError(_INVALID, message)
    if token.issuer != issuer.url or token.key != issuer.key_id:
        raise WebIdentityError(_INVALID, _NO_KEY)
    if token.algorithm != _ALGORITHM or not issuer.signed(token):
        raise WebIdentityError(_INVALID, _NOT_VALIDATED)
    present = int(now.timestamp())
    if token.expires <= present:
        raise WebIdentityError(
            "ExpiredTokenException",
            f"Token expired: current date/time {present} must be before the expiration "
            f"date/time {token.expires}",
        )
    if not set(token.audiences) & set(provider.client_ids):
        raise WebIdentityError(_INVALID, "Incorrect token audience")


def authorize(
    operation: Operation, token: Token, provider: Provider, trust: str | None, region: str
) -> None:
    """Refuse what the role's trust policy does not allow.

    Args:
        operation: The call.
        token: Its token, verified.
        provider: The provider of the token's issuer.
        trust: The role's trust policy; None when there is no such role.
        region: The region.

    Raises:
        WebIdentityError: The policy does not allow it, or cannot be read here.
    """
    sent = operation.parameters
    keys: dict[str, Values] = {
        f"{token.name}:sub".lower(): (token.subject,),
        f"{token.name}:aud".lower(): token.audiences,
        "aws:requestedregion": (region,),
        "aws:securetransport": ("false",),
        "sts:rolesessionname": (sent["RoleSessionName"],),
    }
    asked = Asked(ACTION, sent["RoleArn"], keys)
    if not decisions.trusts_provider(asked, trust, provider.arn):
        raise WebIdentityError("AccessDenied", f"Not authorized to perform {ACTION}", 403)


def passed_on(operation: Operation) -> str:
    """Return the body of the call that hands out credentials: without the token."""
    sent = operation.parameters
    kept = {name: sent[name] for name in _PASSED_ON if name in sent}
    return urlencode({"Action": NAME, "Version": "2011-06-15", **kept})


_ROLE_ID = re.compile(r"(<AssumedRoleId>)[^<]*")
_ACCESS_KEY = re.compile(r"<AccessKeyId>([^<]+)")
_END = "</AssumeRoleWithWebIdentityResult>"


def access_key(answer: bytes) -> str:
    """Return the access key that an answer hands out."""
    found = _ACCESS_KEY.search(answer.decode())
    assert found is not None, "credentials have an access key"
    return found[1]


def completed(answer: bytes, token: Token, provider: Provider, user_id: str) -> bytes:
    """Return an answer with the subject of the credentials.

    Args:
        answer: The answer that hands out the credentials.
        token: The token.
        provider: The provider of the token's issuer.
        user_id: The unique id of the role and its session.
    """
    from xml.sax.saxutils import escape

    told = {
        "SubjectFromWebIdentityToken": token.subject,
        "Audience": next(one for one in token.audiences if one in provider.client_ids),
        "Provider": provider.arn,
    }
    more = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in told.items())
    text = _ROLE_ID.sub(rf"\g<1>{user_id}", answer.decode())
    return text.replace(_END, more + _END).encode()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
