"""The one way in: verify each request's signature, ask IAM, then let the service answer."""

from __future__ import annotations

import dataclasses
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from eksnet.sandbox.aws import (
    authorization,
    decisions,
    operations,
    published,
    refusals,
    simulation,
    unused,
    web_identity,
)
from eksnet.sandbox.aws.account import Account
from eksnet.sandbox.aws.authorization import Context
from eksnet.sandbox.aws.journal import Sent
from eksnet.sandbox.aws.operations import Operation, OperationError
from eksnet.sandbox.aws.policies import PolicyError
from eksnet.sandbox.aws.principals import Principal
from eksnet.sandbox.aws.published import Documents
from eksnet.sandbox.aws.refusals import Answer
from eksnet.sandbox.aws.settings import ACCOUNT
from eksnet.sandbox.aws.signatures import Request, SignatureError, Signer, verify
from eksnet.sandbox.aws.web_identity import Issuer, WebIdentityError

if TYPE_CHECKING:
    from eksnet.sandbox.aws.eks.resources import Resources
    from eksnet.sandbox.aws.eks.service import Service

# The largest request that a service here has use for; a Corefile of 2 MB is larger.
_LONGEST_BODY = 2**20
_PARTS_OF_AN_ARN = 6
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
# Services with one endpoint for all regions, and the region that signatures for it name.
_GLOBAL, _GLOBAL_REGION = ("iam", "route53", "shield", "sts"), "us-east-1"
# Of STS, what hands out credentials that nobody here would know is left out.
_STS_OPERATIONS = ("AssumeRole", "GetAccessKeyInfo")
_FORM = "application/x-www-form-urlencoded; charset=utf-8"


# Of AssumeRole and its like, what would limit or change the session in ways that nobody here looks
# at.
_UNKNOWN_PARAMETERS = (
    r"(PolicyArns|ProvidedContexts|TransitiveTagKeys)\..*|SourceIdentity|ProviderId"
)


class Front:
    """A WSGI application that answers as AWS's endpoints do."""

    def __init__(
        self,
        eks: Callable[[], Service],
        resources: Resources,
        account: Account,
        region: str,
        issuer: Issuer,
        documents: Documents,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare to answer.

        Args:
            eks: Returns what answers EKS's calls; called at the first of them.
            resources: What belongs to the cluster.
            account: Users, roles and keys, and the other services.
            region: The only region.
            issuer: Who issues the tokens of the cluster's service accounts.
            documents: What anybody may read, by path.
            now: Tells the time.
        """
        self._eks = eks
        self._resources = resources
        self._account = account
        self._region = region
        self._issuer = issuer
        self._documents = documents
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
        request = _head(environ)
        if published_document := published.answer(request, self._documents):
            return published_document
        service = _claimed_service(request)
        if _is_too_long(environ):
            message = f"A request here has at most {_LONGEST_BODY:,} bytes"
            return refusals.refuse(service, 413, "RequestEntityTooLarge", message, request_id)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        request = dataclasses.replace(request, body=environ["wsgi.input"].read(length))
        try:
            if web_identity.is_call(request):
                return self._federated(request, request_id)
            signer = verify(request, self._account.secret, self._now())
            return self._answered(request, signer, request_id)
        except SignatureError as error:
            return refusals.unsigned(service, error.fault, str(error), request_id)
        except OperationError as error:
            return refusals.refuse(service, 400, error.code, str(error), request_id)
        except Exception:
            # One request must not end the process, and nothing of this one may be half-done.
            traceback.print_exc()
            message = "The sandbox failed on this request: `eksnet logs aws` says why"
            return refusals.refuse(service, 500, "InternalFailure", message, request_id)

    def _answered(self, request: Request, signer: Signer, request_id: str) -> Answer:
        service = signer.service
        if service not in refusals.PROTOCOLS:
            message = f"{service} is not part of this sandbox"
            return refusals.unknown_operation(service, message, request_id)
        regions = (self._region, *([_GLOBAL_REGION] if service in _GLOBAL else []))
        if signer.region not in regions:
            message = f"Credential should be scoped to a valid region, not '{signer.region}'."
            return refusals.bad_signature(service, message, request_id)
        principal = self._account.principal(signer.access_key)
        if service == "eks":
            return self._answer_eks(request, signer, principal, request_id)
        operation = operations.read(service, request)
        if service == "sts" and operation.name == "GetCallerIdentity":
            # Never denied, whatever policies say.
            return _caller_identity(principal, request_id)
        if not self._has(operation):
            message = f"{operation.name} of {service} is not part of this sandbox"
            return refusals.unknown_operation(service, message, request_id)
        if denied := self._denied(operation, signer, principal):
            return refusals.denied(service, denied, request_id)
        return self._served(operation, principal, _sent(request, signer), request_id)

    def _served(
        self, operation: Operation, principal: Principal, sent: Sent, request_id: str
    ) -> Answer:
        """Return the answer to an operation that is allowed."""
        if simulation.is_call(operation):
            context = self._context(principal)
            return simulation.answer(operation, self._account.identity, context, request_id)
        if operation.service in unused.SERVICES:
            return unused.answer(operation.service, operation.name, request_id)
        return self._account.answer(sent, operation)

    def _federated(self, request: Request, request_id: str) -> Answer:
        """Answer the one call that nobody signs: who has a token has no key yet."""
        operation = operations.read("sts", request)
        if operation.name != web_identity.NAME or operation.values(_UNKNOWN_PARAMETERS):
            message = f"{operation.name} with such parameters is not part of this sandbox"
            return refusals.unknown_operation("sts", message, request_id)
        try:
            web_identity.check(operation)
            token = web_identity.read(operation.parameters["WebIdentityToken"])
            provider = self._account.provider(token.issuer)
            web_identity.verify(token, provider, self._issuer, self._now())
            assert provider is not None, "what is verified has a provider"
            role = operation.parameters["RoleArn"]
            trust = self._account.trust(role)
            web_identity.authorize(operation, token, provider, trust, self._region)
            web_identity.check_length(operation, self._account.longest_session(role))
        except WebIdentityError as error:
            return refusals.refuse("sts", error.status, error.code, str(error), request_id)
        body = web_identity.passed_on(operation)
        answer = self._account.answer(Sent("sts", "", "POST", "/", "", body, _FORM, ""), operation)
        user_id = self._account.principal(web_identity.access_key(answer.body)).user_id
        told = web_identity.completed(answer.body, token, provider, user_id)
        return dataclasses.replace(answer, body=told)

    def _has(self, operation: Operation) -> bool:
        if operation.service == "sts" and operation.name not in _STS_OPERATIONS:
            return False
        if operation.values(_UNKNOWN_PARAMETERS):
            return False
        if simulation.is_call(operation):
            return True
        if operation.service in unused.SERVICES:
            return unused.knows(operation.service, operation.name)
        return self._account.knows(operation.service, operation.name)

    def _denied(self, operation: Operation, signer: Signer, principal: Principal) -> str:
        """Return why IAM denies an operation; empty when it allows it."""
        asked = authorization.asked(operation, self._context(principal))
        try:
            grants = self._account.grants(principal, signer.access_key)
        except PolicyError as error:
            return f"A policy of {principal.identity} cannot be read: {error}"
        if operation.name == "AssumeRole":
            (one,) = asked
            return decisions.assuming(one, self._account.trust(one.resource), grants, principal)
        return decisions.refusal(asked, grants, principal)

    def _context(self, principal: Principal) -> Context:
        return Context(
            ACCOUNT, self._region, principal, self._tags, self._account.arn, self._resources.arn
        )

    def _tags(self, arn: str) -> Mapping[str, str]:
        # What a request names as an ARN may be none: whoever answers it says so.
        parts = arn.split(":", _PARTS_OF_AN_ARN - 1)
        if len(parts) < _PARTS_OF_AN_ARN:
            return {}
        of_eks = parts[2] == "eks"
        return self._resources.tags(arn) if of_eks else self._account.tags(arn)

    def _answer_eks(
        self, request: Request, signer: Signer, principal: Principal, request_id: str
    ) -> Answer:
        from eksnet.sandbox.aws.eks import model

        headers = (("Content-Type", "application/json"), ("x-amzn-RequestId", request_id))
        try:
            call = model.read(request.method, request.path, request.query, request.body)
            operation = Operation("eks", call.operation, operations.flattened(call.parameters))
            if denied := self._denied(operation, signer, principal):
                return refusals.denied("eks", denied, request_id)
            result = self._eks().answer(call)
        except model.EksError as error:
            status, body = model.refusal(error)
            return Answer(status, (*headers, ("x-amzn-ErrorType", error.code)), body)
        return Answer(200, headers, model.answer(call.operation, result))


def _caller_identity(principal: Principal, request_id: str) -> Answer:
    text = (
        f'<GetCallerIdentityResponse xmlns="{_STS}"><GetCallerIdentityResult>'
        f"<Arn>{principal.arn}</Arn><UserId>{principal.user_id}</UserId>"
        f"<Account>{principal.account}</Account></GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
    return Answer(200, (("Content-Type", "text/xml"),), text.encode())


def _is_too_long(environ: Mapping[str, Any]) -> bool:
    """Tell whether a body is too large to be read, or of no length."""
    length = environ.get("CONTENT_LENGTH") or "0"
    return not length.isdecimal() or int(length) > _LONGEST_BODY


def _head(environ: Mapping[str, Any]) -> Request:
    """Return a request as it was sent, without its body."""
    # As sent: a WSGI server's PATH_INFO is decoded, and the signature is of what was sent.
    path, _, query = str(environ["REQUEST_URI"]).partition("?")
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    return Request(environ["REQUEST_METHOD"], path, query, headers)


def _sent(request: Request, signer: Signer) -> Sent:
    """Return what a service gets to see of a request: nothing of its signature but the key."""
    return Sent(
        service=signer.service,
        access_key=signer.access_key,
        method=request.method,
        path=request.path,
        query=request.query,
        body=request.body.decode("latin-1"),
        content_type=request.headers.get("content-type", ""),
        target=request.headers.get("x-amz-target", ""),
    )


def _claimed_service(request: Request) -> str:
    """Return the service that a request names in its scope, for the form of the refusal alone."""
    scope = request.headers.get("authorization", "") + "&" + request.query
    for name in refusals.PROTOCOLS:
        if f"/{name}/aws4_request" in scope or f"%2F{name}%2Faws4_request" in scope:
            return name
    return "eks"
