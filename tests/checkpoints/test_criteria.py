from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from eksnet.checkpoints.checking import Checkpoint
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    State,
    Wait,
    cannot_check,
    failed,
    not_started,
    not_yet,
    passed,
    whole,
)
from eksnet.checkpoints.results import CheckpointError
from eksnet.errors import EksnetError

P, F, N, C = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK
SEEN = {
    P: passed("seen"), F: failed("seen", "e", "n"), N: not_started("seen", "e", "n"),
    C: cannot_check("seen", "e", "n"),
}  # fmt: skip
WAIT = Wait("the thing", deadline=30, poll=0)


def checkpoint(*criteria: Criterion) -> Checkpoint:
    hints = ("a", "b", "c")
    return Checkpoint(Definition("x-01", "00_x", "X", criteria, hints, "s"), lambda: FAKE)


class _Cluster:
    """A cluster that holds nothing; the checks of this module look at what the test gives."""

    class target:  # noqa: N801
        kind = "sandbox"

    class identity:  # noqa: N801
        uid, ca = "", "c" * 64

    def get(self, *_: str, **__: str) -> dict[str, Any]:
        return {}


FAKE: Any = _Cluster()


def criterion(name: str, *seen: Observation, **fields: Any) -> Criterion:
    """A criterion that sees one thing after the other, and the last one for ever."""
    following: Iterator[Observation] = itertools.chain(seen, itertools.repeat(seen[-1]))
    return Criterion(name, f"Fact {name}", 1, lambda _: next(following), **fields)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([P, P], P), ([F, F], F), ([N, N], N), ([C, C], C),
        # Half a solution, right so far.
        ([P, N], N),
        # What was seen to be wrong is wrong; what nobody saw leaves the whole open.
        ([F, C, P], F), ([C, P], C), ([C, N], C), ([F, N], F), ([P, N, C], C),
    ],
)  # fmt: skip
def test_states_make_a_whole(states: list[State], expected: State) -> None:
    assert {whole(list(order)) for order in itertools.permutations(states)} == {expected}


@pytest.mark.parametrize(
    ("needed", "expected"), [(P, P), (F, N), (N, N), (C, C)]
)  # fmt: skip
def test_what_needs_another_comes_after_it(needed: State, expected: State) -> None:
    first = criterion("x-01.a", SEEN[needed])
    result = checkpoint(first, criterion("x-01.b", SEEN[P], needs=("x-01.a",))).check()
    second = result.outcomes[1]
    assert second.state is expected
    assert (needed is P) or second.observation.observed == "this depends on: Fact x-01.a"


def test_partial_credit_comes_with_its_reasons() -> None:
    criteria = (criterion("x-01.a", SEEN[P]), criterion("x-01.b", SEEN[F]))
    result = checkpoint(*criteria, criterion("x-01.c", SEEN[C])).check()
    assert (result.state, result.points, result.possible, result.unchecked) == (F, 1, 3, 1)
    assert result.headline == "x-01 X: FAIL, 1 of 2 points, 1 point not checked"


def test_what_nobody_could_look_at_costs_nothing_in_words() -> None:
    result = checkpoint(criterion("x-01.a", SEEN[C])).check()
    assert result.headline == "x-01 X: CANNOT_CHECK, this gives and costs no points"


def test_a_check_waits_for_what_comes_by_itself() -> None:
    late = criterion("x-01.a", *[not_yet("1 of 2", "2", "wait")] * 5, SEEN[P], wait=WAIT)
    assert checkpoint(late).check().state is P


def test_after_the_deadline_it_is_a_failure() -> None:
    never = criterion("x-01.a", not_yet("1 of 2", "2", "wait"), wait=Wait("it", 0))
    outcome = checkpoint(never).check().outcomes[0]
    assert (outcome.state, outcome.observation.observed) == (F, "1 of 2")


@pytest.mark.parametrize("broken", [RuntimeError("boom"), KeyError("spec")])
def test_a_check_that_breaks_while_waiting_says_so(broken: Exception) -> None:
    seen = iter([not_yet("1 of 2", "2", "wait")])

    def check(_: object) -> Observation:
        for one in seen:
            return one
        raise broken

    outcome = checkpoint(Criterion("x-01.a", "A", 1, check, wait=WAIT)).check().outcomes[0]
    assert outcome.state is C
    assert type(broken).__name__ in outcome.observation.observed


def test_a_check_that_breaks_does_not_keep_the_others_from_looking() -> None:
    def breaks(_: object) -> Observation:
        raise TypeError("boom")

    criteria = (Criterion("x-01.a", "A", 1, breaks), criterion("x-01.b", SEEN[P]))
    assert [one.state for one in checkpoint(*criteria).check().outcomes] == [C, P]


@pytest.mark.parametrize(
    ("wait", "before", "policy"), [(False, P, WAIT), (True, F, WAIT), (True, P, None)]
)
def test_no_waiting_where_none_is_wanted_or_of_use(
    wait: bool, before: State, policy: Wait | None
) -> None:
    late = criterion("x-01.b", not_yet("1 of 2", "2", "wait"), SEEN[P], wait=policy)
    result = checkpoint(criterion("x-01.a", SEEN[before]), late).check(wait=wait)
    assert result.outcomes[1].state is F


def test_require_returns_a_pass_and_raises_on_all_else() -> None:
    assert checkpoint(criterion("x-01.a", SEEN[P])).require().state is P
    for state in (F, N, C):
        with pytest.raises(CheckpointError, match=f"x-01.b {state}: seen") as raised:
            checkpoint(criterion("x-01.a", SEEN[P]), criterion("x-01.b", SEEN[state])).require()
        assert (raised.value.expected, raised.value.next_step) == ("e", "n")
        assert raised.value.result.outcomes[1].state is state


@pytest.mark.parametrize(
    "states", [one for one in itertools.product((P, F, N, C), repeat=2) if set(one) != {P}]
)
def test_what_require_raises_speaks_of_what_its_headline_says(states: tuple[State, State]) -> None:
    seen = {**SEEN, N: not_started("nothing", "e", "n"), C: cannot_check("no answer", "e", "n")}
    criteria = [criterion(f"x-01.{n}", seen[state]) for n, state in zip("ab", states, strict=True)]
    with pytest.raises(CheckpointError) as raised:
        checkpoint(*criteria).require()
    state = raised.value.result.state
    assert f"{state}: {seen[state].observed}" in raised.value.seen


def test_hints_come_in_tiers_and_the_solution_on_request() -> None:
    one = checkpoint(criterion("x-01.a", SEEN[P]))
    more = f'More: eksnet.checkpoint("{one.definition.id}").hint(2)'
    assert repr(one.hint()) == f"Hint 1 of 3: a\n{more}"
    assert repr(one.hint(3)) == "Hint 3 of 3: c"
    for number in (0, 4, True, "2"):
        with pytest.raises(EksnetError, match="the number of a hint is") as caught:
            one.hint(number)
        assert caught.value.expected == "a whole number from 1 to 3"
    assert "reveal=True" in repr(one.solution())
    assert repr(one.solution(reveal=True)) == "s"
    assert repr(one) == "<Checkpoint x-01 X: 1 point>"
