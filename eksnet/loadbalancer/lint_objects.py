"""What lint looks for between objects: classes, Services, the members of a group, bindings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from eksnet import inputs
from eksnet.loadbalancer import json_values, values
from eksnet.loadbalancer.catalogues import INGRESS, Annotation, matching
from eksnet.loadbalancer.linting import (
    ALB_CONTROLLER,
    CLASS_ANNOTATION,
    OF_SERVICE,
    VARIABLE,
    Backend,
    Context,
    Found,
    at,
    backends,
    class_of,
    listen_ports,
    short,
)
from eksnet.loadbalancer.reading import Object, mapping, sequence, text

# Classes.


def no_class(context: Context) -> Iterator[Found]:
    """Find an Ingress without a class."""
    for one in context.of("Ingress"):
        if class_of(one) or context.default_class:
            continue
        if any(key.startswith(INGRESS) for key in one.annotations):
            yield one, one.line, "it names no IngressClass: the controller ignores it", _CLASS


_CLASS = "add ingressClassName: alb to its spec"


def other_class(context: Context) -> Iterator[Found]:
    """Find a class of another controller."""
    for one in context.of("Ingress"):
        found = context.classes.get(class_of(one))
        controller = found.spec.get("controller") if found else ALB_CONTROLLER
        ours = any(key.startswith(INGRESS) for key in one.annotations)
        if ours and controller != ALB_CONTROLLER:
            seen = f"its class {class_of(one)} belongs to {inputs.shown(controller)}"
            yield one, one.line, seen, f"a class whose controller is {ALB_CONTROLLER}"


def two_classes(context: Context) -> Iterator[Found]:
    """Find a class in two places."""
    for one in context.of("Ingress"):
        old, new = one.annotations.get(CLASS_ANNOTATION), one.spec.get("ingressClassName")
        # The same one twice is allowed.
        if old is not None and new is not None and old != new:
            seen = f"{CLASS_ANNOTATION} is {inputs.shown(old)}, ingressClassName is another one"
            yield at(one, CLASS_ANNOTATION, seen, "keep ingressClassName")


# Paths and actions.

# From validateHTTPIngressPath of the API server.
_NOT_IN_PATHS, _NOT_AT_ENDS = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")


def bad_paths(context: Context) -> Iterator[Found]:
    """Find a path that the API server refuses."""
    for one in context.albs:
        for backend in backends(one):
            if wrong := _wrong_in_path(backend):
                seen = f"the {backend.path_type} path {inputs.shown(backend.path)} {wrong}"
                yield one, one.line, seen, "a path such as /api"


def _wrong_in_path(backend: Backend) -> str:
    exact = backend.path_type in ("Exact", "Prefix")
    if (backend.path or exact) and not backend.path.startswith("/"):
        return "does not begin with /"
    parts = [one for one in _NOT_IN_PATHS if one in backend.path]
    parts += [one for one in _NOT_AT_ENDS if backend.path.endswith(one)]
    return f"has {parts[0]} in it" if exact and parts else ""


def wildcards(context: Context) -> Iterator[Found]:
    """Find a wildcard where none is allowed."""
    for one in context.albs:
        for backend in backends(one):
            if backend.path_type in ("Exact", "Prefix") and set(backend.path) & set("*?"):
                seen = f"the {backend.path_type} path {inputs.shown(backend.path)} has a wildcard"
                yield one, one.line, seen, "pathType: ImplementationSpecific"


def root_only(context: Context) -> Iterator[Found]:
    """Find a path that matches / alone."""
    for one in context.albs:
        for backend in backends(one):
            if backend.path == "/" and backend.path_type == "ImplementationSpecific":
                seen = "the path / with ImplementationSpecific matches / alone: the rest is 404"
                yield one, one.line, seen, "pathType: Prefix"


def missing_actions(context: Context) -> Iterator[Found]:
    """Find an action that is not there."""
    for one in context.albs:
        for backend in backends(one):
            key = f"{INGRESS}actions.{backend.service}"
            if backend.is_action and key not in one.annotations:
                seen = f"the port use-annotation has no annotation actions.{backend.service}"
                yield one, one.line, f"{seen}: the answer is 503", f"add {key}"


def unused(context: Context) -> Iterator[Found]:
    """Find an action that no path uses."""
    for one in context.albs:
        found = list(backends(one))
        services = {backend.service for backend in found}
        actions = {backend.service for backend in found if backend.is_action}
        for key in one.annotations:
            kind, _, name = short(key).partition(".")
            wanted = actions if kind == "actions" else services
            is_ours = key.startswith(INGRESS) and kind in ("actions", "conditions", "transforms")
            if is_ours and name not in wanted:
                seen = f"no path uses {short(key)}"
                port = " with the port use-annotation" if kind == "actions" else ""
                yield at(one, key, seen, f"a backend of the name {name}{port}, or remove it")


_MOST_VALUES = 5


def many_values(context: Context) -> Iterator[Found]:
    """Find too many values in a rule."""
    for one in context.albs:
        for backend in backends(one):
            count = _condition_values(one, backend.service) + bool(backend.host)
            is_double = backend.path_type == "Prefix" and backend.path != "/"
            count += (2 if is_double else 1) if backend.path else 0
            if count > _MOST_VALUES:
                seen = f"the rule of {inputs.shown(backend.path)} has {count} values to compare"
                yield one, one.line, seen, f"a rule has at most {_MOST_VALUES}: write more rules"


def _condition_values(one: Object, service: str) -> int:
    value, why = values.from_json(text(one.annotations.get(f"{INGRESS}conditions.{service}", "[]")))
    is_wrong = why or any(json_values.problems("conditions", value))
    return 0 if is_wrong else json_values.condition_values(value)


# Services.


def _target_type(context: Context, ingress: Object, service: Object) -> str:
    key = f"{INGRESS}target-type"
    own = text(service.annotations.get(key)) or text(ingress.annotations.get(key))
    return text(context.parameters_of(ingress).get("targetType")) or own or "instance"


def _backed(context: Context) -> Iterator[tuple[Object, Backend, Object]]:
    """Yield Ingresses with their backends whose Services are in the files."""
    for one in context.albs:
        for backend in backends(one):
            service = context.services.get(f"{one.namespace}/{backend.service}")
            if service and not backend.is_action:
                yield one, backend, service


def service_types(context: Context) -> Iterator[Found]:
    """Find instances behind a ClusterIP."""
    for one, _, service in _backed(context):
        kind = text(service.spec.get("type")) or "ClusterIP"
        if kind == "ClusterIP" and _target_type(context, one, service) == "instance":
            seen = f"the Service {service.name} is of type ClusterIP, and targets are instances"
            yield one, one.line, seen, f"type: NodePort, or {INGRESS}target-type: ip"


_CHECKED, _CHECKED_NLB = f"{INGRESS}healthcheck-port", f"{OF_SERVICE}healthcheck-port"


def service_ports(context: Context) -> Iterator[Found]:
    """Find a port that the Service does not have."""
    for one, backend, service in _backed(context):
        ports = list(map(mapping, sequence(service.spec.get("ports"))))
        field = "name" if isinstance(backend.port, str) else "port"
        known = [port.get(field) for port in ports]
        if backend.port not in known:
            seen = f"the Service {service.name} has no port {inputs.shown(backend.port)}"
            yield one, one.line, seen, f"one of {', '.join(map(str, known)) or 'no port'}"
        checked = text(service.annotations.get(_CHECKED)) or text(one.annotations.get(_CHECKED))
        yield from _checked_port(one, _CHECKED, checked, service)
    for one in context.of("Service"):
        yield from _checked_port(one, _CHECKED_NLB, text(one.annotations.get(_CHECKED_NLB)), one)


def _checked_port(one: Object, key: str, checked: str, service: Object) -> Iterator[Found]:
    """Yield that a port for health checks is no name of a Service's port."""
    names = [mapping(port).get("name") for port in sequence(service.spec.get("ports"))]
    is_name = checked and checked != "traffic-port" and values.integer(checked) is None
    if is_name and checked not in names and not VARIABLE.search(checked):
        seen = f"{short(key)} is {inputs.shown(checked)}, no port of {service.name}"
        yield at(one, key, seen, "traffic-port, a number, or the name of a port")


def other_namespace(context: Context) -> Iterator[Found]:
    """Find a Service in another namespace."""
    for one in context.albs:
        for backend in backends(one):
            elsewhere = context.namespaces_of.get(backend.service, [])
            if elsewhere and not backend.is_action and one.namespace not in elsewhere:
                seen = f"the Service {backend.service} is in {elsewhere[0]}, not {one.namespace}"
                yield one, one.line, f"{seen}: the answer is 503", "put both into one namespace"


def own_groups(context: Context) -> Iterator[Found]:
    """Find security groups without backend rules."""
    for kind, groups, manage in (
        ("Ingress", f"{INGRESS}security-groups", f"{INGRESS}manage-backend-security-group-rules"),
        ("Service", f"{OF_SERVICE}security-groups",
         f"{OF_SERVICE}manage-backend-security-group-rules"),
    ):  # fmt: skip
        for one in context.of(kind):
            opens = values.boolean(text(one.annotations.get(manage)))
            if groups in one.annotations and not opens:
                seen = "with security groups of your own, nothing opens the pods to the balancer"
                yield at(one, groups, seen, f'add {manage}: "true"')


def ignored_networks(context: Context) -> Iterator[Found]:
    """Find networks beside security groups."""
    for one in context.albs:
        if f"{INGRESS}security-groups" in one.annotations:
            for name in ("inbound-cidrs", "security-group-prefix-lists"):
                if f"{INGRESS}{name}" in one.annotations:
                    seen = f"{name} is ignored beside security-groups"
                    yield at(one, f"{INGRESS}{name}", seen, "put the rules into those groups")


def service_class(context: Context) -> Iterator[Found]:
    """Find a Service that the controller ignores."""
    for one in context.of("Service"):
        ours = next((key for key in one.annotations if key.startswith(OF_SERVICE)), "")
        if ours and one.spec.get("type") != "LoadBalancer" and not _is_asked_for(one):
            kind = text(one.spec.get("type")) or "ClusterIP"
            seen = f"a Service of type {kind} gets no load balancer"
            yield at(one, ours, seen, "type: LoadBalancer")
            continue
        kind = text(one.annotations.get(f"{OF_SERVICE}type"))
        if ours and kind == "nlb" and "loadBalancerClass" not in one.spec:
            seen = "the type nlb is for the cloud controller of Kubernetes, not this one"
            fix = "loadBalancerClass: service.k8s.aws/nlb in the spec, without this annotation"
            yield at(one, f"{OF_SERVICE}type", seen, fix)


def _is_asked_for(service: Object) -> bool:
    """Tell whether a Service gets a load balancer whatever its type is.

    Source: pkg/service/service_utils.go, checkAWSLoadBalancerTypeAnnotation.
    """
    kind = service.annotations.get(f"{OF_SERVICE}type")
    target = service.annotations.get(f"{OF_SERVICE}nlb-target-type")
    return kind == "nlb-ip" or (kind == "external" and target in ("ip", "instance"))


_LISTS_OF_PORTS = ("ssl-ports", "quic-enabled-ports")


def listed_ports(context: Context) -> Iterator[Found]:
    """Find a list with a port that is not there."""
    for one in context.of("Service"):
        ports = list(map(mapping, sequence(one.spec.get("ports"))))
        known = {str(port.get(name)) for port in ports for name in ("port", "name")}
        for name in _LISTS_OF_PORTS:
            key = f"{OF_SERVICE}{name}"
            for port in values.string_list(text(one.annotations.get(key))):
                if port not in known:
                    seen = f"{name} names {inputs.shown(port)}, which is no port of the Service"
                    yield at(one, key, seen, "a port's number or name")


# Listeners.


def ssl_redirect(context: Context) -> Iterator[Found]:
    """Find a redirect to no listener."""
    for one in context.albs:
        key = f"{INGRESS}ssl-redirect"
        port, ports = values.integer(text(one.annotations.get(key))), listen_ports(one)
        # Another member of the group may bring the listener.
        if port is None or not ports or context.group_of(one):
            continue
        if ports.get(port) != "HTTPS":
            seen = f"ssl-redirect leads to port {port}, which is no HTTPS listener"
            yield at(one, key, seen, f'add {{"HTTPS": {port}}} to listen-ports')


def no_certificate(context: Context) -> Iterator[Found]:
    """Find HTTPS without a certificate."""
    for one in context.albs:
        has = {f"{INGRESS}{name}" for name in ("certificate-arn", "create-acm-cert")}
        if "HTTPS" not in listen_ports(one).values() or has & one.annotations.keys():
            continue
        hosts = [backend.host for backend in backends(one) if backend.host]
        hosts += [
            h for t in sequence(one.spec.get("tls")) for h in sequence(mapping(t).get("hosts"))
        ]
        parameters = context.parameters_of(one)
        if not hosts and not context.group_of(one) and "certificateArn" not in parameters:
            seen = "an HTTPS listener has no certificate, and no host to find one for"
            yield at(one, f"{INGRESS}listen-ports", seen, f"add {INGRESS}certificate-arn")


def few_subnets(context: Context) -> Iterator[Found]:
    """Find fewer than two subnets."""
    for one, key, value, found in context.read:
        given = values.string_list(value)
        if found.short == "subnets" and len(given) < 2 and not VARIABLE.search(value):
            seen = f"an Application Load Balancer is in {len(given)} subnet"
            yield at(one, key, seen, "at least two subnets, in different zones")


# Groups.


def conflicts(context: Context) -> Iterator[Found]:
    """Find members of a group that disagree."""
    for name, members in context.groups.items():
        if len(members) > 1:
            yield from _exclusive_conflicts(name, members)
            yield from _key_conflicts(name, members)
            yield from _port_conflicts(name, members)


def _comparable(found: Annotation, value: str) -> object:
    if found.type == "boolean":
        return values.boolean(value)
    if found.type == "stringList":
        return frozenset(values.string_list(value))
    if found.type == "stringMap":
        return tuple(sorted((values.string_map(value) or {}).items()))
    return value


def _exclusive_conflicts(name: str, members: list[Object]) -> Iterator[Found]:
    first: dict[str, tuple[Object, object]] = {}
    for one in members:
        for key, value in one.annotations.items():
            found = matching(key) if key.startswith(INGRESS) else None
            if not found or found.merge != "Exclusive" or not isinstance(value, str):
                continue
            before, earlier = first.setdefault(key, (one, _comparable(found, value)))
            if earlier != _comparable(found, value):
                yield at(one, key, _disagree(short(key), name, before), _AGREE)


_AGREE = "the same value in all members, or on one of them alone"


def _disagree(what: str, group: str, before: Object) -> str:
    return f"{what} is another one than that of {before.key} in the group {inputs.shown(group)}"


def _key_conflicts(name: str, members: list[Object]) -> Iterator[Found]:
    for annotation in ("load-balancer-attributes", "tags"):
        key = f"{INGRESS}{annotation}"
        first: dict[str, tuple[Object, str]] = {}
        for one in members:
            for part, value in (values.string_map(text(one.annotations.get(key))) or {}).items():
                before, earlier = first.setdefault(part, (one, value))
                if earlier != value:
                    what = f"{inputs.shown(part)} in {annotation}"
                    yield at(one, key, _disagree(what, name, before), _AGREE)


def _port_conflicts(name: str, members: list[Object]) -> Iterator[Found]:
    first: dict[tuple[str, int], tuple[Object, object]] = {}
    for one in members:
        for port, protocol in listen_ports(one).items():
            given: dict[str, object] = {"listen-ports": protocol}
            for annotation in ("inbound-cidrs", "ssl-policy", "security-group-prefix-lists"):
                if written := text(one.annotations.get(f"{INGRESS}{annotation}")):
                    given[annotation] = frozenset(values.string_list(written))
            for annotation, value in given.items():
                before, earlier = first.setdefault((annotation, port), (one, value))
                if earlier != value:
                    what = f"{annotation} of port {port}"
                    seen = _disagree(what, name, before)
                    yield at(one, f"{INGRESS}{annotation}", seen, _AGREE)


def default_backends(context: Context) -> Iterator[Found]:
    """Find two default backends in a group."""
    for name, members in context.groups.items():
        first: dict[int, Object] = {}
        for one in members if len(members) > 1 else ():
            ports = listen_ports(one) if one.spec.get("defaultBackend") else {}
            before = {first.setdefault(port, one).key for port in ports} - {one.key}
            if before:
                seen = f"{min(before)} has a defaultBackend in the group {inputs.shown(name)}, too"
                yield one, one.line, seen, "keep one of them for each port"


def same_order(context: Context) -> Iterator[Found]:
    """Find members of a group with one order."""
    key = f"{INGRESS}group.order"
    for name, members in context.groups.items():
        orders = [values.integer(text(one.annotations.get(key, "0"))) for one in members]
        if not any(key in one.annotations for one in members):
            continue
        count = Counter(orders)
        for one, order in zip(members, orders, strict=True):
            if order is not None and count[order] > 1:
                seen = (
                    f"{count[order]} members of the group {inputs.shown(name)} have order {order}"
                )
                yield at(one, key, f"{seen}: their names decide", "give each another number")


_MOST_RULES, _MOST_CERTIFICATES, _MOST_LISTENERS = 100, 25, 50


def limits(context: Context) -> Iterator[Found]:
    """Find more than AWS gives by default."""
    for members in _balancers(context):
        one, rules = members[0], sum(len(list(backends(member))) for member in members)
        listeners = {port for member in members for port in listen_ports(member)}
        key = f"{INGRESS}certificate-arn"
        listed = (values.string_list(text(member.annotations.get(key))) for member in members)
        certificates = {part for parts in listed for part in parts}
        for count, most, what in (
            (rules, _MOST_RULES, "rules"),
            (len(certificates) - 1, _MOST_CERTIFICATES, "certificates beside the default one"),
            (len(listeners), _MOST_LISTENERS, "listeners"),
        ):
            if count > most:
                seen = f"its load balancer has {count} {what}"
                yield one, one.line, seen, f"AWS gives {most} unless a quota is raised"


def _balancers(context: Context) -> Iterator[list[Object]]:
    """Yield the Ingresses of each load balancer."""
    yield from context.groups.values()
    yield from ([one] for one in context.albs if not context.group_of(one))


# Target group bindings.


def bindings(context: Context) -> Iterator[Found]:
    """Find a binding that the controller refuses."""
    for one in context.of("TargetGroupBinding"):
        if not one.spec.get("targetGroupARN") and not one.spec.get("targetGroupName"):
            yield one, one.line, "it names no target group", "add targetGroupARN or targetGroupName"
        service = mapping(one.spec.get("serviceRef"))
        if not service.get("name") or service.get("port") is None:
            yield one, one.line, "serviceRef has no name or no port", "name a Service and its port"
        if one.spec.get("targetType") == "ip" and one.spec.get("nodeSelector"):
            yield one, one.line, "nodeSelector stands beside targetType: ip", "remove one of them"


def closed_bindings(context: Context) -> Iterator[Found]:
    """Find a binding that opens nothing."""
    for one in context.of("TargetGroupBinding"):
        if not one.spec.get("networking"):
            seen = "it has no networking: nothing opens the pods to the load balancer"
            yield one, one.line, seen, "add spec.networking.ingress with its security group"
