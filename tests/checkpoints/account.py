"""AWS's answers to the checkpoints of these tests, and its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
from fake_api import FakeApi, Request

SERVICES = ("acm", "ec2", "eks", "elbv2", "iam", "sts")


class FakeService:
    """A service that gives prepared answers; what the API server refuses, it refuses too."""

    exceptions = SimpleNamespace(ClientError=botocore.exceptions.ClientError)

    def __init__(self, api: FakeApi, answers: dict[str, Any]) -> None:
        self.api, self.answers = api, answers

    def ask(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        refused = self.api.refuse(Request("GET", f"/aws/{operation}", {}, b""))
        if refused:
            error = {"Error": {"Code": str(refused[0]), "Message": "no"}}
            raise botocore.exceptions.ClientError(error, operation)
        found = self.answers[operation]
        answer: dict[str, Any] = found(**asked) if callable(found) else found
        return answer

    def __getattr__(self, operation: str) -> Any:
        return lambda **asked: self.ask(operation, asked)

    def get_paginator(self, operation: str) -> Any:
        def paginate(**asked: Any) -> Iterator[dict[str, Any]]:
            yield self.ask(operation, asked)

        return SimpleNamespace(paginate=paginate)


def put_account(api: FakeApi, answers: dict[str, Any]) -> None:
    """Have an account that gives these answers, whichever service is asked."""
    for name in SERVICES:
        setattr(api, name, FakeService(api, answers))
