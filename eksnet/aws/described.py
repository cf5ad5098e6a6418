"""An EKS cluster as AWS describes it, and who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from eksnet import inputs
from eksnet.aws.account import ApiServer, OwnSetup, Write
from eksnet.errors import EksnetError, NotFoundError, RefusedError, UnreachableError

_ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Described:
    """An EKS cluster.

    Attributes:
        name: Its name.
        region: Its region.
        account: The id of the account that it is in.
        caller: The ARN of whoever asks.
        version: Its Kubernetes version, such as 1.35.
        platform: Its platform version, such as eks.7.
        auto_mode: Whether EKS Auto Mode runs its nodes.
        public: Whether its API server has an address on the internet.
        allowed: The networks that may reach that address; empty for all.
        api: Where its API server is.
    """

    name: str
    region: str
    account: str
    caller: str
    version: str
    platform: str
    auto_mode: bool
    public: bool
    allowed: tuple[str, ...]
    api: ApiServer

    @classmethod
    def of(cls, cluster: Mapping[str, Any], region: str, caller: str) -> Described:
        """Read what `describe_cluster` says.

        Args:
            cluster: The cluster of its answer.
            region: The region that was asked.
            caller: The ARN of whoever asked.

        Raises:
            EksnetError: It has no API server yet, or no more.
        """
        name, status = str(cluster["name"]), str(cluster["status"])
        if not cluster.get("endpoint"):
            raise EksnetError(
                f"the EKS cluster {name} is {status}, and has no API server",
                "a cluster that is ACTIVE",
                f"`aws eks wait cluster-active --name {name} --region {region}`",
            )
        network = cluster.get("resourcesVpcConfig") or {}
        allowed = tuple(network.get("publicAccessCidrs") or ())
        return cls(
            name,
            region,
            str(cluster["arn"]).split(":")[4],
            caller,
            str(cluster["version"]),
            str(cluster.get("platformVersion") or "unknown"),
            bool((cluster.get("computeConfig") or {}).get("enabled")),
            bool(network.get("endpointPublicAccess", True)),
            () if _ANYWHERE in allowed else allowed,
            ApiServer(str(cluster["endpoint"]), str(cluster["certificateAuthority"]["data"])),
        )


def describe(setup: OwnSetup, name: str) -> Described:
    """Ask AWS for a cluster, and who asks.

    Args:
        setup: The learner's own AWS set-up.
        name: The cluster's name.

    Raises:
        NotFoundError: There is no such cluster in the region.
        EksnetError: It may not be described, is not there yet, or AWS did not answer.
    """
    eks = setup.client("eks", refuse)
    caller = str(setup.client("sts", refuse).get_caller_identity()["Arn"])
    try:
        cluster = eks.describe_cluster(name=name)["cluster"]
    except eks.exceptions.ResourceNotFoundException:
        raise NotFoundError(
            f"there is no EKS cluster {name!r} in {setup.region} for {caller}",
            f"one of these clusters: {_others(eks)}",
            'eksnet.connect("eks:NAME@REGION"), with AWS_PROFILE for another account',
        ) from None
    with inputs.well_formed("the answer of EKS", name, "a cluster", "`aws eks describe-cluster`"):
        return Described.of(cluster, setup.region, caller)


def addons(setup: OwnSetup, name: str) -> tuple[str, ...] | None:
    """Return the names of a cluster's add-ons; None where they may not be listed."""
    eks = setup.client("eks", refuse)
    try:
        pages = eks.get_paginator("list_addons").paginate(clusterName=name)
        return tuple(one for page in pages for one in page["addons"])
    except (RefusedError, UnreachableError):
        return None


def refuse(write: Write) -> NoReturn:
    """Refuse every change, for those who only look.

    Args:
        write: The change.

    Raises:
        AssertionError: Always.
    """
    raise AssertionError(f"this client is read-only, and was asked for {write.operation}")


def _others(eks: Any) -> str:
    try:
        found = eks.list_clusters()["clusters"]
    except EksnetError:
        return "which you may not list"
    return ", ".join(found) or "none is there"
