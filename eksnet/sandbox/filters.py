"""Security groups as packet filters of the VPC's router: the desired state as a table of nft; pure.

A packet needs an outbound rule of the network interface that it comes from and an inbound rule of
the one that it goes to; without them it is dropped, without an answer, as in a VPC. Replies to what
was let through are let through. Where one end has no interface, such as the VPC resolver, the AWS
services or the internet, only the other end's rules are asked.

The control plane and the load balancers live in the router's own network namespace. So both
questions are asked in several hooks: of what comes in by a wire in `prerouting` (may it be sent?)
and in `forward` or `input` (may it be received?), of what is sent here in `output`.

A connection through a Network Load Balancer gets another destination in `prerouting`, and perhaps
another source in `postrouting`. Before the first it is asked what it would be without the router:
may the client send it, may the load balancer receive it? After the last: may the load balancer send
it, may the target receive it?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from eksnet.sandbox.desired import Desired, Interface, Rule
from eksnet.sandbox.network import WIRE
from eksnet.sandbox.vpc import NAT_GATEWAY, Vpc

TABLE = "eksnet_security_groups"
# Counted, so that `nft list table` in the router's namespace tells where packets are lost.
LOST = "counter drop"
_ALL = IPv4Network("0.0.0.0/0")
# Link-local addresses are the host's own in a VPC: time, metadata.
_LINK_LOCAL = IPv4Network("169.254.0.0/16")
_NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp"}
_LAST_PORT, _LAST_BYTE = 65535, 255
# nft's priorities of the destination's translation and of the source's are -100 and 100.
_BEFORE_TRANSLATION, _AFTER_TRANSLATION = -110, 111
# By these the router says that it cannot pass on a packet; whoever sent it is to learn that.
_ERRORS = "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept"


def table(desired: Desired, vpc: Vpc) -> str:
    """Return the text for `nft -f` that replaces the whole table in one transaction.

    Args:
        desired: The desired state.
        vpc: The address plan.
    """
    held = _held_addresses(desired, vpc)
    sides = [
        *_side("sent", desired, held),
        *_side("received", desired, held),
        *_balanced_sides(desired, held),
    ]
    chains = [*_ways_through(desired, vpc), *_dispatch(desired, vpc, held), *sides]
    # A table that does not exist cannot be deleted: it is created first.
    fresh = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    return "\n".join([*fresh, *chains, "}", ""])


def _ways_through(desired: Desired, vpc: Vpc) -> Iterator[str]:
    """Return the chains that the kernel calls."""
    public = sorted(desired.public_addresses)
    yield from _chain(
        "by_wire",
        f"type filter hook prerouting priority {_BEFORE_TRANSLATION}",
        f'iifname "{WIRE}" jump internet',
        'iifname != "lo" jump sent',
    )
    yield from _ways_of_balancers(desired, vpc)
    # From the internet: the resolver, and public addresses, whose security groups are asked later.
    yield from _chain(
        "internet",
        "",
        f"ip daddr {vpc.resolver} meta l4proto {{ tcp, udp }} th dport 53 accept",
        *([f"ip daddr {_set(public)} return"] if public else []),
        LOST,
    )
    yield from _chain(
        "passing",
        "type filter hook forward priority filter",
        # What goes through a load balancer is asked when it has the source that it arrives with.
        *(["ct status dnat accept"] if desired.network_load_balancers else []),
        f'iifname "{WIRE}" {LOST}',
        f'oifname "{WIRE}" {LOST}',
        "jump received",
    )
    # An accept ends only the chain of one hook and priority, so each question has a chain.
    for name, priority, question in (("leaving", 0, "sent"), ("letting_in", 10, "received")):
        yield from _chain(
            name,
            f"type filter hook output priority {priority}",
            # The components of the control plane among themselves.
            'oifname "lo" accept',
            _ERRORS,
            f"jump {question}",
        )
    if public:
        # What leaves the VPC for a public address has the NAT gateway's, also if it comes back.
        translated = f"ip saddr {vpc.network} ip daddr {_set(public)} snat ip to {NAT_GATEWAY}"
        yield from _chain("nat_gateway", "type nat hook input priority 100", translated)
    yield from _chain(
        "arriving",
        "type filter hook input priority 110",
        *(["ct status dnat accept"] if desired.network_load_balancers else []),
        f'iifname != "lo" ip daddr {NAT_GATEWAY} ct state new {LOST}',
        'iifname != "lo" jump received',
    )


def _ways_of_balancers(desired: Desired, vpc: Vpc) -> Iterator[str]:
    """Return the chains of what goes through Network Load Balancers."""
    zones = [zone for balancer in desired.network_load_balancers for zone in balancer.zones]
    if not zones:
        return
    public = [zone.public for zone in zones if zone.public]
    yield from _chain(
        "to_balancers",
        f"type filter hook prerouting priority {_BEFORE_TRANSLATION + 1}",
        *(
            [f"ip saddr {vpc.network} ip daddr {_set(public)} goto from_nat_gateway"]
            if public
            else []
        ),
        f"ip daddr {_set(a for zone in zones for a in zone.addresses)} jump received",
    )
    # A target may be in this namespace: then its packets come in instead of going out.
    for name, hook in (("out", "postrouting"), ("in", "input")):
        for number, question in enumerate(("balancer_sends", "balanced")):
            yield from _chain(
                f"{question}_{name}",
                f"type filter hook {hook} priority {_AFTER_TRANSLATION + number}",
                f"ct status dnat jump {question}",
            )


def _dispatch(
    desired: Desired, vpc: Vpc, held: Mapping[Interface, list[IPv4Network]]
) -> Iterator[str]:
    """Return the chains that find a packet's interface."""
    known = "ct state established,related accept"
    not_asked = _set([vpc.resolver, vpc.aws, _LINK_LOCAL])
    yield from _chain(
        "sent", "", known, f"ip daddr {not_asked} accept", *_jumps("ip saddr", "sent", held)
    )
    public = desired.public_addresses.items()
    reached = {
        interface: [*own, *(IPv4Network(one) for one, private in public if _has(own, private))]
        for interface, own in held.items()
    }
    yield from _chain("received", "", known, *_jumps("ip daddr", "received", reached))
    if not desired.network_load_balancers:
        return
    balancers = _balancers(desired, reached)
    asked = "ct original ip daddr"
    yield from _chain("balancer_sends", "", known, *_jumps(asked, "sent", balancers))
    yield from _chain("balanced", "", known, *_jumps("ip daddr", "balanced", held))
    gateways = {
        interface: [one for one in networks if one.network_address in desired.public_addresses]
        for interface, networks in balancers.items()
    }
    yield from _chain(
        "from_nat_gateway", "", known, *_jumps("ip daddr", "from_nat_gateway", gateways)
    )


def _balancers(
    desired: Desired, reached: Mapping[Interface, list[IPv4Network]]
) -> dict[Interface, list[IPv4Network]]:
    """Return the interfaces of Network Load Balancers, with the public addresses too."""
    own = desired.network_addresses
    return {
        interface: networks
        for interface, networks in reached.items()
        if own & {*interface.addresses}
    }


def _jumps(field: str, side: str, held: Mapping[Interface, list[IPv4Network]]) -> Iterator[str]:
    jumps = ", ".join(
        f"{network} : jump {interface.id}.{side}"
        for interface, networks in held.items()
        for network in networks
    )
    if jumps:
        yield f"{field} vmap {{ {jumps} }}"


def _has(networks: Iterable[IPv4Network], address: IPv4Address) -> bool:
    return any(address in network for network in networks)


def _side(
    side: str, desired: Desired, held: Mapping[Interface, list[IPv4Network]]
) -> Iterator[str]:
    """Return a chain for each group and interface: what its rules open for one direction."""
    members = {
        group.id: [n for one, networks in held.items() if group.id in one.groups for n in networks]
        for group in desired.security_groups
    }
    for group in desired.security_groups:
        rules = group.egress if side == "sent" else group.ingress
        opened = (line for rule in rules for line in _opened(rule, side, members))
        yield from _chain(f"{group.id}.{side}", "", *opened)
    for interface in held:
        jumps = (f"jump {one}.{side}" for one in interface.groups if one in members)
        yield from _chain(f"{interface.id}.{side}", "", *jumps, LOST)


def _balanced_sides(desired: Desired, held: Mapping[Interface, list[IPv4Network]]) -> Iterator[str]:
    """Return the chains of what Network Load Balancers bring, and of what the gateway brings them.

    A load balancer's group stands for what comes through it, also where the target sees the
    client's address. The client's own groups do not: as AWS documents, only its address counts.
    """
    if not desired.network_load_balancers:
        return
    public = {private: one for one, private in desired.public_addresses.items()}
    own = desired.network_addresses
    asked: dict[str, list[IPv4Address]] = {}
    for interface in held:
        for private in (one for one in interface.addresses if one in own):
            for name in interface.groups:
                both = (private, public.get(private))
                asked.setdefault(name, []).extend(one for one in both if one)
    for group in desired.security_groups:
        brought = (line for rule in group.ingress for line in _brought(rule, asked))
        yield from _chain(f"{group.id}.balanced", "", *brought)
        at_gateway = (
            f"{match} accept"
            for rule in group.ingress
            if _has(rule.networks, NAT_GATEWAY) and (match := _match(rule)) is not None
        )
        yield from _chain(f"{group.id}.from_nat_gateway", "", *at_gateway)
    known = {group.id for group in desired.security_groups}
    for interface in held:
        for side in ("balanced", "from_nat_gateway"):
            jumps = (f"jump {one}.{side}" for one in interface.groups if one in known)
            yield from _chain(f"{interface.id}.{side}", "", *jumps, LOST)


def _brought(rule: Rule, asked: Mapping[str, list[IPv4Address]]) -> Iterator[str]:
    """Return the lines that let through what a rule opens to load balancers.

    Args:
        rule: A rule for inbound packets.
        asked: The addresses of the Network Load Balancers of each group.
    """
    if (match := _match(rule)) is None:
        return
    if networks := list(collapse_addresses(rule.networks)):
        far_side = "" if networks == [_ALL] else f"ip saddr {_set(networks)}"
        yield " ".join(filter(None, (far_side, match, "accept")))
    if addresses := [one for group in rule.groups for one in asked.get(group, ())]:
        yield f"ct original ip daddr {_set(dict.fromkeys(addresses))} {match} accept"


def _opened(rule: Rule, side: str, members: Mapping[str, list[IPv4Network]]) -> Iterator[str]:
    """Return the lines that let through what a rule opens; none when it opens nothing here."""
    of_groups = (network for group in rule.groups for network in members.get(group, ()))
    others = list(collapse_addresses([*rule.networks, *of_groups]))
    if not others or (match := _match(rule)) is None:
        return
    field = "daddr" if side == "sent" else "saddr"
    far_side = "" if others == [_ALL] else f"ip {field} {_set(others)}"
    yield " ".join(filter(None, (far_side, match, "accept")))


def _match(rule: Rule) -> str | None:
    """Return how nft matches a rule's protocol and ports; None if no packet of IPv4 can have them.

    One line that nft refuses would keep the whole table from being replaced.
    """
    protocol = _NUMBERS.get(rule.protocol, rule.protocol)
    if protocol == "-1":
        return "meta nfproto ipv4"
    first, last = (None if one in (None, -1) else one for one in (rule.first, rule.last))
    if protocol == "icmp":
        return _icmp(first, last)
    if protocol in ("tcp", "udp") and first is not None:
        last = first if last is None else last
        return f"{protocol} dport {first}-{last}" if 0 <= first <= last <= _LAST_PORT else None
    is_known = protocol in ("tcp", "udp") or (protocol.isdecimal() and int(protocol) <= _LAST_BYTE)
    return f"meta l4proto {protocol}" if is_known else None


def _icmp(kind: int | None, code: int | None) -> str | None:
    parts = {"icmp type": kind, "icmp code": code}
    asked = {name: number for name, number in parts.items() if number is not None}
    if any(not 0 <= number <= _LAST_BYTE for number in asked.values()):
        return None
    return " ".join(f"{name} {number}" for name, number in asked.items()) or "ip protocol icmp"


def _held_addresses(desired: Desired, vpc: Vpc) -> dict[Interface, list[IPv4Network]]:
    """Return the addresses of each interface; a node's interface has the whole block of its pods.

    An interface without a security group, such as a NAT gateway's, is not filtered. An address
    belongs to one interface, the node's first, also where a learner has given it to another one.
    """
    guarded = [interface for interface in desired.interfaces if interface.groups]
    nodes = {node.address.ip: node.pods for node in vpc.nodes}
    held: dict[Interface, list[IPv4Network]] = {}
    taken: list[IPv4Network] = []
    for interface in sorted(guarded, key=lambda one: not nodes.keys() & {*one.addresses}):
        pods = [nodes[address] for address in interface.addresses if address in nodes]
        own = collapse_addresses([*map(IPv4Network, interface.addresses), *pods])
        held[interface] = [one for one in own if not any(one.overlaps(other) for other in taken)]
        taken += held[interface]
    return held


def _set(addresses: Iterable[IPv4Address | IPv4Network]) -> str:
    return "{ " + ", ".join(map(str, addresses)) + " }"


def _chain(name: str, hook: str, *lines: str) -> Iterator[str]:
    yield f"\tchain {name} {{"
    if hook:
        yield f"\t\t{hook}; policy accept;"
    yield from (f"\t\t{line}" for line in lines)
    yield "\t}"
