"""How each AWS service says no: its error code for a kind of refusal, in its protocol's form.

Sources: the page *Common Error Types* of the IAM, STS, ELB, ACM and EKS references
(`AccessDeniedException`, `ExpiredTokenException`, `InvalidAction`, `InvalidClientTokenId`,
`MissingAuthenticationToken`, `UnknownOperationException`, `UnrecognizedClientException`) and *Error
codes for the Amazon EC2 API* (`AuthFailure`, `InvalidAction`, `RequestExpired`,
`UnauthorizedOperation`). Which of the common codes a service really sends, and with which status,
is known from use, not read: docs/fidelity.md says so.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from eksnet.sandbox.aws.signatures import Fault

# The protocol of each service that the sandbox answers for, by its name in a signature's scope.
PROTOCOLS: Mapping[str, str] = {
    "eks": "rest-json",
    "acm": "json",
    "tagging": "json",
    "ec2": "ec2",
    "sts": "query",
    "iam": "query",
    "elasticloadbalancing": "query",
    "route53": "rest-xml",
    "servicequotas": "json",
    "shield": "json",
    "waf-regional": "json",
    "wafv2": "json",
}
_JSON = ("rest-json", "json")


@dataclass(frozen=True)
class Codes:
    """The error codes of a protocol's services.

    Attributes:
        denied: IAM does not allow it.
        unknown_key: There is no such access key, or its session token is another one.
        bad_signature: The signature does not hold.
        expired: The signature is too old, or from the future.
        expired_token: The session of a role has ended.
        unsigned: There is no signature.
        unknown_operation: The service has no such operation.
        status: The HTTP status of all these but the last one, which is 400.
    """

    denied: str
    unknown_key: str
    bad_signature: str
    expired: str
    expired_token: str
    unsigned: str
    unknown_operation: str
    status: int = 403


_QUERY = Codes(
    denied="AccessDenied",
    unknown_key="InvalidClientTokenId",
    bad_signature="SignatureDoesNotMatch",
    expired="SignatureDoesNotMatch",
    expired_token="ExpiredToken",
    unsigned="MissingAuthenticationToken",
    unknown_operation="InvalidAction",
)
_EC2 = Codes(
    denied="UnauthorizedOperation",
    unknown_key="AuthFailure",
    bad_signature="AuthFailure",
    expired="RequestExpired",
    expired_token="RequestExpired",
    unsigned="AuthFailure",
    unknown_operation="InvalidAction",
)
_REST_JSON = Codes(
    denied="AccessDeniedException",
    unknown_key="UnrecognizedClientException",
    bad_signature="InvalidSignatureException",
    expired="InvalidSignatureException",
    expired_token="ExpiredTokenException",
    unsigned="MissingAuthenticationTokenException",
    unknown_operation="UnknownOperationException",
)
CODES: Mapping[str, Codes] = {
    "ec2": _EC2,
    "query": _QUERY,
    "rest-xml": _QUERY,
    "rest-json": _REST_JSON,
    "json": dataclasses.replace(_REST_JSON, status=400),
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        body: The body, in the service's protocol.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def protocol(service: str) -> str:
    """Return a service's protocol; a service that the sandbox does not know speaks JSON."""
    return PROTOCOLS.get(service, "rest-json")


def unsigned(service: str, fault: Fault, message: str, request_id: str) -> Answer:
    """Return the refusal of a request whose signature does not hold."""
    codes = CODES[protocol(service)]
    code = {
        Fault.UNKNOWN_KEY: codes.unknown_key,
        Fault.UNKNOWN_TOKEN: codes.unknown_key,
        Fault.EXPIRED_TOKEN: codes.expired_token,
        Fault.UNSIGNED: codes.unsigned,
        Fault.EXPIRED: codes.expired,
        Fault.EARLY: codes.expired,
    }.get(fault, codes.bad_signature)
    return refuse(service, codes.status, code, message, request_id)


def denied(service: str, message: str, request_id: str) -> Answer:
    """Return the refusal of a request that IAM does not allow."""
    codes = CODES[protocol(service)]
    return refuse(service, codes.status, codes.denied, message, request_id)


def bad_signature(service: str, message: str, request_id: str) -> Answer:
    """Return the refusal of a request whose signature is for something else."""
    return unsigned(service, Fault.WRONG_SCOPE, message, request_id)


def unknown_operation(service: str, message: str, request_id: str) -> Answer:
    """Return the refusal of an operation that the service does not have here."""
    return refuse(service, 400, CODES[protocol(service)].unknown_operation, message, request_id)


def refuse(service: str, status: int, code: str, message: str, request_id: str) -> Answer:
    """Return an error in the form of a service's protocol.

    Args:
        service: The service's name in a signature's scope.
        status: The HTTP status.
        code: The error's code.
        message: What is wrong.
        request_id: The id of this answer.
    """
    spoken = protocol(service)
    if spoken in _JSON:
        body = json.dumps({"__type": code, "message": message}).encode()
        headers = (
            ("Content-Type", "application/json"),
            ("x-amzn-ErrorType", code),
            ("x-amzn-RequestId", request_id),
        )
        return Answer(status, headers, body)
    code, message = escape(code), escape(message)
    if spoken == "ec2":
        text = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            f"</Errors><RequestID>{request_id}</RequestID></Response>"
        )
    else:
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{message}</Message></Error><RequestId>{request_id}</RequestId>"
            "</ErrorResponse>"
        )
    of_xml = (("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id))
    return Answer(status, of_xml, text.encode())
