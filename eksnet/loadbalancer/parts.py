"""The parts of a load balancer, read from the controller's model or from AWS; pure.

Both become the same tree, and so can be compared: what the model leaves to AWS stands in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

# Kinds of resources, as the controller's model calls them.
_ELB = "AWS::ElasticLoadBalancingV2::"
_BALANCER, _GROUP = f"{_ELB}LoadBalancer", f"{_ELB}TargetGroup"
_LISTENER, _RULE = f"{_ELB}Listener", f"{_ELB}ListenerRule"
_FIREWALL = "AWS::EC2::SecurityGroup"
# The controller's own tags, by which it finds what it made.
_OWN_TAGS = ("elbv2.k8s.aws/", "ingress.k8s.aws/", "service.k8s.aws/", "kubernetes.io/cluster/")
_RESOURCE_TAGS = ("ingress.k8s.aws/resource", "service.k8s.aws/resource")


@dataclass(frozen=True)
class Part:
    """One thing in AWS with what hangs on it.

    Attributes:
        kind: What it is, such as `listener`.
        name: What tells it from others of its kind beside it.
        fields: What is said of it: names and values.
        parts: What hangs on it.
    """

    kind: str
    name: str
    fields: tuple[tuple[str, str], ...] = ()
    parts: tuple[Part, ...] = ()

    def __getitem__(self, field: str) -> str:
        """Return the value of a field; empty when nothing is said of it."""
        return dict(self.fields).get(field, "")

    def of_kind(self, kind: str) -> tuple[Part, ...]:
        """Return the parts of a kind below this one, at any depth."""
        return tuple(one for one in walk(self.parts) if one.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        found: dict[str, Any] = {"kind": self.kind, "name": self.name, "fields": dict(self.fields)}
        return {**found, "parts": [part.to_json() for part in self.parts]}


def walk(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield parts with all that hangs on them, each before what hangs on it."""
    for part in parts:
        yield part
        yield from walk(part.parts)


def _as_it_is(_key: str, known: object) -> object:
    return known


def planned(
    model: Json,
    names: Callable[[str, str], str] = lambda _, known: known,
    ports: Callable[[str, object], object] = _as_it_is,
) -> tuple[Part, ...]:
    """Return the parts of a stack in the controller's model.

    Args:
        model: The stack, as the controller logs it.
        names: Returns the name of a load balancer or target group, given what the model calls it
            and its name: names that are made of a UID are unknown before there is one.
        ports: Returns the port of a target group for instances, given the same and its port:
            the API server chooses the ports of nodes.
    """
    resources = {kind: dict(found) for kind, found in model.get("resources", {}).items()}
    specs = {
        kind: {key: _low(one["spec"]) for key, one in found.items() if "spec" in one}
        for kind, found in resources.items()
    }
    tags = {
        kind: {key: one.get("spec", {}).get("tags", {}) for key, one in found.items()}
        for kind, found in resources.items()
    }
    balancers = []
    for key, spec in sorted(specs.get(_BALANCER, {}).items()):
        listeners = [
            _planned_listener(name, one, specs.get(_RULE, {}))
            for name, one in specs.get(_LISTENER, {}).items()
            if _id(one["loadbalancerarn"]) == key
        ]
        subnets = [(one["subnetid"], one) for one in spec.get("subnetmapping", ())]
        own = {**spec, "name": names(key, spec["name"])}
        attributes = _pairs(spec.get("loadbalancerattributes"))
        balancers.append(
            _balancer(key, own, subnets, attributes, tags[_BALANCER][key], _in_order(listeners))
        )
    groups = [
        _group(
            key,
            {**spec, "name": names(key, spec["name"]), "port": _planned_port(key, spec, ports)},
            _planned_health(spec), _pairs(spec.get("targetgroupattributes")), tags[_GROUP][key],
        )
        for key, spec in sorted(specs.get(_GROUP, {}).items())
    ]  # fmt: skip
    firewalls = [
        Part(
            "security group", key,
            _fields(name=spec["groupname"], tags=_tags(tags[_FIREWALL][key])),
            _permissions(_planned_permissions(spec.get("ingress", ()))),
        )
        for key, spec in sorted(specs.get(_FIREWALL, {}).items())
    ]  # fmt: skip
    return (*balancers, *groups, *firewalls)


def existing(found: Json) -> tuple[Part, ...]:
    """Return the parts of a stack that AWS has.

    Args:
        found: Load balancers, target groups and security groups in the shapes of AWS's own answers.
    """
    groups = {
        one["TargetGroup"]["TargetGroupArn"]: _resource(one["Tags"])
        for one in found["target_groups"]
    }
    firewalls = {one["SecurityGroupID"]: _resource(one["Tags"]) for one in found["security_groups"]}

    def named(token: object) -> str:
        return groups.get(str(token)) or firewalls.get(str(token)) or str(token)

    balancers = [_existing_balancer(one, named) for one in found["load_balancers"]]
    of_groups = [
        _group(
            _resource(one["Tags"]), _low(one["TargetGroup"]) | _group_name(one["TargetGroup"]),
            _existing_health(_low(one["TargetGroup"])),
            _pairs(_low(one["Attributes"] or ())), one["Tags"],
        )
        for one in found["target_groups"]
    ]  # fmt: skip
    of_firewalls = [
        Part(
            "security group", _resource(one["Tags"]), _fields(tags=_tags(one["Tags"])),
            _permissions(_existing_permissions(one["Ingress"] or ())),
        )
        for one in found["security_groups"]
    ]  # fmt: skip
    sorts = (
        sorted(part, key=lambda one: one.name) for part in (balancers, of_groups, of_firewalls)
    )
    return tuple(one for some in sorts for one in some)


def rules(found: Sequence[Json]) -> tuple[Part, ...]:
    """Return rules of a security group: a list of protocol, from, to and source."""
    return _permissions(
        (one["protocol"], int(one["from"]), int(one["to"]), str(one["source"])) for one in found
    )


# Load balancers and their listeners.


def _existing_balancer(found: Json, named: Callable[[object], str]) -> Part:
    own = _low(found["LoadBalancer"])
    spec = {
        "name": own["loadbalancername"], "type": own["type"], "scheme": own.get("scheme"),
        "ipaddresstype": own.get("ipaddresstype"),
        "securitygroups": [named(one) for one in own.get("securitygroups") or ()],
    }  # fmt: skip
    subnets = [(one["subnetid"], one) for one in own.get("availabilityzones") or ()]
    listeners = [_existing_listener(one, named) for one in found["Listeners"]]
    attributes = _pairs(_low(found["Attributes"] or ()))
    tags = found["Tags"]
    return _balancer(_resource(tags), spec, subnets, attributes, tags, _in_order(listeners))


def _balancer(
    key: str,
    spec: Json,
    subnets: Sequence[tuple[str, Json]],
    attributes: Mapping[str, str],
    tags: Mapping[str, str],
    listeners: Sequence[Part],
) -> Part:
    fields = _fields(
        name=spec["name"], type=spec["type"], scheme=spec.get("scheme"),
        addresses=spec.get("ipaddresstype"),
        security_groups=", ".join(sorted(map(_id, spec.get("securitygroups") or ()))),
        tags=_tags(tags),
    )  # fmt: skip
    below = [Part("subnet", subnet) for subnet, _ in sorted(subnets, key=lambda one: one[0])]
    return Part("load balancer", key, (*fields, *_attributes(attributes)), (*below, *listeners))


def _planned_listener(key: str, spec: Json, rules: Mapping[str, Json]) -> Part:
    found = [one for one in rules.values() if _id(one["listenerarn"]) == key]
    certificates = [_id(one["certificatearn"]) for one in spec.get("certificates") or ()]
    return _listener(spec, certificates[:1], certificates[1:], found, _id)


def _existing_listener(found: Json, named: Callable[[object], str]) -> Part:
    spec = _low(found["Listener"])
    default = [one["certificatearn"] for one in spec.get("certificates") or ()]
    # The default one is told a second time where it was added like the others, too: the controller
    # does so when two members of a group name the same certificates.
    others = [
        one["certificatearn"]
        for one in _low(found["Certificates"] or ())
        if not one.get("isdefault", one["certificatearn"] in default)
    ]
    rules = [one for one in _low(found["Rules"] or ()) if str(one["priority"]) != "default"]
    return _listener(spec, default, others, rules, named)


def _listener(
    spec: Json,
    default: Sequence[str],
    others: Sequence[str],
    rules: Sequence[Json],
    named: Callable[[object], str],
) -> Part:
    mutual = spec.get("mutualauthentication") or {}
    fields = _fields(
        protocol=spec["protocol"], certificate=", ".join(default),
        further_certificates=", ".join(sorted(set(others))), ssl_policy=spec.get("sslpolicy"),
        alpn=", ".join(spec.get("alpnpolicy") or ()),
        client_certificates="" if mutual.get("mode", "off") == "off" else mutual["mode"],
        default=_actions(spec.get("defaultactions") or (), named),
    )  # fmt: skip
    in_turn = sorted(rules, key=lambda one: int(one["priority"]))
    below = _apart(
        Part("rule", _conditions(one.get("conditions") or ()), _rule_fields(one, named))
        for one in in_turn
    )
    return Part("listener", str(spec["port"]), fields, below)


def _rule_fields(spec: Json, named: Callable[[object], str]) -> tuple[tuple[str, str], ...]:
    return _fields(
        priority=spec["priority"], action=_actions(spec["actions"], named),
        transforms="; ".join(map(_transform, spec.get("transforms") or ())),
    )  # fmt: skip


def _in_order(listeners: Iterable[Part]) -> list[Part]:
    return sorted(listeners, key=lambda one: int(one.name))


def _apart(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Give a number to parts of one name, so that each has a name of its own."""
    seen: dict[str, int] = {}
    found = []
    for part in parts:
        seen[part.name] = number = seen.get(part.name, 0) + 1
        name = part.name if number == 1 else f"{part.name} ({number})"
        found.append(Part(part.kind, name, part.fields, part.parts))
    return tuple(found)


# What a rule asks and does.


def _conditions(found: Sequence[Json]) -> str:
    return " and ".join(sorted(map(_condition, found))) or "everything"


def _condition(one: Json) -> str:
    field = one["field"]
    inside: Json = next(
        (value for key, value in one.items() if key.endswith("config") and value), {}
    )
    if field == "query-string":
        values = [f"{pair.get('key') or '*'}={pair['value']}" for pair in inside["values"]]
    else:
        # Older rules have their values outside.
        values = list(inside.get("values") or inside.get("regexvalues") or one.get("values") or ())
    name = f"{field} {inside['httpheadername']}" if field == "http-header" else field
    regex = " matches" if inside.get("regexvalues") and not inside.get("values") else ""
    return f"{name}{regex} {' or '.join(sorted(values))}"


def _actions(found: Sequence[Json], named: Callable[[object], str]) -> str:
    ordered = sorted(found, key=lambda one: int(one.get("order") or 0))
    return ", then ".join(_action(one, named) for one in ordered)


def _action(one: Json, named: Callable[[object], str]) -> str:
    kind = str(one["type"])
    if kind == "forward":
        return _forward(one, named)
    if kind == "redirect":
        return _redirect(one["redirectconfig"])
    if kind == "fixed-response":
        said = one["fixedresponseconfig"]
        body = f": {said['messagebody']}" if said.get("messagebody") else ""
        return f"answer {said['statuscode']} {said.get('contenttype') or ''}".rstrip() + body
    return kind


def _forward(one: Json, named: Callable[[object], str]) -> str:
    said = one.get("forwardconfig") or {}
    groups = said.get("targetgroups") or [{"targetgrouparn": one.get("targetgrouparn")}]
    # A token is either the id of a resource in the model, or an ARN that has a name.
    names = [(named(_id(group["targetgrouparn"])), group.get("weight")) for group in groups]
    if len(names) == 1:
        text = f"forward to {names[0][0]}"
    else:
        shares = (f"{name} (weight {1 if weight is None else weight})" for name, weight in names)
        text = f"forward to {', '.join(shares)}"
    sticky = said.get("targetgroupstickinessconfig") or {}
    return f"{text}, sticky for {sticky['durationseconds']} s" if sticky.get("enabled") else text


def _redirect(said: Json) -> str:
    def part(name: str) -> str:
        return said.get(name) or f"#{{{name}}}"

    path = said.get("path") or "/#{path}"
    url = f"{part('protocol')}://{part('host')}:{part('port')}{path}?{part('query')}"
    return f"redirect to {url} ({str(said['statuscode']).removeprefix('HTTP_')})"


def _transform(one: Json) -> str:
    inside = next(value for key, value in one.items() if key.endswith("config") and value)
    rewrites = (f"{each['regex']} to {each['replace']}" for each in inside["rewrites"])
    return f"{one['type']} {', '.join(rewrites)}"


# Target groups.


def _group(
    key: str, spec: Json, health: str, attributes: Mapping[str, str], tags: Mapping[str, str]
) -> Part:
    fields = _fields(
        name=spec["name"], target_type=spec["targettype"], protocol=spec["protocol"],
        protocol_version=spec.get("protocolversion"), port=spec.get("port"),
        addresses=spec.get("ipaddresstype"), health_check=health, tags=_tags(tags),
    )  # fmt: skip
    return Part("target group", key, (*fields, *_attributes(attributes)))


def _planned_port(key: str, spec: Json, ports: Callable[[str, object], object]) -> object:
    known = spec.get("port")
    return ports(key, known) if spec["targettype"] == "instance" else known


def _group_name(found: Json) -> dict[str, str]:
    return {"name": found["TargetGroupName"]}


def _planned_health(spec: Json) -> str:
    check = spec.get("healthcheckconfig") or {}
    return _health(
        check.get("protocol"), check.get("path"), check.get("port"), check.get("matcher"),
        check.get("intervalseconds"), check.get("timeoutseconds"),
        check.get("healthythresholdcount"), check.get("unhealthythresholdcount"),
    )  # fmt: skip


def _existing_health(spec: Json) -> str:
    return _health(
        spec.get("healthcheckprotocol"), spec.get("healthcheckpath"), spec.get("healthcheckport"),
        spec.get("matcher"), spec.get("healthcheckintervalseconds"),
        spec.get("healthchecktimeoutseconds"), spec.get("healthythresholdcount"),
        spec.get("unhealthythresholdcount"),
    )  # fmt: skip


def _health(
    protocol: object, path: object, port: object, matcher: Json | None, *seconds_and_counts: object
) -> str:
    wanted = (matcher or {}).get("httpcode") or (matcher or {}).get("grpccode")
    interval, timeout, healthy, unhealthy = seconds_and_counts
    what = f"{protocol} {path or ''}".strip() + f" on {port}"
    answer = f", {wanted} wanted" if wanted else ""
    return f"{what}{answer}, every {interval} s, {timeout} s each, {healthy} up, {unhealthy} down"


# Security groups.

_Permission = tuple[str, int, int, str]


def _permissions(found: Iterable[_Permission]) -> tuple[Part, ...]:
    unique = sorted(set(found), key=lambda one: (one[1], one[2], one[0], one[3]))
    return tuple(Part("allow", _permission(one)) for one in unique)


def _permission(one: _Permission) -> str:
    protocol, first, last, source = one
    if protocol == "-1":
        return f"everything from {source}"
    ports = str(first) if first == last else f"{first}-{last}"
    return f"{protocol} {ports} from {source}"


def _planned_permissions(found: Iterable[Json]) -> Iterator[_Permission]:
    for one in found:
        sources = [each["cidrip"] for each in one.get("ipranges") or ()]
        sources += [each["cidripv6"] for each in one.get("ipv6ranges") or ()]
        sources += [each["listid"] for each in one.get("prefixlists") or ()]
        sources += [_id(each["groupid"]) for each in one.get("useridgrouppairs") or ()]
        for source in sources:
            yield (
                one["ipprotocol"],
                int(one.get("fromport") or 0),
                int(one.get("toport") or 0),
                source,
            )


def _existing_permissions(found: Iterable[Json]) -> Iterator[_Permission]:
    for info in found:
        one = info["Permission"]
        sources = [each["CidrIp"] for each in one.get("IpRanges") or ()]
        sources += [each["CidrIpv6"] for each in one.get("Ipv6Ranges") or ()]
        sources += [each["PrefixListId"] for each in one.get("PrefixListIds") or ()]
        sources += [each["GroupId"] for each in one.get("UserIdGroupPairs") or ()]
        for source in sources:
            yield (
                one["IpProtocol"],
                int(one.get("FromPort") or 0),
                int(one.get("ToPort") or 0),
                source,
            )


# Shapes.


def _low(found: Any) -> Any:
    """Return JSON with its keys in lower case: the model and AWS write the same words otherwise."""
    if isinstance(found, Mapping):
        return {str(key).lower(): _low(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_low(one) for one in found]
    return found


def _id(token: object) -> str:
    """Return what a token of the model stands for: a value, or the id of another resource."""
    if isinstance(token, Mapping):
        # Such as #/resources/AWS::ElasticLoadBalancingV2::Listener/80/status/listenerARN.
        return str(token["$ref"]).split("/", 3)[3].rsplit("/", 2)[0]
    return str(token)


def _resource(tags: Mapping[str, str]) -> str:
    return next((tags[key] for key in _RESOURCE_TAGS if key in tags), "")


def _tags(tags: Mapping[str, str] | None) -> str:
    return ", ".join(
        f"{key}={value}"
        for key, value in sorted((tags or {}).items())
        if not key.startswith(_OWN_TAGS)
    )


def _pairs(found: Sequence[Json] | None) -> dict[str, str]:
    return {str(one["key"]): str(one.get("value") or "") for one in found or ()}


def _attributes(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(found.items()))


def _fields(**said: object) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.replace("_", " "), str(value))
        for name, value in said.items()
        if value not in (None, "")
    )
