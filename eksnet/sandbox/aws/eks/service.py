"""EKS's operations on the sandbox's one cluster: each call goes to the part that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eksnet.sandbox.aws.eks import model
from eksnet.sandbox.aws.eks.model import Call, EksError
from eksnet.sandbox.aws.eks.records import Answered, Store

Answer = dict[str, Any]
Parameters = Mapping[str, Any]
Operations = Mapping[str, Callable[[Parameters], Answer]]


class Service:
    """Answers EKS's calls."""

    def __init__(self, cluster: str, store: Store, *parts: Operations) -> None:
        """Prepare to answer.

        Args:
            cluster: The name of the one cluster.
            store: The records, which keep the answers of calls that may be sent again.
            parts: What answers, by the names of the operations.
        """
        self._cluster = cluster
        self._store = store
        self._operations = {name: answer for part in parts for name, answer in part.items()}

    def answer(self, call: Call) -> Answer:
        """Return the members of an operation's output.

        Raises:
            EksError: EKS would refuse the call, or the sandbox does not know the operation.
        """
        operation = self._operations.get(call.operation)
        if operation is None:
            raise EksError(
                "InvalidRequestException", f"{call.operation} is not part of this sandbox"
            )
        # Which parameter names the cluster differs from operation to operation.
        name = call.parameters.get("clusterName", call.parameters.get("name", self._cluster))
        if name != self._cluster:
            raise EksError(
                "ResourceNotFoundException", f"No cluster found for name: {name}.", clusterName=name
            )
        if token := call.parameters.get("clientRequestToken"):
            return self._once(token, operation, call)
        return operation(call.parameters)

    def _once(self, token: str, operation: Callable[[Parameters], Answer], call: Call) -> Answer:
        """Return the first answer to a call that is sent again; it is kept with what it changed."""
        with self._store.changing() as draft:
            before = draft[0].answers.get(token)
            if before is None:
                answer = model.plain(operation(call.parameters))
                answered = Answered(call.operation, call.parameters, answer)
                draft[0] = draft[0].with_answer(token, answered)
                return answer
        if (before.operation, before.parameters) != (call.operation, call.parameters):
            message = f"clientRequestToken {token} was used for another request"
            raise EksError("InvalidParameterException", message)
        return before.answer


def page(member: str, items: Sequence[Any], parameters: Parameters) -> Answer:
    """Return the part of a list that a caller asked for, and where the next one begins.

    Args:
        member: The member of the output that takes the list.
        items: All of it, in an order that stays.
        parameters: The call's parameters, with `maxResults` and `nextToken` if it has them.

    Raises:
        EksError: The token is none that such an answer gave.
    """
    token = parameters.get("nextToken") or "0"
    if not (token.isascii() and token.isdecimal()) or int(token) > len(items):
        raise EksError("InvalidParameterException", f"Invalid nextToken: {token}")
    begin = int(token)
    end = begin + parameters.get("maxResults", len(items))
    following = {"nextToken": str(end)} if end < len(items) else {}
    return {member: list(items[begin:end]), **following}
