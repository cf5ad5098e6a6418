"""The desired state of load balancers and security groups, as the AWS side writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

FILE = "desired.json"


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer: its name, and one or two addresses in each zone.

    Attributes:
        name: Its name.
        dns_name: The name that leads to it.
        scheme: `internal` or `internet-facing`.
        zones: The private address of each zone, and the public one if there is one.
    """

    name: str
    dns_name: str
    scheme: str
    zones: tuple[tuple[IPv4Address, IPv4Address | None], ...]

    @property
    def is_internal(self) -> bool:
        """Whether it answers from inside the VPC alone."""
        return self.scheme == "internal"

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        """All its addresses."""
        return tuple(address for zone in self.zones for address in zone if address)


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
        interfaces: The network interfaces.
        security_groups: The security groups.
    """

    load_balancers: tuple[LoadBalancer, ...] = ()
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
        return {public: private for private, public in zones if public}


def read(text: str) -> Desired:
    """Return the desired state that is written as JSON; unknown fields are ignored.

    Raises:
        ValueError: A field is missing, or invalid.
    """
    try:
        said = json.loads(text)
        return Desired(
            tuple(map(_load_balancer, said["load_balancers"])),
            tuple(map(_interface, said["interfaces"])),
            tuple(map(_security_group, said["security_groups"])),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{FILE}: {error!r}") from error


def _load_balancer(said: Mapping[str, Any]) -> LoadBalancer:
    zones = tuple(
        (IPv4Address(zone["private"]), IPv4Address(zone["public"]) if zone["public"] else None)
        for zone in said["zones"]
    )
    return LoadBalancer(said["name"], said["dns_name"], said["scheme"], zones)


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
