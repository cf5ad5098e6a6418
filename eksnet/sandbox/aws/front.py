"""The one way in: verify each request's signature, then let the service answer it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from eksnet.sandbox.aws import refusals
from eksnet.sandbox.aws.eks import model as eks_model
from eksnet.sandbox.aws.eks.service import Service
from eksnet.sandbox.aws.refusals import Answer
from eksnet.sandbox.aws.signatures import Request, Secrets, SignatureError, Signer, verify

# The largest request that a service here has use for; a Corefile of 2 MB is larger.
_LONGEST_BODY = 2**20
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True)
class Caller:
    """The user or role that an access key belongs to.

    Attributes:
        account: The account's id.
        user_id: The unique id, such as `AIDA…`.
        arn: The ARN of the user or of the role's session.
    """

    account: str
    user_id: str
    arn: str


class Front:
    """A WSGI application that answers as AWS's endpoints do."""

    def __init__(
        self,
        eks: Service,
        secrets: Secrets,
        callers: Mapping[str, Caller],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare to answer.

        Args:
            eks: Answers EKS's calls.
            secrets: Finds an access key's secret.
            callers: The user or role that each access key belongs to.
            now: Tells the time.
        """
        self._eks = eks
        self._secrets = secrets
        self._callers = callers
        self._now = now

    def __call__(self, environ: Mapping[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        """Answer one request of a WSGI server."""
        answer = self.answer(environ)
        status = HTTPStatus(answer.status)
        length = ("Content-Length", str(len(answer.body)))
        start(f"{status.value} {status.phrase}", [*answer.headers, length])
        return [answer.body]

    def answer(self, environ: Mapping[str, Any]) -> Answer:
        """Return the answer to one request."""
        request_id = str(uuid.uuid4())
        request = _request(environ)
        if request is None:
            return refusals.refuse("", 413, "RequestEntityTooLarge", "Too large", request_id)
        try:
            signer = verify(request, self._secrets, self._now())
        except SignatureError as error:
            service = _claimed_service(request)
            return refusals.unsigned(service, error.fault, str(error), request_id)
        return self._answered(request, signer, request_id)

    def _answered(self, request: Request, signer: Signer, request_id: str) -> Answer:
        if signer.service == "eks":
            return self._answer_eks(request, request_id)
        if signer.service == "sts":
            return self._answer_sts(request, signer, request_id)
        message = f"{signer.service} is not part of this sandbox"
        return refusals.refuse(signer.service, 400, "InvalidAction", message, request_id)

    def _answer_eks(self, request: Request, request_id: str) -> Answer:
        headers = (("Content-Type", "application/json"), ("x-amzn-RequestId", request_id))
        try:
            call = eks_model.read(request.method, request.path, request.query, request.body)
            result = self._eks.answer(call)
        except eks_model.EksError as error:
            status, body = eks_model.refusal(error)
            return Answer(status, (*headers, ("x-amzn-ErrorType", error.code)), body)
        return Answer(200, headers, eks_model.answer(call.operation, result))

    def _answer_sts(self, request: Request, signer: Signer, request_id: str) -> Answer:
        if b"Action=GetCallerIdentity" not in request.body + b"&" + request.query.encode():
            message = "Of STS this sandbox has GetCallerIdentity alone"
            return refusals.refuse("sts", 400, "InvalidAction", message, request_id)
        caller = self._callers[signer.access_key]
        text = (
            f'<GetCallerIdentityResponse xmlns="{_STS}"><GetCallerIdentityResult>'
            f"<Arn>{caller.arn}</Arn><UserId>{caller.user_id}</UserId>"
            f"<Account>{caller.account}</Account></GetCallerIdentityResult>"
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
            "</GetCallerIdentityResponse>"
        )
        return Answer(200, (("Content-Type", "text/xml"),), text.encode())


def _request(environ: Mapping[str, Any]) -> Request | None:
    """Return a request as it was sent; None when its body is too large to be read."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > _LONGEST_BODY:
        return None
    # As sent: a WSGI server's PATH_INFO is decoded, and the signature is of what was sent.
    path, _, query = str(environ["REQUEST_URI"]).partition("?")
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    body = environ["wsgi.input"].read(int(length))
    return Request(environ["REQUEST_METHOD"], path, query, headers, body)


def _claimed_service(request: Request) -> str:
    """Return the service that a request names in its scope, for the form of the refusal alone."""
    scope = request.headers.get("authorization", "") + "&" + request.query
    for name in refusals.PROTOCOLS:
        if f"/{name}/aws4_request" in scope or f"%2F{name}%2Faws4_request" in scope:
            return name
    return "eks"
