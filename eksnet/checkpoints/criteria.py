"""What a checkpoint asks of a cluster: criteria as data, each with one short function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eksnet.cluster import Cluster


class State(StrEnum):
    """How a criterion, or a whole checkpoint, stands."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_STARTED = "NOT_STARTED"
    CANNOT_CHECK = "CANNOT_CHECK"


@dataclass(frozen=True)
class Observation:
    """What was seen of one fact.

    Attributes:
        state: How it stands.
        observed: What was seen, in words that are the same in every run: no times, no generated
            names.
        expected: What should have been there; empty when it is.
        next_step: The command or action that comes next; empty when none does. Several commands
            stand below a sentence, a line each; see `then`.
        predicted: What the learner had predicted in its place; empty where nothing was.
        retryable: Whether it may come by itself, so that looking again makes sense.
    """

    state: State
    observed: str
    expected: str = ""
    next_step: str = ""
    predicted: str = ""
    retryable: bool = False


def passed(observed: str) -> Observation:
    """Return that it is as it should be."""
    return Observation(State.PASS, observed)


def failed(observed: str, expected: str, next_step: str) -> Observation:
    """Return that it is otherwise."""
    return Observation(State.FAIL, observed, expected, next_step)


def not_yet(observed: str, expected: str, next_step: str) -> Observation:
    """Return that it is otherwise, and may come by itself: a failure once the wait is over."""
    return Observation(State.FAIL, observed, expected, next_step, retryable=True)


def not_started(observed: str, expected: str, next_step: str) -> Observation:
    """Return that nobody has begun."""
    return Observation(State.NOT_STARTED, observed, expected, next_step)


def cannot_check(observed: str, expected: str, next_step: str) -> Observation:
    """Return that it could not be looked at: neither right nor wrong."""
    return Observation(State.CANNOT_CHECK, observed, expected, next_step)


def then(sentence: str, *commands: str) -> str:
    """Return a next step of a sentence, and below it the commands, a line each."""
    return "\n".join([f"{sentence}:", *commands])


@dataclass(frozen=True)
class Wait:
    """How long a check is patient with what comes by itself.

    Attributes:
        condition: What is waited for, as the countdown says it.
        deadline: How long at most, in seconds.
        poll: How long between two looks, in seconds.
    """

    condition: str
    deadline: float
    poll: float = 1.0


@dataclass(frozen=True)
class Criterion:
    """One fact of the cluster.

    Attributes:
        id: Its permanent name, the checkpoint's and its own: `hosts-01.entry`.
        description: The fact, as a sentence that is true once it holds.
        points: What it is worth.
        check: Looks at the cluster, by reading alone.
        needs: Ids of criteria of the same checkpoint that stand before it and have to hold.
        wait: How long to wait for it when its check says `not_yet`; None does not wait.
    """

    id: str
    description: str
    points: int
    check: Callable[[Cluster], Observation]
    needs: tuple[str, ...] = ()
    wait: Wait | None = None


@dataclass(frozen=True)
class Prediction:
    """A learner's answer beside what was observed.

    Attributes:
        id: Its permanent name: `dns-02.names`.
        description: What is predicted.
        points: What it is worth.
        question: What the learner is asked, for those who see the checkpoint alone.
        form: A line that sets `prediction` in a form that can be read, to be filled in.
        observe: Returns what is to be seen in the cluster, as rows, a number or a text; or an
            Observation when there is nothing to be seen. It is also given what the learner handed
            in as observed, None if nothing: the result of a trial that no object of the cluster
            keeps; or a `Trial`. An Observation without a next step gets `steps` as its own.
        takes: The notebook's name of what is handed in as observed; empty when nothing is.
        tries: Whether that is a Corefile, which `observe` runs dry: it is given a `Trial` of it.
        gather: The lines that give it, from `cluster`.
        column: Which column is compared, from 0; a number and a text have one.
        choices: The answers that there are, when it is one of a few; empty when any can be given.
        units: What may stand behind a number in the answer, such as `s` in `30s`.
        needs: As a criterion's.
        wait: As a criterion's.
    """

    id: str
    description: str
    points: int
    question: str
    form: str
    observe: Callable[[Cluster, Any], Any]
    takes: str = ""
    tries: bool = False
    gather: str = ""
    column: int = 0
    choices: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    wait: Wait | None = None

    @property
    def call(self) -> str:
        """The line that checks it."""
        arguments = ", ".join(filter(None, ("prediction", self.takes)))
        return f"{self._checkpoint}.check({arguments})"

    @property
    def hint(self) -> str:
        """The call that says where to look."""
        return f"{self._checkpoint}.hint()"

    @property
    def _checkpoint(self) -> str:
        return f'eksnet.checkpoint("{self.id.partition(".")[0]}")'

    @property
    def steps(self) -> str:
        """The lines that are to be run once `prediction` is set."""
        return "\n".join([*self.gather.splitlines(), self.call])


@dataclass(frozen=True)
class Definition:
    """A checkpoint as it is written down.

    Attributes:
        id: Its permanent name, such as `hosts-01`.
        notebook: The notebook that it stands in, such as `05_lab_hosts`.
        title: A few words.
        criteria: Its criteria, in order.
        hints: Three: where to look, what to compare, the command.
        solution: What to do, as lines of Python; what is no code in a comment.
    """

    id: str
    notebook: str
    title: str
    criteria: tuple[Criterion | Prediction, ...]
    hints: tuple[str, str, str]
    solution: str

    @functools.cached_property
    def points(self) -> int:
        """What it is worth."""
        return sum(criterion.points for criterion in self.criteria)


def described(state: State, points: int) -> str:
    """Return a state in words: of what was begun, some points may be there already."""
    return f"{state} in part" if state is State.NOT_STARTED and points else str(state)


_ORDER = (State.FAIL, State.CANNOT_CHECK, State.NOT_STARTED)


def whole(states: Collection[State]) -> State:
    """Return the state of a checkpoint from those of its criteria.

    One failure is a failure, whatever else could not be looked at: it was seen. Without one,
    what could not be looked at leaves the whole open. A beginning that is right so far is neither a
    pass nor a failure: what has not been started is what is left to do.
    """
    for state in _ORDER:
        if state in states:
            return state
    return State.PASS
