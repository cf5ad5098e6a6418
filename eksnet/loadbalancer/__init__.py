"""The load balancer room: the AWS Load Balancer Controller, what it makes, what that answers."""

# Without `from __future__ import annotations`: that name is a module of this room.

from typing import TYPE_CHECKING

from eksnet import faces

if TYPE_CHECKING:
    from eksnet.loadbalancer import annotations
    from eksnet.loadbalancer.answers import Response, request, wait_until_answers
    from eksnet.loadbalancer.by_hand import delete_by_hand, delete_security_group
    from eksnet.loadbalancer.clients import answers_during
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
    from eksnet.loadbalancer.diagnosis import diagnose
    from eksnet.loadbalancer.done import Done, controller_log
    from eksnet.loadbalancer.explaining import explain
    from eksnet.loadbalancer.faults import (
        delete_own_security_group,
        inject_fault,
        own_security_group,
        revert_faults,
    )
    from eksnet.loadbalancer.linting import lint
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
        wait_until_as_planned,
    )
    from eksnet.loadbalancer.permissions import allowed_everywhere
    from eksnet.loadbalancer.planning import plan

__all__ = [
    "HEALTHY",
    "Done",
    "Response",
    "Rule",
    "Target",
    "allowed_everywhere",
    "annotations",
    "answers_during",
    "controller_log",
    "delete_by_hand",
    "delete_own_security_group",
    "delete_security_group",
    "diagnose",
    "explain",
    "hostname",
    "iam_policy",
    "inject_fault",
    "install_controller",
    "issuer",
    "lint",
    "load_balancer",
    "made_in_aws",
    "own_security_group",
    "plan",
    "provisioned",
    "refused_without_endpoints",
    "request",
    "revert_faults",
    "rules",
    "targets",
    "trust_policy",
    "uninstall_controller",
    "wait_for_crash",
    "wait_for_event",
    "wait_for_targets",
    "wait_until_answers",
    "wait_until_as_planned",
    "wait_until_unanswered",
]

__getattr__, __dir__ = faces.of(__name__)
