"""The load balancer room: the AWS Load Balancer Controller, and what it makes."""

from __future__ import annotations

from eksnet.loadbalancer.controller import (
    iam_policy,
    install_controller,
    issuer,
    refused_without_endpoints,
    trust_policy,
    uninstall_controller,
    wait_for_crash,
    wait_for_event,
)

__all__ = [
    "iam_policy",
    "install_controller",
    "issuer",
    "refused_without_endpoints",
    "trust_policy",
    "uninstall_controller",
    "wait_for_crash",
    "wait_for_event",
]
