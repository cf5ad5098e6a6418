"""Where moto answers otherwise than AWS and the course would see it; heavy, as `emulator` is."""

from __future__ import annotations

from typing import Any

from moto.acm import models as acm_models
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.elbv2 import models as elbv2_models
from moto.servicequotas.models import servicequotas_backends

from eksnet.sandbox.aws.certificates import Certificate, Certificates
from eksnet.sandbox.aws.ec2.backend import Network
from eksnet.sandbox.aws.elb.backend import LoadBalancing
from eksnet.sandbox.aws.elb.targets import TargetGroup
from eksnet.sandbox.aws.quotas import Quotas

_ADDRESSES = "addresses.private-ip-address"


def install() -> None:
    """Have moto answer as AWS does: classes of ours stand where it looks for its own."""
    ec2_backends.backend = Network
    elbv2_models.elbv2_backends.backend = LoadBalancing
    acm_models.acm_backends.backend = Certificates
    servicequotas_backends.backend = Quotas
    setattr(elbv2_models, "FakeTargetGroup", TargetGroup)  # noqa: B010 (mypy: they are typed)
    setattr(acm_models, "CertBundle", Certificate)  # noqa: B010
    _install_address_filter()
    _install_rule_description()


def _install_rule_description() -> None:
    def description(self: SecurityGroupRule) -> str | None:
        """Return a rule's description: moto knows that of a block of addresses alone."""
        found = self.ip_range.get("Description") or self.source_group.get("Description")
        return None if found is None else str(found)

    setattr(SecurityGroupRule, "description", property(description))  # noqa: B010 (mypy: it is typed)


def _install_address_filter() -> None:
    before = NetworkInterface.get_filter_value

    def filter_value(self: NetworkInterface, name: str, method: str | None = None) -> Any:
        """Return what a filter compares: all addresses, where moto knows the primary one alone."""
        if name == _ADDRESSES:
            return [one["PrivateIpAddress"] for one in self.private_ip_addresses]
        return before(self, name, method)

    setattr(NetworkInterface, "get_filter_value", filter_value)  # noqa: B010 (mypy: it is typed)
