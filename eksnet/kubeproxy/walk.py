"""The packet walk: the rules that the first packet of a connection meets on a node, one by one.

Netfilter looks a connection's first packet up in the nat chains, and gives every later packet the
same translation; so the first packet is the one to follow. Its way through the hooks is the
kernel's: prerouting or output first, then the route, then forward or input, then postrouting.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from eksnet.errors import EksnetError
from eksnet.kubeproxy import reading
from eksnet.kubeproxy.packet import ANY_PORT, Connection, Packet, connection
from eksnet.kubeproxy.reading import Statement
from eksnet.kubeproxy.ruleset import Chain, Ruleset
from eksnet.kubeproxy.settings import Node
from eksnet.listing import Listing

ACCEPTED, DROPPED, REJECTED = "accepted", "dropped", "rejected"
_DEEPEST = 64


@dataclass(frozen=True)
class Step:
    """One rule that the packet met.

    Attributes:
        number: Its place in the walk, from 1.
        hook: prerouting, input, forward, output or postrouting.
        table: The table.
        chain: The chain.
        rule: The rule's text.
        matched: Whether the rule applied.
        why: What decided it, in words.
        share: The chance of going this way at this rule: 1 unless it is a choice.
        before: The packet when it came to the rule.
        after: The packet when it left it.
    """

    number: int
    hook: str
    table: str
    chain: str
    rule: str
    matched: bool
    why: str
    share: float
    before: Packet
    after: Packet


@dataclass(frozen=True, repr=False)
class PacketWalk(Listing[Step]):
    """The rules that a packet met, in order, and what became of it.

    Attributes:
        verdict: accepted, dropped or rejected.
        packet: The packet as it came.
        final: The packet as it left the node, or reached a process of it.
        share: The chance that a packet goes this way.
        remembered: The lists of session affinity that now hold the packet's source.
    """

    verdict: str = ACCEPTED
    packet: Packet = field(default=Packet("0.0.0.0", "0.0.0.0"))
    final: Packet = field(default=Packet("0.0.0.0", "0.0.0.0"))
    share: float = 1.0
    remembered: tuple[str, ...] = ()

    @property
    def matched(self) -> PacketWalk:
        """The walk without the rules that did not apply."""
        return _walk_of(self, [step for step in self.items if step.matched])

    @property
    def is_translated(self) -> bool:
        """Whether the packet got another destination."""
        before, after = self.packet, self.final
        return (before.destination, before.port) != (after.destination, after.port)

    @property
    def is_masqueraded(self) -> bool:
        """Whether the packet got the node's address as its source, and a port of the node's."""
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
        """The entry of connection tracking that results; None when the packet is turned away."""
        return connection(self.packet, self.final) if self.verdict == ACCEPTED else None

    @property
    def summary(self) -> str:
        """What became of the packet, in one sentence."""
        if self.verdict == REJECTED:
            return f"{self.packet} is rejected: the client is told at once"
        if self.verdict == DROPPED:
            return f"{self.packet} is dropped: the client waits until it gives up"
        if not self.is_translated:
            return f"{self.packet} goes on unchanged: no rule translates it"
        source = " as a packet of the node" if self.is_masqueraded else ""
        return f"{self.packet} goes to {self.backend}{source}"


@dataclass(frozen=True, repr=False)
class PacketWalks(Listing[PacketWalk]):
    """Every way that a packet may go, each with its share."""

    def to(self, backend: str) -> PacketWalk:
        """Return the way to a backend, given as IP or IP:PORT.

        Raises:
            EksnetError: No way leads there.
        """
        for one in self.items:
            if backend in (one.backend, one.final.destination) and one.verdict == ACCEPTED:
                return one
        known = ", ".join(one.backend or one.verdict for one in self.items)
        raise EksnetError(f"no way leads to {backend}", f"one of {known}")


def packet_walks(
    rules: Ruleset, packet: Packet, node: Node, *, remembered: Collection[str] = ()
) -> PacketWalks:
    """Return every way that a packet may go through a node's rules.

    Args:
        rules: The node's rules, predicted or read.
        packet: The packet. From one of the node's own addresses it starts in a process of the node;
            from any other it comes in from a pod or from the network.
        node: The node: which addresses are local depends on it.
        remembered: Names of the session affinity lists that already hold the packet's source:
            KUBE-SEP-… or affinity-….

    Raises:
        EksnetError: A rule leads to a chain or map that is not there, or in a circle.
    """
    found: list[tuple[tuple[int, ...], PacketWalk]] = []
    ahead: list[tuple[int, ...]] = [()]
    while ahead:
        turns = ahead.pop()
        run = _Run(rules, packet, node, frozenset(remembered), turns)
        found.append((turns, run.walk()))
        for place in range(len(turns), len(run.forks)):
            others = range(1, len(run.forks[place]))
            ahead += [(*run.turns[:place], other) for other in others]
    walks = tuple(walk for _, walk in sorted(found, key=lambda one: one[0]))
    rows = tuple(
        (
            walk.backend or "-",
            walk.verdict,
            f"{walk.share:.4f}",
            "yes" if walk.is_masqueraded else "no",
        )
        for walk in walks
    )
    return PacketWalks(("backend", "verdict", "share", "masqueraded"), rows, walks)


def packet_walk(
    rules: Ruleset,
    packet: Packet,
    node: Node,
    *,
    turns: Sequence[int] = (),
    remembered: Collection[str] = (),
) -> PacketWalk:
    """Return one way that a packet may go through a node's rules.

    Args:
        rules: The node's rules, predicted or read.
        packet: The packet; see `packet_walks`.
        node: The node.
        turns: Which way to go at each choice, in order, from 0; 0 where none is said. A rule of
            iptables with a probability has two ways, applied and not; `numgen … mod n` has n.
        remembered: See `packet_walks`.

    Raises:
        EksnetError: A rule leads to a chain or map that is not there, or in a circle; or a turn is
            one too many.
    """
    return _Run(rules, packet, node, frozenset(remembered), tuple(turns)).walk()


def _walk_of(walk: PacketWalk, steps: Sequence[Step]) -> PacketWalk:
    rows = tuple(
        (
            str(step.number),
            step.hook,
            step.table,
            step.chain,
            "O" if step.matched else "X",
            step.why,
            str(step.after),
        )
        for step in steps
    )
    return replace(walk, rows=rows, items=tuple(steps))


_COLUMNS = ("step", "hook", "table", "chain", "match", "why", "packet")


class _Final(Exception):  # noqa: N818 - it ends a walk, it is no error
    """The packet goes no further."""


class _Run:
    """One walk: the packet's present form, the steps so far, and the turns that were taken."""

    def __init__(
        self,
        rules: Ruleset,
        packet: Packet,
        node: Node,
        remembered: frozenset[str],
        turns: tuple[int, ...],
    ) -> None:
        self._rules = rules
        self._node = node
        self._remembered = remembered
        self._given = turns
        self._came = packet
        self.packet = packet
        self.turns: tuple[int, ...] = ()
        self.forks: list[tuple[float, ...]] = []
        self._steps: list[Step] = []
        self._share = 1.0
        self._new_memory: list[str] = []
        self._translated: set[str] = set()
        self._hook = ""
        self._says: list[str] = []
        self._verdict = ACCEPTED

    def walk(self) -> PacketWalk:
        try:
            for hook in self._hooks():
                self._pass(hook)
        except _Final:
            pass
        if len(self._given) > len(self.turns):
            raise EksnetError(
                f"{len(self._given)} turns were said", f"at most {len(self.turns)}: so many choices"
            )
        walk = PacketWalk(
            _COLUMNS,
            (),
            (),
            self._verdict,
            self._came,
            self.packet,
            self._share,
            tuple(self._new_memory),
        )
        return _walk_of(walk, self._steps)

    def _hooks(self) -> Iterator[str]:
        starts_here = self._node.owns(self.packet.source)
        yield "output" if starts_here else "prerouting"
        ends_here = self._node.owns(self.packet.destination)
        if ends_here:
            # What a process sends to its own node goes out and comes in again.
            yield from ("postrouting", "input") if starts_here else ("input",)
        else:
            yield from ("postrouting",) if starts_here else ("forward", "postrouting")

    def _pass(self, hook: str) -> None:
        self._hook = hook
        chains = [chain for chain in self._rules.chains.values() if chain.hook == hook]
        for chain in sorted(chains, key=lambda chain: chain.priority):
            if chain.kind == "nat" and hook in self._translated:
                continue
            if not self._enter(chain, 0) and chain.policy == "drop":
                self._end(DROPPED)

    def _enter(self, chain: Chain, depth: int) -> bool:
        """Go through a chain's rules; return whether one of them decided for the base chain."""
        if depth > _DEEPEST:
            raise EksnetError(
                f"the chain {chain.name} leads back to itself", "chains without a circle"
            )
        for rule in chain.rules:
            verdict = self._meet(chain, rule)
            if verdict is None or verdict.what == reading.OTHER:
                continue
            if verdict.what == reading.RETURN:
                return False
            if verdict.what in (reading.JUMP, reading.GOTO):
                decided = self._enter(self._chain(chain.table, verdict.values[0]), depth + 1)
                if decided or verdict.what == reading.GOTO:
                    return decided
                continue
            return True
        return False

    def _chain(self, table: str, name: str) -> Chain:
        if (table, name) not in self._rules.chains:
            # iptables-save lists every chain; kube-proxy's model leaves out the empty ones.
            return Chain(table, name)
        return self._rules.chains[table, name]

    def _meet(self, chain: Chain, rule: str) -> Statement | None:
        """Meet one rule: note the step, change the packet, return the verdict if there is one."""
        before, self._says, share = self.packet, [], self._share
        matched, verdict = True, None
        for statement in reading.read(rule, self._rules.mode):
            if statement.what in _JUDGES:
                if not self._holds(chain, statement):
                    matched = False
                    break
            else:
                verdict = self._apply(chain, statement)
                if verdict is None and statement.what == reading.LOOKUP:
                    matched = False
        why = "; ".join(self._says) or "it has no condition"
        taken = self._share / share if share else 0.0
        place = (len(self._steps) + 1, self._hook, chain.table, chain.name, rule)
        self._steps.append(Step(*place, matched, why, taken, before, self.packet))
        if not matched:
            return None
        if verdict is not None and verdict.what in (reading.DROP, reading.REJECT):
            self._end(DROPPED if verdict.what == reading.DROP else REJECTED)
        return verdict

    def _end(self, verdict: str) -> None:
        self._verdict = verdict
        raise _Final

    # Conditions.

    def _holds(self, chain: Chain, statement: Statement) -> bool:
        holds, said = _JUDGES[statement.what](self, chain, statement)
        self._says = [*(self._says if holds else []), said]
        return holds

    def _address(self, chain: Chain, statement: Statement) -> tuple[bool, str]:
        ours = self.packet.source if statement.what == reading.SOURCE else self.packet.destination
        try:
            inside = any(self._contains(chain.table, ours, value) for value in statement.values)
        except ValueError:
            return False, f"cannot tell whether {ours} is in {', '.join(statement.values)}"
        return _judged(f"{statement.what} {ours}", inside, statement, "is in", "is not in")

    def _contains(self, table: str, address: str, value: str) -> bool:
        if value.startswith("@"):
            known = self._rules.sets.get((table, value[1:]))
            return value[1:] in self._remembered or (
                known is not None and address in known.elements
            )
        return _within(address, value)

    def _protocol(self, chain: Chain, statement: Statement) -> tuple[bool, str]:
        fits = self.packet.protocol in statement.values or statement.values == ("all",)
        return _judged(f"protocol {self.packet.protocol}", fits, statement, "is", "is not")

    def _port(self, chain: Chain, statement: Statement) -> tuple[bool, str]:
        ranges = [value.replace("-", ":").partition(":") for value in statement.values]
        try:
            fits = any(int(a) <= self.packet.port <= int(b or a) for a, _, b in ranges)
        except ValueError:
            return False, f"cannot tell whether the port is {', '.join(statement.values)}"
        return _judged(f"destination port {self.packet.port}", fits, statement, "is", "is not")

    def _type(self, chain: Chain, statement: Statement) -> tuple[bool, str]:
        from_source = statement.what == reading.SOURCE_TYPE
        address = self.packet.source if from_source else self.packet.destination
        if statement.values[0].lower() != "local":
            return False, f"cannot tell whether {address} is of type {statement.values[0]}"
        side = "source" if from_source else "destination"
        fits = self._node.owns(address)
        return _judged(f"{side} {address}", fits, statement, "is", "is not", "the node's own")

    def _state(self, chain: Chain, statement: Statement) -> tuple[bool, str]:
        said = {value.lower() for value in statement.values}
        now = {"new"} | ({"dnat"} if self._translated & {"prerouting", "output"} else set())
        wanted = " or ".join(sorted(said))
        return _judged("state new", bool(said & now), statement, "is", "is not", wanted)

    def _marked(self, chain: Chain, statement: Statement) -> tuple[bool, str]:
        value, _, mask = statement.values[0].partition("/")
        fits = self.packet.mark & int(mask or "0xffffffff", 0) == int(value, 0)
        return _judged(f"mark {self.packet.mark:#x}", fits, statement, "fits", "does not fit")

    def _chance(self, chain: Chain, statement: Statement) -> tuple[bool, str]:
        chance = float(statement.values[0])
        taken = self._fork((chance, 1 - chance)) == 0
        return taken, f"chance {chance:.4g}: {'taken' if taken else 'not taken'}"

    def _is_remembered(self, chain: Chain, statement: Statement) -> tuple[bool, str]:
        name = statement.values[0]
        fits = name in self._remembered
        source = f"source {self.packet.source}"
        return _judged(source, fits, statement, "is remembered in", "is not remembered in")

    def _cannot_tell(self, chain: Chain, statement: Statement) -> tuple[bool, str]:
        return False, f"cannot tell: {statement.what} {', '.join(statement.values)}"

    # Effects and verdicts.

    def _apply(self, chain: Chain, statement: Statement) -> Statement | None:
        what, values = statement.what, statement.values
        if what == reading.SET_MARK:
            mark = (self.packet.mark & ~int(values[1], 0)) ^ int(values[0], 0)
            self.packet = replace(self.packet, mark=mark & 0xFFFFFFFF)
        elif what == reading.REMEMBER:
            self._new_memory.append(values[0])
        elif what == reading.DNAT:
            ip, _, port = values[0].partition(":")
            self._translated.add(self._hook)
            self.packet = replace(self.packet, destination=ip, port=int(port or self.packet.port))
            return statement
        elif what == reading.MASQUERADE:
            self._translated.add(self._hook)
            own = self._node.addresses[0]
            self.packet = replace(self.packet, source=own, source_port=ANY_PORT)
            return statement
        elif what == reading.LOOKUP:
            return self._lookup(chain, values)
        elif what == reading.CHOOSE:
            chosen = self._fork((1 / len(values),) * len(values))
            self._says.append(f"one of {len(values)} at random: number {chosen}")
            return _verdict(values[chosen])
        else:
            if what == reading.OTHER:
                self._says.append(f"what {values[0]} does is not followed")
            return statement
        return None

    def _lookup(self, chain: Chain, values: tuple[str, ...]) -> Statement | None:
        parts = {
            "ip daddr": self.packet.destination,
            "meta l4proto": self.packet.protocol,
            "th dport": str(self.packet.port),
        }
        key = " . ".join(parts[part] for part in values[1:])
        verdict = self._rules.maps.get((chain.table, values[0]), {}).get(key)
        self._says.append(f"{key} {'is' if verdict else 'is not'} in @{values[0]}")
        return _verdict(verdict) if verdict else None

    def _fork(self, chances: tuple[float, ...]) -> int:
        """Choose among several ways: as was said, else the first."""
        place = len(self.turns)
        turn = self._given[place] if place < len(self._given) else 0
        if not 0 <= turn < len(chances):
            raise EksnetError(f"turn {turn} at choice {place}", f"0 to {len(chances) - 1}")
        self.turns = (*self.turns, turn)
        self.forks.append(chances)
        self._share *= chances[turn]
        return turn


def _judged(
    ours: str, fits: bool, statement: Statement, yes: str, no: str, said: str = ""
) -> tuple[bool, str]:
    """Return whether a condition holds, and what is so, in words."""
    wanted = said or " or ".join(statement.values)
    if fits and ours.endswith(f" {wanted}"):
        return not statement.negated, f"{ours.removesuffix(wanted)}is {wanted}"
    return fits != statement.negated, f"{ours} {yes if fits else no} {wanted}"


def _within(address: str, network: str) -> bool:
    if network == address or network == f"{address}/32":
        return True
    first, dash, last = network.partition("-")
    if dash:
        here = ipaddress.ip_address(address)
        return int(ipaddress.ip_address(first)) <= int(here) <= int(ipaddress.ip_address(last))
    if "/" not in network or network.endswith("/32"):
        return False
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)


def _verdict(text: str) -> Statement:
    return reading.read_nftables(text)[0]


_JUDGES: dict[str, Callable[[_Run, Chain, Statement], tuple[bool, str]]] = {
    reading.SOURCE: _Run._address,
    reading.DESTINATION: _Run._address,
    reading.PROTOCOL: _Run._protocol,
    reading.PORT: _Run._port,
    reading.SOURCE_TYPE: _Run._type,
    reading.DESTINATION_TYPE: _Run._type,
    reading.STATE: _Run._state,
    reading.MARK: _Run._marked,
    reading.CHANCE: _Run._chance,
    reading.REMEMBERED: _Run._is_remembered,
    reading.INCOMING: _Run._cannot_tell,
    reading.OUTGOING: _Run._cannot_tell,
    reading.UNKNOWN: _Run._cannot_tell,
}
