"""The packet walk: the rules that the first packet of a connection meets on a node, one by one.

Netfilter looks a connection's first packet up in the nat chains, and gives every later packet the
same translation; so the first packet is the one to follow. Its way through the hooks is the
kernel's: prerouting or output first, then the route, then forward or input, then postrouting.

Where a rule asks for what a packet alone does not tell, or does what is not followed here, the walk
goes on as if the rule did nothing, and says so: such rules are its `uncertain` ones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.kubeproxy.conditions import UNTRACKED, Situation
from eksnet.kubeproxy.marks import Marks
from eksnet.kubeproxy.packet import Connection, Packet, connection
from eksnet.kubeproxy.ruleset import Ruleset
from eksnet.kubeproxy.settings import Node
from eksnet.kubeproxy.traversal import ACCEPTED, DROPPED, REJECTED, Step, Traversal
from eksnet.listing import Listing

__all__ = [
    "ACCEPTED",
    "DROPPED",
    "REJECTED",
    "PacketWalk",
    "PacketWalks",
    "Step",
    "packet_walk",
    "packet_walks",
]

_COLUMNS = ("step", "hook", "table", "chain", "match", "why", "packet")


@dataclass(frozen=True, repr=False)
class PacketWalk(Listing[Step]):
    """The rules that a packet met, in order, and what became of it.

    In the column `match` an O is a rule that applied, an X one that did not, and a ? one of the
    `uncertain` ones.

    Attributes:
        verdict: accepted, dropped or rejected; as far as is certain.
        packet: The packet as it came.
        final: The packet as it left the node, or reached a process of it.
        share: The chance that a packet goes this way.
        remembered: The lists of session affinity that now hold the packet's source.
        node: The node.
        hooks: The hooks that the packet came to, in order, whether they have rules or not.
        is_tracked: Whether the kernel keeps an entry for its connection; a rule with `notrack`,
            such as NodeLocal DNSCache's, exempts it, and then no rule of nat applies.
    """

    verdict: str = ACCEPTED
    packet: Packet = field(default=Packet("0.0.0.0", "0.0.0.0"))
    final: Packet = field(default=Packet("0.0.0.0", "0.0.0.0"))
    share: float = 1.0
    remembered: tuple[str, ...] = ()
    node: Node = field(default=Node("", ()))
    hooks: tuple[str, ...] = ()
    is_tracked: bool = True

    @property
    def matched(self) -> PacketWalk:
        """The walk without the rules that certainly did not apply."""
        return _walk_of(self, [step for step in self.items if step.matched or not step.certain])

    @property
    def uncertain(self) -> tuple[Step, ...]:
        """The rules that may have changed the packet or its way, and nobody can tell from here."""
        return tuple(step for step in self.items if not step.certain)

    @property
    def is_translated(self) -> bool:
        """Whether the packet got another destination."""
        before, after = self.packet, self.final
        return (before.destination, before.port) != (after.destination, after.port)

    @property
    def is_masqueraded(self) -> bool:
        """Whether the packet got another source, mostly the node's address and a port of its."""
        before, after = self.packet, self.final
        return (before.source, before.source_port) != (after.source, after.source_port)

    @property
    def backend(self) -> str:
        """Where the packet ends up, as IP:PORT; empty when it is turned away."""
        if self.verdict != ACCEPTED:
            return ""
        port = f":{self.final.port}" if self.final.port else ""
        return f"{self.final.destination}{port}"

    @property
    def connection(self) -> Connection | None:
        """The entry of connection tracking that results; None when there is none."""
        kept = self.is_tracked and self.verdict == ACCEPTED
        return connection(self.packet, self.final) if kept else None

    @property
    def summary(self) -> str:
        """What became of the packet, in one sentence."""
        if not self.uncertain:
            return self._outcome
        number = len(self.uncertain)
        rules = "1 rule" if number == 1 else f"{number} rules"
        return f"{self._outcome}; uncertain, because {rules} could not be evaluated"

    @property
    def _outcome(self) -> str:
        if self.verdict == REJECTED:
            return f"{self.packet} is rejected: the client gets an error at once"
        if self.verdict == DROPPED:
            return f"{self.packet} is dropped: the client waits until it gives up"
        source = f" as a packet of {self._new_source}" if self.is_masqueraded else ""
        if self.is_translated:
            return f"{self.packet} goes to {self.backend}{source}"
        if self.is_masqueraded:
            return f"{self.packet} goes to its own destination{source}"
        if not self.is_tracked:
            return f"{self.packet} goes on unchanged and untracked: no rule of nat applies to it"
        return f"{self.packet} goes on unchanged: no rule translates it"

    @property
    def _new_source(self) -> str:
        return "the node" if self.node.owns(self.final.source) else self.final.source


@dataclass(frozen=True, repr=False)
class PacketWalks(Listing[PacketWalk]):
    """Every way that a packet may go, each with its share."""

    def to(self, backend: str) -> PacketWalk:
        """Return the way to a backend, given as IP or IP:PORT.

        Args:
            backend: The backend, as IP or IP:PORT.

        Raises:
            EksnetError: No way leads there.
        """
        for one in self.items:
            if backend in (one.backend, one.final.destination) and one.verdict == ACCEPTED:
                return one
        known = ", ".join(one.backend or one.verdict for one in self.items)
        raise EksnetError(f"no path leads to {backend}", f"one of {known}")


def packet_walks(
    rules: Ruleset,
    packet: Packet,
    node: Node,
    *,
    remembered: Collection[str] = (),
    incoming: str = "",
    outgoing: str = "",
) -> PacketWalks:
    """Return every way that a packet may go through a node's rules.

    Args:
        rules: The node's rules, predicted or read.
        packet: The packet. From one of the node's own addresses it starts in a process of the node;
            from any other it comes in from a pod or from the network.
        node: The node: which addresses are local depends on it.
        remembered: Names of the session affinity lists that already hold the packet's source:
            KUBE-SEP-… or affinity-….
        incoming: The interface that the packet comes in by, such as `eni1234abcd`, where rules ask
            for it; empty where that is not known.
        outgoing: The interface that it leaves by in the end, such as `eth0`: `ip route get` on the
            node says it.

    Raises:
        EksnetError: Rules lead in a circle, or an interface's name is none.
    """
    here = _begin(rules, packet, node, remembered, incoming, outgoing)
    ahead = [Traversal(here)]
    found: list[tuple[tuple[int, ...], PacketWalk]] = []
    while ahead:
        one = ahead.pop()
        one.go(ahead)
        found.append((one.turns, _walk(one, packet)))
    return PacketWalks.of(
        (walk for _, walk in sorted(found, key=lambda one: one[0])),
        {
            "backend": lambda walk: walk.backend or "-",
            "verdict": lambda walk: walk.verdict + (", uncertain" if walk.uncertain else ""),
            "share": lambda walk: f"{walk.share:.4f}",
            "masqueraded": lambda walk: "yes" if walk.is_masqueraded else "no",
        },
    )


def packet_walk(
    rules: Ruleset,
    packet: Packet,
    node: Node,
    *,
    turns: Sequence[int] = (),
    remembered: Collection[str] = (),
    incoming: str = "",
    outgoing: str = "",
) -> PacketWalk:
    """Return one way that a packet may go through a node's rules.

    Args:
        rules: The node's rules, predicted or read.
        packet: The packet; see `packet_walks`.
        node: The node.
        turns: Which way to go at each choice, in order, from 0; 0 where none is said. A rule of
            iptables with a probability has two ways, applied and not; `numgen … mod n` has n.
        remembered: See `packet_walks`.
        incoming: See `packet_walks`.
        outgoing: See `packet_walks`.

    Raises:
        EksnetError: Rules lead in a circle, a turn is one too many, or an interface's name is none.
    """
    here = _begin(rules, packet, node, remembered, incoming, outgoing)
    one = Traversal(here, tuple(turns))
    one.go([])
    return _walk(one, packet)


def _begin(
    rules: Ruleset,
    packet: Packet,
    node: Node,
    remembered: Collection[str],
    incoming: str,
    outgoing: str,
) -> Situation:
    return Situation(
        rules,
        node,
        frozenset(remembered),
        packet,
        Marks(packet.mark),
        incoming=_interface(incoming, "the incoming interface"),
        outgoing=_interface(outgoing, "the outgoing interface"),
    )


# As the kernel has it: IFNAMSIZ without the final NUL, no slash and no white space.
_INTERFACE = re.compile(r"[^\s/:]{1,15}", re.ASCII)


def _interface(name: str, what: str) -> str | None:
    if name and not _INTERFACE.fullmatch(inputs.text(name, what)):
        raise EksnetError(
            f"{what} is {inputs.shown(name)}",
            "a name of at most 15 characters without blanks and slashes",
            "such as eth0: `ip link` on the node lists them",
        )
    return name or None


def _walk(done: Traversal, came: Packet) -> PacketWalk:
    """Return the walk that a traversal made."""
    walk = PacketWalk(
        _COLUMNS,
        (),
        (),
        done.verdict,
        came,
        done.here.packet,
        done.share,
        done.new_memory,
        done.here.node,
        done.hooks,
        done.here.state != UNTRACKED,
    )
    return _walk_of(walk, done.steps)


def _walk_of(walk: PacketWalk, steps: Sequence[Step]) -> PacketWalk:
    return replace(walk, rows=tuple(step.row for step in steps), items=tuple(steps))
