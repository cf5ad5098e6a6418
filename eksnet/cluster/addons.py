"""The add-on coredns as EKS describes it, and what changes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from eksnet.aws import Write

NAME = "coredns"
# The operations that change it, and what a snapshot says was about to happen.
_CHANGES = {
    "CreateAddon": "its installation",
    "UpdateAddon": "an update",
    "DeleteAddon": "its removal",
}

Json = Mapping[str, Any]


def change(write: Write, cluster: str) -> str:
    """Return what a call is about to do to the add-on; empty when it is about something else.

    Args:
        write: The call.
        cluster: The cluster's name in EKS.
    """
    wanted = {"clusterName": cluster, "addonName": NAME}
    if write.service != "eks" or not wanted.items() <= write.parameters.items():
        return ""
    return _CHANGES.get(write.operation, "")


def described(eks: Any, cluster: str) -> Json | None:
    """Return the add-on as EKS describes it; None when EKS has no such add-on.

    Args:
        eks: The client.
        cluster: The cluster's name in EKS.

    Raises:
        EksnetError: It may not be described, or EKS did not answer.
    """
    try:
        found: Json = eks.describe_addon(clusterName=cluster, addonName=NAME)["addon"]
    except eks.exceptions.ResourceNotFoundException:
        return None
    return found


def values(found: Json) -> Any:
    """Return the configuration values of an add-on; None for none."""
    import yaml

    # JSON or YAML, as it was given; JSON is YAML, too.
    return yaml.safe_load(found.get("configurationValues") or "null")


def state(eks: Any, cluster: str) -> dict[str, Any]:
    """Return the add-on as a snapshot has it: its version, and its values as JSON.

    Args:
        eks: The client.
        cluster: The cluster's name in EKS.

    Raises:
        EksnetError: It may not be described, or EKS did not answer.
    """
    found = described(eks, cluster) or {}
    configured = values(found)
    return {
        "metadata": {"name": NAME},
        "version": found.get("addonVersion", ""),
        "values": json.dumps(configured) if configured else "",
    }
