"""The JSON in annotations: which fields the controller reads, and what it refuses in them.

A shape is what Go decodes into: a type, a list of one shape, or fields with theirs. Names of fields
are compared without regard to case, and a field that is not known is passed over, as Go does.

Source: pkg/ingress/config_types.go, model_build_listener.go and enhanced_backend_builder.go.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from eksnet import inputs

Shape = Any
# A port of a Service: its number or its name.
_NAME_OR_NUMBER = (str, int)

_ACTION: Shape = {
    "type": str, "targetGroupARN": str, "targetGroupName": str,
    "fixedResponseConfig": {"contentType": str, "messageBody": str, "statusCode": str},
    "redirectConfig": {
        "host": str, "path": str, "port": str, "protocol": str, "query": str, "statusCode": str,
    },
    "forwardConfig": {
        "targetGroups": [{
            "targetGroupARN": str, "targetGroupName": str, "serviceName": str,
            "servicePort": _NAME_OR_NUMBER, "weight": int, "decrypt": bool,
        }],
        "targetGroupStickinessConfig": {"enabled": bool, "durationSeconds": int},
    },
}  # fmt: skip
_VALUES: Shape = {"values": [str], "regexValues": [str]}
_CONDITIONS: Shape = [{
    "field": str, "hostHeaderConfig": _VALUES, "pathPatternConfig": _VALUES,
    "httpHeaderConfig": {"httpHeaderName": str, **_VALUES},
    "httpRequestMethodConfig": {"values": [str]},
    "queryStringConfig": {"values": [{"key": str, "value": str}]},
    "sourceIPConfig": {"values": [str]},
}]  # fmt: skip
_REWRITES: Shape = {"rewrites": [{"regex": str, "replace": str}]}
_TRANSFORMS: Shape = [
    {"type": str, "hostHeaderRewriteConfig": _REWRITES, "urlRewriteConfig": _REWRITES}
]
_MUTUAL: Shape = [{
    "port": int, "mode": str, "trustStore": str, "ignoreClientCertificateExpiry": bool,
    "advertiseTrustStoreCaNames": str,
}]  # fmt: skip
_COGNITO: Shape = {
    "userPoolARN": str, "userPoolClientID": str, "userPoolDomain": str,
    "authenticationRequestExtraParams": dict,
}  # fmt: skip
_OIDC: Shape = {
    "issuer": str, "authorizationEndpoint": str, "tokenEndpoint": str, "userInfoEndpoint": str,
    "secretName": str, "authenticationRequestExtraParams": dict,
}  # fmt: skip
_JWT: Shape = {
    "jwksEndpoint": str, "issuer": str,
    "additionalClaims": [{"format": str, "name": str, "values": [str]}],
}  # fmt: skip
_LISTEN_PORTS: Shape = [dict]

CONFIGS = {
    "host-header": "hostHeaderConfig", "path-pattern": "pathPatternConfig",
    "http-header": "httpHeaderConfig", "http-request-method": "httpRequestMethodConfig",
    "query-string": "queryStringConfig", "source-ip": "sourceIPConfig",
}  # fmt: skip
_ACTIONS = {"fixed-response": "fixedResponseConfig", "redirect": "redirectConfig"}
_REWRITE = {"host-header-rewrite": "hostHeaderRewriteConfig", "url-rewrite": "urlRewriteConfig"}
_MODES = ("off", "passthrough", "verify")
_REGEX = frozenset({"host-header", "path-pattern", "http-header"})
_MOST_GROUPS = 5


@dataclass(frozen=True)
class Problem:
    """What the controller refuses in a value, or passes over.

    Attributes:
        seen: What is wrong.
        fix: What to do about it.
    """

    seen: str
    fix: str


def problems(kind: str, value: Any) -> Iterator[Problem]:
    """Yield what is wrong with the value of an annotation.

    Args:
        kind: The annotation without prefix, and without what stands for `${…}`: `actions`.
        value: The value that its JSON has.
    """
    if kind not in _KINDS:
        return
    shape, check = _KINDS[kind]
    wrong = list(_of_shape(value, shape, ""))
    yield from wrong
    if not wrong:
        # Protocols are names of fields there, and Go compares those of a map as they are.
        yield from check(value if kind == "listen-ports" else _lowered(value or {}))


def _of_shape(value: Any, shape: Shape, where: str) -> Iterator[Problem]:
    if value is None:
        return
    if isinstance(shape, dict):
        yield from _of_fields(value, shape, where)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield _wrong_type(value, "a list", where)
            return
        for number, item in enumerate(value):
            yield from _of_shape(item, shape[0], f"{where}[{number}]")
    elif not _is_of(value, shape):
        yield _wrong_type(value, _TYPES.get(shape, "a name or a number"), where)


_TYPES: dict[Any, str] = {
    str: "a text in quotes",
    int: "a whole number",
    bool: "true or false",
    dict: "fields",
}


def _is_of(value: Any, shape: Any) -> bool:
    return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))


def _of_fields(value: Any, shape: dict[str, Shape], where: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _wrong_type(value, "fields", where)
        return
    known = {name.lower(): name for name in shape}
    for name, inner in value.items():
        place = f"{where}.{name}".lstrip(".")
        if name.lower() in known:
            yield from _of_shape(inner, shape[known[name.lower()]], place)
        else:
            near = difflib.get_close_matches(name[:60], list(shape), 1)
            fix = f"did you mean {near[0]}?" if near else f"one of {', '.join(shape)}"
            yield Problem(f"the controller does not read the field {inputs.shown(place)}", fix)


def _wrong_type(value: Any, wanted: str, where: str) -> Problem:
    place = f"{where} is " if where else "it is "
    return Problem(f"{place}{inputs.shown(value)}", f"write {wanted}")


def _lowered(value: Any) -> Any:
    """Return a value with the names of its fields in lower case, and without null in lists."""
    if isinstance(value, dict):
        return {name.lower(): _lowered(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [{} if one is None else _lowered(one) for one in value]
    return value


def _check_action(action: Any) -> Iterator[Problem]:
    kind = action.get("type") or ""
    if kind in _ACTIONS:
        config = action.get(_ACTIONS[kind].lower())
        if config is None:
            yield _missing(_ACTIONS[kind])
        elif not config.get("statuscode"):
            yield _missing(f"{_ACTIONS[kind]}.statusCode")
    elif kind == "forward":
        yield from _check_forward(action)
    else:
        seen = f"unknown action type: {inputs.shown(kind)}"
        yield Problem(seen, "one of fixed-response, redirect, forward")


def _check_forward(action: Any) -> Iterator[Problem]:
    config = action.get("forwardconfig")
    single = action.get("targetgrouparn") or action.get("targetgroupname")
    if config is None and not single:
        yield _missing("forwardConfig, targetGroupARN or targetGroupName")
    elif config is not None and single:
        yield Problem("it has forwardConfig and a single target group", "keep one of the two")
    groups = (config or {}).get("targetgroups") or []
    for one in groups:
        yield from _check_group(one)
    if len(groups) > 1 and any(one.get("weight") is None for one in groups):
        yield Problem("it has several target groups, and not each has a weight", "add weight")
    if len(groups) > _MOST_GROUPS:
        seen = f"it forwards to {len(groups)} target groups"
        yield Problem(seen, f"a rule can forward to at most {_MOST_GROUPS}")


def _check_group(group: Any) -> Iterator[Problem]:
    outside = group.get("targetgrouparn") or group.get("targetgroupname")
    if not outside and not group.get("servicename"):
        yield _missing("serviceName, targetGroupARN or targetGroupName of a target group")
    elif outside and group.get("servicename"):
        yield Problem("a target group has serviceName and an ARN or a name", "keep one of them")
    elif group.get("servicename") and group.get("serviceport") is None:
        yield _missing("servicePort")


def _check_conditions(conditions: Any) -> Iterator[Problem]:
    for one in conditions:
        field = one.get("field") or ""
        if field not in CONFIGS:
            seen = f"unknown field of a condition: {inputs.shown(field)}"
            yield Problem(seen, f"one of {', '.join(CONFIGS)}")
            continue
        config = one.get(CONFIGS[field].lower())
        if config is None:
            yield _missing(CONFIGS[field])
            continue
        values, expressions = config.get("values"), config.get("regexvalues")
        if field not in _REGEX and expressions:
            yield Problem(f"{field} has regexValues", "it takes values alone")
        if not values and not (field in _REGEX and expressions):
            yield _missing(f"{CONFIGS[field]}.values")
        elif values and expressions:
            yield Problem(f"{field} has values and regexValues", "keep one of the two")


def _check_transforms(transforms: Any) -> Iterator[Problem]:
    for one in transforms:
        kind = one.get("type") or ""
        if kind not in _REWRITE:
            seen = f"unknown transform type: {inputs.shown(kind)}"
            yield Problem(seen, f"one of {', '.join(_REWRITE)}")
        elif not (one.get(_REWRITE[kind].lower()) or {}).get("rewrites"):
            yield _missing(f"{_REWRITE[kind]}.rewrites")


def _check_mutual(entries: Any) -> Iterator[Problem]:
    if not entries:
        yield Problem("it is empty", "an entry for each port")
    for one in entries:
        port, mode = one.get("port") or 0, one.get("mode") or ""
        store = one.get("truststore")
        if not 1 <= port <= 65535:
            yield Problem(f"the port is {port}", "a port from 1 to 65535")
        if mode not in _MODES:
            yield Problem(f"the mode is {inputs.shown(mode)}", f"one of {', '.join(_MODES)}")
        elif mode == "verify" and not store:
            yield _missing("trustStore, which the mode verify needs")
        elif mode != "verify" and store:
            yield Problem(f"the mode {mode} has a trustStore", "only the mode verify takes one")


def _check_oidc(value: Any) -> Iterator[Problem]:
    yield from _required(value, _OIDC, ("authenticationRequestExtraParams",))


def _check_cognito(value: Any) -> Iterator[Problem]:
    yield from _required(value, _COGNITO, ("authenticationRequestExtraParams",))


def _check_jwt(value: Any) -> Iterator[Problem]:
    yield from _required(value, _JWT, ("additionalClaims",))
    for claim in value.get("additionalclaims") or ():
        yield from _required(claim, _JWT["additionalClaims"][0], ())


def _required(value: Any, shape: dict[str, Shape], optional: tuple[str, ...]) -> Iterator[Problem]:
    for name in shape:
        if name not in optional and not value.get(name.lower()):
            yield _missing(name)


def _check_ports(entries: Any) -> Iterator[Problem]:
    if not entries:
        yield Problem("it is empty", """such as '[{"HTTP": 80}]'""")
    seen: dict[int, str] = {}
    for one in entries or ():
        for protocol, port in (one or {}).items():
            if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
                yield Problem(f"the port is {inputs.shown(port)}", "a number from 1 to 65535")
            elif protocol not in ("HTTP", "HTTPS"):
                yield Problem(f"the protocol is {inputs.shown(protocol)}", "HTTP or HTTPS")
            elif seen.setdefault(port, protocol) != protocol:
                yield Problem(f"port {port} is HTTP and HTTPS", "one protocol for each port")


def _missing(field: str) -> Problem:
    return Problem(f"{field} is missing", "add it")


def listen_ports(value: Any) -> dict[int, str]:
    """Return the protocols by port of a value of `listen-ports` that has no problem."""
    return {port: protocol for entry in value for protocol, port in (entry or {}).items()}


def condition_values(value: Any) -> int:
    """Return how many values the conditions compare that a value without a problem has."""
    configs = [
        one[CONFIGS[one["field"]].lower()] for one in _lowered(value or []) if one.get("field")
    ]
    lists = (config.get(name) for config in configs for name in ("values", "regexvalues"))
    return sum(len(found or ()) for found in lists)


_KINDS: dict[str, tuple[Shape, Callable[[Any], Iterator[Problem]]]] = {
    "actions": (_ACTION, _check_action),
    "conditions": (_CONDITIONS, _check_conditions),
    "transforms": (_TRANSFORMS, _check_transforms),
    "mutual-authentication": (_MUTUAL, _check_mutual),
    "auth-idp-cognito": (_COGNITO, _check_cognito),
    "auth-idp-oidc": (_OIDC, _check_oidc),
    "jwt-validation": (_JWT, _check_jwt),
    "listen-ports": (_LISTEN_PORTS, _check_ports),
}
