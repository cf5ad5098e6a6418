"""Load balancers with the names, ids and attributes that AWS gives them; heavy, as moto is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.elbv2.models import FakeLoadBalancer
from moto.moto_api._internal import mock_random

# The kind in ARNs and in the names of metrics.
KINDS: Mapping[str, str] = {"application": "app", "network": "net", "gateway": "gwy"}
# The hosted zones of alias records, documented by region.
_ZONES = {
    ("application", "ap-northeast-2"): "ZWKZPGTI48KDX",
    ("network", "ap-northeast-2"): "ZIBE1TIR4HY56",
}
_NUMBER_BITS = 31
# How often a day reserved capacity may be made smaller, documented; nobody counts here.
_DECREASES = 2
_LOGS = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
}
_COMMON = {
    "deletion_protection.enabled": "false",
    "ipv6.deny_all_igw_traffic": "false",
    "zonal_shift.config.enabled": "false",
    **_LOGS,
}
# What a fresh load balancer has, documented.
ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "application": {
        **_COMMON,
        "client_keep_alive.seconds": "3600",
        "connection_logs.s3.enabled": "false",
        "connection_logs.s3.bucket": "",
        "connection_logs.s3.prefix": "",
        "health_check_logs.s3.enabled": "false",
        "health_check_logs.s3.bucket": "",
        "health_check_logs.s3.prefix": "",
        "idle_timeout.timeout_seconds": "60",
        "load_balancing.cross_zone.enabled": "true",
        "routing.http.desync_mitigation_mode": "defensive",
        "routing.http.drop_invalid_header_fields.enabled": "false",
        "routing.http.preserve_host_header.enabled": "false",
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
        "routing.http.xff_client_port.enabled": "false",
        "routing.http.xff_header_processing.mode": "append",
        "routing.http2.enabled": "true",
        "waf.fail_open.enabled": "false",
    },
    "network": {
        **_COMMON,
        "dns_record.client_routing_policy": "any_availability_zone",
        "load_balancing.cross_zone.enabled": "false",
        "secondary_ips.auto_assigned.per_subnet": "0",
    },
    "gateway": {
        "deletion_protection.enabled": "false",
        "load_balancing.cross_zone.enabled": "false",
    },
}


class LoadBalancer(FakeLoadBalancer):
    """A load balancer.

    Attributes:
        path: Its part of ARNs, such as `app/NAME/ID`.
        interfaces: Its network interfaces by their subnet's id.
        mappings: The addresses that were asked for, by their subnet's id.
        reserved: The capacity units that are reserved; None for nothing.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        scheme: str,
        ip_address_type: str,
        subnets: Sequence[Any],
        groups: Sequence[str],
        owner: tuple[str, str],
    ) -> None:
        """Name it.

        Args:
            name: Its name.
            kind: `application`, `network` or `gateway`.
            scheme: `internet-facing` or `internal`.
            ip_address_type: `ipv4` or `dualstack`.
            subnets: moto's subnets.
            groups: The ids of its security groups.
            owner: The account and the region.
        """
        account, region = owner
        number = mock_random.get_random_hex(16)
        self.path = f"{KINDS[kind]}/{name}/{number}"
        super().__init__(
            name,
            list(groups),
            list(subnets),
            subnets[0].vpc_id,
            f"arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/{self.path}",
            _dns_name(name, kind, scheme, number, region),
            "provisioning",
            scheme,
            kind,
            ip_address_type,
        )
        self.attrs = dict(ATTRIBUTES[kind])
        self.canonical_hosted_zone_id = _ZONES.get((kind, region), "Z2P70J7EXAMPLE")
        self.interfaces: dict[str, NetworkInterface] = {}
        self.mappings: dict[str, dict[str, str]] = {}
        self.reserved: int | None = None

    @property
    def capacity(self) -> dict[str, Any]:
        """The capacity that is reserved, as answers have it."""
        if self.reserved is None:
            return {"DecreaseRequestsRemaining": _DECREASES, "CapacityReservationState": []}
        return {
            "DecreaseRequestsRemaining": _DECREASES,
            "MinimumLoadBalancerCapacity": {"CapacityUnits": self.reserved},
            "CapacityReservationState": [
                {
                    "State": {"Code": "provisioned"},
                    "AvailabilityZone": subnet.availability_zone,
                    "EffectiveCapacityUnits": self.reserved / len(self.subnets),
                }
                for subnet in self.subnets
            ],
        }

    @property
    def availability_zones(self) -> list[Any]:
        """Its zones, as answers have them."""
        return [
            {
                "ZoneName": subnet.availability_zone,
                "SubnetId": subnet.id,
                "LoadBalancerAddresses": self._addresses(subnet.id),
            }
            for subnet in self.subnets
        ]

    def _addresses(self, subnet: str) -> list[dict[str, str]]:
        """Return the addresses that were asked for: the others are not told here, as on AWS."""
        asked, interface = self.mappings.get(subnet, {}), self.interfaces[subnet]
        if "AllocationId" in asked:
            return [{"IpAddress": str(interface.public_ip), "AllocationId": asked["AllocationId"]}]
        private = asked.get("PrivateIPv4Address")
        return [{"PrivateIPv4Address": private}] if private else []


def _dns_name(name: str, kind: str, scheme: str, number: str, region: str) -> str:
    """Return a DNS name in the form of its kind."""
    if kind == "application":
        prefix = "internal-" if scheme == "internal" else ""
        return f"{prefix}{name}-{mock_random.getrandbits(_NUMBER_BITS)}.{region}.elb.amazonaws.com"
    return f"{name}-{number}.elb.{region}.amazonaws.com"
