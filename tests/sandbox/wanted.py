"""What the AWS side wants of load balancers and security groups, written shortly for tests."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

EVERYWHERE = "0.0.0.0/0"
CLUSTER, FRONT = "sg-cluster", "sg-front"
IN_NAMESPACES = (
    "unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child",
    "--mount-proc",
)  # fmt: skip


def rule(protocol="-1", first=None, last=None, *, cidrs=(), groups=(), lists=()) -> dict[str, Any]:
    ports = {"from": first, "to": first if last is None else last}
    prefix_lists = [{"id": f"pl-{n}", "cidrs": list(one)} for n, one in enumerate(lists)]
    far = {"cidrs": list(cidrs), "groups": list(groups), "prefix_lists": prefix_lists}
    return {"protocol": protocol, **ports, **far}


def group(name: str, ingress=(), egress=None) -> dict[str, Any]:
    """Return a security group; as AWS makes it, its members may send everything."""
    sent = [rule(cidrs=[EVERYWHERE])] if egress is None else egress
    return {"id": name, "ingress": list(ingress), "egress": list(sent)}


def interface(name: str, addresses: list[str], groups: list[str]) -> dict[str, Any]:
    return {"id": name, "addresses": addresses, "groups": groups, "kind": "instance"}


def balancer(
    name="shop", scheme="internet-facing", zones=(("10.0.0.21", "203.0.113.21"),)
) -> dict[str, Any]:
    prefix = "internal-" if scheme == "internal" else ""
    return {
        "name": name,
        "dns_name": f"{prefix}{name}-1.ap-northeast-2.elb.amazonaws.com",
        "type": "application",
        "scheme": scheme,
        "state": "active",
        "listeners": [],
        "attributes": {},
        "zones": [
            {"zone": f"ap-northeast-2{zone}", "subnet": "s", "private": private, "public": public}
            for zone, (private, public) in zip("ac", zones, strict=False)
        ],
    }


def network_balancer(*listeners: dict[str, Any], attributes=None, **named: Any) -> dict[str, Any]:
    """Return a Network Load Balancer with listeners."""
    made = balancer(**named)
    name = made["dns_name"].replace("ap-northeast-2.elb", "elb.ap-northeast-2")
    kind = {"type": "network", "dns_name": name, "attributes": attributes or {}}
    return made | kind | {"listeners": list(listeners)}


def listener(port=80, protocol="TCP", groups=("tg",), weights=()) -> dict[str, Any]:
    """Return a listener; a group without a weight has 1."""
    forwarded = [
        {"TargetGroupArn": name, **({"Weight": weight} if weight is not None else {})}
        for name, weight in itertools.zip_longest(groups, weights)
    ]
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": forwarded}}
    rule = {"arn": "r", "priority": "default", "conditions": [], "actions": [action]}
    return {"arn": f"{protocol}{port}", "port": port, "protocol": protocol, "rules": [rule]}


def target_group(
    *targets: dict[str, Any], name="tg", protocol="TCP", kind="ip", **attributes: str
) -> dict[str, Any]:
    """Return a target group; of an attribute's name the dots are two underscores."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return {"arn": name, "type": kind, "protocol": protocol, "attributes": named,
            "targets": list(targets)}  # fmt: skip


def target(address: str, port=8080, zone="", *, draining=False) -> dict[str, Any]:
    """Return a target; by default it is in the zone of its node."""
    own = "ap-northeast-2c" if address.startswith("10.0.14") else "ap-northeast-2a"
    since = "2026-01-01T00:00:00+00:00" if draining else None
    return {"id": address, "address": address, "port": port, "zone": zone or own,
            "draining_since": since}  # fmt: skip


def seen(states: dict[str, str], name="tg") -> dict[str, Any]:
    """Return what was seen of a group's targets, by `address:port`."""
    found = {key: {"state": state, "reason": ""} for key, state in states.items()}
    return {"targets": {name: found}, "load_balancers": {}}


def desired(
    *groups: dict[str, Any], nodes=CLUSTER, front=FRONT, balancers=None, more=(), target_groups=()
) -> dict[str, Any]:
    """Return the course's VPC with one load balancer; the cluster's group lets its members in.

    Args:
        groups: Security groups, in place of those of the same id or beside them.
        nodes: The group of both nodes.
        front: The group of the load balancer.
        balancers: The load balancers.
        more: More interfaces.
        target_groups: The target groups.
    """
    usual = [
        group(CLUSTER, [rule(groups=[CLUSTER])]),
        group(FRONT, [rule("tcp", 80, cidrs=[EVERYWHERE])]),
    ]
    found = {one["id"]: one for one in (*usual, *groups)}
    return {
        "region": "ap-northeast-2",
        "load_balancers": [balancer()] if balancers is None else balancers,
        "target_groups": list(target_groups),
        "interfaces": [
            interface("eni-1", ["10.0.128.10", "10.0.129.7"], [nodes]),
            interface("eni-2", ["10.0.144.10"], [nodes]),
            interface("eni-3", ["10.0.0.10"], [CLUSTER]),
            interface("eni-4", ["10.0.0.21"], [front]),
            interface("eni-5", ["10.0.0.12"], []),
            *more,
        ],
        "security_groups": list(found.values()),
    }


# Where each address is.
PLACES = {
    "10.0.128.10": "node1", "10.0.129.7": "node1", "10.0.144.10": "node2", "10.0.145.7": "node2",
    "10.0.145.8": "node2", "10.0.0.10": "router", "10.0.0.2": "router", "10.0.0.11": "router",
    "10.0.129.8": "node1", "10.0.16.21": "router", "203.0.113.22": "router",
    "10.0.0.21": "router", "203.0.113.21": "router", "203.0.113.10": "router",
    "198.51.100.10": "internet", "192.0.2.1": "router", "0.0.0.0": "router",
}  # fmt: skip


def step(source: str, to: str, protocol="tcp", port=80, do="probe") -> dict[str, Any]:
    where = {"of": PLACES[source], "source": source, "at": PLACES[to], "to": to}
    return {"do": do, **where, "protocol": protocol, "port": port}


def on_wires(*steps: dict[str, Any]) -> list[Any]:
    """Do steps one after the other, see `wires.py`; return what became of each."""
    script = Path(__file__).with_name("wires.py")
    done = subprocess.run(
        [*IN_NAMESPACES, sys.executable, str(script)],
        input=json.dumps(steps), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
