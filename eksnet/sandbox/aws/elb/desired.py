"""What the data plane and the router are told: the account's state that traffic depends on; pure.

The form is that of the API's answers where they have one; `docs/architecture.md` tells who reads.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eksnet.sandbox.paths import write_private

# The kind of an interface by the beginning of its description.
_KINDS = {
    "ELB ": "load_balancer",
    "Amazon EKS ": "control_plane",
    "Interface for NAT Gateway ": "nat",
}


class DesiredFile:
    """The file, replaced when its content changes."""

    def __init__(self, file: Path) -> None:
        """Read what an earlier process wrote."""
        self._file = file
        self._written = file.read_text() if file.exists() else ""

    def write(self, content: Mapping[str, Any]) -> None:
        """Replace the file, if the content is another one.

        Raises:
            OSError: It cannot be written; the next time it is tried again.
        """
        text = json.dumps(content, indent=1)
        if text != self._written:
            write_private(self._file, text)
            self._written = text


def desired(balancing: Any, ec2: Any, acm: Any, now: datetime) -> dict[str, Any]:
    """Return what is wanted of the data plane.

    Args:
        balancing: moto's state of load balancers.
        ec2: Its state of EC2.
        acm: Its state of certificates.
        now: The present moment, in UTC without a zone.
    """
    # Once for all: each target group would look through all rules.
    usage = balancing.usage()
    return {
        "region": ec2.region_name,
        "load_balancers": [
            _balancer(one, acm._certificates) for one in balancing.load_balancers.values()
        ],
        "target_groups": [
            _target_group(one, usage.get(one.arn, ()), ec2, now)
            for one in balancing.target_groups.values()
        ],
        "interfaces": list(_interfaces(ec2.enis.values())),
        "security_groups": [
            _security_group(group, ec2.managed_prefix_lists)
            for groups in ec2.groups.values()
            for group in groups.values()
        ],
    }


def _balancer(balancer: Any, certificates: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "arn": balancer.arn,
        "name": balancer.name,
        "type": balancer.type,
        "scheme": balancer.scheme,
        "dns_name": balancer.dns_name,
        # Whoever asks the API finds it active, so it is so from its first moment on.
        "state": "active",
        "attributes": {key: str(value) for key, value in balancer.attrs.items()},
        "security_groups": list(balancer.security_groups),
        "zones": [
            {
                "zone": subnet.availability_zone,
                "subnet": subnet.id,
                "private": balancer.interfaces[subnet.id].private_ip_address,
                "public": balancer.interfaces[subnet.id].public_ip,
            }
            for subnet in balancer.subnets
        ],
        "listeners": [_listener(one, certificates) for one in balancer.listeners.values()],
    }


def _listener(listener: Any, certificates: Mapping[str, Any]) -> dict[str, Any]:
    default = list(listener.certificates)
    named = [*((arn, True) for arn in default), *((arn, False) for arn in listener.extra)]
    return {
        "arn": listener.arn,
        "port": int(listener.port),
        "protocol": listener.protocol,
        "ssl_policy": listener.ssl_policy or "",
        "alpn": list(listener.alpn_policy),
        "attributes": {key: str(value) for key, value in listener.attributes.items()},
        "certificates": [
            _certificate(arn, is_default, certificates[arn])
            for arn, is_default in named
            if arn in certificates
        ],
        "rules": [
            {
                "arn": rule.arn,
                "priority": "default" if rule.is_default else int(rule.priority),
                "conditions": list(rule.conditions),
                "actions": [action.data for action in rule.actions],
                **({"transforms": rule.transforms} if getattr(rule, "transforms", None) else {}),
            }
            for rule in listener.rules.values()
        ],
    }


def _certificate(arn: str, is_default: bool, certificate: Any) -> dict[str, Any]:
    return {
        "arn": arn,
        "default": is_default,
        "names": list(dict.fromkeys((certificate.common_name, *certificate.sans))),
        "chain": (certificate.cert.rstrip(b"\n") + b"\n" + certificate.chain).decode(),
        "key": certificate.key.decode(),
    }


def _target_group(group: Any, users: Sequence[Any], ec2: Any, now: datetime) -> dict[str, Any]:
    zones = {subnet.availability_zone for user in users for subnet in user.subnets}
    matcher = getattr(group, "matcher", None) or {}
    return {
        "arn": group.arn,
        "name": group.name,
        "type": group.target_type,
        "protocol": group.protocol,
        "protocol_version": group.protocol_version,
        "port": int(group.port) if group.port else None,
        "vpc": group.vpc_id,
        "health_check": {
            "enabled": bool(group.health_check_enabled),
            "protocol": group.health_check_protocol,
            "path": group.health_check_path,
            "port": str(group.health_check_port),
            "interval": int(group.health_check_interval_seconds),
            "timeout": int(group.health_check_timeout_seconds),
            "healthy": int(group.healthy_threshold_count),
            "unhealthy": int(group.unhealthy_threshold_count),
            "matcher": matcher.get("HttpCode") or matcher.get("GrpcCode") or "",
        },
        "attributes": {key: str(value) for key, value in group.attributes.items()},
        "used_by": [user.arn for user in users],
        "targets": [
            {
                "id": one.id,
                "address": _address(one.id, group.target_type, ec2),
                "port": one.port,
                "zone": one.zone,
                "draining_since": _iso(one.draining_since),
            }
            for one in group.present(now)
            if group.instance_state(one) in ("", "running") and _is_reached(one, zones)
        ],
    }


def _is_reached(target: Any, zones: Collection[str]) -> bool:
    """Tell whether a load balancer that uses its group has a target's zone: else it is unused.

    Args:
        target: The target.
        zones: The zones of the load balancers that use its group; empty when none does.
    """
    return not zones or target.zone in ("", "all") or target.zone in zones


def _address(name: str, kind: str, ec2: Any) -> str:
    """Return the address of a target: that of an instance is its primary one."""
    return str(ec2.get_instance(name).private_ip) if kind == "instance" else name


def _iso(moment: datetime | None) -> str | None:
    return moment.replace(tzinfo=UTC).isoformat() if moment else None


def _interfaces(found: Iterable[Any]) -> Iterable[dict[str, Any]]:
    for one in found:
        kind = "instance" if one.instance else _kind(one.description)
        if kind:
            yield {
                "id": one.id,
                "addresses": [
                    address["PrivateIpAddress"]
                    for address in one.private_ip_addresses
                    # An instance's other addresses are its pods', which come and go by themselves.
                    if address["Primary"] or kind != "instance"
                ],
                "groups": sorted(group.id for group in one.group_set),
                "kind": kind,
            }


def _kind(description: str) -> str:
    return next((kind for begin, kind in _KINDS.items() if description.startswith(begin)), "")


def _security_group(group: Any, lists: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": group.id,
        "ingress": [_permission(one, lists) for one in group.ip_permissions],
        "egress": [_permission(one, lists) for one in group.ip_permissions_egress],
    }


def _permission(view: Any, lists: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "protocol": view.ip_protocol,
        "from": view.from_port,
        "to": view.to_port,
        "cidrs": [one["CidrIp"] for one in view.ip_ranges],
        "groups": [one["GroupId"] for one in view.source_groups],
        "prefix_lists": [
            {"id": name, "cidrs": _entries(lists.get(name))}
            for name in (one["PrefixListId"] for one in view.prefix_list_ids)
        ],
    }


def _entries(prefix_list: Any) -> list[str]:
    if prefix_list is None:
        return []
    newest = prefix_list.entries.get(prefix_list.version) or []
    return [one["Cidr"] for one in newest if ":" not in one["Cidr"]]
