"""What `drawn` draws, with up to three mistakes in it: other values, other keys, other backends."""

from __future__ import annotations

import json
from typing import Any

import drawn
from drawn import Account
from hypothesis import strategies as st

from eksnet.loadbalancer import annotations
from eksnet.loadbalancer.catalogues import Annotation
from eksnet.loadbalancer.linting import OF_SERVICE

Json = dict[str, Any]
_ANY = (
    "", "yes", "TRUE", "true", "f", "0", "-1", "5", "300", "99999", "ten", "5s", "1.5", "a", "a,b",
    "a=b", "a=b,c", "=b", "a=b,a=c", "[]", "{}", "null", '"a"', "[{", "10.0.0.0/8", "10.0.0.0/33",
    "10.0.0.0", "IP", "ip", "instance", "Internal", "internal", "HTTP", "http", "HTTPS", "TCP",
    "traffic-port", "http", "n" * 32, "n" * 33, "-n", "internal-n", "a b", "80", "443", "65536",
    "deregistration_delay.timeout_seconds=30", "idle_timeout.timeout_seconds=9999",
    "stickiness.enabled=yes", "deletion_protection.enabled=maybe", "no.such.attribute=1",
)  # fmt: skip
_FIXED = {"type": "fixed-response", "fixedResponseConfig": {"statusCode": "503"}}
_JSON = (
    [{"HTTP": 80}, {"HTTPS": 443}], [{"HTTP": 0}], [{"TCP": 80}], [{"HTTP": "80"}], {"HTTP": 80},
    [{"HTTP": 70000}], [], _FIXED, {"type": "fixed-response"}, {"type": "redirect"},
    {"type": "redirect", "redirectConfig": {}}, {"type": "forward"}, {"type": "other"},
    {"type": "redirect", "redirectConfig": {"statusCode": "HTTP_303"}}, {"Type": "forward"},
    {**_FIXED, "fixedResponseConfig": {"statusCode": 503}},
    {"type": "forward", "forwardConfig": {}},
    [{"field": "host-header"}], [{"field": "other"}],
    [{"field": "path-pattern", "pathPatternConfig": {"values": ["/x"]}}],
    [{"field": "source-ip", "sourceIpConfig": {"values": ["10.0.0.0/8"] * 6}}],
)  # fmt: skip
# What a name in place of `${…}` may be: an action, a path's Service, a port, or none of these.
_PLACES = ("act-0", "web", "80", "HTTP-80", "nothing")
_BACKENDS = (
    {"service": {"name": "web", "port": {"number": 81}}},
    {"service": {"name": "web", "port": {"name": "htpp"}}},
    {"service": {"name": "inside", "port": {"number": 80}}},
    {"service": {"name": "nowhere", "port": {"number": 80}}},
    {"service": {"name": "act-9", "port": {"name": "use-annotation"}}},
)
_PLACE = "${"


def _keys(kind: str) -> list[Annotation]:
    return [
        one for one in annotations.catalogue()
        if kind in one.kinds and one.short.removeprefix("aws-load-balancer-") not in drawn.LEFT_OUT
    ]  # fmt: skip


@st.composite
def _value(draw: st.DrawFn, one: Annotation) -> str:
    if one.type == "json":
        return draw(st.one_of(st.sampled_from(_JSON).map(json.dumps), st.sampled_from(_ANY)))
    return draw(st.sampled_from([*_ANY, *one.words]))


@st.composite
def _key(draw: st.DrawFn, kind: str) -> tuple[str, str]:
    one = draw(st.sampled_from(_keys(kind)))
    name, value = one.name, draw(_value(one))
    while _PLACE in name:
        before, _, rest = name.partition(_PLACE)
        name = before + draw(st.sampled_from(_PLACES)) + rest.partition("}")[2]
    return name, value


@st.composite
def _misspelt(draw: st.DrawFn, kind: str) -> tuple[str, str]:
    name, value = draw(_key(kind))
    prefix = OF_SERVICE if name.startswith(OF_SERVICE) else name.partition("/")[0] + "/"
    at = draw(st.integers(len(prefix), len(name) - 1))
    return name[:at] + name[at + 1 :], value


def _elsewhere(kind: str) -> st.SearchStrategy[tuple[str, str]]:
    return _key("Service" if kind == "Ingress" else "Ingress")


@st.composite
def _spoil(draw: st.DrawFn, one: Json) -> None:
    """Put a mistake, or what looks like one, into an object."""
    kind = one["kind"]
    how = draw(st.sampled_from(["value"] * 5 + ["misspelt", "elsewhere", "path", "class"]))
    noted = one["metadata"]["annotations"]
    if how == "path" and kind == "Ingress":
        path = draw(st.sampled_from(one["spec"]["rules"]))["http"]["paths"][0]
        what = draw(st.sampled_from(["backend", "path"]))
        values = _BACKENDS if what == "backend" else ("/a*", "/a?b", "a", "", "/a//b", "/a/..")
        path[what] = draw(st.sampled_from(values))
    elif how == "class" and kind == "Ingress":
        draw(st.sampled_from([_no_class, _old_class]))(one)
    else:
        strategies = {"misspelt": _misspelt, "elsewhere": _elsewhere}
        name, value = draw(strategies.get(how, _key)(kind))
        noted[name] = value


def _no_class(one: Json) -> None:
    one["spec"].pop("ingressClassName", None)


def _old_class(one: Json) -> None:
    one["metadata"]["annotations"]["kubernetes.io/ingress.class"] = "alb"


@st.composite
def objects(draw: st.DrawFn, account: Account, number: int) -> list[Json]:
    """Draw the Ingresses of one load balancer, or a Service, with up to three mistakes."""
    if draw(st.integers(0, 3)):
        found = draw(drawn.groups(account, number))
    else:
        found = [draw(drawn.balancers(account, number))]
    for _ in range(draw(st.integers(0, 3))):
        draw(_spoil(draw(st.sampled_from(found))))
    return found
