"""Where moto answers otherwise than AWS and the course would see it; heavy, as `emulator` is."""

from __future__ import annotations

from typing import Any

from moto.acm import models as acm_models
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.elbv2 import models as elbv2_models

from eksnet.sandbox.aws.certificates import Certificate, Certificates
from eksnet.sandbox.aws.ec2.backend import Network
from eksnet.sandbox.aws.elb.backend import LoadBalancing
from eksnet.sandbox.aws.elb.targets import TargetGroup

_ADDRESSES = "addresses.private-ip-address"


def install() -> None:
    """Have moto answer as AWS does: classes of ours stand where it looks for its own."""
    ec2_backends.backend = Network
    elbv2_models.elbv2_backends.backend = LoadBalancing
    acm_models.acm_backends.backend = Certificates
    setattr(elbv2_models, "FakeTargetGroup", TargetGroup)  # noqa: B010 (mypy: they are typed)
    setattr(acm_models, "CertBundle", Certificate)  # noqa: B010
    _install_address_filter()


def _install_address_filter() -> None:
    before = NetworkInterface.get_filter_value

    def filter_value(self: NetworkInterface, name: str, method: str | None = None) -> Any:
        """Return what a filter compares: all addresses, where moto knows the primary one alone."""
        if name == _ADDRESSES:
            return [one["PrivateIpAddress"] for one in self.private_ip_addresses]
        return before(self, name, method)

    setattr(NetworkInterface, "get_filter_value", filter_value)  # noqa: B010 (mypy: it is typed)
