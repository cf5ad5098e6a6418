"""moto's state of EC2, where it has to be as AWS's: what is in use stays; heavy, as moto is."""

from __future__ import annotations

import inspect
from typing import Any

from moto.ec2.exceptions import (
    DependencyViolationError,
    EC2ClientError,
    InvalidSecurityGroupNotFoundError,
)
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.elastic_network_interfaces import NetworkInterface

from eksnet.sandbox.aws.elb.interfaces import detach, free, free_public


class Network(EC2Backend):
    """Networks and instances of the account."""

    def describe_security_groups(
        self,
        group_ids: list[str] | None = None,
        groupnames: list[str] | None = None,
        filters: Any = None,
    ) -> list[Any]:
        """Return security groups.

        Raises:
            EC2ClientError: One that was asked for is not there.
        """
        for name in group_ids or ():
            if self.get_security_group_from_id(name) is None:
                raise InvalidSecurityGroupNotFoundError(name)
        return super().describe_security_groups(group_ids, groupnames, filters)

    def delete_security_group(self, name: str | None = None, group_id: str | None = None) -> None:
        """Delete a security group.

        Raises:
            EC2ClientError: An interface or a rule of another group uses it, or it is the default.
        """
        group = self._security_group(name, group_id)
        if group is not None:
            if group.is_default and not self._vpc_goes(group.vpc_id):
                raise EC2ClientError(
                    "CannotDelete",
                    f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted '
                    "by a user",
                )
            if self._is_used(group.id):
                raise DependencyViolationError(f"resource {group.id} has a dependent object")
        super().delete_security_group(name, group_id)

    def authorize_security_group_ingress(self, *words: Any, **named: Any) -> Any:
        """Add rules to a security group.

        Raises:
            EC2ClientError: A rule names a group of another VPC, or is not as AWS takes it.
        """
        asked = inspect.signature(super().authorize_security_group_ingress).bind(*words, **named)
        own = self.get_security_group_from_id(asked.arguments["group_name_or_id"])
        for source in asked.arguments.get("source_groups") or ():
            other = self.get_security_group_from_id(source.get("GroupId", ""))
            if own and other and own.vpc_id != other.vpc_id:
                raise EC2ClientError(
                    "InvalidGroup.NotFound",
                    "You have specified two resources that belong to different networks.",
                )
        return super().authorize_security_group_ingress(*words, **named)

    def delete_subnet(self, subnet_id: str) -> Any:
        """Delete a subnet.

        Raises:
            EC2ClientError: An interface is in it, or it is not there.
        """
        if self._is_in_subnet(subnet_id):
            raise DependencyViolationError(
                f"The subnet '{subnet_id}' has dependencies and cannot be deleted."
            )
        return super().delete_subnet(subnet_id)

    def delete_network_interface(self, eni_id: str) -> None:
        """Delete an interface.

        Raises:
            EC2ClientError: Something uses it, or it is not there.
        """
        if eni_id in self.enis and self.enis[eni_id].status == "in-use":
            raise EC2ClientError(
                "InvalidParameterValue", f"Network interface '{eni_id}' is currently in use."
            )
        super().delete_network_interface(eni_id)

    def create_network_interface(
        self,
        subnet: Any,
        private_ip_address: str | list[str] | None = None,
        private_ip_addresses: list[dict[str, Any]] | None = None,
        *more: Any,
        **named: Any,
    ) -> NetworkInterface:
        """Create an interface: at the next free address of its subnet, if none is asked for."""
        place = self.get_subnet(subnet) if isinstance(subnet, str) else subnet
        if not private_ip_address and not private_ip_addresses:
            private_ip_address = str(next(free(self, place)))
        return super().create_network_interface(
            subnet, private_ip_address or "", private_ip_addresses, *more, **named
        )

    def delete_nat_gateway(self, nat_gateway_id: str) -> Any:
        """Delete a NAT gateway with its interface.

        Raises:
            EC2ClientError: It is not there.
        """
        if nat_gateway_id not in self.nat_gateways:
            raise EC2ClientError("NatGatewayNotFound", f"NatGateway {nat_gateway_id} was not found")
        gateway = super().delete_nat_gateway(nat_gateway_id)
        detach(self, gateway._eni)
        return gateway

    def allocate_address(
        self, domain: str, address: str | None = None, tags: dict[str, str] | None = None
    ) -> ElasticAddress:
        """Allocate a public address: the next free one of the account's block."""
        return super().allocate_address(domain, address or str(next(free_public(self))), tags)

    def delete_vpc(self, vpc_id: str) -> Any:
        """Delete a VPC with its default security group.

        Raises:
            EC2ClientError: Something is in it, or it is not there.
        """
        in_use = DependencyViolationError(
            f"The vpc '{vpc_id}' has dependencies and cannot be deleted."
        )
        if self._is_in_vpc(vpc_id):
            raise in_use
        self._going = vpc_id
        try:
            return super().delete_vpc(vpc_id)
        except DependencyViolationError:
            # moto has words of its own for some of these.
            raise in_use from None
        finally:
            self._going = ""

    # The VPC that is being deleted.
    _going = ""

    def _vpc_goes(self, vpc: str | None) -> bool:
        return vpc == self._going

    def _security_group(self, name: str | None, group_id: str | None) -> Any:
        if group_id:
            return self.get_security_group_from_id(group_id)
        return self.get_security_group_by_name_or_id(name, None) if name else None

    def _is_used(self, group_id: str) -> bool:
        if any(group_id == one.id for eni in self.enis.values() for one in eni.group_set):
            return True
        others = (g for groups in self.groups.values() for g in groups.values())
        return any(
            rule.source_group.get("GroupId") == group_id
            for group in others
            if group.id != group_id
            for rule in (*group.ingress_rules, *group.egress_rules)
        )

    def _is_in_vpc(self, vpc: str) -> bool:
        """Tell whether a VPC has a gateway or a security group, which moto does not look at."""
        gateways = (gateway.vpc for gateway in self.internet_gateways.values())
        return any(one is not None and one.id == vpc for one in gateways) or any(
            not group.is_default for group in self.groups.get(vpc, {}).values()
        )

    def _is_in_subnet(self, subnet: str) -> bool:
        return any(eni.subnet.id == subnet for eni in self.enis.values())
