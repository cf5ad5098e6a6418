"""The network interfaces of load balancers, and the addresses that they get; heavy, as moto is.

Addresses are handed out in a fixed order, so that what a lesson shows can be compared: the first
free one of a subnet from its 20th on, and of the public block likewise.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from itertools import islice
from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface

from eksnet.sandbox.aws.elb import errors
from eksnet.sandbox.vpc import PUBLIC, plan

# The beginning of the description of a load balancer's interface, as on AWS.
PREFIX = "ELB "
# What is below, the address plan and AWS keep for themselves.
_FIRST = 20
# AWS keeps the first four addresses of a subnet and the last one.
_OWN = 4
# As many addresses have to be free in each subnet of a load balancer.
_LEAST_FREE = 8
_TYPES = {"network": "network_load_balancer", "gateway": "gateway_load_balancer"}


def attach(ec2: Any, balancer: Any, subnet: Any, mapping: dict[str, str]) -> NetworkInterface:
    """Give a load balancer an interface in a subnet.

    Args:
        ec2: moto's state of EC2.
        balancer: The load balancer.
        subnet: The subnet.
        mapping: The addresses that were asked for, as in `SubnetMappings`.

    Raises:
        ELBClientError: An address that was asked for is not free.
    """
    private = mapping.get("PrivateIPv4Address") or str(next(free(ec2, subnet)))
    made: NetworkInterface = ec2.create_network_interface(
        subnet,
        private,
        group_ids=balancer.security_groups,
        description=f"{PREFIX}{balancer.path}",
        tags={},
    )
    made.status, made.requester_managed, made.requester_id = "in-use", True, "amazon-elb"
    made.interface_type = _TYPES.get(balancer.type, "interface")
    if not balancer.security_groups:
        made._group_set = []
    if balancer.scheme == "internet-facing":
        elastic = _elastic(ec2, mapping)
        made.public_ip = elastic.public_ip if elastic else str(next(free_public(ec2)))
        if elastic:
            elastic.eni = made
    return made


def detach(ec2: Any, interface: NetworkInterface) -> None:
    """Take an interface away; what was a learner's public address is theirs again."""
    for address in ec2.addresses:
        if address.eni is interface:
            address.eni = None
    ec2.enis.pop(interface.id, None)


def check(ec2: Any, subnet: Any, mapping: dict[str, str]) -> None:
    """Check that a subnet has room for a load balancer.

    Raises:
        ELBClientError: It has not, or an address that was asked for cannot be had.
    """
    # A subnet has thousands: no more are looked at than the answer needs.
    if len(list(islice(free(ec2, subnet), _LEAST_FREE))) < _LEAST_FREE:
        raise errors.no_room(subnet.id, _LEAST_FREE)
    private = mapping.get("PrivateIPv4Address")
    if private and ip_address(private) not in set(free(ec2, subnet)):
        raise errors.invalid_configuration(
            f"The private IP address '{private}' is not available in subnet '{subnet.id}'"
        )
    _elastic(ec2, mapping)


def free(ec2: Any, subnet: Any) -> Iterator[IPv4Address]:
    """Yield the free addresses of a subnet in the order in which they are handed out."""
    block = ip_network(subnet.cidr_block)
    assert isinstance(block, IPv4Network)
    kept = _kept(ec2.region_name)
    used = _private(ec2)
    low, high = int(block[0]), int(block[-1])
    for number in (*range(low + _FIRST, high), *range(low + _OWN, min(low + _FIRST, high))):
        address = IPv4Address(number)
        if address not in used and not any(address in one for one in kept):
            yield address


def free_public(ec2: Any) -> Iterator[IPv4Address]:
    """Yield the free public addresses in the order in which they are handed out."""
    used = {address.public_ip for address in ec2.addresses}
    used |= {interface.public_ip for interface in ec2.enis.values()}
    for number in range(_FIRST, PUBLIC.num_addresses - 1):
        if str(PUBLIC[number]) not in used:
            yield PUBLIC[number]


def _elastic(ec2: Any, mapping: dict[str, str]) -> Any:
    """Return the learner's public address that was asked for; None when none was."""
    allocation = mapping.get("AllocationId")
    if not allocation:
        return None
    for address in ec2.addresses:
        if address.allocation_id == allocation and not (address.eni or address.instance):
            return address
    raise errors.no_allocation(allocation)


def _private(ec2: Any) -> set[IPv4Address]:
    return {
        IPv4Address(one["PrivateIpAddress"])
        for interface in ec2.enis.values()
        for one in interface.private_ip_addresses
    }


def _kept(region: str) -> list[IPv4Network]:
    """Return what the address plan keeps for things that have no interface here."""
    vpc = plan(region)
    own = (vpc.resolver, vpc.api_server, vpc.aws, *(node.address.ip for node in vpc.nodes))
    return [*map(IPv4Network, own), *(node.pods for node in vpc.nodes)]
