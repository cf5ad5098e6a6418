"""What lint looks for in one object at a time: its annotations, and their values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any

from eksnet import inputs
from eksnet.loadbalancer import json_values, values
from eksnet.loadbalancer.catalogues import INGRESS, SERVICE, Annotation, matching, meant, since
from eksnet.loadbalancer.linting import OF_SERVICE, VARIABLE, Context, Found, at, short
from eksnet.loadbalancer.reading import Object, text
from eksnet.loadbalancer.releases import release_of, written

_NAME = f"{INGRESS}load-balancer-name"
_GROUP = re.compile(r"([a-z0-9][-a-z0-9.]*)?[a-z0-9]")
_LONGEST_GROUP = 63
# What the controller for Classic Load Balancers reads, and this one does not.
_CLASSIC = (
    "access-log-emit-interval", "connection-draining-enabled", "connection-draining-timeout",
    "connection-idle-timeout", "extra-security-groups",
)  # fmt: skip
_INTEGERS = {
    f"{INGRESS}group.order": (-1000, 1000),
    f"{INGRESS}ssl-redirect": (1, 65535),
    f"{INGRESS}auth-session-timeout": (1, 604800),
    f"{INGRESS}target-control-port.${{serviceName}}.${{servicePort}}": (1, 65535),
    **{
        f"{INGRESS}{prefix}{name}": bounds
        for prefix, thresholds in (("", ""), ("frontend-nlb-", "healthcheck-"))
        for name, bounds in (
            ("healthcheck-interval-seconds", (5, 300)),
            ("healthcheck-timeout-seconds", (2, 120)),
            (f"{thresholds}healthy-threshold-count", (2, 10)),
            (f"{thresholds}unhealthy-threshold-count", (2, 10)),
            ("healthcheck-port", (1, 65535)),
        )
    },
    f"{OF_SERVICE}healthcheck-interval": (5, 300),
    f"{OF_SERVICE}healthcheck-timeout": (2, 120),
    f"{OF_SERVICE}healthcheck-healthy-threshold": (2, 10),
    f"{OF_SERVICE}healthcheck-unhealthy-threshold": (2, 10),
    f"{OF_SERVICE}healthcheck-port": (1, 65535),
}
_NETWORKS = (f"{INGRESS}inbound-cidrs", f"{SERVICE}load-balancer-source-ranges")


# What cannot be read, or is no object of the API.


def unreadable(context: Context) -> Iterator[Found]:
    """Find not YAML, or no object."""
    for one in context.unreadable:
        yield one, one.line, one.seen, one.fix


_VERSIONS = {
    "Ingress": "networking.k8s.io/v1", "IngressClass": "networking.k8s.io/v1", "Service": "v1",
    "TargetGroupBinding": "elbv2.k8s.aws/v1beta1", "IngressClassParams": "elbv2.k8s.aws/v1beta1",
}  # fmt: skip


def bad_objects(context: Context) -> Iterator[Found]:
    """Find no object that the API server takes."""
    for one in context.objects:
        if missing := [part for part in ("kind", "name") if not getattr(one, part)]:
            yield one, one.line, f"{' and '.join(missing)} is missing", "every object has both"
        elif one.kind in _VERSIONS and one.body.get("apiVersion") != _VERSIONS[one.kind]:
            seen = f"its apiVersion is {inputs.shown(one.body.get('apiVersion'))}"
            yield one, one.line, seen, f"apiVersion: {_VERSIONS[one.kind]}"


def not_texts(context: Context) -> Iterator[Found]:
    """Find an annotation that is no text."""
    for one in context.objects:
        for key, value in one.annotations.items():
            if not isinstance(value, str):
                seen = f"{short(key) or key} is {inputs.shown(value)}: the API server takes text"
                yield at(one, key, seen, "write it in quotes")


def variables(context: Context) -> Iterator[Found]:
    """Find a variable that was not replaced."""
    for one in context.objects:
        if one.kind not in _VERSIONS:
            continue
        for key, value in one.annotations.items():
            if isinstance(value, str) and (found := VARIABLE.search(value)):
                yield at(one, key, f"{found.group()} was not replaced", _REPLACE)
        for value in _texts(one):
            if found := VARIABLE.search(value):
                yield one, one.line, f"{found.group()} was not replaced", _REPLACE


_REPLACE = "set the variable, and pass the file through envsubst"


def _texts(one: Object) -> Iterator[str]:
    """Yield the texts of an object outside of its annotations, each part once."""
    waiting: list[Any] = [
        one.metadata.get("name"), one.metadata.get("namespace"), one.body.get("spec"),
    ]  # fmt: skip
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict | list) and id(part) not in seen:
            seen.add(id(part))
            waiting.extend(part.values() if isinstance(part, dict) else part)


# Keys.


def _looks_like_ours(key: str) -> bool:
    return key.startswith((INGRESS, OF_SERVICE, f"{SERVICE}actions."))


def unknown(context: Context) -> Iterator[Found]:
    """Find an annotation that is not read."""
    for kind in ("Ingress", "Service"):
        for one in context.of(kind):
            for key in one.annotations:
                if _looks_like_ours(key) and not matching(key):
                    if _comes_later(key):
                        continue
                    seen = f"the controller reads no annotation {inputs.shown(key)}"
                    yield at(one, key, seen, _why_unknown(key))


def _why_unknown(key: str) -> str:
    if key.removeprefix(OF_SERVICE) in _CLASSIC:
        return "only a Classic Load Balancer has it: remove it"
    fallback = "`eksnet.loadbalancer.annotations.catalogue()` lists those that it reads"
    return meant(key) or fallback


def _comes_later(key: str) -> str:
    """Return the release that reads a key which the catalogue does not have; empty for none."""
    return since(key)


def not_yet(context: Context) -> Iterator[Found]:
    """Find what the release does not know yet."""
    for kind in ("Ingress", "Service"):
        for one in context.of(kind):
            for key, value in one.annotations.items():
                if not key.startswith((INGRESS, SERVICE)):
                    continue
                found = matching(key)
                first = found.since if found else _comes_later(key)
                what = short(key)
                if found and isinstance(value, str) and value in found.words:
                    later = since(found.name, value)
                    first, what = (later, f"{what}: {value}") if later else (first, what)
                if first and release_of(first) > context.release:
                    seen = f"version {written(context.release)} does not know {what}"
                    yield at(one, key, seen, f"version {first} of the controller, or later")


def wrong_kind(context: Context) -> Iterator[Found]:
    """Find an annotation on the wrong kind."""
    for one in context.objects:
        for key in one.annotations:
            found = matching(key) if key.startswith((INGRESS, SERVICE)) else None
            if found and one.kind not in found.kinds:
                seen = f"{short(key)} stands on {_article(one.kind)}, where nothing reads it"
                yield at(one, key, seen, f"put it on {_article(found.kinds[0])}")


def _article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'AEIO' else 'a'} {kind}" if kind else "an object"


def deprecated(context: Context) -> Iterator[Found]:
    """Find an annotation with a successor."""
    for one, key, _, found in context.read:
        if found.deprecated:
            yield at(one, key, f"{short(key)} is deprecated", f"use {found.deprecated}")


# Values.


def bad_values(context: Context) -> Iterator[Found]:
    """Find a value of another type."""
    for one, key, value, found in context.read:
        if one.kind in found.kinds and (wanted := _refused(found, value)):
            yield at(one, key, f"{short(key)} is {inputs.shown(value)}", wanted)


def _refused(found: Annotation, value: str) -> str:
    """Return what an annotation takes; empty where it takes the value."""
    if VARIABLE.search(value):
        return ""
    if found.words:
        return _not_among(found, value)
    check = _CHECKS.get("numbers" if found.short in _LISTS_OF_NUMBERS else found.type)
    return check[1] if check and not check[0](value) else ""


def _not_among(found: Annotation, value: str) -> str:
    named = {"integer", "named-service-port"} & set(found.words)
    # An old one of another controller; the rule service-class has it.
    is_old = found.short == "aws-load-balancer-type"
    given = value.upper() if found.short == "aws-load-balancer-healthcheck-protocol" else value
    if (value and (named or is_old)) or given in found.words:
        return ""
    return f"write {' or '.join(found.words)}"


# In the catalogue they are texts; the controller reads each part as a number.
_LISTS_OF_NUMBERS = ("aws-load-balancer-proxy-protocol-per-target-group",)
_CHECKS: dict[str, tuple[Callable[[str], bool], str]] = {
    "boolean": (lambda value: values.boolean(value) is not None, 'write "true" or "false"'),
    "integer": (lambda value: values.integer(value) is not None, "write a whole number in quotes"),
    "numbers": (values.are_integers, "write the numbers of ports, with commas between them"),
    "stringMap": (lambda value: values.string_map(value) is not None, "write key=value,key=value"),
}


def out_of_range(context: Context) -> Iterator[Found]:
    """Find a number out of its range."""
    for one, key, value, found in context.read:
        number = values.integer(value)
        bounds = _INTEGERS.get(found.name)
        if bounds and number is not None and not bounds[0] <= number <= bounds[1]:
            fix = f"a number from {bounds[0]} to {bounds[1]}"
            yield at(one, key, f"{short(key)} is {number}", fix)
    for one in context.albs:
        timeout, interval = (
            values.integer(text(one.annotations.get(f"{INGRESS}healthcheck-{name}", default)))
            for name, default in (("timeout-seconds", "5"), ("interval-seconds", "15"))
        )
        if timeout is not None and interval is not None and timeout >= interval:
            seen = f"a health check may take {timeout} s, and the next begins after {interval} s"
            key = f"{INGRESS}healthcheck-timeout-seconds"
            yield at(one, key, seen, "a timeout that is shorter than the interval")


def bad_networks(context: Context) -> Iterator[Found]:
    """Find no network."""
    for one, key, value, found in context.read:
        if found.name in _NETWORKS:
            for part in values.string_list(value):
                if not values.is_network(part) and not VARIABLE.search(part):
                    seen = f"{short(key)} has {inputs.shown(part)}, which is no network"
                    yield at(one, key, seen, "ADDRESS/LENGTH, such as 203.0.113.0/24")


def bad_group_name(context: Context) -> Iterator[Found]:
    """Find no name of a group."""
    for one, key, value, found in context.read:
        if found.short != "group.name" or VARIABLE.search(value):
            continue
        if not _GROUP.fullmatch(value) or len(value) > _LONGEST_GROUP:
            seen = f"the group's name is {inputs.shown(value)}"
            fix = f"up to {_LONGEST_GROUP} lower-case letters, digits, hyphens and dots"
            yield at(one, key, seen, fix)


def not_json(context: Context) -> Iterator[Found]:
    """Find a value that is not JSON."""
    for one, key, value, found in context.read:
        if found.type == "json" and one.kind in found.kinds:
            _, why = values.from_json(value)
            if why:
                yield at(one, key, f"{short(key)} is not JSON: {why}", "write it as JSON")


def json_fields(context: Context) -> Iterator[Found]:
    """Find fields that are missing or not read."""
    for one, key, value, found in context.read:
        if found.type != "json" or one.kind not in found.kinds:
            continue
        decoded, why = values.from_json(value)
        kind = found.short.partition(".$")[0]
        for problem in () if why else json_values.problems(kind, decoded):
            yield at(one, key, f"{short(key)}: {problem.seen}", problem.fix)


# Source: the API's own documentation in botocore, which a test reads.
ATTRIBUTES = {
    f"{INGRESS}load-balancer-attributes": (
        "access_logs.s3.bucket", "access_logs.s3.enabled", "access_logs.s3.prefix",
        "client_keep_alive.seconds", "connection_logs.s3.bucket", "connection_logs.s3.enabled",
        "connection_logs.s3.prefix", "deletion_protection.enabled", "health_check_logs.s3.bucket",
        "health_check_logs.s3.enabled", "health_check_logs.s3.prefix",
        "idle_timeout.timeout_seconds", "ipv6.deny_all_igw_traffic",
        "load_balancing.cross_zone.enabled", "routing.http.desync_mitigation_mode",
        "routing.http.drop_invalid_header_fields.enabled",
        "routing.http.preserve_host_header.enabled",
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        "routing.http.xff_client_port.enabled", "routing.http.xff_header_processing.mode",
        "routing.http2.enabled", "waf.fail_open.enabled", "zonal_shift.config.enabled",
    ),
    f"{INGRESS}target-group-attributes": (
        "deregistration_delay.timeout_seconds", "load_balancing.algorithm.anomaly_mitigation",
        "load_balancing.algorithm.type", "load_balancing.cross_zone.enabled",
        "slow_start.duration_seconds", "stickiness.app_cookie.cookie_name",
        "stickiness.app_cookie.duration_seconds", "stickiness.enabled",
        "stickiness.lb_cookie.duration_seconds", "stickiness.type",
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
    ),
    f"{OF_SERVICE}attributes": (
        "access_logs.s3.bucket", "access_logs.s3.enabled", "access_logs.s3.prefix",
        "deletion_protection.enabled", "dns_record.client_routing_policy",
        "ipv6.deny_all_igw_traffic", "load_balancing.cross_zone.enabled",
        "secondary_ips.auto_assigned.per_subnet", "zonal_shift.config.enabled",
    ),
    f"{OF_SERVICE}target-group-attributes": (
        "deregistration_delay.connection_termination.enabled",
        "deregistration_delay.timeout_seconds", "load_balancing.cross_zone.enabled",
        "preserve_client_ip.enabled", "proxy_protocol_v2.enabled",
        "stickiness.enabled",
        "stickiness.type", "target_group_health.dns_failover.minimum_healthy_targets.count",
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        "target_health_state.unhealthy.connection_termination.enabled",
        "target_health_state.unhealthy.draining_interval_seconds",
    ),
}  # fmt: skip
# A target group may leave it to its load balancer.
_AS_BALANCER = {"load_balancing.cross_zone.enabled": "use_load_balancer_configuration"}
_SECONDS = {
    "deregistration_delay.timeout_seconds": (0, 3600),
    "idle_timeout.timeout_seconds": (1, 4000),
    "client_keep_alive.seconds": (60, 604800),
    "stickiness.lb_cookie.duration_seconds": (1, 604800),
    "stickiness.app_cookie.duration_seconds": (1, 604800),
}


def bad_attributes(context: Context) -> Iterator[Found]:
    """Find an attribute that AWS does not have."""
    for one, key, value, found in context.read:
        allowed = ATTRIBUTES.get(found.name)
        for name, given in ((values.string_map(value) or {}) if allowed else {}).items():
            for seen, fix in _attribute_faults(name, given, allowed or ()):
                yield at(one, key, f"{short(key)}: {seen}", fix)


def _attribute_faults(name: str, value: str, allowed: tuple[str, ...]) -> Iterator[tuple[str, str]]:

    if name not in allowed:
        near = difflib.get_close_matches(name[:80], allowed, 1)
        yield (
            f"there is no attribute {inputs.shown(name)}",
            f"did you mean {near[0]}?" if near else "AWS lists them for its API",
        )
    elif name.endswith(".enabled") and value not in ("true", "false", _AS_BALANCER.get(name)):
        yield f"{name} is {inputs.shown(value)}", "true or false; a comma ends a value"
    elif name in _SECONDS:
        low, high = _SECONDS[name]
        number = values.integer(value)
        if number is None or not low <= number <= high:
            yield f"{name} is {inputs.shown(value)}", f"seconds, from {low} to {high}"


# Names.

_LONGEST_NAME = 32
_BALANCER_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")


def bad_names(context: Context) -> Iterator[Found]:
    """Find a name that AWS refuses."""
    for one, key, value, found in context.read:
        if found.name not in (_NAME, f"{OF_SERVICE}name") or VARIABLE.search(value):
            continue
        shown = inputs.shown(value)
        if len(value) > _LONGEST_NAME:
            seen = f"the name {shown} has {len(value)} characters"
            yield at(one, key, seen, f"at most {_LONGEST_NAME} characters")
        elif value.startswith("internal-"):
            yield at(one, key, f"the name {shown} begins with internal-", "AWS keeps that prefix")
        elif not _BALANCER_NAME.fullmatch(value):
            yield at(one, key, f"the name is {shown}", "letters, digits, and hyphens inside")
