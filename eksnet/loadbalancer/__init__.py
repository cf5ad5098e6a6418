"""The load balancer room: the AWS Load Balancer Controller, what it makes, what that answers."""

# Without `from __future__ import annotations`: that name is a module of this room.
from eksnet.loadbalancer import annotations
from eksnet.loadbalancer.answers import Response, request, wait_until_answers
from eksnet.loadbalancer.controller import (
    iam_policy,
    install_controller,
    issuer,
    refused_without_endpoints,
    trust_policy,
    uninstall_controller,
    wait_for_crash,
    wait_for_event,
    wait_until_unanswered,
)
from eksnet.loadbalancer.planning import plan

__all__ = [
    "Response",
    "annotations",
    "iam_policy",
    "install_controller",
    "issuer",
    "plan",
    "refused_without_endpoints",
    "request",
    "trust_policy",
    "uninstall_controller",
    "wait_for_crash",
    "wait_for_event",
    "wait_until_answers",
    "wait_until_unanswered",
]
