"""Target groups, whose targets are known by id and port; heavy, as moto is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from moto.elbv2.exceptions import TargetNotRunning
from moto.elbv2.models import FakeTargetGroup

from eksnet.sandbox.aws import repeatable
from eksnet.sandbox.aws.elb import errors
from eksnet.sandbox.aws.elb.health import NOT_REGISTERED, Health, Registration, drains, health

DELAY = "deregistration_delay.timeout_seconds"
_LONGEST_DELAY = 3600
_HTTP_PROTOCOLS = ("HTTP", "HTTPS")
# What ModifyTargetGroup names, and where moto has it.
_CHECK = {
    "HealthCheckEnabled": "health_check_enabled",
    "HealthCheckIntervalSeconds": "health_check_interval_seconds",
    "HealthCheckPath": "health_check_path",
    "HealthCheckPort": "health_check_port",
    "HealthCheckProtocol": "health_check_protocol",
    "HealthCheckTimeoutSeconds": "health_check_timeout_seconds",
    "HealthyThresholdCount": "healthy_threshold_count",
    "Matcher": "matcher",
    "UnhealthyThresholdCount": "unhealthy_threshold_count",
}
# The blocks that an address outside of the VPC may be of, documented.
_PRIVATE = tuple(
    map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"))
)
# Of these protocols targets see the client's address always, documented.
_DATAGRAMS, _PRESERVE = ("UDP", "TCP_UDP"), "preserve_client_ip.enabled"
_COMMON = {
    DELAY: "300",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "stickiness.enabled": "false",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}
_HTTP = {
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.type": "lb_cookie",
}
_NETWORK = {
    "deregistration_delay.connection_termination.enabled": "false",
    "proxy_protocol_v2.enabled": "false",
    "stickiness.type": "source_ip",
    "target_health_state.unhealthy.connection_termination.enabled": "true",
    "target_health_state.unhealthy.draining_interval_seconds": "0",
}


@dataclass(frozen=True)
class Target:
    """A registered target.

    Attributes:
        id: An instance's id or an address.
        port: Its port.
        zone: Its zone, `all`, or nothing where it has none.
        draining_since: When it was deregistered, in UTC without a zone; None when it was not.
    """

    id: str
    port: int
    zone: str
    draining_since: datetime | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What tells one target of a group from another."""
        return self.id, self.port


class TargetGroup(FakeTargetGroup):
    """A target group; which load balancers use it follows from their rules."""

    def __init__(self, *words: Any, **named: Any) -> None:
        """Make it as moto does, with AWS's attributes."""
        super().__init__(*words, **named)
        self._set_check_defaults(named)
        self.attributes: dict[str, Any] = _attributes(self.protocol, self.target_type)
        self.registered: dict[tuple[str, int], Target] = {}

    @property
    def load_balancer_arns(self) -> list[str]:
        """The ARNs of the load balancers that use it."""
        return [balancer.arn for balancer in self._users()]

    @load_balancer_arns.setter
    def load_balancer_arns(self, _: list[str]) -> None:
        """Ignore moto's notes: they outlive what they are of."""

    @property
    def zones(self) -> frozenset[str] | None:
        """The zones of the load balancers that use it; None when none does."""
        users = self._users()
        zones = (subnet.availability_zone for user in users for subnet in user.subnets)
        return frozenset(zones) if users else None

    @property
    def delay(self) -> int:
        """The deregistration delay in seconds."""
        return int(self.attributes.get(DELAY, 0))

    def change_health_check(self, sent: Mapping[str, Any]) -> None:
        """Change what a request names of the health check.

        Args:
            sent: The parameters of ModifyTargetGroup.

        Raises:
            ELBClientError: A value is not as AWS takes it; nothing is changed then.
        """
        _check_times(
            int(sent.get("HealthCheckTimeoutSeconds", self.health_check_timeout_seconds)),
            int(sent.get("HealthCheckIntervalSeconds", self.health_check_interval_seconds)),
            self.protocol in _HTTP_PROTOCOLS,
        )
        codes = sent.get("Matcher", {}).get("HttpCode", "200")
        if not self.HTTP_CODE_REGEX.fullmatch(codes):
            raise errors.invalid(f"Health check matcher HTTP code '{codes}' is not valid")
        for name, attribute in _CHECK.items():
            if name in sent:
                setattr(self, attribute, sent[name])
        if "HealthCheckProtocol" in sent and self.health_check_protocol not in _HTTP_PROTOCOLS:
            self.health_check_path, self.matcher = None, {}
        self._set_check_defaults({"matcher": self.matcher})

    def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Change attributes.

        Raises:
            ELBClientError: The group has no such attribute, or a value is out of range.
        """
        for name in attributes:
            if name not in self.attributes:
                raise errors.invalid(f"Target group attribute key '{name}' is not recognized")
        delay = attributes.get(DELAY, "0")
        if not delay.isdecimal() or int(delay) > _LONGEST_DELAY:
            raise errors.invalid(
                f"'{DELAY}' value '{delay}' must be between '0-{_LONGEST_DELAY}' inclusive"
            )
        if self.protocol in _DATAGRAMS and attributes.get(_PRESERVE) == "false":
            raise errors.always_preserved(str(self.protocol))
        self.attributes.update(attributes)

    def _set_check_defaults(self, named: Mapping[str, Any]) -> None:
        """Fill in what a check over HTTP has by default, documented."""
        if self.health_check_protocol not in _HTTP_PROTOCOLS:
            return
        calls = self.protocol_version == "GRPC"
        if calls and self.health_check_path in (None, "/"):
            self.health_check_path = "/AWS.ALB/healthcheck"
        self.health_check_path = self.health_check_path or "/"
        if not named.get("matcher"):
            range_of_codes = "200" if self.protocol in _HTTP_PROTOCOLS else "200-399"
            self.matcher = {"GrpcCode": "12"} if calls else {"HttpCode": range_of_codes}

    def present(self, now: datetime) -> list[Target]:
        """Return its targets, those that drain included."""
        return [
            one
            for one in self.registered.values()
            if one.draining_since is None or drains(one.draining_since, self.delay, now)
        ]

    def register(self, targets: list[dict[str, Any]]) -> None:
        """Register targets.

        Raises:
            ELBClientError: One of them does not fit the group; none is registered then.
        """
        made = [self._target(one) for one in targets]
        self.registered |= {one.key: one for one in made}

    def deregister(self, targets: list[dict[str, Any]]) -> None:
        """Begin to deregister targets; one that is not there is passed over, as documented."""
        now, used = repeatable.now(), bool(self.load_balancer_arns)
        for one in targets:
            key = one["Id"], self._port(one)
            if key in self.registered and used and self.delay:
                found = self.registered[key]
                self.registered[key] = replace(found, draining_since=found.draining_since or now)
            else:
                self.registered.pop(key, None)
        self.registered = {one.key: one for one in self.present(now)}

    def deregister_terminated_instances(self, instance_ids: list[str]) -> None:
        """Deregister instances that are gone."""
        self.deregister(
            [
                {"Id": one.id, "Port": one.port}
                for one in self.registered.values()
                if one.id in instance_ids
            ]
        )

    def described(self, asked: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return what DescribeTargetHealth says.

        Args:
            asked: The targets that the request names; all when there is none.
        """
        found = {one.key: one for one in self.present(repeatable.now())}
        keys = [(one["Id"], self._port(one)) for one in asked] or list(found)
        return [self._description(*key, found.get(key)) for key in keys]

    def instance_state(self, target: Target) -> str:
        """Return the state of a target's instance; empty for an address."""
        if self.target_type != "instance":
            return ""
        instance = self.ec2_backend.get_instance_by_id(target.id)
        return str(instance.state) if instance else "terminated"

    def _description(self, name: str, port: int, target: Target | None) -> dict[str, Any]:
        found = self._health(target) if target else NOT_REGISTERED
        told = {"State": found.state, "Reason": found.reason, "Description": found.description}
        own = {"Id": name, "Port": port, "AvailabilityZone": target.zone if target else ""}
        check = self.health_check_port
        return {
            "Target": {key: value for key, value in own.items() if value},
            "HealthCheckPort": str(port if check == "traffic-port" else check),
            "TargetHealth": {key: value for key, value in told.items() if value},
        }

    def _health(self, target: Target) -> Health:
        registration = Registration(
            target.zone, self.instance_state(target), target.draining_since is not None
        )
        seen = self._balancing.observed(self.arn, target.id, target.port)
        return health(registration, self.zones, seen)

    @property
    def _balancing(self) -> Any:
        from moto.elbv2.models import elbv2_backends

        return elbv2_backends[self.account_id][self.region_name]

    def _users(self) -> list[Any]:
        found: list[Any] = self._balancing.users(self.arn)
        return found

    def _port(self, sent: Mapping[str, Any]) -> int:
        return int(sent.get("Port") or self.port or 0)

    def _target(self, sent: Mapping[str, Any]) -> Target:
        name, given = sent["Id"], sent.get("AvailabilityZone") or ""
        if self.target_type == "instance":
            zone = self._instance_zone(name)
        elif self.target_type == "ip":
            zone = self._address_zone(name, given)
        else:
            zone = given
        return Target(name, self._port(sent), zone)

    def _instance_zone(self, name: str) -> str:
        instance = self.ec2_backend.get_instance_by_id(name)
        if instance is None:
            raise errors.invalid_instance(name)
        if instance.vpc_id != self.vpc_id:
            raise errors.other_vpc(name, self.vpc_id)
        if instance.state != "running":
            raise TargetNotRunning(instance_id=name)
        return str(instance.availability_zone)

    def _address_zone(self, name: str, given: str) -> str:
        try:
            address = IPv4Address(name)
        except AddressValueError:
            raise errors.invalid_address(name) from None
        for subnet in self.ec2_backend.describe_subnets(filters={"vpc-id": [self.vpc_id]}):
            if address in subnet.cidr:
                zone = str(subnet.availability_zone)
                if given not in ("", zone):
                    raise errors.needless_zone(name, given, zone)
                return zone
        if not any(address in block for block in _PRIVATE):
            raise errors.public_address(name)
        if not given:
            raise errors.needs_zone(name)
        return given


def _check_times(timeout: int, interval: int, less: bool) -> None:
    """Check the times of a health check, in seconds.

    Args:
        timeout: How long a check may take.
        interval: How much time is between two checks.
        less: Whether the first has to be less than the second, as for HTTP.

    Raises:
        ELBClientError: The first is too long.
    """
    if timeout > interval or (less and timeout == interval):
        words = "smaller than" if less else "smaller than or equal to"
        raise errors.invalid(
            f"Health check timeout '{timeout}' must be {words} the interval '{interval}'"
        )


def _attributes(protocol: str | None, target_type: str) -> dict[str, Any]:
    """Return the attributes of a fresh group, documented."""
    if target_type == "lambda":
        return {"lambda.multi_value_headers.enabled": "false"}
    if protocol in ("HTTP", "HTTPS"):
        return {**_COMMON, **_HTTP}
    # An instance sees its client's address; an address does so for UDP alone.
    keeps = target_type == "instance" or protocol in _DATAGRAMS
    return {**_COMMON, **_NETWORK, _PRESERVE: str(keeps).lower()}
