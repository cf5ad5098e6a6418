"""The widget *packet stepper*: a packet's way through kube-proxy's rules, one rule at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from traitlets import Bool, Enum, Int

from eksnet.errors import EksnetError
from eksnet.kubeproxy import Node, Packet, PacketWalk, PacketWalks, Ruleset, Step, packet_walks
from eksnet.kubeproxy.services import ServicePort, service_ports
from eksnet.listing import Listing
from eksnet.panel import Panel, Part, Table, Text
from eksnet.widgets.model import Stepper
from eksnet.widgets.packet_path import packet_path

PROTOCOLS = ("tcp", "udp", "icmp")
# Addresses that documentation may use: RFC 5737, TEST-NET-3.
OUTSIDE = "203.0.113.9"
# In the VPC of the sandbox, above the addresses that it gives to pods.
A_POD = {"a pod": "10.0.255.250"}
_SHOWN = 9
_NO_PORTS = "icmp"


@dataclass(frozen=True)
class Scene:
    """The path of a packet: a node, its rules, the possible senders and receivers.

    Attributes:
        node: The node.
        rules: Its rules, by mode.
        destinations: Where a packet may be sent, as address and port, by what it is called.
        clients: The addresses that may send one, by what they are called.
    """

    node: Node
    rules: Mapping[str, Ruleset]
    destinations: Mapping[str, tuple[str, int]]
    clients: Mapping[str, str]


class PacketStepper(Stepper):
    """The way of a connection's first packet.

    Attributes:
        scene: What it is followed through.
        service: Where it is sent, as one of the scene's destinations.
        client: Who sends it, as one of the scene's clients.
        protocol: tcp, udp or icmp, which is what ping sends.
        mode: iptables or nftables, as far as the scene has rules for them.
        passed: Whether rules that do not apply are stepped through too.
        way: Which of the ways that chance may choose, from 0.
    """

    title: ClassVar[str] = "Packet stepper"
    controls: ClassVar[tuple[str, ...]] = ("service", "client", "protocol", "mode", "passed")

    service: str
    client: str
    mode: str
    protocol = Enum(PROTOCOLS, PROTOCOLS[0]).tag(label="protocol")
    passed = Bool(False).tag(label="every rule")
    way = Int(0, min=0)

    def __init__(self, scene: Scene, **settings: Any) -> None:
        self.scene = scene
        self._found: tuple[tuple[str, Packet], PacketWalks] | None = None
        self.add_traits(
            service=_one_of(scene.destinations, "Service").tag(wide=True),
            client=_one_of(scene.clients, "client"),
            mode=_one_of(scene.rules, "mode"),
        )
        super().__init__(**settings)

    @property
    def packet(self) -> Packet:
        """The packet as it is sent."""
        address, port = self.scene.destinations[self.service]
        source = self.scene.clients[self.client]
        if self.protocol == _NO_PORTS:
            return Packet(source, address, protocol=_NO_PORTS)
        return Packet(source, address, port, self.protocol)

    @property
    def walks(self) -> PacketWalks:
        """Every way that the packet may go; found once, for each step asks for them."""
        asked = (self.mode, self.packet)
        if self._found is None or self._found[0] != asked:
            found = packet_walks(self.scene.rules[self.mode], self.packet, self.scene.node)
            self._found = (asked, found)
        return self._found[1]

    @property
    def walk(self) -> PacketWalk:
        """The way that it goes."""
        walks = self.walks
        return walks[self.way % len(walks)]

    @property
    def followed(self) -> PacketWalk:
        """The way as far as it is stepped through: what certainly does not apply when asked for."""
        return self.walk if self.passed else self.walk.matched

    @property
    def path(self) -> tuple[Step, ...]:
        """The steps of the way."""
        return self.followed.items

    @property
    def steps(self) -> int:
        """How many steps the way has; one even where no rule applies."""
        return max(len(self.path), 1)

    @property
    def actions(self) -> Mapping[str, str]:
        """Back, forward, and another choice of chance."""
        return {**super().actions, "choose_again": "Next endpoint"}

    def choose_again(self) -> None:
        """Go the next of the ways that chance may choose, from its start."""
        self.way = (self.way + 1) % len(self.walks)
        self.step = 0

    def panel(self) -> Panel:
        """Return the packet's path, its addresses, the rule where it is, and the way so far."""
        walk, followed = self.walk, self.followed
        path = followed.items
        if not path:
            parts = (packet_path(followed), _addresses(walk.packet, walk.final))
            return Panel(f"{self.place} {walk.summary}.", parts)
        step = path[self.step]
        sentence = f"{self.place} {_step_sentence(step)}"
        shown: list[Part] = [
            packet_path(followed, self.step),
            _addresses(step.before, step.after),
            self._chain(walk, step),
            _way(path, self.step),
        ]
        if self.step == len(path) - 1:
            sentence = f"{sentence} {walk.summary}."
            if walk.connection:
                entry = Text("The entry of connection tracking", str(walk.connection))
                shown.insert(2, entry)
        return Panel(f"{sentence}{self._share(walk)}", tuple(shown))

    def _share(self, walk: PacketWalk) -> str:
        walks = self.walks
        if len(walks) == 1:
            return ""
        way = self.way % len(walks) + 1
        return f"\nWay {way} of {len(walks)}, taken by {walk.share:.1%} of connections."

    def _chain(self, walk: PacketWalk, step: Step) -> Table:
        """Return the chain of a step, the rule marked, as much of it as fits."""
        rules = self.scene.rules[self.mode].chains[step.table, step.chain].rules
        here = _place(rules, walk, step)
        first = max(0, min(here - _SHOWN // 2, len(rules) - _SHOWN))
        shown = rules[first : first + _SHOWN]
        caption = f"Chain {step.chain} of the table {step.table}"
        if len(shown) < len(rules):
            caption += f", rules {first + 1} to {first + len(shown)} of {len(rules)}"
        return Table(caption, Listing(("rule",), tuple((r,) for r in shown), shown), here - first)


def scene(
    services: Iterable[Mapping[str, Any]],
    slices: Iterable[Mapping[str, Any]],
    node: Node,
    rules: Sequence[Ruleset],
    clients: Mapping[str, str],
) -> Scene:
    """Return the scene of a node with its Services.

    Args:
        services: The Services.
        slices: Their EndpointSlices.
        node: The node.
        rules: Its rules, one set for each mode.
        clients: Clients to begin with, by what they are called; a process of the node, an endpoint
            that calls its own Service, and a computer outside are added.

    Raises:
        EksnetError: No Service has an address, or there are no rules.
    """
    endpoint = next(_endpoints(slices, node), None)
    everybody = {
        **{f"{name} {address}": address for name, address in clients.items()},
        **({f"endpoint {endpoint}": endpoint} if endpoint else {}),
        f"the node {node.address}": node.address,
        f"outside {OUTSIDE}": OUTSIDE,
    }
    found = {
        f"{port.name} {what} {address}:{number}": (address, number)
        for service in services
        for port in service_ports(service)
        for what, address, number in _reached(port, node)
    }
    if not found or not rules:
        raise EksnetError(
            f"there are {len(found)} addresses of Services and {len(rules)} sets of rules",
            "at least one of each",
            "give a Service that has a ClusterIP, and the rules of a node",
        )
    return Scene(node, {one.mode: one for one in rules}, found, everybody)


def _reached(port: ServicePort, node: Node) -> Iterator[tuple[str, str, int]]:
    """Yield how a port of a Service is reached: the kind of address, the address, the port."""
    yield "ClusterIP", port.cluster_ip, port.port
    if port.node_port:
        yield "NodePort", node.address, port.node_port
    for address in port.external_ips:
        yield "external IP", address, port.port
    for address in port.load_balancer_ips:
        yield "load balancer", address, port.port


def _endpoints(slices: Iterable[Mapping[str, Any]], node: Node) -> Iterator[str]:
    """Yield the addresses of a node's own endpoints."""
    for one in slices:
        for endpoint in one.get("endpoints") or ():
            if endpoint.get("nodeName") == node.name and one.get("addressType") == "IPv4":
                yield from endpoint["addresses"]


def _one_of(names: Iterable[str], label: str) -> Any:
    values = tuple(names)
    return Enum(values, values[0]).tag(label=label)


def _place(rules: Sequence[str], walk: PacketWalk, step: Step) -> int:
    """Return the index of a step's rule in its chain; built-in chains may hold one text twice."""
    places = [index for index, rule in enumerate(rules) if rule == step.rule]
    met = [one.number for one in walk if _where(one) == _where(step)]
    return places[min(met.index(step.number), len(places) - 1)]


def _where(step: Step) -> tuple[str, str, str, str]:
    return step.hook, step.table, step.chain, step.rule


def _applies(step: Step) -> str:
    if not step.certain:
        return "cannot tell"
    return "yes" if step.matched else "no"


def _step_sentence(step: Step) -> str:
    applies = "applies" if step.matched else "does not apply" if step.certain else "may apply"
    sentence = f"{step.hook}, {step.chain}: the rule {applies}, {step.why}."
    if step.before == step.after:
        return sentence
    return f"{sentence} The packet is now {step.after}."


def _addresses(before: Packet, after: Packet) -> Table:
    rows = tuple(
        (when, *_ends(packet), f"{packet.mark:#x}" if packet.mark else "none")
        for when, packet in (("before", before), ("after", after))
    )
    return Table(
        "The packet", Listing(("at the rule", "source", "destination", "mark"), rows, rows)
    )


def _ends(packet: Packet) -> tuple[str, str]:
    if packet.protocol == _NO_PORTS:
        return packet.source, packet.destination
    # The kernel chooses the port of a masqueraded packet at random.
    source_port = packet.source_port or "any"
    return f"{packet.source}:{source_port}", f"{packet.destination}:{packet.port}"


def _way(path: Sequence[Step], here: int) -> Table:
    rows = Listing.of(
        path,
        {
            "hook": lambda step: step.hook,
            "table": lambda step: step.table,
            "chain": lambda step: step.chain,
            "applies": _applies,
        },
    )
    return Table("The way", rows, here)
