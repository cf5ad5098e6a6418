"""Random valid Ingresses and Services for the controller, from its own catalogue of annotations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import controlled
from hypothesis import strategies as st

Json = dict[str, Any]
# What is not drawn, by what it would need that an account does not have at its start.
_NAMES = {
    "an IPv6 VPC": (
        "ip-address-type ipv6-addresses enable-prefix-for-ipv6-source-nat source-nat-ipv6-prefixes"
    ),
    "addresses, pools, capacity or prefix lists that have to be made first": (
        "customer-owned-ipv4-pool ipam-ipv4-pool-id minimum-load-balancer-capacity "
        "security-group-prefix-lists eip-allocations private-ipv4-addresses"
    ),
    "services that the account does not have": (
        "wafv2-acl-arn wafv2-acl-name waf-acl-id web-acl-id shield-advanced-protection acm-pca-arn "
        "create-acm-cert mutual-authentication access-log-enabled access-log-s3-bucket-name "
        "access-log-s3-bucket-prefix"
    ),
    "an identity provider": (
        "auth-type auth-idp-cognito auth-idp-oidc auth-on-unauthenticated-request auth-scope "
        "auth-session-cookie auth-session-timeout jwt-validation"
    ),
    "a second load balancer in front": (
        "enable-frontend-nlb frontend-nlb-scheme frontend-nlb-subnets frontend-nlb-security-groups "
        "frontend-nlb-listener-port-mapping frontend-nlb-eip-allocations "
        "frontend-nlb-healthcheck-port frontend-nlb-healthcheck-protocol "
        "frontend-nlb-healthcheck-path frontend-nlb-healthcheck-interval-seconds "
        "frontend-nlb-healthcheck-timeout-seconds frontend-nlb-healthcheck-healthy-threshold-count "
        "frontend-nlb-healthcheck-unhealthy-threshold-count frontend-nlb-healthcheck-success-codes "
        "frontend-nlb-attributes frontend-nlb-tags"
    ),
    "what no target here speaks, or another cluster": (
        "target-control-port.${serviceName}.${servicePort} multi-cluster-target-group "
        "quic-enabled-ports enable-tcp-udp-listener enable-icmp-for-path-mtu-discovery "
        "actions.${Protocol}-${Port}"
    ),
    "what the sandbox's AWS does not keep": (
        "listener-attributes.${Protocol}-${Port} transforms.${transforms-name} "
        "use-regex-path-match inbound-sg-rules-on-private-link-traffic"
    ),
}
LEFT_OUT = {name: why for why, names in _NAMES.items() for name in names.split()}
ATTRIBUTES = ("routing.http2.enabled=false", "routing.http.drop_invalid_header_fields.enabled=true")
RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
HOSTS = ("a.example.com", "b.example.com")


@dataclass(frozen=True)
class Account:
    """What manifests may name.

    Attributes:
        certificates: ARNs of certificates, one for each of the hosts.
        subnets: Ids of subnets by scheme, one for each zone.
        group: The id of a security group.
    """

    certificates: tuple[str, ...]
    subnets: dict[str, tuple[str, ...]]
    group: str


def some(**values: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    """Draw some of the annotations."""
    names = {name.replace("_", "-"): strategy for name, strategy in values.items()}
    return st.fixed_dictionaries({}, optional=names)


def words(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values)


def number(least: int, most: int) -> st.SearchStrategy[str]:
    return st.integers(least, most).map(str)


def as_json(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return strategy.map(json.dumps)


# Ingresses.

_OWN = some(
    target_type=words("ip", "instance"),
    backend_protocol=words("HTTP", "HTTPS"),
    backend_protocol_version=words("HTTP1", "HTTP2"),
    target_group_attributes=words(
        "deregistration_delay.timeout_seconds=30",
        "stickiness.enabled=true,stickiness.type=lb_cookie",
    ),
    healthcheck_port=words("traffic-port", "8080"),
    healthcheck_protocol=words("HTTP", "HTTPS"),
    healthcheck_path=words("/", "/healthz"),
    healthcheck_interval_seconds=number(10, 30),
    healthcheck_timeout_seconds=number(2, 9),
    healthy_threshold_count=number(2, 10),
    unhealthy_threshold_count=number(2, 10),
    success_codes=words("200", "200-299", "200,404"),
    target_node_labels=words("kubernetes.io/os=linux"),
)
_VALUES = st.lists(words("x", "y*", "z?"), min_size=1, max_size=2, unique=True)
_CONDITIONS = st.one_of(
    _VALUES.map(
        lambda found: {
            "field": "http-header",
            "httpHeaderConfig": {"httpHeaderName": "X-A", "values": found},
        }
    ),
    _VALUES.map(
        lambda found: {
            "field": "query-string",
            "queryStringConfig": {"values": [{"key": "k", "value": one} for one in found]},
        }
    ),
    st.just(
        {"field": "http-request-method", "httpRequestMethodConfig": {"Values": ["GET", "HEAD"]}}
    ),
    st.just({"field": "source-ip", "sourceIpConfig": {"values": ["10.0.0.0/8"]}}),
    st.just({"field": "host-header", "hostHeaderConfig": {"values": ["*.example.org"]}}),
)
_FORWARD = st.integers(0, 100).map(
    lambda weight: {
        "type": "forward",
        "forwardConfig": {
            "targetGroups": [
                {"serviceName": "web", "servicePort": "80", "weight": weight},
                {"serviceName": "web", "servicePort": 8443, "weight": 100},
            ],
            "targetGroupStickinessConfig": {"enabled": True, "durationSeconds": 60},
        },
    }
)
LATER = {"contentType": "text/plain", "statusCode": "503", "messageBody": "later"}


def _redirect(**said: str) -> Json:
    return {"type": "redirect", "redirectConfig": said}


_ACTIONS = st.one_of(
    st.just(_redirect(host="example.org", statusCode="HTTP_302")),
    st.just(_redirect(path="/new", statusCode="HTTP_301")),
    st.just({"type": "fixed-response", "fixedResponseConfig": LATER}),
    _FORWARD,
)  # fmt: skip
_PATHS = words("/", "/a", "/a/b", "/cart")


@st.composite
def groups(draw: st.DrawFn, account: Account, number_: int) -> list[Json]:
    """Draw one or two Ingresses that share a load balancer."""
    alone = draw(st.booleans())
    shared = draw(_shared(account, f"x{number_}"))
    shared |= {} if alone else {"group.name": f"group-{number_}"}
    return [
        draw(_ingress(f"x{number_}-{place}", shared, draw(_order(alone=alone))))
        for place in range(1 if alone else draw(st.integers(1, 2)))
    ]


def _order(*, alone: bool) -> st.SearchStrategy[dict[str, str]]:
    if alone:
        return st.just({})
    return st.fixed_dictionaries({}, optional={"group.order": number(-3, 3)})


@st.composite
def _shared(draw: st.DrawFn, account: Account, name: str) -> dict[str, str]:
    scheme = draw(words("internal", "internet-facing"))
    found = {"scheme": scheme} | draw(
        some(
            load_balancer_name=st.just(name),
            subnets=st.just(",".join(account.subnets[scheme])),
            load_balancer_attributes=words(*ATTRIBUTES, "idle_timeout.timeout_seconds=90"),
            tags=words("team=net", "team=net,stage=test"),
            inbound_cidrs=words("10.0.0.0/8", "10.0.0.0/8,203.0.113.0/24"),
        )
    )
    if draw(st.booleans()):
        found |= {"security-groups": account.group}
        found |= draw(some(manage_backend_security_group_rules=words("true", "false")))
        found.pop("inbound-cidrs", None)
    kind = draw(words("default", "http", "https", "both"))
    if kind == "http":
        found["listen-ports"] = draw(words('[{"HTTP": 8080}]', '[{"HTTP": 80}, {"HTTP": 8080}]'))
    if kind in ("https", "both"):
        ports = [{"HTTPS": 443}] if kind == "https" else [{"HTTP": 80}, {"HTTPS": 443}]
        found["listen-ports"] = json.dumps(ports)
        found["certificate-arn"] = ",".join(
            draw(st.lists(st.sampled_from(account.certificates), min_size=1, unique=True))
        )
        found |= draw(some(ssl_policy=words("ELBSecurityPolicy-TLS13-1-2-2021-06")))
    if kind == "both":
        found |= draw(some(ssl_redirect=st.just("443")))
    return found


@st.composite
def _ingress(draw: st.DrawFn, name: str, shared: dict[str, str], order: dict[str, str]) -> Json:
    own = draw(_OWN)
    rules, annotations = [], {**shared, **order, **own}
    for place in range(draw(st.integers(1, 3))):
        paths = []
        if draw(st.integers(0, 3)) == 0:
            action = f"act-{place}"
            annotations[f"actions.{action}"] = json.dumps(draw(_ACTIONS))
            backend: Json = {"service": {"name": action, "port": {"name": "use-annotation"}}}
        else:
            port = draw(st.sampled_from([{"number": 80}, {"name": "admin"}]))
            backend = {"service": {"name": "web", "port": port}}
        if draw(st.integers(0, 3)) == 0:
            called = backend["service"]["name"]
            annotations[f"conditions.{called}"] = json.dumps([draw(_CONDITIONS)])
        kind = draw(words("Prefix", "Exact", "ImplementationSpecific"))
        paths.append({"path": draw(_PATHS), "pathType": kind, "backend": backend})
        host = draw(st.sampled_from(["", *HOSTS]))
        rules.append({**({"host": host} if host else {}), "http": {"paths": paths}})
    return controlled.ingress(name, annotations, rules)


# Services.

_CHECKS = some(
    healthcheck_protocol=words("tcp", "http"),
    healthcheck_port=words("traffic-port", "8080"),
    healthcheck_path=words("/healthz"),
    healthcheck_healthy_threshold=number(2, 10),
    healthcheck_unhealthy_threshold=number(2, 10),
    healthcheck_timeout=number(2, 9),
    healthcheck_interval=number(10, 30),
    healthcheck_success_codes=words("200-299"),
)


@st.composite
def balancers(draw: st.DrawFn, account: Account, number_: int) -> Json:
    """Draw a Service of type LoadBalancer."""
    scheme = draw(words("internal", "internet-facing"))
    annotations = {"scheme": scheme, "nlb-target-type": draw(words("ip", "instance"))} | draw(
        _CHECKS
    )
    annotations |= draw(
        some(
            type=words("external"),
            name=st.just(f"s{number_}"),
            additional_resource_tags=words("team=net"),
            target_group_attributes=words("deregistration_delay.timeout_seconds=30"),
            subnets=st.just(",".join(account.subnets[scheme])),
            target_node_labels=words("kubernetes.io/os=linux"),
        )
    )
    # Of these, one says what another says too.
    annotations |= draw(
        st.sampled_from(
            [
                {},
                {"proxy-protocol": "*"},
                {"proxy-protocol-per-target-group": "80"},
                {"attributes": "load_balancing.cross_zone.enabled=true"},
                {"cross-zone-load-balancing-enabled": "true"},
            ]
        )
    )
    protection = draw(words("managed", "own", "none"))
    if protection == "own":
        annotations |= {"security-groups": account.group}
        annotations |= draw(some(manage_backend_security_group_rules=words("true", "false")))
    if protection == "none":
        annotations["disable-nlb-sg"] = "true"
    if draw(st.booleans()):
        annotations["target-group-attributes.80"] = "preserve_client_ip.enabled=true"
    if scheme == "internal" and draw(st.booleans()):
        del annotations["scheme"]
        annotations["internal"] = "true"
    spec: Json = draw(
        st.fixed_dictionaries({}, optional={"loadBalancerSourceRanges": st.just(["10.0.0.0/8"])})
    )
    ports: list[Json] = [{"port": 80, "name": "http", "targetPort": 8080}]
    if draw(st.booleans()):
        ports.append({"port": 443, "name": "https", "targetPort": 8080})
        annotations["ssl-cert"] = account.certificates[0]
        annotations["ssl-ports"] = draw(words("443", "https"))
        annotations |= draw(
            some(
                ssl_negotiation_policy=words("ELBSecurityPolicy-TLS13-1-2-2021-06"),
                alpn_policy=words("HTTP2Preferred"),
                backend_protocol=words("ssl", "tcp"),
            )
        )
    made = controlled.balancer(f"s{number_}", annotations, ports, **spec)
    if "loadBalancerSourceRanges" not in spec and draw(st.booleans()):
        made["metadata"]["annotations"][RANGES] = "10.0.0.0/8, 203.0.113.0/24"
    return made
