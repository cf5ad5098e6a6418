"""A plan: what the controller would make of manifests, as tree, table and JSON; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from eksnet import display
from eksnet.display import Shown
from eksnet.listing import Listing
from eksnet.loadbalancer import parts
from eksnet.loadbalancer.differences import SIGNS, UNKNOWN, Change, Node, as_it_is, beside
from eksnet.loadbalancer.parts import Part
from eksnet.loadbalancer.subnets import Choice, Subnet, choices
from eksnet.printable import printable

if TYPE_CHECKING:
    import pandas as pd


# How many load balancers are drawn at most; the text has all.
_DRAWN = 4


@dataclass(frozen=True)
class Target:
    """What a target group registers.

    Attributes:
        id: An address or an instance.
        port: The port; the API server chooses that of a Service's nodes.
        of: The pod as namespace/name, or the node.
        zone: Its availability zone.
    """

    id: str
    port: int
    of: str
    zone: str

    def __str__(self) -> str:
        return f"{self.id}:{self.port} {self.of} {self.zone}".rstrip()


@dataclass(frozen=True)
class Refusal:
    """Why an object would not become what it says.

    Attributes:
        kind: Its kind.
        name: Its name, as namespace/name.
        reason: The reason of the controller's Event; empty where there is none.
        message: The words of whoever refuses it.
        logged: Whether the controller sends no Event of it: only its log has the message. Without
            both, it is the API server that refuses.
    """

    kind: str
    name: str
    reason: str
    message: str
    logged: bool = False

    def __str__(self) -> str:
        event = f"Warning {self.reason}: " if self.reason else ""
        where = "no Event; the controller's log: " if self.logged else event
        return f"{self.kind} {self.name}: {where}{self.message}"


@dataclass(frozen=True)
class Stack:
    """One load balancer with all that the controller makes for it.

    Attributes:
        id: What the controller calls it: an Ingress group's name, or namespace/name.
        kind: `ingress` or `service`.
        members: The Ingresses of the group, in the controller's order, or the Service.
        planned: What it would be; None where the controller builds nothing, or it is not known.
        existing: What AWS has; None where it is not known.
        targets: What each target group would register.
        subnets: Which subnets it takes, and why.
        events: Events that the controller would send.
        model: The controller's own model of it, as it logs it.
        without: Why a target group would register nothing yet.
    """

    id: str
    kind: str
    members: tuple[str, ...]
    planned: tuple[Part, ...] | None
    existing: tuple[Part, ...] | None
    targets: Mapping[str, tuple[Target, ...]] = field(hash=False, default_factory=dict)
    subnets: tuple[Choice, ...] = ()
    events: tuple[str, ...] = ()
    model: Mapping[str, Any] | None = field(hash=False, default=None)
    without: Mapping[str, str] = field(hash=False, default_factory=dict)

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        if self.kind == "service":
            return f"Service {self.id}"
        if "/" in self.id:
            return f"Ingress {self.id}"
        return f"Ingress group {self.id}: {', '.join(self.members) or 'no Ingress is left'}"

    def registered(self, group: str) -> Iterator[str]:
        """Yield what a target group would register, in words; else why it is nothing."""
        yield from (f"target {one}" for one in self.targets.get(group, ()))
        if group in self.without:
            yield f"targets: {self.without[group]}"

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """What it would be beside what AWS has."""
        if self.planned is None:
            return ()
        if self.existing is None:
            return as_it_is(self.planned)
        return beside(self.planned, self.existing)


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """What the controller would make of manifests.

    Attributes:
        cluster: The name of the cluster.
        controller: The controller's Deployment as namespace/name; empty where none is installed.
        objects: The objects of the manifests: kind, name, and what becomes of them.
        refused: What the API server or the controller would refuse.
        stacks: The load balancers.
        bindings: The target group bindings of the manifests, with their targets.
        rules: The security groups of nodes and pods, with the rules that the controller writes.
        remarks: What else is to be known.
    """

    cluster: str
    controller: str
    objects: tuple[tuple[str, str, str], ...]
    refused: Listing[Refusal]
    stacks: tuple[Stack, ...]
    bindings: tuple[Part, ...]
    rules: tuple[Node, ...]
    remarks: tuple[str, ...] = ()

    @cached_property
    def changes(self) -> Listing[Change]:
        """What differs from what AWS has, as a table."""
        return Listing.of(
            [one for stack in self.stacks for node in stack.nodes for one in node.changes()]
            + [one for node in self.rules for one in node.changes()],
            {
                "action": lambda one: one.action, "what": lambda one: one.what,
                "field": lambda one: one.field, "before": lambda one: one.before,
                "after": lambda one: one.after,
            },
        )  # fmt: skip

    @property
    def fine(self) -> bool:
        """Whether nothing would be refused."""
        return not self.refused

    def stack(self, name: str = "") -> Stack:
        """Return a stack by its id or by one of its members; the only one without a name.

        Raises:
            LookupError: There is no such stack, or more than one.
        """
        found = [one for one in self.stacks if not name or name in (one.id, *one.members)]
        if len(found) != 1:
            raise LookupError(
                f"{len(found)} load balancers: {', '.join(one.id for one in self.stacks)}"
            )
        return found[0]

    def to_frame(self) -> pd.DataFrame:
        """Return the changes as a data frame of text, shape (changes, 5)."""
        return self.changes.to_frame()

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON has it."""
        return {
            "cluster": self.cluster,
            "controller": self.controller,
            "objects": [
                dict(zip(("kind", "name", "action"), one, strict=True)) for one in self.objects
            ],
            "refused": [vars(one) for one in self.refused],
            "stacks": [_stack_json(one) for one in self.stacks],
            "bindings": [one.to_json() for one in self.bindings],
            "rules": [one.part.to_json() for one in self.rules],
            "changes": [vars(one) for one in self.changes],
            "remarks": list(self.remarks),
        }

    def _text(self, *, colours: bool) -> str:
        text = printable("\n".join(self._lines()))
        return display.diff_coloured(text) if colours else text

    def _repr_html_(self) -> str:
        # The command shows plans as text alone, and a picture takes a moment to be loaded.
        from eksnet.loadbalancer.balancer_tree import balancer_tree

        built = [stack for stack in self.stacks if stack.planned][:_DRAWN]
        drawn = "".join(balancer_tree(stack).image for stack in built)
        return drawn + display.diff(printable("\n".join(self._lines())))

    def _lines(self) -> Iterator[str]:
        yield self._summary()
        yield ""
        for refusal in self.refused:
            yield f"  refused: {refusal}"
        for stack in self.stacks:
            yield f"  {stack.title}"
            yield from _stack_lines(stack)
        for node in (*as_it_is(self.bindings), *self.rules):
            yield from _tree(node, 0)
        for remark in self.remarks:
            yield f"  note: {remark}"

    def _summary(self) -> str:
        counts = Counter(one.action for one in self.changes)
        said = ", ".join(f"{counts[action]} {action}" for action in SIGNS if counts[action])
        if self.stacks and all(one.existing is None for one in self.stacks):
            said = "what would change in AWS is not known"
        refused = f"{len(self.refused)} refused; " if self.refused else ""
        return f"Plan for {self.cluster or 'the cluster'}: {refused}{said or 'no change'}"


def of_answer(answer: Mapping[str, Any]) -> Plan:
    """Return the plan in an answer of the engine's program `plan`.

    Args:
        answer: Its JSON.
    """
    controller, fresh = answer["controller"], set(answer["new_services"])
    subnets = [Subnet.of(one) for one in answer["subnets"]]
    refused = [
        Refusal(
            one["kind"], _name(one), one["reason"], one["message"], logged=bool(one.get("logged"))
        )
        for one in answer["refused"]
    ]
    stacks = [
        _stack(one, fresh, subnets, controller["cluster"], refused) for one in answer["stacks"]
    ]
    remarks = list(answer["remarks"])
    if not controller["deployment"]:
        remarks.append(
            "the controller is not installed: this is what it would do, with its chart's defaults"
        )
    if not controller["vpc"]:
        remarks.append("no AWS account is known: what it would make in AWS is not known either")
    ignored = sum(one["action"] == "ignored" for one in answer["objects"])
    if ignored:
        remarks.append(f"{ignored} of the objects are of kinds that make no load balancer")
    return Plan(
        controller["cluster"],
        controller["deployment"],
        tuple((one["kind"], _name(one), one["action"]) for one in answer["objects"]),
        Listing.of(
            refused,
            {
                "kind": lambda one: one.kind, "name": lambda one: one.name,
                "reason": lambda one: one.reason, "message": lambda one: one.message,
            },
        ),
        tuple(stacks),
        tuple(map(_binding, answer["bindings"])),
        tuple(_rules(*one) for one in sorted(answer["rules"].items()) if any(one[1].values())),
        tuple(remarks),
    )  # fmt: skip


# From the answer.


def _name(one: Mapping[str, Any]) -> str:
    return f"{one['namespace']}/{one['name']}" if one["namespace"] else str(one["name"])


def _stack(
    one: Mapping[str, Any],
    fresh: set[str],
    subnets: Sequence[Subnet],
    cluster: str,
    refused: Sequence[Refusal],
) -> Stack:
    messages = [refusal.message for refusal in refused if refusal.name in one["members"]]
    model = one["model"]
    planned = None if model is None else _planned(one, fresh)
    existing = None if one["existing"] is None else parts.existing(one["existing"])
    of = {
        key: tuple(Target(**each) for each in found or ())
        for key, found in (one["targets"] or {}).items()
    }
    return Stack(
        one["id"], one["kind"], tuple(one["members"]), planned, existing, of,
        _choices(one, planned, existing, subnets, cluster, messages),
        tuple(one["events"] or ()), model,
        {key: why for key, why in _why_none(model, fresh) if not of.get(key)},
    )  # fmt: skip


def _why_none(model: Mapping[str, Any] | None, fresh: set[str]) -> Iterator[tuple[str, str]]:
    """Yield why each target group of a model would have no target, if it had none."""
    for key, template in _templates(model):
        service = _service(template)
        if service in fresh:
            yield key, f"none yet: Service {service} is not in the cluster"
        elif template["spec"].get("targetType") == "ip":
            yield key, f"none yet: Service {service} has no ready pod"
        else:
            yield key, f"none yet: no node takes traffic for Service {service}"


def _templates(model: Mapping[str, Any] | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the target group bindings of a model, each with the id of its target group."""
    resources = (model or {}).get("resources", {})
    for key, found in resources.get("K8S::ElasticLoadBalancingV2::TargetGroupBinding", {}).items():
        yield key, found["spec"]["template"]


def _planned(one: Mapping[str, Any], fresh: set[str]) -> tuple[Part, ...]:
    """Return the parts of a stack; what is made of the UID of a new Service is not known yet."""
    model = one["model"]
    unknown = {key for key, template in _templates(model) if _service(template) in fresh}
    whole = one["kind"] == "service" and one["id"] in fresh

    def name(key: str, known: str) -> str:
        if (whole or key in unknown) and known.startswith("k8s-"):
            return f"{known.rpartition('-')[0]}-{UNKNOWN}"
        return known

    def port(key: str, known: object) -> object:
        return UNKNOWN if key in unknown else known

    return parts.planned(model, name, port)


def _service(template: Mapping[str, Any]) -> str:
    return f"{template['metadata']['namespace']}/{template['spec']['serviceRef']['name']}"


def _choices(
    one: Mapping[str, Any],
    planned: tuple[Part, ...] | None,
    existing: tuple[Part, ...] | None,
    subnets: Sequence[Subnet],
    cluster: str,
    messages: Sequence[str],
) -> tuple[Choice, ...]:
    # Where nothing is built for another reason, nobody has come to the subnets.
    if planned is None and not any("subnet" in message for message in messages):
        return ()
    if not one["members"]:
        return ()
    taken = None
    if planned is not None:
        taken = {part.name for part in parts.walk(planned) if part.kind == "subnet"}
    schemes = {part["scheme"] for part in existing or () if part.kind == "load balancer"}
    kept = one["kind"] == "ingress" and one["scheme"] in schemes
    return choices(subnets, taken, one["scheme"], cluster, named=one["named_subnets"], kept=kept)


def _binding(one: Mapping[str, Any]) -> Part:
    below = tuple(Part("target", str(Target(**each))) for each in one["targets"] or ())
    fields = (
        ("target group", one["group"]),
        ("target type", one["type"]),
        ("service", one["service"]),
    )
    return Part("target group binding", _name(one), fields, below)


def _rules(group: str, found: Mapping[str, Any]) -> Node:
    name = f"{group} of nodes and pods"
    after, before = (
        Part("security group", name, (), parts.rules(found[key])) for key in ("planned", "existing")
    )
    (node,) = beside((after,), (before,))
    return node


# As text.


def _stack_lines(stack: Stack) -> Iterator[str]:
    if stack.planned is None and stack.existing is not None:
        yield f"    nothing is built{': AWS keeps what it has' if stack.existing else ''}"
    for node in stack.nodes:
        yield from _tree(node, 1, stack)
    for choice in stack.subnets:
        subnet = choice.subnet
        yield f"    subnet {subnet.id} {subnet.cidr} {subnet.zone}: {choice.verdict}: {choice.why}"
    for event in stack.events:
        yield f"    Event: {event}"


def _tree(node: Node, depth: int, stack: Stack | None = None) -> Iterator[str]:
    part, sign = node.part, SIGNS[node.action]
    inside = " " * (2 * depth + 1)
    yield f"{sign}{inside}{_title(part)}"
    before = dict(node.before)
    shown = dict(part.fields) if node.action != "removed" else {}
    for name, value in (shown | dict.fromkeys(before, "") | shown).items():
        if name in before:
            now = value or "(none)"
            yield f"~{inside}  {name}: {now} (was {before[name] or 'not set'})"
        elif name not in _IN_TITLE.get(part.kind, ()):
            yield f"{'+' if sign == '+' else ' '}{inside}  {name}: {value}"
    for one in node.nodes:
        # With the reasons, subnets come after all else.
        if one.part.kind != "subnet":
            yield from _tree(one, depth + 1, stack)
    if stack and part.kind == "target group" and node.action != "removed":
        for said in stack.registered(part.name):
            yield f" {inside}  {said}"


# What of a part stands in its first line.
_IN_TITLE = {
    "load balancer": ("name", "type", "scheme", "addresses"),
    "listener": ("protocol",),
    "rule": ("priority", "action"),
    "target group": ("name", "target type", "protocol", "protocol version", "port"),
    "security group": ("name",),
}


def _title(part: Part) -> str:
    if part.kind == "load balancer":
        what = ", ".join(filter(None, (part["type"], part["scheme"], part["addresses"])))
        return f"load balancer {part['name']}: {what}"
    if part.kind == "listener":
        return f"listener {part['protocol']} {part.name}"
    if part.kind == "rule":
        return f"rule {part['priority']}: {part.name} → {part['action']}"
    if part.kind == "target group":
        spoken = " ".join(filter(None, (part["protocol"], part["protocol version"])))
        to = f"{part['target type']} targets, {spoken} {part['port']}".rstrip()
        return f"target group {part.name} ({part['name']}): {to}"
    if part.kind == "security group" and part["name"]:
        return f"security group {part.name} ({part['name']})"
    return f"{part.kind} {part.name}"


def _stack_json(stack: Stack) -> dict[str, Any]:
    def tree(found: tuple[Part, ...] | None) -> list[dict[str, Any]] | None:
        return None if found is None else [one.to_json() for one in found]

    return {
        "id": stack.id, "kind": stack.kind, "members": list(stack.members),
        "planned": tree(stack.planned), "existing": tree(stack.existing),
        "targets": {key: [vars(one) for one in found] for key, found in stack.targets.items()},
        "subnets": [
            {"id": one.subnet.id, "zone": one.subnet.zone, "verdict": one.verdict, "why": one.why}
            for one in stack.subnets
        ],
        "events": list(stack.events), "model": stack.model,
    }  # fmt: skip
