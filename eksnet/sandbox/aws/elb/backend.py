"""moto's state of Elastic Load Balancing, where it has to be as AWS's; heavy, as moto is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.elbv2 import exceptions
from moto.elbv2.models import ELBv2Backend, FakeListenerRule
from moto.moto_api._internal import mock_random

from eksnet.sandbox.aws.elb import errors, interfaces, listeners
from eksnet.sandbox.aws.elb.balancers import KINDS, LoadBalancer
from eksnet.sandbox.aws.elb.health import Health
from eksnet.sandbox.aws.elb.listeners import Listener

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
# Without their types: of CloudFormation's methods, which are abstract, nobody has use here.
_LOAD_BALANCER: Any = LoadBalancer
_LISTENER: Any = Listener
_RULE: Any = FakeListenerRule
_PROTECTION = "deletion_protection.enabled"


def _nothing_observed(_group: str, _target: str, _port: int) -> Health | None:
    return None


class LoadBalancing(ELBv2Backend):
    """Load balancers, target groups, listeners and rules of the account.

    Attributes:
        observed: Returns what was seen of a target by its group's ARN, its id and its port.
    """

    load_balancers: dict[str, Any]
    target_groups: dict[str, Any]

    def __init__(self, region_name: str, account_id: str) -> None:
        """Begin without any."""
        super().__init__(region_name, account_id)
        self.observed: Callable[[str, str, int], Health | None] = _nothing_observed

    def usage(self) -> dict[str, list[Any]]:
        """Return the load balancers whose rules forward to each target group, by its ARN."""
        found: dict[str, list[Any]] = {}
        for one in self.load_balancers.values():
            for arn in listeners.used(one):
                found.setdefault(arn, []).append(one)
        return found

    def users(self, target_group: str) -> list[Any]:
        """Return the load balancers whose rules forward to a target group."""
        return [one for one in self.load_balancers.values() if target_group in listeners.used(one)]

    # Load balancers.

    def create_load_balancer(
        self,
        name: str,
        security_groups: list[str] | None,
        subnet_ids: list[str] | None,
        subnet_mappings: list[dict[str, str]] | None = None,
        scheme: str | None = None,
        loadbalancer_type: str | None = None,
        ip_address_type: str = "ipv4",
        tags: list[dict[str, str]] | None = None,
    ) -> Any:
        """Create a load balancer with an interface in each of its subnets.

        Raises:
            ELBClientError: Something of it is not as AWS takes it.
        """
        kind, scheme = loadbalancer_type or "application", scheme or "internet-facing"
        _check_name(name)
        mappings = _mappings(subnet_ids, subnet_mappings)
        subnets = self._subnets(mappings)
        groups = self._groups(kind, subnets[0].vpc_id, security_groups or [])
        for one in self.load_balancers.values():
            if one.name == name:
                if self._is_same(one, kind, scheme, subnets, groups):
                    return one
                raise errors.same_name("load balancer", "DuplicateLoadBalancerName", name)
        _check_zones(kind, subnets)
        self._check_scheme(scheme, subnets[0].vpc_id)
        self._check_room(mappings, subnets)
        owner = self.account_id, self.region_name
        made = _LOAD_BALANCER(name, kind, scheme, ip_address_type, subnets, groups, owner)
        self.load_balancers[made.arn] = made
        self._connect(made, mappings)
        self.tagging_service.tag_resource(made.arn, tags or [])
        return made

    def describe_load_balancers(self, arns: list[str] | None, names: list[str] | None) -> list[Any]:
        """Return load balancers; whoever looks finds them active.

        Raises:
            ELBClientError: One that was asked for is not there.
        """
        present = list(self.load_balancers.values())
        for one in present:
            one.activate()
        if not arns and not names:
            return present
        if set(arns or ()) - self.load_balancers.keys():
            raise errors.no_balancer("One or more load balancers not found")
        if missing := set(names or ()) - {one.name for one in present}:
            listed = ", ".join(sorted(missing))
            raise errors.no_balancer(f"Load balancers '[{listed}]' not found")
        return [one for one in present if one.arn in (arns or ()) or one.name in (names or ())]

    def delete_load_balancer(self, arn: str) -> None:
        """Delete a load balancer with its interfaces, listeners and rules.

        Raises:
            ELBClientError: It is protected.
        """
        if arn not in self.load_balancers:
            return
        if self.load_balancers[arn].attrs.get(_PROTECTION) == "true":
            raise errors.protected(arn)
        gone = self.load_balancers.pop(arn)
        for interface in gone.interfaces.values():
            interfaces.detach(self.ec2_backend, interface)
        for listener in gone.listeners.values():
            self._forget(listener.arn, *(rule.arn for rule in listener.rules.values()))
        self._forget(arn)

    def set_security_groups(self, arn: str, sec_groups: list[str]) -> None:
        """Replace the security groups of a load balancer and of its interfaces.

        Raises:
            ELBClientError: It is not there, or one of them is not.
        """
        balancer = self._balancer(arn)
        if balancer.type == "network" and not balancer.security_groups:
            raise errors.invalid_configuration(
                "You cannot set security groups on a Network Load Balancer that was created "
                "without security groups"
            )
        groups = self._groups(balancer.type, balancer.vpc_id, sec_groups)
        balancer.security_groups = groups
        found = [self.ec2_backend.get_security_group_from_id(one) for one in groups]
        for interface in balancer.interfaces.values():
            interface._group_set = list(found)

    def set_subnets(
        self, arn: str, subnets: list[str], subnet_mappings: list[dict[str, Any]]
    ) -> list[Any]:
        """Replace the subnets of a load balancer; it keeps its interfaces in those that stay.

        Raises:
            ELBClientError: It is not there, or a subnet is not as AWS takes it.
        """
        balancer = self._balancer(arn)
        mappings = _mappings(subnets, subnet_mappings)
        found = self._subnets(mappings)
        _check_zones(balancer.type, found)
        fresh = {name: one for name, one in mappings.items() if name not in balancer.interfaces}
        self._check_room(fresh, [one for one in found if one.id in fresh])
        for name in [name for name in balancer.interfaces if name not in mappings]:
            interfaces.detach(self.ec2_backend, balancer.interfaces.pop(name))
            balancer.mappings.pop(name, None)
        balancer.subnets = found
        self._connect(balancer, fresh)
        return list(balancer.availability_zones)

    def modify_load_balancer_attributes(self, arn: str, attrs: dict[str, Any]) -> dict[str, Any]:
        """Change attributes of a load balancer.

        Raises:
            ELBClientError: It is not there, or has no such attribute.
        """
        balancer = self._balancer(arn)
        for key in attrs:
            if key not in balancer.attrs:
                raise errors.invalid(f"Load balancer attribute key '{key}' is not recognized")
        balancer.attrs.update(attrs)
        return dict(balancer.attrs)

    # Target groups.

    def create_target_group(self, name: str, **kwargs: Any) -> Any:
        """Create a target group; asked for a second time with the same settings, return it."""
        for one in self.target_groups.values():
            if one.name == name:
                asked = (kwargs.get("protocol"), kwargs.get("port"), kwargs.get("vpc_id"))
                own = (one.protocol, one.port, one.vpc_id)
                if own == asked and one.target_type == kwargs.get("target_type"):
                    return one
                raise errors.same_name("target group", "DuplicateTargetGroupName", name)
        return super().create_target_group(name, **kwargs)

    def delete_target_group(self, target_group_arn: str) -> Any:
        """Delete a target group; one that is not there is deleted already, as documented.

        Raises:
            ELBClientError: A rule forwards to it.
        """
        self._check_arn("target group", target_group_arn)
        if target_group_arn not in self.target_groups:
            return None
        if self.users(target_group_arn):
            raise exceptions.ResourceInUseError(
                f"Target group '{target_group_arn}' is currently in use by a listener or a rule"
            )
        self._forget(target_group_arn)
        return self.target_groups.pop(target_group_arn)

    def describe_target_groups(
        self,
        load_balancer_arn: str | None,
        target_group_arns: list[str],
        names: list[str] | None,
    ) -> Iterable[Any]:
        """Return target groups; of a load balancer without rules, none.

        Raises:
            ELBClientError: One that was asked for is not there.
        """
        if load_balancer_arn and not (target_group_arns or names):
            used = listeners.used(self._balancer(load_balancer_arn))
            return [one for one in self.target_groups.values() if one.arn in used]
        for arn in target_group_arns or ():
            self._check_arn("target group", arn)
        return super().describe_target_groups(load_balancer_arn, target_group_arns, names)

    def modify_target_group_attributes(
        self, target_group_arn: str, attributes: dict[str, Any]
    ) -> None:
        """Change attributes of a target group.

        Raises:
            ELBClientError: It is not there, or has no such attribute.
        """
        self.target_group(target_group_arn).set_attributes(attributes)

    def describe_target_health(
        self, target_group_arn: str, targets: list[dict[str, Any]]
    ) -> list[Any]:
        """Return the health of targets.

        Raises:
            ELBClientError: The target group is not there.
        """
        found: list[Any] = self.target_group(target_group_arn).described(targets)
        return found

    def register_targets(self, target_group_arn: str, instances: list[Any]) -> None:
        """Register targets.

        Raises:
            ELBClientError: The target group is not there, or a target does not fit.
        """
        self.target_group(target_group_arn).register(instances)

    def deregister_targets(self, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
        """Begin to deregister targets.

        Raises:
            ELBClientError: The target group is not there.
        """
        self.target_group(target_group_arn).deregister(instances)

    def target_group(self, arn: str) -> Any:
        """Return a target group.

        Raises:
            ELBClientError: It is not there, or can be none.
        """
        self._check_arn("target group", arn)
        if arn not in self.target_groups:
            raise exceptions.TargetGroupNotFoundError()
        return self.target_groups[arn]

    # Listeners.

    def describe_listeners(
        self, load_balancer_arn: str | None, listener_arns: list[str]
    ) -> list[Any]:
        """Return listeners.

        Raises:
            ELBClientError: One that was asked for is not there.
        """
        if load_balancer_arn:
            return list(self._balancer(load_balancer_arn).listeners.values())
        present = {
            arn: listener
            for balancer in self.load_balancers.values()
            for arn, listener in balancer.listeners.items()
        }
        if any(arn not in present for arn in listener_arns):
            raise exceptions.ELBClientError("ListenerNotFound", "One or more listeners not found")
        return [present[arn] for arn in listener_arns]

    def create_listener(
        self,
        load_balancer_arn: str,
        protocol: str,
        port: Any,
        ssl_policy: str | None,
        certificate: str | None,
        actions: list[dict[str, Any]],
        alpn_policy: list[str] | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> Any:
        """Create a listener; one with the same settings stays as it is.

        Raises:
            ELBClientError: Something of it is not as AWS takes it.
        """
        balancer = self._balancer(load_balancer_arn)
        self._check_protocol(balancer, port, protocol)
        certificates = [certificate] if certificate else []
        listeners.check_encryption(protocol, ssl_policy, certificates, self._certificates())
        default = self._actions(actions, balancer, protocol)
        if protocol in listeners.ENCRYPTED:
            ssl_policy = ssl_policy or listeners.DEFAULT_POLICY
        for one in balancer.listeners.values():
            if not _overlap(one, protocol, port):
                continue
            if listeners.has(one, protocol, ssl_policy, certificates, default):
                # The same call again, which creates no second one.
                return one
            raise errors.taken_port(load_balancer_arn)
        place = load_balancer_arn.replace(":loadbalancer/", ":listener/")
        made = _LISTENER(
            load_balancer_arn,
            f"{place}/{mock_random.get_random_hex(16)}",
            protocol,
            port,
            ssl_policy,
            certificate,
            default,
            alpn_policy,
        )
        balancer.listeners[made.arn] = made
        self.tagging_service.tag_resource(made.arn, tags or [])
        return made

    def modify_listener(
        self,
        arn: str,
        port: Any = None,
        protocol: str | None = None,
        ssl_policy: str | None = None,
        certificates: list[dict[str, Any]] | None = None,
        actions: list[dict[str, Any]] | None = None,
    ) -> Any:
        """Change a listener.

        Raises:
            ELBClientError: It is not there, or something of it is not as AWS takes it.
        """
        listener = self._listener(arn)
        balancer = self._balancer(listener.load_balancer_arn)
        to, number = protocol or listener.protocol, port or listener.port
        self._check_protocol(balancer, number, to)
        sent = [one["CertificateArn"] for one in certificates or []]
        encrypted = to in listeners.ENCRYPTED
        wanted = sent or (listener.certificates if encrypted else [])
        listeners.check_encryption(to, ssl_policy, wanted, self._certificates())
        others = (one for one in balancer.listeners.values() if one is not listener)
        if any(_overlap(one, to, number) for one in others):
            raise errors.taken_port(balancer.arn)
        default = self._actions(actions, balancer, to) if actions else None
        listener.port, listener.protocol = number, to
        listener.certificates = wanted
        listener.certificate = wanted[0] if wanted else None
        policy = ssl_policy or listener.ssl_policy or listeners.DEFAULT_POLICY
        listener.ssl_policy = policy if encrypted else None
        if default:
            listener.set_default(default)
        return listener

    def delete_listener(self, listener_arn: str) -> Any:
        """Delete a listener with its rules.

        Raises:
            ELBClientError: It is not there.
        """
        listener = self._listener(listener_arn)
        self._forget(listener_arn, *(rule.arn for rule in listener.rules.values()))
        return self._balancer(listener.load_balancer_arn).listeners.pop(listener_arn)

    def add_listener_certificates(self, arn: str, certificates: list[dict[str, Any]]) -> list[str]:
        """Add certificates for clients that name a host.

        Raises:
            ELBClientError: The listener or one of them is not there, or there are too many.
        """
        listener = self._listener(arn)
        sent = [one["CertificateArn"] for one in certificates]
        listeners.check_encryption(listener.protocol, None, sent, self._certificates())
        found = list(dict.fromkeys((*listener.extra, *sent)))
        if len(found) > _MOST_CERTIFICATES:
            raise exceptions.TooManyCertificatesError()
        listener.extra = found
        return sent

    def describe_listener_certificates(self, arn: str) -> list[str]:
        """Return the certificates of a listener, the default one first."""
        listener = self._listener(arn)
        return [*listener.certificates, *listener.extra]

    def remove_listener_certificates(self, arn: str, certificates: list[dict[str, Any]]) -> None:
        """Remove certificates from a listener.

        Raises:
            ELBClientError: One of them is the default one, which can only be replaced.
        """
        listener = self._listener(arn)
        for one in certificates:
            if one["CertificateArn"] in set(listener.certificates) - set(listener.extra):
                raise exceptions.ELBClientError(
                    "OperationNotPermitted", "Default certificate cannot be removed from a listener"
                )
        sent = [one["CertificateArn"] for one in certificates]
        listener.extra = [one for one in listener.extra if one not in sent]

    # Rules.

    def create_rule(
        self,
        listener_arn: str,
        conditions: list[dict[str, Any]],
        priority: int,
        actions: list[dict[str, Any]],
        tags: list[dict[str, str]] | None = None,
        transforms: list[dict[str, Any]] | None = None,
    ) -> Any:
        """Create a rule.

        Raises:
            ELBClientError: Something of it is not as AWS takes it.
        """
        listener, number = self._listener(listener_arn), int(priority)
        self._validate_conditions(conditions)
        if any(str(rule.priority) == str(number) for rule in listener.rules.values()):
            raise errors.taken_priority(number)
        balancer = self._balancer(listener.load_balancer_arn)
        done = self._actions(actions, balancer, listener.protocol)
        place = listener_arn.replace(":listener/", ":listener-rule/")
        arn = f"{place}/{mock_random.get_random_hex(16)}"
        made = _RULE(listener_arn, arn, conditions, number, done)
        made.transforms = transforms or []
        listener.register(arn, made)
        self.tagging_service.tag_resource(arn, tags or [])
        return made

    def modify_rule(
        self,
        rule_arn: str,
        conditions: list[dict[str, Any]],
        actions: list[dict[str, Any]],
        transforms: list[dict[str, Any]] | None = None,
    ) -> Any:
        """Change a rule; what is left out stays.

        Raises:
            ELBClientError: It is not there or the default one, or not as AWS takes it.
        """
        if not conditions and not actions and transforms is None:
            raise exceptions.InvalidModifyRuleArgumentsError()
        listener, rule = self._rule(rule_arn)
        if rule.is_default:
            raise errors.default_rule(rule_arn, "modified")
        self._validate_conditions(conditions)
        balancer = self._balancer(listener.load_balancer_arn)
        done = self._actions(actions, balancer, listener.protocol)
        rule.conditions = conditions or rule.conditions
        rule.actions = done or rule.actions
        rule.transforms = rule.transforms if transforms is None else transforms
        return rule

    def delete_rule(self, arn: str) -> None:
        """Delete a rule.

        Raises:
            ELBClientError: It is not there, or the default one.
        """
        listener, rule = self._rule(arn)
        if rule.is_default:
            raise errors.default_rule(arn, "deleted")
        listener.remove_rule(arn)
        self._forget(arn)

    def set_rule_priorities(self, rule_priorities: list[dict[str, Any]]) -> list[Any]:
        """Change priorities all at once: one that another rule of the request leaves is free.

        Raises:
            ELBClientError: A rule is not there or the default one, or a priority is taken.
        """
        wanted = {one["RuleArn"]: int(one["Priority"]) for one in rule_priorities}
        found = {arn: self._rule(arn) for arn in wanted}
        for arn, (listener, rule) in found.items():
            if rule.is_default:
                raise errors.default_rule(arn, "modified")
            stay = {r.priority for a, r in listener.rules.items() if a not in wanted}
            moved = [wanted[a] for a in listener.rules if a in wanted]
            if wanted[arn] in stay:
                raise errors.taken_priority(wanted[arn])
            if moved.count(wanted[arn]) > 1:
                raise exceptions.DuplicatePriorityError(str(wanted[arn]))
        for arn, (_, rule) in found.items():
            rule.priority = wanted[arn]
        return [rule for _, rule in found.values()]

    def _validate_conditions(self, conditions: list[dict[str, Any]]) -> None:
        """Check conditions; expressions, which moto does not know, are taken as they are.

        Raises:
            ELBClientError: A condition is not as AWS takes it.
        """
        known = [one for one in conditions if not _has_expressions(one)]
        super()._validate_conditions(known)

    # What the above share.

    def _check_protocol(self, balancer: Any, port: Any, protocol: str) -> None:
        self._validate_port_and_protocol(balancer.type, port, protocol)

    def _check_arn(self, what: str, arn: str) -> None:
        kind = what.replace(" ", "")
        own = f"arn:aws:elasticloadbalancing:{self.region_name}:{self.account_id}:{kind}/"
        if not arn.startswith(own):
            raise errors.bad_arn(what, arn)

    def _balancer(self, arn: str) -> Any:
        self._check_arn("load balancer", arn)
        if arn not in self.load_balancers:
            raise errors.no_balancer(f"Load balancer '{arn}' not found")
        return self.load_balancers[arn]

    def _listener(self, arn: str) -> Any:
        return self.describe_listeners(None, [arn])[0]

    def _rule(self, arn: str) -> tuple[Any, Any]:
        """Return the listener of a rule, and the rule."""
        for balancer in self.load_balancers.values():
            for listener in balancer.listeners.values():
                for rule in listener.rules.values():
                    if rule.arn == arn:
                        return listener, rule
        raise exceptions.RuleNotFoundError("One or more rules not found")

    def _subnets(self, mappings: Iterable[str]) -> list[Any]:
        found = []
        for name in mappings:
            try:
                found.append(self.ec2_backend.get_subnet(name))
            except EC2ClientError:
                raise errors.no_subnet(name) from None
        return found

    def _groups(self, kind: str, vpc: str, groups: Sequence[str]) -> list[str]:
        """Return the ids of security groups: an Application Load Balancer always has one."""
        for name in groups:
            group = self.ec2_backend.get_security_group_from_id(name)
            if group is None:
                raise errors.no_security_group(name)
            if group.vpc_id != vpc:
                raise errors.foreign_security_group()
        if groups or kind != "application":
            return list(groups)
        default = self.ec2_backend.get_default_security_group(vpc)
        return [default.id] if default else []

    def _is_same(
        self, one: Any, kind: str, scheme: str, subnets: Sequence[Any], groups: Sequence[str]
    ) -> bool:
        own = (one.type, one.scheme, {s.id for s in one.subnets}, set(one.security_groups))
        return own == (kind, scheme, {s.id for s in subnets}, set(groups))

    def _check_scheme(self, scheme: str, vpc: str) -> None:
        gateways = self.ec2_backend.internet_gateways.values()
        attached = any(one.vpc and one.vpc.id == vpc for one in gateways)
        if scheme == "internet-facing" and not attached:
            raise errors.no_gateway(vpc)

    def _check_room(self, mappings: dict[str, dict[str, str]], subnets: Sequence[Any]) -> None:
        for subnet in subnets:
            interfaces.check(self.ec2_backend, subnet, mappings[subnet.id])

    def _connect(self, balancer: LoadBalancer, mappings: dict[str, dict[str, str]]) -> None:
        for subnet in balancer.subnets:
            if subnet.id in mappings:
                balancer.mappings[subnet.id] = mappings[subnet.id]
                balancer.interfaces[subnet.id] = interfaces.attach(
                    self.ec2_backend, balancer, subnet, mappings[subnet.id]
                )

    def _actions(self, sent: Sequence[dict[str, Any]], balancer: Any, protocol: str) -> list[Any]:
        """Return the actions of a request for a listener of a protocol.

        Raises:
            ELBClientError: A target group is not there, does not fit, or is another one's.
        """
        found = listeners.actions(sent)
        self._validate_actions(found)
        arns = list(listeners.forwarded(found))
        for arn in arns:
            self._check_arn("target group", arn)
            group = self.target_groups[arn]
            if group.vpc_id not in (balancer.vpc_id, None):
                raise errors.other_vpcs(arn, balancer.arn)
            if group.protocol and group.protocol not in listeners.FORWARDED[protocol]:
                raise errors.incompatible(arn, protocol, group.protocol)
        others = [arn for arn in arns if any(user is not balancer for user in self.users(arn))]
        if others:
            raise errors.other_balancer(others)
        return found

    def _certificates(self) -> Iterable[str]:
        from moto.acm.models import acm_backends

        return acm_backends[self.account_id][self.region_name]._certificates.keys()

    def _forget(self, *arns: str) -> None:
        """Forget the tags of what is gone."""
        for arn in arns:
            self.tagging_service.delete_all_tags_for_resource(arn)


# Beside the default one, as documented.
_MOST_CERTIFICATES = 25
_STREAMS = ("TCP", "TLS", "HTTP", "HTTPS")


def _overlap(listener: Any, protocol: str, port: int) -> bool:
    """Tell whether a listener has a port already; TCP and UDP have each their own."""
    if int(listener.port) != int(port):
        return False
    both = "TCP_UDP" in (listener.protocol, protocol)
    return both or (listener.protocol in _STREAMS) == (protocol in _STREAMS)


def _has_expressions(condition: dict[str, Any]) -> bool:
    return any(isinstance(one, dict) and one.get("RegexValues") for one in condition.values())


def _check_name(name: str) -> None:
    if len(name) > 32:
        raise errors.invalid(
            f"The load balancer name '{name}' cannot be longer than '32' characters"
        )
    if not _NAME.fullmatch(name):
        raise errors.invalid(
            f"The load balancer name '{name}' can only contain characters that are alphanumeric "
            "characters and hyphens(-), and cannot begin or end with a hyphen"
        )
    if name.startswith("internal-"):
        raise errors.invalid(f"The load balancer name '{name}' cannot begin with 'internal-'")


def _mappings(
    subnets: Iterable[str] | None, mappings: Iterable[dict[str, str]] | None
) -> dict[str, dict[str, str]]:
    """Return what was asked for in each subnet, by the subnet's id."""
    found = {name: dict[str, str]() for name in subnets or ()}
    found |= {one["SubnetId"]: dict(one) for one in mappings or ()}
    if not found:
        raise errors.invalid("At least one subnet must be specified")
    return found


def _check_zones(kind: str, subnets: Sequence[Any]) -> None:
    zones = [subnet.availability_zone for subnet in subnets]
    if len(set(zones)) < len(zones):
        raise errors.same_zone()
    if kind == "application" and len(zones) < 2:
        raise errors.one_zone()
    assert kind in KINDS
