"""The load balancer room: the AWS Load Balancer Controller, and what it makes."""

from __future__ import annotations

from eksnet.loadbalancer.controller import install_controller, uninstall_controller
from eksnet.loadbalancer.observe import (
    HEALTHY,
    Rule,
    Target,
    hostname,
    load_balancer,
    made_in_aws,
    provisioned,
    rules,
    targets,
    wait_for_targets,
)

__all__ = [
    "HEALTHY",
    "Rule",
    "Target",
    "hostname",
    "install_controller",
    "load_balancer",
    "made_in_aws",
    "provisioned",
    "rules",
    "targets",
    "uninstall_controller",
    "wait_for_targets",
]
