"""The packet walk: the rules that the first packet of a connection meets on a node, one by one.

Netfilter looks a connection's first packet up in the nat chains, and gives every later packet the
same translation; so the first packet is the one to follow. Its way through the hooks is the
kernel's: prerouting or output first, then the route, then forward or input, then postrouting.

Where a rule asks for what a packet alone does not tell, or does what is not followed here, the walk
goes on as if the rule did nothing, and says so: such rules are its `uncertain` ones.
"""

from __future__ import annotations

import copy
import functools
import ipaddress
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from eksnet.errors import EksnetError
from eksnet.kubeproxy import parsing
from eksnet.kubeproxy.marks import MARKING, Marks
from eksnet.kubeproxy.packet import ANY_PORT, Connection, Packet, connection
from eksnet.kubeproxy.parsing import Statement
from eksnet.kubeproxy.ruleset import Chain, Ruleset
from eksnet.kubeproxy.settings import Node
from eksnet.listing import Listing

ACCEPTED, DROPPED, REJECTED = "accepted", "dropped", "rejected"
_DEEPEST = 64
_WITH_PORTS = ("tcp", "udp", "sctp")
_ALL_BITS = 0xFFFFFFFF
# kube-proxy's chains, of either mode, that look for its own mark.
_MASQUERADING = ("KUBE-POSTROUTING", "masquerading")
_CHOICES = (parsing.CHANCE, parsing.CHOOSE)
# What a condition of a rule comes to: it holds or not, None where nobody can tell; and in words.
_Judgement = tuple[bool | None, str]


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
        certain: Whether the rule was understood, or would change nothing in any case.
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
    certain: bool = True

    @functools.cached_property
    def row(self) -> tuple[str, ...]:
        """The step as a row of the walk's table; the many ways of a packet share their steps."""
        mark = ("O" if self.matched else "X") if self.certain else "?"
        place = (str(self.number), self.hook, self.table, self.chain)
        return (*place, mark, self.why, str(self.after))


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
    """

    verdict: str = ACCEPTED
    packet: Packet = field(default=Packet("0.0.0.0", "0.0.0.0"))
    final: Packet = field(default=Packet("0.0.0.0", "0.0.0.0"))
    share: float = 1.0
    remembered: tuple[str, ...] = ()
    node: Node = field(default=Node("", ()))
    hooks: tuple[str, ...] = ()

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
        """The entry of connection tracking that results; None when the packet is turned away."""
        return connection(self.packet, self.final) if self.verdict == ACCEPTED else None

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
        return f"{self.packet} goes on unchanged: no rule translates it"

    @property
    def _new_source(self) -> str:
        return "the node" if self.node.owns(self.final.source) else self.final.source


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
        raise EksnetError(f"no path leads to {backend}", f"one of {known}")


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
        EksnetError: Rules lead in a circle.
    """
    ahead = [_Run(rules, packet, node, frozenset(remembered))]
    found: list[tuple[tuple[int, ...], PacketWalk]] = []
    while ahead:
        run = ahead.pop()
        walk = run.walk(ahead)
        found.append((run.turns, walk))
    walks = tuple(walk for _, walk in sorted(found, key=lambda one: one[0]))
    rows = tuple(
        (
            walk.backend or "-",
            f"{walk.verdict}, uncertain" if walk.uncertain else walk.verdict,
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
        EksnetError: Rules lead in a circle, or a turn is one too many.
    """
    return _Run(rules, packet, node, frozenset(remembered), tuple(turns)).walk([])


def _walk_of(walk: PacketWalk, steps: Sequence[Step]) -> PacketWalk:
    return replace(walk, rows=tuple(step.row for step in steps), items=tuple(steps))


_COLUMNS = ("step", "hook", "table", "chain", "match", "why", "packet")


class _Place(NamedTuple):
    """Where the packet is: the next rule of a chain, and the place to return to."""

    chain: Chain
    at: int = 0
    back: _Place | None = None
    depth: int = 0

    def into(self, chain: Chain, back: _Place | None) -> _Place:
        if self.depth >= _DEEPEST:
            raise EksnetError(
                f"the chain {chain.name} jumps back to itself", "chains without a loop"
            )
        return _Place(chain, 0, back, self.depth + 1)


_Steps: TypeAlias = "tuple[Step, _Steps] | None"


class _Run:
    """One walk: the packet's present form and place, the steps so far, and the turns taken.

    What changes is replaced and never altered, so at a choice a shallow copy goes the other way.
    """

    def __init__(
        self,
        rules: Ruleset,
        packet: Packet,
        node: Node,
        remembered: frozenset[str],
        turns: tuple[int, ...] = (),
    ) -> None:
        self._rules = rules
        self._node = node
        self._remembered = remembered
        self._given = turns
        self._came = packet
        self.packet = packet
        self.turns: tuple[int, ...] = ()
        self._options: tuple[int, ...] = ()
        self._hook = ""
        self._passed: tuple[str, ...] = ()
        self._hooks: tuple[str, ...] = ()
        self._bases: tuple[Chain, ...] = ()
        self._policy = ""
        self._place: _Place | None = None
        # The last step, and those before it in the same form: the ways of a packet share them.
        self._steps: _Steps = None
        self._number = 0
        self._share = 1.0
        self._marks = Marks(packet.mark)
        self._new_memory: tuple[str, ...] = ()
        self._translated: frozenset[str] = frozenset()
        self._says: list[str] = []
        self._verdict = ""

    def walk(self, others: list[_Run]) -> PacketWalk:
        """Go on to the end; at each choice, add those who go the other ways to a list."""
        while (place := self._next()) is not None:
            rule = place.chain.rules[place.at]
            statements = parsing.parse_rule(rule, self._rules.mode)
            forks = any(one.what in _CHOICES for one in statements)
            before = copy.copy(self) if forks else self
            taken = len(self.turns)
            self._place = place._replace(at=place.at + 1)
            self._meet(place, rule, statements)
            others += self._ways_beside(before, taken)
        if len(self._given) > len(self.turns):
            raise EksnetError(
                f"{len(self._given)} turns were given",
                f"at most {len(self.turns)}, the number of choices",
            )
        verdict = self._verdict or ACCEPTED
        outcome = (verdict, self._came, self.packet, self._share, self._new_memory)
        walk = PacketWalk(_COLUMNS, (), (), *outcome, self._node, self._passed)
        return _walk_of(walk, _in_order(self._steps))

    def _ways_beside(self, before: _Run, taken: int) -> Iterator[_Run]:
        """Yield those who go other ways at the choices of one rule, as they come to it."""
        for place in range(max(taken, len(self._given)), len(self.turns)):
            for turn in range(1, self._options[place]):
                other = copy.copy(before)
                other._given = (*self.turns[:place], turn)
                yield other

    # From rule to rule.

    def _next(self) -> _Place | None:
        """Return the place of the next rule; None when the packet goes no further."""
        while not self._verdict:
            place = self._place
            if place is not None and place.at < len(place.chain.rules):
                return place
            if place is not None:
                self._leave(place)
            elif self._bases:
                chain, *rest = self._bases
                self._bases = tuple(rest)
                if chain.kind != "nat" or self._hook not in self._translated:
                    self._place, self._policy = _Place(chain), chain.policy
            elif not self._enter_hook():
                break
        return None

    def _leave(self, place: _Place) -> None:
        self._place = place.back
        if self._place is None and self._policy == "drop":
            self._verdict = DROPPED

    def _enter_hook(self) -> bool:
        """Come to the next hook, if there is one."""
        starts_here = self._node.owns(self._came.source)
        if not self._hook:
            self._hooks = ("output",) if starts_here else ("prerouting",)
        elif self._hook in ("output", "prerouting"):
            ends_here = self._node.owns(self.packet.destination)
            # What a process sends to its own node goes out and comes in again.
            onward = ("input",) if ends_here else ("forward", "postrouting")
            out = ("postrouting", "input") if ends_here else ("postrouting",)
            self._hooks = out if starts_here else onward
        if not self._hooks:
            return False
        self._hook, *rest = self._hooks
        self._hooks = tuple(rest)
        self._passed = (*self._passed, self._hook)
        self._bases = self._rules.bases.get(self._hook, ())
        return True

    def _meet(self, place: _Place, rule: str, statements: parsing.Statements) -> None:
        """Meet one rule: note the step, change the packet, go where the rule leads."""
        chain, before, share = place.chain, self.packet, self._share
        self._says, doubts = [], list[str]()
        matched, certain, verdict = True, True, None
        for statement in statements:
            if statement.what in _JUDGES:
                if doubts and statement.what == parsing.CHANCE:
                    continue
                holds, said = _JUDGES[statement.what](self, chain, statement)
                if holds is False:
                    matched, self._says, doubts = False, [said], []
                    certain = True
                    break
                (self._says if holds else doubts).append(said)
            elif doubts:
                certain = not self._perhaps(place, statement) and certain
            else:
                verdict = self._apply(chain, statement)
                matched = matched and (verdict is not None or statement.what != parsing.LOOKUP)
                certain = certain and statement.what != parsing.OTHER
        self._number += 1
        self._steps = (
            Step(
                self._number,
                self._hook,
                chain.table,
                chain.name,
                rule,
                matched and not doubts,
                "; ".join(doubts or self._says) or "it has no condition",
                self._share / share if share else 0.0,
                before,
                self.packet,
                certain,
            ),
            self._steps,
        )
        if matched and verdict is not None:
            self._follow(place, verdict)

    def _follow(self, place: _Place, verdict: Statement) -> None:
        if verdict.what in (parsing.OTHER, parsing.PASS):
            return
        if verdict.what in (parsing.JUMP, parsing.GOTO):
            # In the model, a chain that is led to and not there is one without rules.
            target = self._chain(place.chain.table, verdict.values[0])
            back = self._place if verdict.what == parsing.JUMP else place.back
            self._place = place.into(target, back)
        elif verdict.what == parsing.RETURN:
            self._leave(place)
        elif verdict.what in (parsing.DROP, parsing.REJECT):
            self._verdict = DROPPED if verdict.what == parsing.DROP else REJECTED
        else:
            self._place = None

    def _chain(self, table: str, name: str) -> Chain:
        return self._rules.chains.get((table, name)) or Chain(table, name)

    def _perhaps(self, place: _Place, statement: Statement) -> bool:
        """Take in what may or may not be done; tell whether the packet's way depends on it.

        Marks alone do not count until a rule asks for one of their bits.
        """
        chain = place.chain
        if statement.what in MARKING:
            self._marks = self._marks.perhaps(statement)
            return False
        if statement.what == parsing.RETURN:
            return self._rules_perhaps(place._replace(at=place.at + 1))
        if statement.what == parsing.JUMP:
            target = self._chain(chain.table, statement.values[0])
            return self._rules_perhaps(place.into(target, place))
        return statement.what != parsing.PASS

    def _rules_perhaps(self, place: _Place) -> bool:
        """Do the same for a chain's rules from a place on: any of them may be met or not."""
        found = False
        for rule in place.chain.rules[place.at :]:
            for statement in parsing.parse_rule(rule, self._rules.mode):
                if statement.what in _JUDGES and statement.what != parsing.CHANCE:
                    if _JUDGES[statement.what](self, place.chain, statement)[0] is False:
                        break
                elif statement.what not in (parsing.CHANCE, parsing.RETURN):
                    found = self._perhaps(place, statement) or found
        return found

    # Conditions.

    def _address(self, chain: Chain, statement: Statement) -> _Judgement:
        ours = self.packet.source if statement.what == parsing.SOURCE else self.packet.destination
        try:
            inside = any(self._contains(chain.table, ours, value) for value in statement.values)
        except ValueError:
            return None, f"cannot tell whether {ours} is in {', '.join(statement.values)}"
        return _judged(f"{statement.what} {ours}", inside, statement, "is in", "is not in")

    def _contains(self, table: str, address: str, value: str) -> bool:
        if not value.startswith("@"):
            return _within(address, value)
        if value[1:] in self._remembered:
            return True
        elements = self._elements(table, value)
        return address in elements or any(
            _within(address, one) for one in elements if "/" in one or "-" in one
        )

    def _elements(self, table: str, value: str) -> tuple[str, ...]:
        """Return what a named set holds.

        Raises:
            ValueError: It is not there.
        """
        if (table, value[1:]) not in self._rules.sets:
            raise ValueError(value)
        return self._rules.sets[table, value[1:]].elements

    def _protocol(self, chain: Chain, statement: Statement) -> _Judgement:
        if statement.values[0].startswith("@"):
            return self._cannot_tell(chain, statement)
        fits = self.packet.protocol in statement.values or statement.values == ("all",)
        return _judged(f"protocol {self.packet.protocol}", fits, statement, "is", "is not")

    def _port(self, chain: Chain, statement: Statement) -> _Judgement:
        if self.packet.protocol not in _WITH_PORTS:
            return False, f"{self.packet.protocol} has no ports"
        try:
            values = [
                one
                for value in statement.values
                for one in (self._elements(chain.table, value) if value[:1] == "@" else (value,))
            ]
            ranges = [value.replace("-", ":").partition(":") for value in values]
            fits = any(int(a) <= self.packet.port <= int(b or a) for a, _, b in ranges)
        except ValueError:
            return None, f"cannot tell whether the port is {', '.join(statement.values)}"
        return _judged(f"destination port {self.packet.port}", fits, statement, "is", "is not")

    def _type(self, chain: Chain, statement: Statement) -> _Judgement:
        from_source = statement.what == parsing.SOURCE_TYPE
        address = self.packet.source if from_source else self.packet.destination
        fits = self._node.owns(address)
        types = {value.lower() for value in statement.values}
        if types != {"local"} and not (fits and "local" in types):
            return None, f"cannot tell whether {address} is of type {', '.join(statement.values)}"
        side = "source" if from_source else "destination"
        return _judged(f"{side} {address}", fits, statement, "is", "is not", "the node's own")

    def _state(self, chain: Chain, statement: Statement) -> _Judgement:
        said = {value.lower() for value in statement.values}
        now = {"new"} | ({"dnat"} if self._translated & {"prerouting", "output"} else set())
        wanted = " or ".join(sorted(said))
        return _judged("state new", bool(said & now), statement, "is", "is not", wanted)

    def _marked(self, chain: Chain, statement: Statement) -> _Judgement:
        of_packet = statement.what == parsing.MARK
        mark, doubt = self._marks[0 if of_packet else 1], self._marks[2 if of_packet else 3]
        value, _, mask = statement.values[0].partition("/")
        bits = int(mask, 0) if mask else _ALL_BITS
        called = _mark_called(statement.what, bits, chain)
        if bits & doubt:
            return None, f"cannot tell whether {called} is set"
        wanted, here = int(value, 0), mark & bits
        fits = here == wanted
        if wanted in (0, bits) and here in (0, bits):
            said = f"{called} is{'' if here else ' not'} set"
        else:
            said = f"the {statement.what} is {here:#x}" + ("" if fits else f", not {wanted:#x}")
        return fits != statement.negated, said

    def _chance(self, chain: Chain, statement: Statement) -> _Judgement:
        chance = float(statement.values[0])
        taken = self._fork((chance, 1 - chance)) == 0
        return taken, f"chance {chance:.4g}: {'taken' if taken else 'not taken'}"

    def _is_remembered(self, chain: Chain, statement: Statement) -> _Judgement:
        name = statement.values[0]
        fits = name in self._remembered
        source = f"source {self.packet.source}"
        return _judged(source, fits, statement, "is remembered in", "is not remembered in")

    def _cannot_tell(self, chain: Chain, statement: Statement) -> _Judgement:
        return None, f"cannot tell: {statement.what} {_advised(', '.join(statement.values))}"

    # Effects and verdicts.

    def _apply(self, chain: Chain, statement: Statement) -> Statement | None:
        """Do what a statement says; return it, or what it leads to, when it is a verdict."""
        what, values = statement.what, statement.values
        if what in MARKING:
            self._marks = self._marks.after(statement)
            self.packet = replace(self.packet, mark=self._marks.packet)
            return None
        if what == parsing.REMEMBER:
            self._new_memory = (*self._new_memory, values[0])
            return None
        if what == parsing.LOOKUP:
            return self._lookup(chain, values)
        if what == parsing.CHOOSE:
            chosen = self._fork((1 / len(values),) * len(values))
            self._says.append(f"one of {len(values)} at random: number {chosen}")
            return _verdict(values[chosen])
        if what in (parsing.DNAT, parsing.SNAT, parsing.MASQUERADE):
            self._translated |= {self._hook}
            self.packet = self._translation(statement)
        elif what == parsing.OTHER:
            self._says.append(_advised(f"the target {values[0]} is not modelled"))
        return statement

    def _translation(self, statement: Statement) -> Packet:
        if statement.what == parsing.MASQUERADE:
            return replace(self.packet, source=self._node.address, source_port=ANY_PORT)
        to, *flags = statement.values
        ip, _, port = to.partition(":")
        if statement.what == parsing.DNAT:
            return replace(self.packet, destination=ip, port=int(port or self.packet.port))
        # Without a flag, the kernel keeps the port where it can.
        random = any("random" in flag for flag in flags)
        kept = ANY_PORT if random else self.packet.source_port
        return replace(self.packet, source=ip, source_port=int(port or kept))

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
        self._options = (*self._options, len(chances))
        self._share *= chances[turn]
        return turn


def _judged(
    ours: str, fits: bool, statement: Statement, yes: str, no: str, said: str = ""
) -> _Judgement:
    """Return whether a condition holds, and what is so, in words."""
    wanted = said or " or ".join(statement.values)
    if fits and ours.endswith(f" {wanted}"):
        return not statement.negated, f"{ours.removesuffix(wanted)}is {wanted}"
    return fits != statement.negated, f"{ours} {yes if fits else no} {wanted}"


def _advised(said: str) -> str:
    """Return what was said of a part that is not followed, and what to do where that helps."""
    return f"{said}: {parsing.OTHER_VERSION}" if parsing.UNSUPPORTED in said else said


def _mark_called(what: str, bits: int, chain: Chain) -> str:
    """Return what the bits of a mark are called that a rule asks for, and what they are for."""
    if what == parsing.MARK and chain.name in _MASQUERADING:
        return f"the {what} {bits:#x}, which requests masquerading,"
    return f"the {what} {bits:#x}" if bits != _ALL_BITS else f"the {what}"


def _in_order(steps: _Steps) -> list[Step]:
    found = []
    while steps is not None:
        step, steps = steps
        found.append(step)
    return found[::-1]


def _within(address: str, network: str) -> bool:
    if network == address or network == f"{address}/32":
        return True
    first, dash, last = network.partition("-")
    if dash:
        here = ipaddress.ip_address(address)
        return int(ipaddress.ip_address(first)) <= int(here) <= int(ipaddress.ip_address(last))
    if not network[:1].isdigit():
        raise ValueError(network)
    if "/" not in network or network.endswith("/32"):
        return False
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)


def _verdict(text: str) -> Statement:
    return parsing.parse_nftables_rule(text)[0]


_JUDGES: dict[str, Callable[[_Run, Chain, Statement], _Judgement]] = {
    parsing.SOURCE: _Run._address,
    parsing.DESTINATION: _Run._address,
    parsing.PROTOCOL: _Run._protocol,
    parsing.PORT: _Run._port,
    parsing.SOURCE_TYPE: _Run._type,
    parsing.DESTINATION_TYPE: _Run._type,
    parsing.STATE: _Run._state,
    parsing.MARK: _Run._marked,
    parsing.CONNECTION_MARK: _Run._marked,
    parsing.CHANCE: _Run._chance,
    parsing.REMEMBERED: _Run._is_remembered,
    parsing.INCOMING: _Run._cannot_tell,
    parsing.OUTGOING: _Run._cannot_tell,
    parsing.UNKNOWN: _Run._cannot_tell,
}
