"""How each AWS service says no: its error code for a kind of refusal, in its protocol's form.

Codes: the table of `Errors by service` below is known from use of the services, not read in a
document; docs/fidelity.md says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from eksnet.sandbox.aws.signatures import Fault

# The services whose names in a signature's scope differ from botocore's.
PROTOCOLS: Mapping[str, str] = {
    "eks": "rest-json",
    "acm": "json",
    "tagging": "json",
    "ec2": "ec2",
    "sts": "query",
    "iam": "query",
    "elasticloadbalancing": "query",
    "route53": "rest-xml",
}
_JSON = ("rest-json", "json")

_UNKNOWN_KEY = {
    "ec2": "AuthFailure", "query": "InvalidClientTokenId", "rest-xml": "InvalidClientTokenId",
}  # fmt: skip
_BAD_SIGNATURE = {
    "ec2": "AuthFailure", "query": "SignatureDoesNotMatch", "rest-xml": "SignatureDoesNotMatch",
}  # fmt: skip
_UNSIGNED = {
    "ec2": "AuthFailure", "query": "MissingAuthenticationToken",
    "rest-xml": "MissingAuthenticationToken",
}  # fmt: skip


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
    spoken = protocol(service)
    if fault in (Fault.UNKNOWN_KEY, Fault.UNKNOWN_TOKEN):
        code = _UNKNOWN_KEY.get(spoken, "UnrecognizedClientException")
    elif fault is Fault.UNSIGNED:
        code = _UNSIGNED.get(spoken, "MissingAuthenticationTokenException")
    else:
        code = _BAD_SIGNATURE.get(spoken, "InvalidSignatureException")
    return refuse(service, 403, code, message, request_id)


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
