"""Which operation of which service a request asks for, with its parameters by flat names.

The query protocol sends its parameters flat (`Tags.member.1.Key`), the others as JSON, XML or in
the path. What decides on a request needs the same few of them from each, so JSON is flattened too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from eksnet.sandbox.aws.signatures import Request

# The operation in a path of Route 53, by method and pattern, comes from botocore's model.
_ROUTE_53 = "route53"
# The version of a query API that is the service known here, where there are two behind a name.
_VERSIONS = {"elasticloadbalancing": "2015-12-01"}
_TAG_KEY = re.compile(r"(?:.*\.)?Tags?\.\d+\.Key")
# First words of operations that change nothing.
_READS = ("Describe", "List", "Get", "Search", "Lookup", "Check", "Test", "Simulate")


class OperationError(Exception):
    """A request that asks for no operation that the service has.

    Attributes:
        code: The service's error code.
    """

    def __init__(self, code: str, message: str) -> None:
        """Keep the code beside the message for the caller."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Operation:
    """What a request asks for.

    Attributes:
        service: The service's name in a signature's scope.
        name: The operation, such as `CreateSecurityGroup`.
        parameters: Its parameters by flat names, such as `Tags.1.Key`.
    """

    service: str
    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.name.startswith(_READS)

    def values(self, pattern: str) -> tuple[str, ...]:
        """Return the values of all parameters whose name matches a regular expression."""
        return tuple(self.parameters[name] for name in self.names(pattern))

    def names(self, pattern: str) -> tuple[str, ...]:
        """Return the names of all parameters that match a regular expression."""
        found = re.compile(pattern)
        return tuple(filter(found.fullmatch, self.parameters))

    def tags(self) -> dict[str, str]:
        """Return the tags that it sets or asks for at a creation."""
        found = {}
        for name, value in self.parameters.items():
            if _TAG_KEY.fullmatch(name):
                found[value] = self.parameters.get(f"{name.removesuffix('Key')}Value", "")
            elif name.startswith("tags."):
                # EKS has an object of names and values.
                found[name.removeprefix("tags.")] = value
        return found


def read(service: str, request: Request) -> Operation:
    """Return the operation that a request asks for.

    Args:
        service: The service's name in the request's signature.
        request: The request.

    Raises:
        OperationError: It names no operation.
    """
    if target := request.headers.get("x-amz-target", ""):
        return Operation(service, target.rpartition(".")[2], _from_json(request.body))
    if service == _ROUTE_53:
        return _of_route53(request)
    sent = dict(parse_qsl(request.query, keep_blank_values=True))
    sent |= dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    name, version = sent.pop("Action", ""), sent.pop("Version", "")
    if not name:
        raise OperationError("MissingAction", "The request is missing an action")
    if version != _VERSIONS.get(service, version):
        raise OperationError(
            "InvalidAction", f"{name} of version {version} is not part of this sandbox"
        )
    flat = {key.replace(".member.", "."): value for key, value in sent.items()}
    return Operation(service, name, {k: v for k, v in flat.items() if not k.startswith("X-Amz-")})


def _from_json(body: bytes) -> dict[str, str]:
    try:
        return flattened(json.loads(body or b"{}"))
    except ValueError:
        raise OperationError("SerializationException", "The request body is not JSON") from None


def flattened(value: object, name: str = "") -> dict[str, str]:
    """Return the leaves of a JSON value by flat names; lists count from 1."""
    if isinstance(value, dict):
        parts = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list):
        parts = [(str(number), inner) for number, inner in enumerate(value, start=1)]
    else:
        return {name: str(value)}
    found: dict[str, str] = {}
    for key, inner in parts:
        found |= flattened(inner, f"{name}.{key}".lstrip("."))
    return found


def _of_route53(request: Request) -> Operation:
    from eksnet.sandbox.aws.routes import routes

    for method, pattern, name in routes(_ROUTE_53):
        found = pattern.fullmatch(request.path.rstrip("/"))
        if method == request.method and found:
            return Operation(_ROUTE_53, name, {k: unquote(v) for k, v in found.groupdict().items()})
    raise OperationError("InvalidAction", f"No operation answers {request.method} {request.path}")
