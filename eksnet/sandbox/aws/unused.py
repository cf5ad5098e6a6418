"""Services that the course has no use for, but that a controller asks: nothing is in them.

What is answered is what an account without any of it would be told; whatever would make something
is not part of the sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from eksnet.sandbox.aws import refusals
from eksnet.sandbox.aws.refusals import Answer

# By the service's name in a signature's scope, and the operation.
_ANSWERS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("shield", "GetSubscriptionState"): {"SubscriptionState": "INACTIVE"},
    ("shield", "ListProtections"): {"Protections": []},
    ("waf-regional", "GetWebACLForResource"): {},
    ("waf-regional", "ListWebACLs"): {"WebACLs": []},
    ("wafv2", "GetWebACLForResource"): {},
    ("wafv2", "ListWebACLs"): {"WebACLs": []},
}
_MISSING = {("shield", "DescribeProtection"): "The referenced protection does not exist."}
SERVICES = frozenset(service for service, _ in _ANSWERS)


def knows(service: str, operation: str) -> bool:
    """Tell whether there is an answer to an operation."""
    return (service, operation) in _ANSWERS or (service, operation) in _MISSING


def answer(service: str, operation: str, request_id: str) -> Answer:
    """Return the answer of a service of which the account has nothing.

    Args:
        service: The service's name in a signature's scope.
        operation: An operation that it knows.
        request_id: The id of this answer.
    """
    if message := _MISSING.get((service, operation)):
        return refusals.refuse(service, 400, "ResourceNotFoundException", message, request_id)
    headers = (("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", request_id))
    return Answer(200, headers, json.dumps(_ANSWERS[service, operation]).encode())
