"""The checks in their order, and what becomes of one that cannot be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from eksnet import inputs
from eksnet.cluster import connecting, targets
from eksnet.cluster.targets import Target
from eksnet.doctor import computer, installed, limits, network, rights
from eksnet.doctor.findings import Finding, Findings, Report, cannot_tell, ok, skipped
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster


class Needs(Enum):
    """What a check looks at, and so is given."""

    COMPUTER = auto()
    TARGET = auto()
    CLUSTER = auto()
    ACCOUNT = auto()


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: What is looked at.
        why: Why it matters.
        needs: What it looks at.
        look: Looks at it and says what it finds: at the target, at the cluster, or at neither.
    """

    name: str
    why: str
    needs: Needs
    look: Callable[..., Findings]


CHECKS = (
    Check(
        "Python",
        "another version may not run the course, or run it differently",
        Needs.COMPUTER,
        computer.python,
    ),
    Check(
        "packages",
        "the notebooks call these packages, and their interfaces change between versions",
        Needs.COMPUTER,
        computer.packages,
    ),
    Check(
        "programs",
        "lessons call these programs; without them a cell ends with an error",
        Needs.TARGET,
        computer.programs,
    ),
    Check(
        "versions",
        "rules, defaults and outputs differ between versions of Kubernetes",
        Needs.CLUSTER,
        installed.cluster_versions,
    ),
    Check(
        "nodes",
        "lessons start pods, and without a node that takes them they wait until a deadline",
        Needs.CLUSTER,
        installed.nodes,
    ),
    Check(
        "rights on Kubernetes",
        "a lesson that is refused half-way leaves its work half-done",
        Needs.CLUSTER,
        rights.kubernetes,
    ),
    Check(
        "admission",
        "one webhook that refuses, or does not answer, keeps lessons from creating anything",
        Needs.CLUSTER,
        installed.admission,
    ),
    Check(
        "rights in AWS",
        "a lesson that is refused half-way leaves its work half-done, and what is left costs money",
        Needs.ACCOUNT,
        rights.aws,
    ),
    Check(
        "limits",
        "beyond a limit of the account nothing more of its kind is created",
        Needs.ACCOUNT,
        limits.check,
    ),
    Check(
        "subnets",
        "the controller looks for subnets by tags and routes; without two zones it creates no ALB",
        Needs.ACCOUNT,
        network.load_balancer_subnets,
    ),
    Check(
        "DNS of the VPC",
        "without it nodes have no names, and names of load balancers and of AWS are not resolved",
        Needs.ACCOUNT,
        network.dns,
    ),
    Check(
        "add-ons",
        "lessons 02a and 02d change add-ons: one that is degraded cannot be updated",
        Needs.ACCOUNT,
        installed.add_ons,
    ),
    Check(
        "add-on schema",
        "EKS refuses a configuration value that the schema of the add-on's version does not have",
        Needs.ACCOUNT,
        installed.schema,
    ),
    Check(
        "controller",
        "lessons 06 to 09 need one; one that others rely on is used, and never changed or removed",
        Needs.CLUSTER,
        installed.load_balancer_controller,
    ),
)


def examine(
    target: str | None = None,
    connect: Callable[[str | None], Cluster] = connecting.connect_read_only,
) -> Report:
    """Make all checks of a target and return what they found; nothing is started or changed.

    Args:
        target: The target, as `eksnet.connect` takes it.
        connect: Connects to a target for reading.

    Raises:
        EksnetError: There is no such target.
    """
    chosen = targets.chosen(target)
    try:
        cluster: Cluster | EksnetError = connect(target)
    except EksnetError as error:
        cluster = error
    found = [one for check in CHECKS for one in made(check, chosen, cluster)]
    place = next(at for at, check in enumerate(found) if check.check in _OF_CLUSTER)
    return Report(str(chosen), (*found[:place], _connection(cluster), *found[place:]))


_OF_CLUSTER = {one.name for one in CHECKS if one.needs in (Needs.CLUSTER, Needs.ACCOUNT)}


def _connection(cluster: Cluster | EksnetError) -> Finding:
    if isinstance(cluster, EksnetError):
        found = cannot_tell(cluster.seen, cluster.next_step)
    else:
        found = ok(str(cluster))
    return found.of("connection", "lessons read and change a cluster, and its AWS account")


def made(check: Check, target: Target, cluster: Cluster | EksnetError) -> Iterator[Finding]:
    """Make a check, and yield what it finds.

    Args:
        check: The check.
        target: The target.
        cluster: The cluster, or why there is none.
    """
    for one in _attempted(check, target, cluster):
        yield one.of(check.name, check.why)


def _attempted(check: Check, target: Target, cluster: Cluster | EksnetError) -> Iterator[Finding]:
    """Yield what a check finds, and as its last finding why it could not go on."""
    from eksnet.aws import account

    odd: tuple[type[Exception], ...] = (*account.failures(), *inputs.ODD)
    try:
        yield from _looked(check, target, cluster)
    except EksnetError as error:
        yield cannot_tell(error.seen, error.next_step or error.expected)
    except odd as error:
        # One check that fails must not keep the others from being made.
        yield cannot_tell(f"it cannot be made: {type(error).__name__}: {error}")


def _looked(check: Check, target: Target, cluster: Cluster | EksnetError) -> Findings:
    if check.needs is Needs.COMPUTER:
        return check.look()
    if check.needs is Needs.TARGET:
        return check.look(target)
    if isinstance(cluster, EksnetError):
        return [skipped("there is no connection")]
    if check.needs is Needs.ACCOUNT and cluster.account is None:
        return [skipped("a kubeconfig names no AWS account; EKSNET_TARGET=eks:NAME@REGION does")]
    return check.look(cluster)
