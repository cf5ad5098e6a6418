"""IAM's SimulatePrincipalPolicy: what decides on requests here says what it would decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape

from eksnet.sandbox.aws import authorization, decisions, refusals
from eksnet.sandbox.aws.operations import Operation
from eksnet.sandbox.aws.policies import Asked, PolicyError
from eksnet.sandbox.aws.principals import Grants, Principal
from eksnet.sandbox.aws.refusals import Answer

NAME = "SimulatePrincipalPolicy"
_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
_ACTIONS, _RESOURCES = r"ActionNames\.\d+", r"ResourceArns\.\d+"
# What a call may say beside the two; everything else would change the outcome.
_KNOWN = rf"PolicySourceArn|{_ACTIONS}|{_RESOURCES}|MaxItems"

Identify = Callable[[str], tuple[Principal, Grants] | None]


def is_call(operation: Operation) -> bool:
    """Tell whether an operation is the one that is answered here."""
    return (operation.service, operation.name) == ("iam", NAME)


def answer(
    operation: Operation, identify: Identify, context: authorization.Context, request_id: str
) -> Answer:
    """Return the answer to a simulation.

    Args:
        operation: The operation.
        identify: Returns the user or role of an ARN and what its policies say; None without one.
        context: What is known beside the request.
        request_id: The id of this answer.
    """
    if other := operation.parameters.keys() - set(operation.names(_KNOWN)):
        message = f"{NAME} with {', '.join(sorted(other))} is not part of this sandbox"
        return refusals.refuse("iam", 400, "InvalidInput", message, request_id)
    source = operation.parameters.get("PolicySourceArn", "")
    try:
        found = identify(source)
        if found is None:
            message = f"The principal {source} cannot be found."
            return refusals.refuse("iam", 404, "NoSuchEntity", message, request_id)
        results = "".join(_results(operation, *found, context))
    except PolicyError as error:
        return refusals.refuse("iam", 500, "PolicyEvaluation", str(error), request_id)
    body = (
        f'<{NAME}Response xmlns="{_NAMESPACE}"><{NAME}Result><IsTruncated>false</IsTruncated>'
        f"<EvaluationResults>{results}</EvaluationResults></{NAME}Result>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        f"</{NAME}Response>"
    )
    return Answer(200, (("Content-Type", "text/xml"),), body.encode())


def _results(
    operation: Operation, principal: Principal, grants: Grants, context: authorization.Context
) -> Iterator[str]:
    keys = authorization.principal_keys(principal, context.region)
    for action in operation.values(_ACTIONS):
        for resource in operation.values(_RESOURCES) or ("*",):
            decision = decisions.simulated(Asked(action, resource, keys), grants)
            yield (
                f"<member><EvalActionName>{escape(action)}</EvalActionName>"
                f"<EvalResourceName>{escape(resource)}</EvalResourceName>"
                f"<EvalDecision>{decision}</EvalDecision><MatchedStatements/>"
                "<MissingContextValues/></member>"
            )
