"""The VPC's wires: a router that is the namespace itself, and a link to each node."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from eksnet.sandbox.vpc import Node, Vpc


def router_commands(vpc: Vpc) -> list[str]:
    """Return the `ip` commands that give the router its own addresses.

    The resolver and the API server live on the loopback device: packets from the nodes reach
    them through the router, whichever link they arrive on.
    """
    return [
        "link set lo up",
        f"addr add {vpc.resolver}/32 dev lo",
        f"addr add {vpc.api_server}/32 dev lo",
        # No way out: what is neither in the VPC nor a Service is answered at once.
        "route add unreachable default metric 4278198272",
    ]


def link_commands(node: Node, pid: int) -> list[str]:
    """Return the `ip` commands that link the router to a node.

    Args:
        node: The node.
        pid: The process that holds the node's network namespace.
    """
    prefix = node.address.network.prefixlen
    return [
        f"link add {node.short} type veth peer name eth0 netns {pid}",
        f"addr add {node.gateway}/{prefix} dev {node.short}",
        f"link set {node.short} up",
        # Secondary addresses of the node's interface: the VPC hands their packets to the node.
        f"route add {node.pods} via {node.address.ip}",
    ]


def node_commands(node: Node) -> list[str]:
    """Return the `ip` commands that configure a node's side of the link."""
    return [
        "link set lo up",
        f"addr add {node.address} dev eth0",
        "link set eth0 up",
        f"route add default via {node.gateway}",
    ]


def forward_packets() -> None:
    """Let this network namespace pass packets on, and answer those that it cannot."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    # Such answers are rationed: without this, a second try waits seven seconds for its own.
    Path("/proc/sys/net/ipv4/icmp_ratelimit").write_text("0")


def configure(commands: Iterable[str], enter: Iterable[str] = ()) -> None:
    """Run `ip` commands in one process.

    Args:
        commands: Lines for `ip -batch`.
        enter: The command that enters a node's namespaces, when it is not this one.

    Raises:
        subprocess.CalledProcessError: One was refused; its message is in `stderr`.
    """
    batch = "\n".join(commands) + "\n"
    subprocess.run(
        [*enter, "ip", "-batch", "-"], input=batch, text=True, capture_output=True, check=True
    )
