"""Listeners and rules: one default certificate, ids that can be repeated; heavy, as moto is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from moto.elbv2.models import FakeAction, FakeListener
from moto.elbv2.ssl_policies import SSL_POLICIES
from moto.moto_api._internal import mock_random

from eksnet.sandbox.aws.elb import errors

# The protocols that need a certificate.
ENCRYPTED = ("HTTPS", "TLS")
# The protocols of the target groups that a listener can forward to, documented.
FORWARDED: Mapping[str, tuple[str, ...]] = {
    "HTTP": ("HTTP", "HTTPS"),
    "HTTPS": ("HTTP", "HTTPS"),
    "TCP": ("TCP", "TCP_UDP"),
    "TLS": ("TCP", "TLS"),
    "UDP": ("UDP", "TCP_UDP"),
    "TCP_UDP": ("TCP_UDP",),
}
DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"
_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "HTTP": {"routing.http.response.server.enabled": "true"},
    "HTTPS": {"routing.http.response.server.enabled": "true"},
    "TCP": {"tcp.idle_timeout.seconds": "350"},
}


class Listener(FakeListener):
    """A listener.

    Attributes:
        extra: The ARNs of the certificates beside the default one, for clients that name a host.
    """

    def __init__(self, *words: Any) -> None:
        """Make it as moto does, then give its default rule an id that can be repeated."""
        super().__init__(*words)
        self.extra: list[str] = []
        self.attributes = dict(_ATTRIBUTES.get(self.protocol, {}))
        (default,) = self._default_rule.values()
        place = self.arn.replace(":listener/", ":listener-rule/")
        default.arn = f"{place}/{mock_random.get_random_hex(16)}"

    @property
    def rules(self) -> dict[Any, Any]:
        """Its rules by priority, the default one last."""
        found = sorted(self._non_default_rules.items(), key=lambda item: int(item[1].priority))
        return {**dict(found), **self._default_rule}

    def set_default(self, actions: Sequence[FakeAction]) -> None:
        """Have the default rule do something else."""
        self.default_actions = list(actions)
        (default,) = self._default_rule.values()
        default.actions = list(actions)


def has(
    listener: Any,
    protocol: str,
    policy: str | None,
    certificates: Sequence[str],
    default: Iterable[FakeAction],
) -> bool:
    """Tell whether a listener has these settings already.

    Args:
        listener: The listener.
        protocol: The protocol.
        policy: The SSL policy, its default too; None where nothing is encrypted.
        certificates: The ARNs of the certificates that a request names.
        default: The actions of the default rule.
    """
    return (
        listener.protocol == protocol
        and listener.ssl_policy == policy
        and (listener.certificate or None) == next(iter(certificates), None)
        and [one.data for one in listener.default_actions] == [one.data for one in default]
    )


def check_encryption(
    protocol: str, policy: str | None, certificates: Sequence[str], known: Iterable[str]
) -> None:
    """Check what a listener is to encrypt with.

    Args:
        protocol: Its protocol.
        policy: The name of its SSL policy; None when the request names none.
        certificates: The ARNs of the certificates that the request names.
        known: The ARNs of the certificates that there are.

    Raises:
        ELBClientError: It has no certificate, an unknown one or an unknown policy, or needs none.
    """
    if protocol not in ENCRYPTED:
        if certificates:
            raise errors.needless("A certificate", protocol)
        if policy:
            raise errors.needless("An SSL policy", protocol)
        return
    if not certificates:
        raise errors.no_certificate(protocol)
    if policy and policy not in SSL_POLICIES:
        raise errors.unknown_policy(policy)
    known = set(known)
    for arn in certificates:
        if arn not in known:
            raise errors.unknown_certificate(arn)


def actions(sent: Iterable[Mapping[str, Any]]) -> list[FakeAction]:
    """Return actions as AWS keeps them: a forward names its group in both ways."""
    return [FakeAction(_completed(one)) for one in sent]


def _completed(sent: Mapping[str, Any]) -> dict[str, Any]:
    action = dict(sent)
    if action.get("Type") != "forward":
        return action
    if "ForwardConfig" not in action:
        action["ForwardConfig"] = {"TargetGroups": [{"TargetGroupArn": action["TargetGroupArn"]}]}
    forward = dict(action["ForwardConfig"])
    forward["TargetGroups"] = [
        {**group, "Weight": int(group.get("Weight", 1))} for group in forward["TargetGroups"]
    ]
    forward.setdefault("TargetGroupStickinessConfig", {"Enabled": False})
    if len(forward["TargetGroups"]) == 1:
        action["TargetGroupArn"] = forward["TargetGroups"][0]["TargetGroupArn"]
    action["ForwardConfig"] = forward
    return action


def forwarded(found: Iterable[FakeAction]) -> Iterator[str]:
    """Yield the ARNs of the target groups that actions forward to."""
    for action in found:
        for group in action.data.get("ForwardConfig", {}).get("TargetGroups", ()):
            yield group["TargetGroupArn"]


def used(balancer: Any) -> frozenset[str]:
    """Return the ARNs of the target groups that a load balancer's rules forward to."""
    return frozenset(
        arn
        for listener in balancer.listeners.values()
        for rule in listener.rules.values()
        for arn in forwarded(rule.actions)
    )
