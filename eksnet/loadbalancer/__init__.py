"""The load balancer room: the AWS Load Balancer Controller, what it makes, what that answers."""

# Without `from __future__ import annotations`: that name is a module of this room.
from eksnet.loadbalancer import annotations
from eksnet.loadbalancer.answers import Response, request, wait_until_answers
from eksnet.loadbalancer.controller import install_controller, uninstall_controller
from eksnet.loadbalancer.planning import plan

__all__ = [
    "Response",
    "annotations",
    "install_controller",
    "plan",
    "request",
    "uninstall_controller",
    "wait_until_answers",
]
