"""Network Load Balancers as address translation of the VPC's router: a table of nft; pure.

What is wanted and what was seen of the targets become *services*: a protocol and a port of an
address, with the targets that its connections go to. The kernel's connection tracking keeps a flow
at its target, so that a table that is replaced moves no connection.

A segment of TCP that belongs to no connection and does not begin one is answered with a reset, as
a load balancer answers what it does not know. So a forgotten connection is reset.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from eksnet.sandbox.desired import Desired, Listener, LoadBalancer, Target, TargetGroup, Zone
from eksnet.sandbox.vpc import NAT_GATEWAY, Vpc

FILE = "observed.json"
TABLE = "eksnet_network_load_balancers"
# The listeners that are passed on, with the protocols of IP; one for TLS is none of them.
_PROTOCOLS = {"TCP": ("tcp",), "UDP": ("udp",), "TCP_UDP": ("tcp", "udp")}
_CROSS_ZONE = "load_balancing.cross_zone.enabled"
_PRESERVE = "preserve_client_ip.enabled"
_RESET_UNHEALTHY = "target_health_state.unhealthy.connection_termination.enabled"
_RESET_DRAINED = "deregistration_delay.connection_termination.enabled"
_MINIMUM = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
# A connection with this mark gets the load balancer's address as its source.
_MASQUERADED = 1
_HEALTHY = ("healthy", "unavailable")

# The state of each target by the ARN of its group and its key, as far as it was seen.
States = Mapping[str, Mapping[str, str]]
# Where a target listens.
Place = tuple[IPv4Address, int]
# A protocol of IP, an address and a port.
Door = tuple[str, IPv4Address, int]


@dataclass(frozen=True)
class Share:
    """What a target group has of a service's connections.

    Attributes:
        weight: Its weight.
        preserves: Whether targets see the client's address.
        sticky: Whether a client's address alone decides about its target.
        targets: Where new connections go to.
    """

    weight: int
    preserves: bool
    sticky: bool
    targets: tuple[Place, ...]


@dataclass(frozen=True)
class Service:
    """A port of one address of a load balancer.

    Attributes:
        door: Where it is asked.
        shares: The target groups that get its connections.
        ended: The targets whose connections are ended.
        known: All its targets, those that are left alone among them.
        groups: The ARNs of its target groups.
        ends_when_gone: The targets whose connections end when they are no longer known, each with
            the ARN of its group.
    """

    door: Door
    shares: tuple[Share, ...]
    ended: frozenset[Place]
    known: frozenset[Place]
    groups: frozenset[str]
    ends_when_gone: frozenset[tuple[str, Place]]


@dataclass(frozen=True)
class Ended:
    """Connections that are to end.

    Attributes:
        address: The address that the clients asked.
        port: The protocol of IP and the port that they asked; None for all of them.
        target: The target; None for all of them.
    """

    address: IPv4Address
    port: tuple[str, int] | None = None
    target: Place | None = None


def read_states(text: str) -> dict[str, dict[str, str]]:
    """Return the states of targets that the load balancers have written as JSON.

    Raises:
        ValueError: A field is missing, or invalid.
    """
    try:
        return {
            arn: {key: str(one["state"]) for key, one in targets.items()}
            for arn, targets in json.loads(text)["targets"].items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{FILE}: {error!r}") from error


def services(desired: Desired, states: States) -> tuple[Service, ...]:
    """Return the services of all Network Load Balancers.

    Args:
        desired: The desired state.
        states: What was seen of the targets.
    """
    groups = {group.arn: group for group in desired.target_groups}
    return tuple(
        _service((protocol, address, listener.port), balancer, listener, zone, groups, states)
        for balancer in desired.network_load_balancers
        for listener in balancer.listeners
        for protocol in _PROTOCOLS.get(listener.protocol, ())
        for zone in balancer.zones
        for address in zone.addresses
    )


def ended(
    before: Iterable[Service], after: Iterable[Service], gone: Iterable[IPv4Address] = ()
) -> list[Ended]:
    """Return which connections end with a change.

    A listener of TCP that is deleted leaves them their targets, as documented; so does one that
    forwards to another target group, whatever that group's attributes say.

    Args:
        before: The services until now.
        after: Those from now on.
        gone: The addresses that no load balancer has from now on.
    """
    now = {service.door: service for service in after}
    found = [Ended(address) for address in sorted(gone)]
    for old in before:
        protocol, address, port = old.door
        new = now.get(old.door)
        if new is None:
            found += [Ended(address, (protocol, port))] if protocol == "udp" else []
            continue
        left = {place for arn, place in old.ends_when_gone if arn in new.groups} - new.known
        over = sorted((new.ended - old.ended) | left)
        found += [Ended(address, (protocol, port), target) for target in over]
    return found


def table(found: Iterable[Service], desired: Desired, vpc: Vpc) -> str:
    """Return the text for `nft -f` that replaces the whole table in one transaction.

    Args:
        found: The services.
        desired: The desired state.
        vpc: The address plan.
    """
    fresh = [f"table ip {TABLE}", f"delete table ip {TABLE}"]
    found = [one for one in found if any(share.targets for share in one.shares)]
    if not desired.network_load_balancers:
        return "\n".join([*fresh, ""])
    lines = [*_strangers(found), *_ways_in(found), *_sources(desired, vpc)]
    return "\n".join([*fresh, f"table ip {TABLE} {{", *lines, "}", ""])


def _service(
    door: Door,
    balancer: LoadBalancer,
    listener: Listener,
    zone: Zone,
    groups: Mapping[str, TargetGroup],
    states: States,
) -> Service:
    shares: list[Share] = []
    ended, known, ends_when_gone = set[Place](), set[Place](), set[tuple[str, Place]]()
    for arn, weight in listener.groups:
        if (group := groups.get(arn)) is None:
            continue
        seen = states.get(arn, {})
        reached = [one for one in group.targets if _is_reached(one, zone, group, balancer)]
        registered = [one for one in reached if not one.draining]
        is_open = _fails_open(group, registered, seen)
        shares.append(_share(group, weight, _usable(registered, seen, is_open)))
        # A deregistration is over when the checks know the target no longer.
        over = {one for one in group.targets if one.draining and one.key not in seen}
        places = {_place(one) for one in group.targets if arn not in states or one not in over}
        known |= places
        if _is_on(group, _RESET_DRAINED):
            ends_when_gone |= {(arn, place) for place in places}
        # What makes the group fail open keeps its connections, as documented.
        if _is_on(group, _RESET_UNHEALTHY) and not is_open:
            ended |= {_place(one) for one in group.targets if seen.get(one.key) == "unhealthy"}
    return Service(
        door,
        tuple(shares),
        frozenset(ended),
        frozenset(known),
        frozenset(arn for arn, _ in listener.groups),
        frozenset(ends_when_gone),
    )


def _share(group: TargetGroup, weight: int, targets: Iterable[Target]) -> Share:
    # With UDP the client's address is kept, whatever the attribute says.
    preserves = group.protocol in ("UDP", "TCP_UDP") or _is_on(group, _PRESERVE)
    sticky = _is_on(group, "stickiness.enabled")
    return Share(weight, preserves, sticky, tuple(sorted({_place(one) for one in targets})))


def _is_on(group: TargetGroup, attribute: str) -> bool:
    return group.attributes.get(attribute) == "true"


def _place(target: Target) -> Place:
    return target.address, target.port


def _is_reached(target: Target, zone: Zone, group: TargetGroup, balancer: LoadBalancer) -> bool:
    """Tell whether a load balancer sends to a target from a zone."""
    own = group.attributes.get(_CROSS_ZONE)
    usual = balancer.attributes.get(_CROSS_ZONE, "false")
    crosses = (own if own in ("true", "false") else usual) == "true"
    return crosses or target.zone in ("", "all", zone.name)


def _fails_open(group: TargetGroup, registered: list[Target], seen: Mapping[str, str]) -> bool:
    """Tell whether too few targets are healthy, so that unhealthy ones get connections, too."""
    healthy = sum(seen.get(one.key) in _HEALTHY for one in registered)
    return healthy < _minimum(group, len(registered))


def _usable(registered: list[Target], seen: Mapping[str, str], is_open: bool) -> list[Target]:
    """Return the targets of new connections; one that is not checked yet is none of them."""
    states = (*_HEALTHY, "unhealthy") if is_open else _HEALTHY
    return [one for one in registered if seen.get(one.key) in states]


def _minimum(group: TargetGroup, registered: int) -> int:
    """Return how many targets have to be healthy: the count, and the percentage rounded up."""

    def number(kind: str, otherwise: int) -> int:
        text = group.attributes.get(f"{_MINIMUM}.{kind}", "")
        return int(text) if text.isdecimal() else otherwise

    return max(number("count", 1), -(-registered * number("percentage", 0) // 100))


def _strangers(found: Iterable[Service]) -> Iterator[str]:
    """Return the chain that resets what belongs to no connection, before it could begin one."""
    doors = ", ".join(f"{one.door[1]} . {one.door[2]}" for one in found if one.door[0] == "tcp")
    if doors:
        yield from (
            "\tchain strangers {",
            "\t\ttype filter hook prerouting priority -102; policy accept;",
            "\t\tct state new,invalid tcp flags & (fin | syn | rst | ack) != syn "
            f"ip daddr . tcp dport {{ {doors} }} reject with tcp reset",
            "\t}",
        )


def _ways_in(found: list[Service]) -> Iterator[str]:
    """Return the chains that choose a target."""
    # A service's chain is the same for both addresses of a zone, and often for all zones.
    chains: dict[tuple[tuple[Share, ...], str], str] = {}
    # AWS allows no door twice; nft would refuse the whole table.
    jumps: dict[Door, str] = {}
    for one in found:
        protocol, address, port = one.door
        shares = tuple(share for share in one.shares if share.targets and share.weight > 0)
        name = chains.setdefault((shares, protocol), f"service_{len(chains)}")
        jumps.setdefault(one.door, f"{protocol} . {address} . {port} : jump {name}")
    for (shares, protocol), name in chains.items():
        yield from _choice(name, shares, protocol)
    yield "\tchain to_targets {"
    yield "\t\ttype nat hook prerouting priority dstnat; policy accept;"
    if jumps:
        yield f"\t\tmeta l4proto . ip daddr . th dport vmap {{ {', '.join(jumps.values())} }}"
    yield "\t}"


def _choice(name: str, shares: tuple[Share, ...], protocol: str) -> Iterator[str]:
    for number, share in enumerate(shares):
        yield f"\tchain {name}_{number} {{"
        if not share.preserves:
            yield f"\t\tct mark set {_MASQUERADED}"
        places = (f"{n} : {a} . {port}" for n, (a, port) in enumerate(share.targets))
        yield (
            f"\t\tmeta l4proto {protocol} dnat ip to {_lot(share, protocol)} "
            f"map {{ {', '.join(places)} }}"
        )
        yield "\t}"
    yield f"\tchain {name} {{"
    total, begin, ranges = sum(share.weight for share in shares), 0, []
    for number, share in enumerate(shares):
        ranges.append(f"{begin}-{begin + share.weight - 1} : goto {name}_{number}")
        begin += share.weight
    if len(shares) == 1:
        yield f"\t\tgoto {name}_0"
    elif shares:
        yield f"\t\tnumgen random mod {total} vmap {{ {', '.join(ranges)} }}"
    yield "\t}"


def _lot(share: Share, protocol: str) -> str:
    """Return what nft draws a target by."""
    count = len(share.targets)
    if share.sticky:
        return f"jhash ip saddr mod {count} seed 1"
    # Datagrams of one source port go to one target, also when the kernel has forgotten the flow.
    if protocol == "udp":
        return f"jhash ip saddr . udp sport . ip daddr . udp dport mod {count} seed 1"
    return f"numgen random mod {count}"


def _sources(desired: Desired, vpc: Vpc) -> Iterator[str]:
    """Return the chains that give a connection the source that its target is to see."""
    zones = [zone for balancer in desired.network_load_balancers for zone in balancer.zones]
    own = ", ".join(f"{address} : {zone.private}" for zone in zones for address in zone.addresses)
    public = ", ".join(str(zone.public) for zone in zones if zone.public)
    # A target may be in this namespace: then its packets come in instead of going out.
    for name, hook, priority in (("from", "postrouting", "srcnat"), ("inward", "input", "100")):
        yield f"\tchain {name} {{"
        yield f"\t\ttype nat hook {hook} priority {priority}; policy accept;"
        yield (
            f"\t\tct status dnat ct mark {_MASQUERADED} "
            f"snat ip to ct original ip daddr map {{ {own} }}"
        )
        if public:
            # What leaves the VPC for a public address has the NAT gateway's, also if it comes back.
            yield (
                f"\t\tct status dnat ip saddr {vpc.network} "
                f"ct original ip daddr {{ {public} }} snat ip to {NAT_GATEWAY}"
            )
        yield "\t}"
