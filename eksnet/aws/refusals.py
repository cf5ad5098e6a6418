"""What AWS refuses, as an error of the course in AWS's own words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from eksnet.errors import EksnetError, RefusedError, UnreachableError

# What each service calls it, as its protocol has it.
_EXPIRED = {"ExpiredToken", "ExpiredTokenException"}
_UNKNOWN = {
    "AuthFailure", "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException",
}  # fmt: skip
_SIGNATURE = {
    "InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
}  # fmt: skip
# What the message says where it is the time that the signature has wrong.
_TIME = ("signature expired", "not yet current", "request has expired", "too large")
_DENIED = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedAccess", "UnauthorizedOperation",
}  # fmt: skip
_THROTTLED = {
    "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException",
}  # fmt: skip
# What botocore raises where there are no credentials, or none that can be had.
_NO_CREDENTIALS = {
    "CredentialRetrievalError", "InvalidConfigError", "LoginError", "NoCredentialsError",
    "PartialCredentialsError", "ProfileNotFound", "RefreshWithMFAUnsupportedError", "SSOError",
    "TokenRetrievalError",
}  # fmt: skip
_NO_ANSWER = {"HTTPClientError", "ConnectionError"}
_CREDENTIALS = "credentials that AWS accepts"
_RENEW = "`aws sso login`, or whatever renews your credentials; then eksnet.connect() again"


@contextlib.contextmanager
def in_words(
    client: Any, service: str, remedies: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Turn what a service refuses into an error of the course.

    Args:
        client: The boto3 client that is asked inside.
        service: The service as its name is written, such as `EKS`.
        remedies: The next step for an error code.

    Raises:
        EksnetError: The service refused.
    """
    try:
        yield
    except client.exceptions.ClientError as error:
        told = error.response["Error"]
        raise EksnetError(
            f"{service} refused: {told['Message']}",
            f"a call that {service} takes",
            (remedies or {}).get(told["Code"], ""),
        ) from None


def told(error: Exception, service: str, endpoint: str, *, own: bool) -> EksnetError | None:
    """Return what any call of any service can end in, as an error of the course.

    That is what the caller can do nothing about: the credentials, the clock, the right, the
    network. None for an answer that is about the call itself.

    Args:
        error: What botocore raised.
        service: The service's name, such as `EKS`.
        endpoint: Its URL.
        own: Whether the account is the learner's own; else it is a sandbox's.
    """
    kinds = {one.__name__ for one in type(error).__mro__}
    if kinds & _NO_CREDENTIALS:
        return EksnetError(f"AWS has no credentials for you: {error}", _CREDENTIALS, _RENEW)
    if kinds & _NO_ANSWER:
        return UnreachableError(
            f"{service} did not answer at {endpoint}: {error}",
            "an endpoint that this computer reaches",
            "look at the network, the proxy and the region; then run the cell again"
            if own
            else "`eksnet status`, then run the cell again",
        )
    response = getattr(error, "response", None)
    return _refused(response, service) if isinstance(response, dict) else None


def _refused(response: Mapping[str, Any], service: str) -> EksnetError | None:
    """Return what an error code means that every service has."""
    code, message = response["Error"].get("Code", ""), response["Error"].get("Message", "")
    if code in _EXPIRED:
        seen = f"your AWS credentials have expired: {service} says: {message}"
        return EksnetError(seen, _CREDENTIALS, _RENEW)
    if code in _SIGNATURE and any(word in message.lower() for word in _TIME):
        return EksnetError(
            f"the clock of this computer is {_apart(response)}: {service} says: {message}",
            "a clock that is at most five minutes off",
            "set the clock (`timedatectl set-ntp true`), then run the cell again",
        )
    if code in _UNKNOWN | _SIGNATURE:
        seen = f"AWS does not know your credentials: {service} says: {message}"
        return EksnetError(seen, _CREDENTIALS, "`aws sts get-caller-identity`, with the profile "
                           "that you mean in AWS_PROFILE; then eksnet.connect() again")  # fmt: skip
    if code in _DENIED:
        return RefusedError(
            f"{service} refused: {message}",
            "the right to do this",
            "give it to the user or role that the message names: the course's smallest policy is "
            "in docs/own-cluster.md",
        )
    if code in _THROTTLED:
        return EksnetError(
            f"{service} takes no more calls for now: {message}",
            "fewer calls in the account",
            "wait a minute, then run the cell again",
        )
    return None


def _apart(response: Mapping[str, Any]) -> str:
    """Return how far this computer's clock is from the clock of whoever answered."""
    said = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    with contextlib.suppress(TypeError, ValueError):
        ahead = datetime.now(UTC) - parsedate_to_datetime(said)
        minutes = round(abs(ahead).total_seconds() / 60)
        if minutes:
            return f"{minutes} minutes {'fast' if ahead.total_seconds() > 0 else 'slow'}"
    return "wrong"
