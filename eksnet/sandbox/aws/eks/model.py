"""EKS's API as botocore's own service model describes it: routes, types, enums, answers.

Nothing of the API is written down a second time here: what an operation is called, where its
parameters stand and which values they take comes from `botocore/data/eks`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote


@dataclass(frozen=True)
class Call:
    """An operation that was asked for, with its parameters.

    Attributes:
        operation: Its name, such as `DescribeAddon`.
        parameters: The members of its input, wherever they stood in the request.
    """

    operation: str
    parameters: dict[str, Any]


class EksError(Exception):
    """An error as EKS answers it.

    Attributes:
        code: The name of the exception in EKS's model, such as `ResourceNotFoundException`.
        details: Members of that exception besides its message, such as `clusterName`.
    """

    def __init__(self, code: str, message: str, **details: str) -> None:
        """Keep the code and the members that say what the error is about."""
        super().__init__(message)
        self.code = code
        self.details = details


@cache
def _model() -> Any:
    # Loaded by the first call, not by those who want to know `EksError`.
    import botocore.session

    # Late: whoever only signs in to the cluster must not wait for it.

    return botocore.session.get_session().get_service_model("eks")


def read(method: str, path: str, query: str, body: bytes) -> Call:
    """Return the call that a request makes.

    Args:
        method: The HTTP method.
        path: The path as sent, percent-encoded.
        query: The query as sent.
        body: The body.

    Raises:
        EksError: No such operation, or its parameters are not what the model asks for.
    """
    from eksnet.sandbox.aws.routes import routes

    for wanted, pattern, name in routes("eks"):
        found = pattern.fullmatch(path)
        if wanted == method and found:
            operation = _model().operation_model(name)
            parameters = _parameters(operation, found.groupdict(), query, body)
            _check(operation, parameters)
            return Call(operation.name, parameters)
    raise EksError("ResourceNotFoundException", f"No operation answers {method} {path}")


def answer(operation: str, result: Mapping[str, Any]) -> bytes:
    """Return the body that answers an operation.

    Args:
        operation: The operation's name.
        result: The members of its output; times as datetimes.

    Raises:
        KeyError: The model knows no such member: a mistake of ours, never a caller's.
    """
    shape = _model().operation_model(operation).output_shape
    unknown = set(result) - set(shape.members)
    if unknown:
        raise KeyError(f"{operation} has no {', '.join(sorted(unknown))}")
    return json.dumps(result, default=_moment).encode()


def plain(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an output as JSON has them: times as numbers."""
    read: dict[str, Any] = json.loads(json.dumps(result, default=_moment))
    return read


def refusal(error: EksError) -> tuple[int, bytes]:
    """Return the HTTP status and body of an error."""
    shapes = {shape.name: shape for shape in _model().error_shapes}
    shape = shapes.get(error.code)
    # AccessDeniedException and the signature's errors are every service's, not in this model.
    status = shape.metadata["error"]["httpStatusCode"] if shape else 403
    return status, json.dumps({"message": str(error), **error.details}).encode()


def _moment(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} has no place in an answer")


def _parameters(
    operation: Any, in_path: Mapping[str, str], query: str, body: bytes
) -> dict[str, Any]:
    try:
        parameters = json.loads(body) if body else {}
    except ValueError:
        raise EksError("InvalidParameterException", "The request body is not JSON") from None
    if not isinstance(parameters, dict):
        raise EksError("InvalidParameterException", "The request body is not a JSON object")
    if operation.input_shape is None:
        return {}
    in_query = parse_qs(query, keep_blank_values=True)
    for member, shape in operation.input_shape.members.items():
        location = shape.serialization.get("location")
        name = shape.serialization.get("name", member)
        if location == "uri":
            parameters[member] = unquote(in_path[name])
        elif location == "querystring" and name in in_query:
            parameters[member] = _typed(shape.type_name, in_query[name])
    return parameters


def _typed(type_name: str, values: list[str]) -> Any:
    """Return a parameter of the query as the type that the model gives it."""
    last = values[-1]
    if type_name == "list":
        return values
    if type_name == "boolean":
        return last == "true"
    if type_name == "integer" and last.lstrip("-").isdecimal():
        return int(last)
    return last


def _check(operation: Any, parameters: dict[str, Any]) -> None:
    from botocore.validate import ParamValidator

    shape = operation.input_shape
    if shape is None:
        return

    unknown = sorted(set(parameters) - set(shape.members))
    report = ParamValidator().validate(parameters, shape)
    problems = [report.generate_report()] if report.has_errors() else []
    problems += list(_out_of_range(shape, parameters, ""))
    problems += [f"Unknown parameter: {name}" for name in unknown]
    if problems:
        raise EksError("InvalidParameterException", "\n".join(problems))


def _out_of_range(shape: Any, value: Any, where: str) -> Iterator[str]:
    """Yield what botocore's validator leaves to the service: enums and patterns."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name in set(value) & set(shape.members):
            inner = f"{where}.{name}".lstrip(".")
            yield from _out_of_range(shape.members[name], value[name], inner)
    elif shape.type_name == "list" and isinstance(value, list):
        for part in value:
            yield from _out_of_range(shape.member, part, where)
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _unfit_text(shape, value, where)


def _unfit_text(shape: Any, value: str, where: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield f"{where} must be one of {', '.join(shape.enum)}, not {value}"
    pattern = shape.metadata.get("pattern")
    # Smithy does not anchor a pattern that does not anchor itself.
    if pattern and not re.search(pattern, value):
        yield f"{where} must match {pattern}, not {value}"
