"""The EKS add-on coredns: what it is, and changes of it that are waited for.

Each function is one or two calls of EKS's API, as `aws eks describe-addon` and `update-addon` make
them; the cluster's own account answers.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.aws import refusals, tags
from eksnet.cluster import addons, countdown
from eksnet.errors import EksnetError
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NAME = addons.NAME
MODES = ("NONE", "OVERWRITE", "PRESERVE")
_BUSY = ("CREATING", "UPDATING", "DELETING")
_REMEDIES = {
    "InvalidParameterException": "`aws eks describe-addon-configuration --addon-name coredns "
    "--addon-version VERSION` prints the schema",
    "ResourceNotFoundException": "coredns.addon.install(cluster)",
    "ResourceInUseException": "wait until `addon.describe(cluster)` says ACTIVE, then try again",
}
_LOOK = "`aws eks describe-addon --cluster-name NAME --addon-name coredns` shows more"


@dataclass(frozen=True)
class Addon:
    """The add-on as EKS describes it.

    Attributes:
        status: Its status, such as `ACTIVE`; `self-managed` when EKS has no such add-on.
        version: Its version; empty when self-managed.
        configuration: Its configuration values.
        issues: What EKS says is wrong: code and message of each.
    """

    status: str
    version: str = ""
    configuration: Mapping[str, Any] | None = None
    issues: tuple[tuple[str, str], ...] = ()


def describe(cluster: Cluster) -> Listing[Addon]:
    """Return the add-on as it is now.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account.
    """
    return _shown(_described(cluster))


def install(cluster: Cluster, conflicts: str = "NONE") -> Listing[Addon]:
    """Make CoreDNS an add-on of EKS, and wait; one that is there stays as it is.

    Args:
        cluster: The cluster.
        conflicts: What becomes of fields that others changed: NONE, OVERWRITE or PRESERVE.

    Raises:
        EksnetError: The cluster has no AWS account, or the add-on was still not done.
    """
    inputs.one_of(conflicts, MODES, "conflicts")
    if _described(cluster).status == "self-managed":
        eks = cluster.aws("eks")
        with _refusals(eks):
            eks.create_addon(
                clusterName=cluster.eks_name, addonName=NAME, resolveConflicts=conflicts,
                tags=dict(tags.COURSE),
            )  # fmt: skip
    return _shown(_settled(cluster))


@dataclass(frozen=True)
class Update:
    """What became of an update.

    Attributes:
        status: `Successful` or `Failed`.
        errors: Code and message of what EKS says went wrong.
    """

    status: str
    errors: tuple[tuple[str, str], ...] = ()


def update(
    cluster: Cluster,
    configuration: Mapping[str, Any] | str | None = None,
    conflicts: str = "NONE",
    timeout: float = 300,
    version: str = "",
) -> Listing[Update]:
    """Update the add-on, wait, and say what became of it.

    Args:
        cluster: The cluster.
        configuration: Configuration values, as a mapping or as JSON or YAML text; None leaves them
            as they are.
        conflicts: What becomes of fields that others changed: NONE, OVERWRITE or PRESERVE.
        timeout: How long to wait, in seconds.
        version: The version to have; the present one when empty.

    Raises:
        EksnetError: The cluster has no AWS account, EKS refused the values, or the update was still
            not done.
    """
    inputs.one_of(conflicts, MODES, "conflicts")
    eks, where = cluster.aws("eks"), {"addonName": NAME}
    values = {} if configuration is None else {"configurationValues": _text(configuration)}
    values |= {"addonVersion": inputs.text(version, "the version")} if version else {}
    with _refusals(eks):
        asked = eks.update_addon(
            clusterName=cluster.eks_name, resolveConflicts=conflicts, **where, **values
        )["update"]
    _settled(cluster, timeout)
    done = eks.describe_update(name=cluster.eks_name, updateId=asked["id"], **where)["update"]
    errors = tuple((one["errorCode"], one["errorMessage"]) for one in done["errors"])
    found = Update(done["status"], errors)
    rows = [(found.status, code, message) for code, message in errors or (("", ""),)]
    return Listing(("update", "error", "message"), tuple(rows), (found,) * len(rows))


def reset(cluster: Cluster) -> None:
    """Let the add-on be as EKS installs it: no values, no change by hand; none is no mistake.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account, or the add-on did not get there.
    """
    if _described(cluster).status == "self-managed":
        return
    _settled(cluster)
    (done, *_) = update(cluster, {}, "OVERWRITE")
    if done.status != "Successful":
        (_, message), *_ = done.errors or (("", done.status),)
        raise EksnetError(
            f"the add-on coredns was not reset: {message}", "a successful update", _LOOK
        )


def remove(cluster: Cluster, *, preserve: bool = True) -> None:
    """End the add-on and wait until EKS has forgotten it; none is there is no mistake.

    Args:
        cluster: The cluster.
        preserve: Whether CoreDNS itself stays, self-managed from then on.

    Raises:
        EksnetError: The cluster has no AWS account, or the add-on was still there.
    """
    if _described(cluster).status != "self-managed":
        _settled(cluster)
        eks = cluster.aws("eks")
        with _refusals(eks):
            eks.delete_addon(clusterName=cluster.eks_name, addonName=NAME, preserve=preserve)
        _settled(cluster)
    print("CoreDNS is self-managed" if preserve else "CoreDNS is no add-on any more")


def put_back(cluster: Cluster, version: str, values: str, timeout: float = 300) -> None:
    """Let the add-on be as a snapshot has it; what others have changed of its objects stays.

    Args:
        cluster: The cluster.
        version: The version; empty for none: CoreDNS was self-managed.
        values: The configuration values as JSON; empty for none.
        timeout: How long to wait, in seconds.

    Raises:
        EksnetError: The cluster has no AWS account, or the add-on did not get there.
    """
    if not version:
        remove(cluster)
        return
    install(cluster, "PRESERVE")
    (done, *_) = update(cluster, values or "{}", "PRESERVE", timeout, version)
    if done.status != "Successful":
        (_, message), *_ = done.errors or (("", done.status),)
        raise EksnetError(
            f"the add-on coredns was not put back: {message}", "a successful update", _LOOK
        )


def state(cluster: Cluster) -> dict[str, Any]:
    """Return the add-on as a snapshot has it: its version, and its values as JSON.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster has no AWS account.
    """
    return addons.state(cluster.aws("eks"), cluster.eks_name)


def _refusals(eks: Any) -> contextlib.AbstractContextManager[None]:
    return refusals.in_words(eks, "EKS", _REMEDIES)


def _described(cluster: Cluster) -> Addon:
    found = addons.described(cluster.aws("eks"), cluster.eks_name)
    if found is None:
        return Addon("self-managed")
    issues = tuple((one["code"], one["message"]) for one in found["health"]["issues"])
    return Addon(found["status"], found["addonVersion"], addons.values(found), issues)


def _settled(cluster: Cluster, timeout: float = 300) -> Addon:
    """Wait until EKS does nothing more for the add-on."""
    seen: list[Addon] = []

    def settled() -> bool:
        seen.append(_described(cluster))
        return seen[-1].status not in _BUSY

    if not countdown.until("the add-on coredns", settled, timeout):
        raise EksnetError(
            f"the add-on coredns is {seen[-1].status} after {timeout:g} s", "an end of it", _LOOK
        )
    return seen[-1]


def _shown(found: Addon) -> Listing[Addon]:
    values = json.dumps(found.configuration) if found.configuration else ""
    rows = [
        (found.status, found.version, values, code, message)
        for code, message in found.issues or (("", ""),)
    ]
    columns = ("status", "version", "configuration values", "issue", "message")
    return Listing(columns, tuple(rows), (found,) * len(rows))


def _text(configuration: Mapping[str, Any] | str) -> str:
    return configuration if isinstance(configuration, str) else json.dumps(configuration)
