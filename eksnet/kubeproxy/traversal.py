"""The way of one packet through a node's rules, from hook to hook and from rule to rule."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from eksnet.errors import EksnetError
from eksnet.kubeproxy import effects, parsing
from eksnet.kubeproxy.conditions import (
    CONDITIONS,
    INVALID,
    NEW,
    UNTRACKED,
    Judgement,
    Situation,
    judge,
)
from eksnet.kubeproxy.marks import MARKING
from eksnet.kubeproxy.packet import Packet
from eksnet.kubeproxy.parsing import Statement
from eksnet.kubeproxy.ruleset import Chain

ACCEPTED, DROPPED, REJECTED = "accepted", "dropped", "rejected"
_DEEPEST = 64
# At prerouting and output the kernel looks a packet's connection up with this priority.
_TRACKING = -200
_CHOICES = (parsing.CHANCE, parsing.CHOOSE)
_LOOPBACK = "lo"
_PASSING = (parsing.OTHER, parsing.PASS)


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


class _Choices(NamedTuple):
    """The choices that were met: which way was taken, out of how many, and the share of it."""

    given: tuple[int, ...] = ()
    turns: tuple[int, ...] = ()
    options: tuple[int, ...] = ()
    share: float = 1.0

    def among(self, chances: tuple[float, ...]) -> _Choices:
        """Choose among several ways: as was said, else the first."""
        place = len(self.turns)
        turn = self.given[place] if place < len(self.given) else 0
        if not 0 <= turn < len(chances):
            raise EksnetError(f"turn {turn} at choice {place}", f"0 to {len(chances) - 1}")
        turns, options = (*self.turns, turn), (*self.options, len(chances))
        return _Choices(self.given, turns, options, self.share * chances[turn])


@dataclass
class _Meeting:
    """What one rule comes to, so far.

    Attributes:
        says: What decided, in words.
        doubts: The conditions of which nobody can tell, in words.
        matched: Whether no condition has failed.
        certain: Whether what was done in doubt would change nothing.
        verdict: What the rule leads to.
    """

    says: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    matched: bool = True
    certain: bool = True
    verdict: Statement | None = None

    def fail(self, why: str) -> None:
        """Note a condition that does not hold: then nothing is in doubt."""
        self.matched, self.certain, self.says, self.doubts = False, True, [why], []

    @property
    def why(self) -> str:
        return "; ".join(self.doubts or self.says) or "it has no condition"


_Steps: TypeAlias = "tuple[Step, _Steps] | None"


class Traversal:
    """One way: the packet's situation and place, the steps so far, and the turns taken.

    What changes is replaced and never altered, so at a choice a shallow copy goes the other way.
    """

    def __init__(self, here: Situation, turns: tuple[int, ...] = ()) -> None:
        self.here = here
        # What was said of the way in and out; at each hook the kernel knows only one, or both.
        self._said = (here.incoming, here.outgoing)
        self.verdict = ""
        self.hooks: tuple[str, ...] = ()
        self.new_memory: tuple[str, ...] = ()
        self._came = here.packet
        self._choices = _Choices(turns)
        self._hook = ""
        self._hooks_ahead: tuple[str, ...] = ()
        self._bases: tuple[Chain, ...] = ()
        self._policy = ""
        self._place: _Place | None = None
        # The last step, and those before it in the same form: the ways of a packet share them.
        self._steps: _Steps = None
        self._number = 0

    @property
    def turns(self) -> tuple[int, ...]:
        """The turns taken at the choices, in order."""
        return self._choices.turns

    @property
    def share(self) -> float:
        """The chance that a packet goes this way."""
        return self._choices.share

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps so far, in order."""
        found, steps = list[Step](), self._steps
        while steps is not None:
            step, steps = steps
            found.append(step)
        return tuple(found[::-1])

    def go(self, others: list[Traversal]) -> None:
        """Go on to the end; at each choice, add those who go the other ways to a list.

        Raises:
            EksnetError: Rules lead in a circle, or a turn is one too many.
        """
        while (place := self._next()) is not None:
            rule = place.chain.rules[place.at]
            statements = parsing.parse_rule(rule, self.here.rules.mode)
            forks = any(one.what in _CHOICES for one in statements)
            before = copy.copy(self) if forks else self
            taken = len(self.turns)
            self._place = place._replace(at=place.at + 1)
            self._meet(place, rule, statements)
            others += self._ways_beside(before, taken)
        if len(self._choices.given) > len(self.turns):
            raise EksnetError(
                f"{len(self._choices.given)} turns were said",
                f"at most {len(self.turns)}: so many choices",
            )
        self.verdict = self.verdict or ACCEPTED

    def _ways_beside(self, before: Traversal, taken: int) -> Iterator[Traversal]:
        """Yield those who go other ways at the choices of one rule, as they come to it."""
        given, turns, options, _ = self._choices
        for place in range(max(taken, len(given)), len(turns)):
            for turn in range(1, options[place]):
                other = copy.copy(before)
                other._choices = before._choices._replace(given=(*turns[:place], turn))
                yield other

    # From rule to rule.

    def _next(self) -> _Place | None:
        """Return the place of the next rule; None when the packet goes no further."""
        while not self.verdict:
            place = self._place
            if place is not None and place.at < len(place.chain.rules):
                return place
            if place is not None:
                self._leave(place)
            elif self._bases:
                self._enter_base()
            elif not self._enter_hook():
                break
        return None

    def _leave(self, place: _Place) -> None:
        self._place = place.back
        if self._place is None and self._policy == "drop":
            self.verdict = DROPPED

    def _enter_base(self) -> None:
        """Come to the next chain of a hook; nat's is passed by where nothing is to translate."""
        chain, *rest = self._bases
        self._bases = tuple(rest)
        if self.here.state != UNTRACKED:
            first = self._hook in ("prerouting", "output")
            state = INVALID if first and chain.priority < _TRACKING else NEW
            if state != self.here.state:
                self.here = replace(self.here, state=state)
        done = self._hook in self.here.translated or self.here.state == UNTRACKED
        if chain.kind != "nat" or not done:
            self._place, self._policy = _Place(chain), chain.policy

    def _enter_hook(self) -> bool:
        """Come to the next hook, if there is one."""
        if self._hook in ("", "output", "prerouting"):
            self._hooks_ahead = self._hooks_from_here()
        if not self._hooks_ahead:
            return False
        self._hook, *rest = self._hooks_ahead
        self._hooks_ahead = tuple(rest)
        self.hooks = (*self.hooks, self._hook)
        incoming, outgoing = self._interfaces()
        self.here = replace(self.here, incoming=incoming, outgoing=outgoing)
        self._bases = self.here.rules.bases.get(self._hook, ())
        return True

    def _interfaces(self) -> tuple[str | None, str | None]:
        """Return the interfaces that the kernel knows at this hook; see `Situation`.

        Before the route is known there is none that the packet leaves by. What starts on the node
        gets its route before rules of `output` translate it: the interface that it leaves by in the
        end is not the one that those rules see, if they do.

        Source: Linux, net/ipv4/ip_input.c, ip_forward.c and ip_output.c (since 5.7 postrouting
        knows the way in); tests/kubeproxy/test_kubeproxy_interfaces.py asks the kernel.
        """
        node, (incoming, outgoing) = self.here.node, self._said
        if not node.owns(self._came.source):
            return incoming, "" if self._hook in ("prerouting", "input") else outgoing
        to_itself = node.owns(self.here.packet.destination)
        if self._hook == "output":
            return "", _LOOPBACK if node.owns(self._came.destination) else None
        if self._hook == "postrouting":
            return "", _LOOPBACK if to_itself else outgoing
        return _LOOPBACK, ""

    def _hooks_from_here(self) -> tuple[str, ...]:
        """Return the first hook, or those that come after it: the route decides on them."""
        node = self.here.node
        starts_here = node.owns(self._came.source)
        if not self._hook:
            return ("output",) if starts_here else ("prerouting",)
        ends_here = node.owns(self.here.packet.destination)
        if starts_here:
            # What a process sends to its own node goes out and comes in again.
            return ("postrouting", "input") if ends_here else ("postrouting",)
        return ("input",) if ends_here else ("forward", "postrouting")

    # One rule.

    def _meet(self, place: _Place, rule: str, statements: parsing.Statements) -> None:
        """Meet one rule: note the step, change the packet, go where the rule leads."""
        before, share = self.here.packet, self.share
        meeting = _Meeting()
        for statement in statements:
            self._take(meeting, place, statement)
            if not meeting.matched and statement.what in (*CONDITIONS, parsing.CHANCE):
                break
        self._note(meeting, place.chain, rule, before, self.share / share if share else 0.0)
        if meeting.matched and meeting.verdict is not None:
            self._follow(place, meeting.verdict)

    def _note(
        self, meeting: _Meeting, chain: Chain, rule: str, before: Packet, share: float
    ) -> None:
        self._number += 1
        step = Step(
            self._number,
            self._hook,
            chain.table,
            chain.name,
            rule,
            meeting.matched and not meeting.doubts,
            meeting.why,
            share,
            before,
            self.here.packet,
            meeting.certain,
        )
        self._steps = (step, self._steps)

    def _take(self, meeting: _Meeting, place: _Place, statement: Statement) -> None:
        """Take one statement of a rule in: judge it, do it, or consider that it may be done."""
        if statement.what in CONDITIONS:
            self._judge(meeting, judge(self.here, place.chain, statement))
        elif statement.what == parsing.CHANCE:
            if not meeting.doubts:
                self._judge(meeting, self._chance(statement))
        elif meeting.doubts:
            meeting.certain = not self._perhaps(place, statement) and meeting.certain
        else:
            self._apply(meeting, place.chain, statement)

    def _judge(self, meeting: _Meeting, judgement: Judgement) -> None:
        holds, why = judgement
        if holds is False:
            meeting.fail(why)
        else:
            (meeting.says if holds else meeting.doubts).append(why)

    def _chance(self, statement: Statement) -> Judgement:
        chance = float(statement.values[0])
        self._choices = self._choices.among((chance, 1 - chance))
        taken = self.turns[-1] == 0
        return taken, f"chance {chance:.4g}: {'taken' if taken else 'not taken'}"

    def _follow(self, place: _Place, verdict: Statement) -> None:
        """Go where a verdict leads."""
        if verdict.what in _PASSING:
            return
        if verdict.what in (parsing.JUMP, parsing.GOTO):
            # In the model, a chain that is led to and not there is one without rules.
            target = self._chain(place.chain.table, verdict.values[0])
            back = self._place if verdict.what == parsing.JUMP else place.back
            self._place = place.into(target, back)
        elif verdict.what == parsing.RETURN:
            self._leave(place)
        elif verdict.what in (parsing.DROP, parsing.REJECT):
            self.verdict = DROPPED if verdict.what == parsing.DROP else REJECTED
        else:
            self._place = None

    def _chain(self, table: str, name: str) -> Chain:
        return self.here.rules.chains.get((table, name)) or Chain(table, name)

    # What a rule in doubt may do.

    def _perhaps(self, place: _Place, statement: Statement) -> bool:
        """Take in what may or may not be done; tell whether the packet's way depends on it.

        Marks alone do not count until a rule asks for one of their bits.
        """
        if statement.what in MARKING:
            self.here = replace(self.here, marks=self.here.marks.perhaps(statement))
            return False
        if statement.what == parsing.RETURN:
            return self._rules_perhaps(place._replace(at=place.at + 1))
        if statement.what == parsing.JUMP:
            target = self._chain(place.chain.table, statement.values[0])
            return self._rules_perhaps(place.into(target, place))
        return statement.what != parsing.PASS

    def _rules_perhaps(self, place: _Place) -> bool:
        """Do the same for a chain's rules from a place on: any of them may be met or not."""
        # A list: each rule counts, for the marks that it may change.
        return any([self._rule_perhaps(place, rule) for rule in place.chain.rules[place.at :]])

    def _rule_perhaps(self, place: _Place, rule: str) -> bool:
        found = False
        for statement in parsing.parse_rule(rule, self.here.rules.mode):
            if statement.what in CONDITIONS:
                if judge(self.here, place.chain, statement)[0] is False:
                    break
            elif statement.what not in (parsing.CHANCE, parsing.RETURN):
                found = self._perhaps(place, statement) or found
        return found

    # Effects and verdicts.

    def _apply(self, meeting: _Meeting, chain: Chain, statement: Statement) -> None:
        """Do what a statement says, and note what it leads to when it is a verdict."""
        what, values = statement.what, statement.values
        if what in MARKING:
            self.here = effects.marked(self.here, statement)
        elif what == parsing.NOTRACK:
            self.here = effects.untracked(self.here)
        elif what == parsing.REMEMBER:
            self.new_memory = (*self.new_memory, values[0])
        elif what == parsing.LOOKUP:
            self._lookup(meeting, chain, values)
        elif what == parsing.CHOOSE:
            self._choices = self._choices.among((1 / len(values),) * len(values))
            meeting.says.append(f"one of {len(values)} at random: number {self.turns[-1]}")
            meeting.verdict = _verdict(values[self.turns[-1]])
        else:
            self._decide(meeting, statement)

    def _decide(self, meeting: _Meeting, statement: Statement) -> None:
        meeting.verdict = statement
        if statement.what in effects.TRANSLATING:
            self.here = effects.translated(self.here, statement, self._hook)
        elif statement.what == parsing.OTHER:
            meeting.certain = False
            said = f"the target {statement.values[0]} is not modelled"
            meeting.says.append(parsing.advised(said))

    def _lookup(self, meeting: _Meeting, chain: Chain, values: tuple[str, ...]) -> None:
        packet = self.here.packet
        parts = {
            "ip daddr": packet.destination,
            "meta l4proto": packet.protocol,
            "th dport": str(packet.port),
        }
        key = " . ".join(parts[part] for part in values[1:])
        verdict = self.here.rules.maps.get((chain.table, values[0]), {}).get(key)
        meeting.says.append(f"{key} {'is' if verdict else 'is not'} in @{values[0]}")
        meeting.verdict = _verdict(verdict) if verdict else None
        meeting.matched = meeting.matched and verdict is not None


def _verdict(text: str) -> Statement:
    return parsing.parse_nftables_rule(text)[0]
