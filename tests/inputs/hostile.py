"""Hostile values of every type that the course's functions and commands take.

A value is of the right type, by its annotation, and wrong in every other way: huge, empty, full of
control characters, of letters beyond ASCII, half a surrogate pair, no number.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union

from hypothesis import strategies as st

TEXTS = (
    "", " ", "\0", "a\0b", "\x1b[31mred", "\x1b]0;title\x07", "\r\n", "a\nb", "\t", "\x9b2J",
    "\u202etxt.exe", "\u2066\u2069", "\ufeff", "\u2028", "\ud800", "a\udfffb", "é", "한국어",
    "٣", "a..b", ".", "..", "../../etc/passwd", "/", "-", "--", "-x", "a" * 70, "a." * 200,
    "x" * 100_000, "9" * 5000, "-1", "0", "1e999", "nan", "No Such", "[/red]", "[bold]",
    ":smile:", "%s%n{}", "<script>", "'", '"', "\\", "`id`", "$(id)", "a,b;c", "a=b",
    "context:", "context:\x1b", "eks:@", "10.0.0.999", "10.0.0.1", "::1", "1.1.1.1/99",
    "*nat", "{", "[", "[" * 400, "!!int ''", "2001-99-99", "!!timestamp x", "a: &a [*a]",
    "{a: b", "kind: Service", "a.yaml", "\0.yaml", "jsonpath={.a[99999999999999999999]}",
    "v1.99999", "search a\x1b\noptions ndots:" + "9" * 5000,
)  # fmt: skip
NUMBERS = (-1, 0, 1, 2, 3, 255, 65535, 65536, 70_000, 2**31, 2**64, -(2**63), 10**30, 10**4000)
FLOATS = (0.0, -0.0, -1.0, 1e-9, 1e308, float("inf"), float("-inf"), float("nan"), 86401.0)

texts = st.one_of(st.sampled_from(TEXTS), st.sampled_from(TEXTS), st.text(max_size=20))
numbers = st.sampled_from(NUMBERS)
floats = st.sampled_from(FLOATS)
scalars = st.one_of(st.none(), st.booleans(), numbers, floats, texts)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip

_FIELDS = {
    "Service": {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "clusterIP": "10.100.0.9", "clusterIPs": ["10.100.0.9"], "type": "LoadBalancer",
            "externalIPs": ["203.0.113.1"], "loadBalancerSourceRanges": ["10.0.0.0/8"],
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
            "ports": [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.2"}]}},
    },
    "EndpointSlice": {
        "metadata": {"name": "web-1", "namespace": "shop",
                     "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.0.129.1"], "conditions": {"ready": True},
                       "hints": {"forZones": [{"name": "a"}]}, "nodeName": "node"}],
    },
    "Pod": {
        "metadata": {"name": "client", "namespace": "shop"},
        "status": {"podIPs": [{"ip": "10.0.129.1"}], "phase": "Running"},
    },
    "Node": {
        "metadata": {"name": "node", "labels": {"topology.kubernetes.io/zone": "a"}},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.128.10"}]},
    },
    "ConfigMap": {"metadata": {"name": "coredns"}, "data": {"config": "mode: nftables"}},
    "KubeProxyConfiguration": {
        "mode": "iptables", "clusterCIDR": "10.0.0.0/8", "nodePortAddresses": ["10.0.0.0/8"],
        "iptables": {"masqueradeBit": 14, "localhostNodePorts": True},
        "conntrack": {"tcpBeLiberal": False},
    },
}  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every part of a structure, its own first."""
    parts: Any = ()
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
    return [path, *(place for key, part in parts for place in _places(part, (*path, key)))]


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


@st.composite
def objects(draw: Any) -> Any:
    """Return an object of Kubernetes with one part of it, or all, hostile."""
    kind = draw(st.sampled_from(sorted(_FIELDS)))
    one = {"kind": kind, **_FIELDS[kind]}
    place = draw(st.sampled_from(_places(one)[1:]))
    return _replaced(one, place, draw(anything))


mappings = st.one_of(objects(), st.dictionaries(texts, anything, max_size=3))


def of(annotation: Any, samples: dict[Any, Any]) -> st.SearchStrategy[Any]:
    """Return hostile values of a type.

    Args:
        annotation: The type, as `typing.get_type_hints` gives it.
        samples: Values of the course's own types.
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in samples:
        return st.sampled_from(samples[annotation])
    if origin in (Union, types.UnionType):
        return st.one_of([of(one, samples) for one in inner])
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is typing.Annotated:
        return of(inner[0], samples)
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if origin is tuple and Ellipsis not in inner:
        return st.tuples(*(of(one, samples) for one in inner))
    if origin is collections.abc.Callable:
        answers = of(inner[-1] if inner else Any, samples)
        return answers.map(lambda answer: lambda *_, **__: answer)
    if inspect.isclass(origin) and issubclass(origin, collections.abc.Mapping):
        if inner[0] is str:
            return (
                mappings
                if inner[1] is Any
                else st.dictionaries(texts, of(inner[1], samples), max_size=3)
            )
        return st.dictionaries(of(inner[0], samples), of(inner[1], samples), max_size=3)
    if inspect.isclass(origin) and issubclass(origin, collections.abc.Iterable):
        several = st.lists(of(inner[0], samples), max_size=3)
        return several.map(tuple) if origin is tuple else several
    raise NotImplementedError(f"hostile values of {annotation}: name them here")


_SIMPLE = {
    str: texts,
    int: numbers,
    float: st.one_of(floats, numbers),
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
    object: anything,
    Any: anything,
    None: st.none(),
    type(None): st.none(),
    Path: texts.map(Path),
    collections.abc.Mapping: mappings,
}


def plain(annotation: Any, samples: dict[Any, Any]) -> Any:
    """Return a value of a type that is not hostile, for an argument that nobody has described."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in samples:
        return samples[annotation][0]
    if origin in (Union, types.UnionType, typing.Annotated):
        return plain(inner[0], samples)
    if origin is Literal:
        return inner[0]
    if origin is collections.abc.Callable:
        return lambda *_, **__: plain(inner[-1] if inner else Any, samples)
    if inspect.isclass(origin) and issubclass(origin, collections.abc.Mapping):
        return {}
    if inspect.isclass(origin) and issubclass(origin, collections.abc.Iterable):
        return [plain(inner[0], samples)]
    return _PLAIN.get(annotation, "web")


_PLAIN = {int: 1, float: 1.0, bool: True, Path: Path("web"), type(None): None}
