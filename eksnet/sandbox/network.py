"""The VPC's wires: a router that is the namespace itself, a link to each node, and the internet."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from eksnet.sandbox.vpc import INTERNET, INTERNET_GATEWAY, NAT_GATEWAY, PUBLIC, Node, Vpc

# The router's end of the wire to the internet.
WIRE = "internet"


def router_commands(vpc: Vpc) -> list[str]:
    """Return the `ip` commands that give the router its own addresses.

    The resolver, the API server and the AWS side live on the loopback device: packets from the
    nodes reach them through the router, whichever link they arrive on.
    """
    return [
        "link set lo up",
        f"addr add {vpc.resolver}/32 dev lo",
        f"addr add {vpc.api_server}/32 dev lo",
        f"addr add {vpc.aws}/32 dev lo",
        f"addr add {NAT_GATEWAY}/32 dev lo",
        # As in a VPC, a packet to an address that nobody has is lost: a pod that is gone, or a
        # Service's address with a port that no rule knows.
        f"route add blackhole {vpc.network}",
        f"route add blackhole {vpc.services}",
        f"route add blackhole {PUBLIC}",
        # No way out: what leads anywhere else is answered at once.
        "route add unreachable default metric 4278198272",
    ]


def link_commands(node: Node, pid: int, vpc: Vpc) -> list[str]:
    """Return the `ip` commands that link the router to a node.

    Args:
        node: The node.
        pid: The process that holds the node's network namespace.
        vpc: The address plan.
    """
    subnet = node.address.network
    # What the API server itself sends to nodes and pods comes from its interface in the VPC.
    source = f"src {vpc.api_server}"
    return [
        f"link add {node.short} type veth peer name eth0 netns {pid}",
        f"addr add {node.gateway}/{subnet.prefixlen} dev {node.short} noprefixroute",
        f"link set {node.short} up",
        f"route add {subnet} dev {node.short} {source}",
        # Secondary addresses of the node's interface: the VPC hands their packets to the node.
        f"route add {node.pods} via {node.address.ip} {source}",
    ]


def node_commands(node: Node) -> list[str]:
    """Return the `ip` commands that configure a node's side of the link."""
    return [
        "link set lo up",
        f"addr add {node.address} dev eth0",
        "link set eth0 up",
        f"route add default via {node.gateway}",
        # An address that no pod has; the router would send its packets back.
        f"route add blackhole {node.pods}",
    ]


def internet_link_commands(namespace: Path) -> list[str]:
    """Return the `ip` commands that link the router to the internet.

    Args:
        namespace: The file that stands for the network namespace of the internet's host.
    """
    return [
        f"link add {WIRE} type veth peer name eth0 netns {namespace}",
        f"addr add {INTERNET_GATEWAY} dev {WIRE}",
        f"link set {WIRE} up",
    ]


def internet_commands(vpc: Vpc) -> list[str]:
    """Return the `ip` commands that configure the internet's side of the link.

    Packets to private addresses leave it, too, and are lost at the router, as those that
    a provider passes over; nothing else leads anywhere.
    """
    return [
        "link set lo up",
        f"addr add {INTERNET} dev eth0",
        "link set eth0 up",
        *(f"route add {block} via {INTERNET_GATEWAY.ip}" for block in (PUBLIC, vpc.network)),
    ]


def address_commands(present: Iterable[IPv4Address], wanted: Iterable[IPv4Address]) -> list[str]:
    """Return the `ip` commands that give the router the load balancers' addresses.

    Args:
        present: The addresses that it has for load balancers.
        wanted: Those that it is to have.
    """
    present, wanted = set(present), set(wanted)
    return [
        *(f"addr del {address}/32 dev lo" for address in sorted(present - wanted)),
        *(f"addr add {address}/32 dev lo" for address in sorted(wanted - present)),
    ]


def balancer_addresses(vpc: Vpc) -> set[IPv4Address]:
    """Return the addresses that the router has for load balancers, as the kernel tells it."""
    shown = subprocess.run(
        ["ip", "-json", "-4", "addr", "show", "dev", "lo"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    every = {IPv4Address(one["local"]) for one in json.loads(shown)[0]["addr_info"]}
    own = {vpc.resolver, vpc.api_server, vpc.aws, NAT_GATEWAY}
    return {address for address in every - own if not address.is_loopback}


def prepare_router() -> None:
    """Let this network namespace pass packets on, and the control plane listen in it."""
    for name, value in (
        ("ip_forward", "1"),
        # What cannot be passed on is answered, but such answers are rationed: without this, a
        # second try waits seven seconds for its own.
        ("icmp_ratelimit", "0"),
        # The API server and the resolver have no capability, not even that for low ports.
        ("ip_unprivileged_port_start", "0"),
        # Load balancers listen before their addresses are here.
        ("ip_nonlocal_bind", "1"),
        # What cannot be passed on is answered by the router, not by the API server's address.
        ("icmp_errors_use_inbound_ifaddr", "1"),
        # A load balancer's client may be beside its target: it is to keep asking the router.
        ("conf/all/send_redirects", "0"),
        ("conf/default/send_redirects", "0"),
    ):
        Path("/proc/sys/net/ipv4", name).write_text(value)


def kubernetes_service_rules(vpc: Vpc) -> str:
    """Return the rules of the Service `kubernetes` as kube-proxy writes them.

    A node has them before its kube-proxy runs, as one that was suspended would: what asks the API
    server meanwhile need not fail and wait. kube-proxy takes over the chains, whose names are its
    own, with its first sync.

    Returns:
        Text for `iptables-restore`, table nat.
    """
    service, backend = vpc.kubernetes_service, f"{vpc.api_server}:443"
    service_chain = "KUBE-SVC-" + _hash("default/kubernetes:httpstcp")
    endpoint_chain = "KUBE-SEP-" + _hash(f"default/kubernetes:httpstcp{backend}")
    portals = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    return f"""*nat
:KUBE-SERVICES - [0:0]
:{service_chain} - [0:0]
:{endpoint_chain} - [0:0]
-A PREROUTING {portals}
-A OUTPUT {portals}
-A KUBE-SERVICES -d {service}/32 -p tcp -m tcp --dport 443 -j {service_chain}
-A {service_chain} -j {endpoint_chain}
-A {endpoint_chain} -p tcp -m tcp -j DNAT --to-destination {backend}
COMMIT
"""


def _hash(text: str) -> str:
    # Kubernetes 1.35 pkg/proxy/iptables/proxier.go, portProtoHash.
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:16]


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


def filter_packets(*tables: str) -> None:
    """Replace tables of the router's packet filters in one step.

    Args:
        tables: Text for `nft -f`.

    Raises:
        subprocess.CalledProcessError: They were refused, and stay as they were; the message is in
            `stderr`.
    """
    text = "".join(tables)
    subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=True)


def restore_rules(rules: str, enter: Iterable[str]) -> None:
    """Add rules to a node's tables.

    Args:
        rules: Text for `iptables-restore`.
        enter: The command that enters the node's namespaces.

    Raises:
        subprocess.CalledProcessError: They were refused; the message is in `stderr`.
    """
    command = [*enter, "iptables-restore", "--noflush", "--wait"]
    subprocess.run(command, input=rules, text=True, capture_output=True, check=True)


def unlink(name: str) -> None:
    """Take away the router's side of a link whose other side is gone, if it is still there."""
    subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
