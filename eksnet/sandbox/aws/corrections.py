"""Where moto answers otherwise than AWS and the course would see it; heavy, as `emulator` is."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface

_ADDRESSES = "addresses.private-ip-address"


def install() -> None:
    """Have moto answer as AWS does."""
    before = NetworkInterface.get_filter_value

    def filter_value(self: NetworkInterface, name: str, method: str | None = None) -> Any:
        """Return what a filter compares: all addresses, where moto knows the primary one alone."""
        if name == _ADDRESSES:
            return [one["PrivateIpAddress"] for one in self.private_ip_addresses]
        return before(self, name, method)

    setattr(NetworkInterface, "get_filter_value", filter_value)  # noqa: B010 (mypy: it is typed)
