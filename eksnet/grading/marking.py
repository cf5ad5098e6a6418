"""From a learner's attempts to points: which attempts count, and what has to be looked at. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from eksnet.checkpoints.criteria import Criterion, Definition, Prediction, State
from eksnet.checkpoints.evidence import Attempt
from eksnet.checkpoints.standing import Standing, rank, worth
from eksnet.printable import cell

# As evidence writes it; another one is no time that could be compared.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", re.ASCII)
_SHOWN = 40
COPIED = "copied"


class Which(StrEnum):
    """Which attempt at a checkpoint counts."""

    BEST = "best"
    LAST = "last"


class Source(StrEnum):
    """Where a mark comes from; docs/instructor.md says what each proves.

    `NOTEBOOK` is what the notebook said of a trial of its own while it was replayed.
    """

    EVIDENCE = "evidence"
    LIVE = "live"
    REPLAY = "replay"
    NOTEBOOK = "notebook"
    NONE = "none"


@dataclass(frozen=True)
class Learner:
    """A learner, as the roster has them.

    Attributes:
        id: The name of their submission.
        first_name: Their first name.
        last_name: Their last name.
        email: Their address.
        nonce: The nonce that was given to them alone; empty when none was.
        cluster: The only cluster whose evidence counts; empty when any does.
        target: Where the instructor reaches the learner's cluster; empty when nowhere.
    """

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    nonce: str = ""
    cluster: str = ""
    target: str = ""


@dataclass(frozen=True)
class Rules:
    """How a class is graded.

    Attributes:
        checkpoints: The checkpoints that count.
        which: Which attempt at each of them counts.
        nonces: The nonces that were handed out to the class; empty when none was, and then any
            counts.
    """

    checkpoints: tuple[Definition, ...]
    which: Which = Which.BEST
    nonces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flag:
    """Something about a submission that the instructor has to look at.

    Attributes:
        learner: The learner.
        kind: What it is, in a word or two.
        reason: What was seen, and what follows for the mark.
    """

    learner: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Seen:
    """A criterion as a learner's attempt has it.

    Attributes:
        criterion: What was asked.
        state: How it stood.
        observed: What was observed then.
        expected: What was expected; empty where it was as expected.
        source: Who saw it.
    """

    criterion: Criterion | Prediction
    state: State
    observed: str
    expected: str
    source: Source = Source.EVIDENCE

    @property
    def points(self) -> int:
        """The points that it earned."""
        return self.criterion.points if self.state is State.PASS else 0

    @property
    def share(self) -> str:
        """The points as text; a dash for those that nobody could look at."""
        unknown = self.state is State.CANNOT_CHECK
        return f"{'-' if unknown else self.points} of {self.criterion.points}"


@dataclass(frozen=True)
class Marked:
    """What a learner has at one checkpoint.

    Attributes:
        standing: Its state and points.
        attempt: The attempt that counts; None without any.
    """

    standing: Standing
    attempt: Attempt | None = None

    @property
    def definition(self) -> Definition:
        """The checkpoint."""
        return self.standing.definition

    @property
    def at(self) -> str:
        """When the attempt was made; empty when that is not known."""
        return _time(self.attempt.at) if self.attempt else ""

    @functools.cached_property
    def criteria(self) -> tuple[Seen, ...]:
        """Each criterion as it was seen; none of an attempt that there is not."""
        return tuple(map(self._seen, self.definition.criteria)) if self.attempt else ()

    def unseen(self, source: Source) -> Iterator[Seen]:
        """Yield each criterion as it stands without an attempt."""
        for one in self.definition.criteria:
            yield Seen(one, State.NOT_STARTED, "", "", source)

    def _seen(self, one: Criterion | Prediction) -> Seen:
        assert self.attempt
        observed, expected = self.attempt.seen.get(one.id, ("", ""))
        state = self.attempt.states.get(one.id, State.NOT_STARTED)
        of = self.attempt.sources
        source = Source(of[one.id]) if one.id in of else Source.EVIDENCE
        return Seen(one, state, observed, expected, source)


@dataclass(frozen=True)
class Graded:
    """What a learner has at all checkpoints.

    Attributes:
        learner: The learner.
        source: Where the marks come from.
        marks: One for each checkpoint, in the course's order.
        flags: What has to be looked at.
    """

    learner: Learner
    source: Source
    marks: tuple[Marked, ...]
    flags: tuple[Flag, ...] = ()

    @property
    def points(self) -> int:
        """All points."""
        return sum(mark.standing.points for mark in self.marks)

    @property
    def sources(self) -> str:
        """Where the points come from: each source of one, or what there was to look at."""
        attempts = [mark.attempt for mark in self.marks if mark.attempt]
        if not any(attempt.sources for attempt in attempts):
            return self.source
        seen = [one for mark in self.marks for one in mark.criteria if one.points]
        return " + ".join(sorted({one.source for one in seen})) or self.source

    @property
    def own_flags(self) -> tuple[Flag, ...]:
        """What may be told to the learner: no other learner is named in it."""
        return tuple(flag for flag in self.flags if flag.kind != COPIED)


def grade(
    learner: Learner, attempts: Sequence[Attempt], rules: Rules, foreign: Mapping[str, str]
) -> Graded:
    """Grade what a learner has handed in.

    Args:
        learner: The learner, as the roster has them.
        attempts: All attempts that were handed in.
        rules: What counts.
        foreign: Nonces that were given to one learner alone, and to which one.
    """
    flags: list[Flag] = []
    counted = list(_of_nonce(learner, attempts, rules, foreign, flags))
    counted = list(_of_cluster(learner, counted, rules, flags))
    if not attempts:
        flags.append(Flag(learner.id, "no attempt", "the submission has no attempt"))
    return Graded(learner, Source.EVIDENCE, _marks(counted, rules), tuple(flags))


def nothing(learner: Learner, rules: Rules, flags: Sequence[Flag] = ()) -> Graded:
    """Return the zeros of a learner whose submission is missing, or cannot be read."""
    return Graded(learner, Source.NONE, _marks((), rules), tuple(flags))


def replayed(
    learner: Learner, attempts: Sequence[Attempt], rules: Rules, flags: Sequence[Flag] = ()
) -> Graded:
    """Grade what came of a learner's notebooks when they were run again.

    Args:
        learner: The learner.
        attempts: The attempts, as they were asked meanwhile.
        rules: What counts.
        flags: What has to be looked at.
    """
    return Graded(learner, Source.REPLAY, _marks(attempts, rules), tuple(flags))


def _marks(attempts: Sequence[Attempt], rules: Rules) -> tuple[Marked, ...]:
    of: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        of.setdefault(attempt.checkpoint, []).append(attempt)
    return tuple(_mark(one, of.get(one.id, ()), rules.which) for one in rules.checkpoints)


def _mark(definition: Definition, attempts: Sequence[Attempt], which: Which) -> Marked:
    """Return what the attempt that counts is worth."""
    found: tuple[State, int] = (State.NOT_STARTED, 0)
    counted: Attempt | None = None
    best: tuple[Any, ...] = ()
    for place, attempt in enumerate(attempts):
        state, points = worth(definition, attempt)
        if which is Which.BEST:
            order: tuple[Any, ...] = (rank(state, points), _time(attempt.at), -place)
        else:
            # An attempt at which nobody could look neither earns nor costs anything. Of two in one
            # second it is the one further down the file.
            order = (state is not State.CANNOT_CHECK, _time(attempt.at), place)
        if order > best:
            best, found, counted = order, (state, points), attempt
    return Marked(Standing(definition, *found), counted)


def _of_nonce(
    learner: Learner,
    attempts: Sequence[Attempt],
    rules: Rules,
    foreign: Mapping[str, str],
    flags: list[Flag],
) -> Iterator[Attempt]:
    """Yield the attempts that were made with a nonce that counts; flag the others."""
    right = {learner.nonce} if learner.nonce else set(rules.nonces)
    stale: dict[str, int] = {}
    for attempt in attempts:
        nonce, reached = attempt.binding.nonce, attempt.binding.cluster
        if right and reached and nonce not in right:
            stale[nonce] = stale.get(nonce, 0) + 1
        else:
            yield attempt
    for nonce, count in stale.items():
        owner = foreign.get(nonce)
        if owner and owner != learner.id:
            kind, said = COPIED, f"with the nonce that was given to {owner}"
        else:
            kind = "stale nonce"
            said = f"with the nonce {cell(nonce)[:_SHOWN]!r}" if nonce else "without a nonce"
        said += f", not with {_listed(right)}"
        flags.append(Flag(learner.id, kind, f"{_attempts(count)} made {said}: not counted"))


def _of_cluster(
    learner: Learner, attempts: Sequence[Attempt], rules: Rules, flags: list[Flag]
) -> Iterator[Attempt]:
    """Yield the attempts on the learner's cluster: the roster's, else the one with most points."""
    of: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        of.setdefault(attempt.binding.cluster, []).append(attempt)
    # Nobody could look: such an attempt can have found nothing.
    unreached = of.pop("", [])
    honest = [one for one in unreached if State.PASS not in one.states.values()]
    worth: dict[str, int] = {}
    if of.keys() - {learner.cluster} and len(of) + bool(learner.cluster) > 1:
        worth = {
            cluster: sum(mark.standing.points for mark in _marks(found, rules))
            for cluster, found in of.items()
        }
    own = learner.cluster or max(of, key=lambda one: (worth.get(one, 0), len(of[one])), default="")
    yield from honest
    yield from of.pop(own, ())
    for cluster, found in of.items():
        flags.append(
            Flag(
                learner.id,
                "another cluster",
                f"{_attempts(len(found))} made on {cell(cluster)[:_SHOWN]}, not on "
                f"{cell(own)[:_SHOWN]}: not counted, {worth[cluster]} points",
            )
        )
    if lost := len(unreached) - len(honest):
        flags.append(
            Flag(
                learner.id,
                "another cluster",
                f"{_attempts(lost)} made on no cluster with something passed: not counted",
            )
        )


def _listed(nonces: Collection[str]) -> str:
    return " or ".join(repr(cell(one)[:_SHOWN]) for one in sorted(nonces))


def _attempts(count: int) -> str:
    return "1 attempt was" if count == 1 else f"{count} attempts were"


@functools.lru_cache(maxsize=1024)
def _time(at: str) -> str:
    return at if _TIME.fullmatch(at) else ""
