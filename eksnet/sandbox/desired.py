"""The desired state of load balancers and security groups, as the AWS side writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

FILE = "desired.json"


@dataclass(frozen=True)
class Zone:
    """A zone in which a load balancer has an interface.

    Attributes:
        name: The zone's name.
        private: The interface's address.
        public: The public address that stands for it, if there is one.
    """

    name: str
    private: IPv4Address
    public: IPv4Address | None

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        """Both, or the one that there is."""
        return (self.private, self.public) if self.public else (self.private,)


@dataclass(frozen=True)
class Listener:
    """A port of a load balancer.

    Attributes:
        port: The port.
        protocol: Its protocol, such as `HTTP`, `TCP` or `TCP_UDP`.
        groups: The target groups of its default rule, each with its weight.
    """

    port: int
    protocol: str
    groups: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer: its name, and one or two addresses in each zone.

    Attributes:
        name: Its name.
        dns_name: The name that leads to it.
        kind: `application` or `network`.
        scheme: `internal` or `internet-facing`.
        zones: Where it has addresses.
        listeners: Its listeners.
        attributes: Its attributes, as the API names them.
    """

    name: str
    dns_name: str
    kind: str
    scheme: str
    zones: tuple[Zone, ...]
    listeners: tuple[Listener, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_internal(self) -> bool:
        """Whether it answers from inside the VPC alone."""
        return self.scheme == "internal"

    @property
    def is_network(self) -> bool:
        """Whether it is a Network Load Balancer, which is the router's work."""
        return self.kind == "network"

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        """All its addresses."""
        return tuple(address for zone in self.zones for address in zone.addresses)


@dataclass(frozen=True)
class Target:
    """A registered target.

    Attributes:
        key: Its name in its group: id and port.
        address: Its address.
        port: Its port.
        zone: Its zone; `all` and an empty one are in every zone.
        draining: Whether it is being deregistered.
    """

    key: str
    address: IPv4Address
    port: int
    zone: str
    draining: bool


@dataclass(frozen=True)
class TargetGroup:
    """A target group.

    Attributes:
        arn: Its ARN.
        protocol: Its protocol.
        attributes: Its attributes, as the API names them.
        targets: Its targets, those that drain included.
    """

    arn: str
    protocol: str
    attributes: Mapping[str, str]
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Interface:
    """A network interface of the VPC.

    Attributes:
        id: Its id.
        addresses: Its private addresses.
        groups: The ids of its security groups.
    """

    id: str
    addresses: tuple[IPv4Address, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """A rule of a security group: which packets it opens, and the addresses on the other side.

    Attributes:
        protocol: `tcp`, `udp`, `icmp`, `-1` for all, or a protocol's number.
        first: The first port, or the type of ICMP; None or -1 for all.
        last: The last port, or the code of ICMP; None or -1 for all.
        networks: The blocks of addresses, those of prefix lists among them.
        groups: The security groups whose members are meant.
    """

    protocol: str
    first: int | None = None
    last: int | None = None
    networks: tuple[IPv4Network, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class SecurityGroup:
    """A security group.

    Attributes:
        id: Its id.
        ingress: What may come to its members.
        egress: What its members may send.
    """

    id: str
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Desired:
    """The desired state of an account; by default that of one without anything.

    Attributes:
        load_balancers: The load balancers.
        target_groups: The target groups.
        interfaces: The network interfaces.
        security_groups: The security groups.
    """

    load_balancers: tuple[LoadBalancer, ...] = ()
    target_groups: tuple[TargetGroup, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()

    @property
    def addresses(self) -> frozenset[IPv4Address]:
        """All addresses of all load balancers."""
        return frozenset(one for balancer in self.load_balancers for one in balancer.addresses)

    @property
    def public_addresses(self) -> dict[IPv4Address, IPv4Address]:
        """The public addresses of load balancers, each with the private one that it stands for."""
        zones = (zone for balancer in self.load_balancers for zone in balancer.zones)
        return {zone.public: zone.private for zone in zones if zone.public}

    @property
    def network_load_balancers(self) -> tuple[LoadBalancer, ...]:
        """The Network Load Balancers."""
        return tuple(one for one in self.load_balancers if one.is_network)

    @property
    def network_addresses(self) -> frozenset[IPv4Address]:
        """All addresses of the Network Load Balancers."""
        return frozenset(one for made in self.network_load_balancers for one in made.addresses)


def read(text: str) -> Desired:
    """Return the desired state that is written as JSON; unknown fields are ignored.

    Raises:
        ValueError: A field is missing, or invalid.
    """
    try:
        said = json.loads(text)
        return Desired(
            tuple(map(_load_balancer, said["load_balancers"])),
            tuple(map(_target_group, said["target_groups"])),
            tuple(map(_interface, said["interfaces"])),
            tuple(map(_security_group, said["security_groups"])),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{FILE}: {error!r}") from error


def _load_balancer(said: Mapping[str, Any]) -> LoadBalancer:
    return LoadBalancer(
        said["name"],
        said["dns_name"],
        said["type"],
        said["scheme"],
        tuple(map(_zone, said["zones"])),
        tuple(map(_listener, said["listeners"])),
        said["attributes"],
    )


def _zone(said: Mapping[str, Any]) -> Zone:
    public = IPv4Address(said["public"]) if said["public"] else None
    return Zone(said["zone"], IPv4Address(said["private"]), public)


def _listener(said: Mapping[str, Any]) -> Listener:
    default = (rule for rule in said["rules"] if rule["priority"] == "default")
    groups = tuple(
        (group["TargetGroupArn"], int(group.get("Weight", 1)))
        for rule in default
        for action in rule["actions"]
        for group in action.get("ForwardConfig", {}).get("TargetGroups", ())
    )
    return Listener(int(said["port"]), said["protocol"], groups)


def _target_group(said: Mapping[str, Any]) -> TargetGroup:
    # The targets of a function or of an Application Load Balancer have no address.
    is_routed = said["type"] in ("instance", "ip")
    targets = tuple(map(_target, said["targets"])) if is_routed else ()
    return TargetGroup(said["arn"], said["protocol"], said["attributes"], targets)


def _target(said: Mapping[str, Any]) -> Target:
    key = f"{said['id']}:{said['port']}"
    address, port = IPv4Address(said["address"]), int(said["port"])
    return Target(key, address, port, said["zone"], said["draining_since"] is not None)


def _interface(said: Mapping[str, Any]) -> Interface:
    return Interface(said["id"], tuple(map(IPv4Address, said["addresses"])), tuple(said["groups"]))


def _security_group(said: Mapping[str, Any]) -> SecurityGroup:
    return SecurityGroup(said["id"], _rules(said["ingress"]), _rules(said["egress"]))


def _rules(said: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    return tuple(map(_rule, said))


def _rule(said: Mapping[str, Any]) -> Rule:
    lists = (block for one in said["prefix_lists"] for block in one["cidrs"])
    # AWS takes 10.0.0.7/16 for 10.0.0.0/16.
    networks = tuple(IPv4Network(block, strict=False) for block in (*said["cidrs"], *lists))
    first, last = (None if said[side] is None else int(said[side]) for side in ("from", "to"))
    return Rule(said["protocol"], first, last, networks, tuple(said["groups"]))
