"""EKS's operations on the sandbox's one cluster: each call goes to the part that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eksnet.sandbox.aws.eks.model import Call, EksError

Answer = dict[str, Any]
Parameters = Mapping[str, Any]
Operations = Mapping[str, Callable[[Parameters], Answer]]


class Service:
    """Answers EKS's calls."""

    def __init__(self, cluster: str, *parts: Operations) -> None:
        """Prepare to answer.

        Args:
            cluster: The name of the one cluster.
            parts: What answers, by the names of the operations.
        """
        self._cluster = cluster
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
        return operation(call.parameters)


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
