"""A checkpoint as a learner uses it: check, hint, solution, require."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.checkpoints import evidence
from eksnet.checkpoints.answers import (
    PLACEHOLDER,
    NotUnderstoodError,
    Rows,
    compare,
    same,
    understand,
    without_units,
)
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    State,
    cannot_check,
    not_started,
    then,
)
from eksnet.checkpoints.evidence import Binding
from eksnet.checkpoints.results import (
    CheckpointError,
    Outcome,
    Result,
    Text,
    needed,
    needed_line,
    points,
)
from eksnet.checkpoints.trials import DryRunner, Trial
from eksnet.cluster.countdown import Countdown
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_LONGEST = 300
_ANSWER = "write your own answer, and run"
_WRITE = "write it in the cell above, run that cell, then run this one again; its form"


def _no_dry_run(*_: Any, **__: Any) -> Any:
    raise EksnetError("nothing is here that runs a Corefile", "a checkpoint from eksnet.checkpoint")


class Checkpoint:
    """A checkpoint of the course.

    Attributes:
        definition: What it asks.
    """

    def __init__(
        self,
        definition: Definition,
        look: Callable[[], Cluster],
        dry_run: DryRunner = _no_dry_run,
    ) -> None:
        """Take a definition, and what a check works with.

        Args:
            definition: What it asks.
            look: Opens the cluster for reading, each time it is checked.
            dry_run: Runs a Corefile dry, where the checkpoint tries one.
        """
        self.definition = definition
        self._look = look
        self._dry_run = dry_run

    def __repr__(self) -> str:
        what = self.definition
        return f"<Checkpoint {what.id} {what.title}: {points(what.points)}>"

    def check(
        self, answer: Any = None, observed: Any = None, *surplus: Any, wait: bool = True
    ) -> Result:
        """Look at the cluster and say what is right, what is not, and what comes next.

        It reads and changes nothing, never raises, and may be called again at any time.

        Args:
            answer: Your prediction, where the checkpoint asks for one: a table, a list, a dict, a
                number or a text.
            observed: What a trial gave that no object of the cluster keeps, or the Corefile that
                the check is to try, where the checkpoint asks for it.
            surplus: Nothing: what else is handed in is not looked at, and said so.
            wait: Whether to wait for what comes by itself.
        """
        with suppress_output():
            cluster, rows, outcomes = self._looked(answer, surplus, observed, wait=wait)
            result = self._result(outcomes, self._unasked(answer, observed, *surplus))
            try:
                binding = evidence.bind(cluster) if cluster else Binding()
                evidence.append(binding, result, rows.rows if rows else None)
            except Exception as error:
                lost = f"This attempt was not recorded: {seen_of(error)}. Check again."
                result = replace(result, note=f"{result.note} {lost}".strip())
        return result

    def look(self, answer: Any = None, observed: Any = None, *, wait: bool = True) -> Result:
        """Look at the cluster as `check` does, without recording the attempt.

        Args:
            answer: As in `check`.
            observed: As in `check`.
            wait: As in `check`.
        """
        with suppress_output():
            _, _, outcomes = self._looked(answer, (), observed, wait=wait)
        return self._result(outcomes, "")

    def require(self, answer: Any = None, observed: Any = None, *, wait: bool = True) -> Result:
        """Check, and raise on anything but a pass, for programs that run notebooks.

        Args:
            answer: As in `check`.
            observed: As in `check`.
            wait: As in `check`.

        Raises:
            CheckpointError: It did not pass; its `result` says why.
        """
        result = self.check(answer, observed, wait=wait)
        if result.state is not State.PASS:
            raise CheckpointError(result)
        return result

    def hint(self, number: int = 1) -> Text:
        """Return a hint: 1 says where to look, 2 what to compare, 3 the command.

        Args:
            number: Which hint: 1 says where to look, 2 what to compare, 3 the command.

        Raises:
            EksnetError: There is no such hint.
        """
        hints = self.definition.hints
        inputs.count(number, "the number of a hint", 1, len(hints), "hint(1) is the first")
        hint, _, code = hints[number - 1].strip().partition("\n\n")
        said = (needed_line(hints[number - 1]), f"Hint {number} of {len(hints)}: {hint}")
        after = f'More: eksnet.checkpoint("{self.definition.id}").hint({number + 1})'
        return Text("\n".join(filter(None, said)), code, after if number < len(hints) else "")

    def solution(self, *, reveal: bool = False) -> Text:
        """Return the solution to those who say so with `reveal=True`.

        Args:
            reveal: Whether to show it.
        """
        if not reveal:
            return Text(
                f"{self.definition.id} has {len(self.definition.hints)} hints: hint(), hint(2), …\n"
                "solution(reveal=True) shows the solution."
            )
        solution = self.definition.solution.strip()
        return Text("", "\n".join(filter(None, (needed(solution), solution))))

    def _looked(
        self, answer: Any, surplus: Sequence[Any], observed: Any, *, wait: bool
    ) -> tuple[Cluster | None, Rows | None, list[Outcome]]:
        """Return the cluster and the prediction, as far as there are any, and what was found."""
        cluster: Cluster | None = None
        rows: Rows | None = None
        try:
            cluster = self._look()
            rows = self._understood(answer, surplus)
            return cluster, rows, self._outcomes(cluster, rows, observed, wait=wait)
        except Exception as error:
            return cluster, rows, self._not_checked(_error_as_observation(error))

    def _understood(self, answer: Any, surplus: Sequence[Any]) -> Rows | None:
        """Return the prediction as rows; None where the checkpoint asks for none.

        Raises:
            NotUnderstoodError: It cannot be read, or more was handed in than is asked for.
        """
        if not self._predictions:
            return None
        call = self._predictions[0].call
        if surplus:
            raise NotUnderstoodError(
                f"check() was called with {2 + len(surplus)} arguments",
                "a prediction and the observation to compare it with",
                call,
            )
        try:
            return None if answer is None else understand(answer)
        except NotUnderstoodError as error:
            raise NotUnderstoodError(error.seen, error.expected, call) from error

    def _unasked(self, *handed_in: Any) -> str:
        """Return that a checkpoint without predictions looks at nothing that is handed in."""
        if self._predictions or all(one is None for one in handed_in):
            return ""
        return f"{self.definition.id} checks only the cluster; it ignores the arguments."

    @property
    def _predictions(self) -> list[Prediction]:
        return [one for one in self.definition.criteria if isinstance(one, Prediction)]

    def _result(self, outcomes: Sequence[Outcome], note: str) -> Result:
        return Result(self.definition.id, self.definition.title, tuple(outcomes), note)

    def _outcomes(
        self, cluster: Cluster, answer: Rows | None, observed: Any, *, wait: bool
    ) -> list[Outcome]:
        done: list[Outcome] = []

        def given(criterion: Criterion | Prediction) -> Any:
            tries = isinstance(criterion, Prediction) and criterion.tries
            return Trial(observed, cluster, self._dry_run) if tries else observed

        for criterion in self.definition.criteria:

            def look(criterion: Criterion | Prediction = criterion) -> Observation:
                try:
                    return _observe(criterion, cluster, answer, given(criterion))
                except Exception as error:
                    return _error_as_observation(error)

            seen = _needed(criterion, done) or look()
            # A checkpoint that has failed already would not pass for waiting.
            if wait and not any(one.state is State.FAIL for one in done):
                seen = _observe_until_deadline(criterion, seen, look)
            done.append(_outcome(criterion, seen))
        return done

    def _not_checked(self, why: Observation) -> list[Outcome]:
        return [_outcome(criterion, why) for criterion in self.definition.criteria]


def _outcome(criterion: Criterion | Prediction, seen: Observation) -> Outcome:
    return Outcome(criterion.id, criterion.description, criterion.points, seen)


def _needed(criterion: Criterion | Prediction, done: Sequence[Outcome]) -> Observation | None:
    """Return why a criterion cannot be looked at yet; None when all that it needs holds."""
    for outcome in done:
        if outcome.id not in criterion.needs or outcome.state is State.PASS:
            continue
        comes_after = f"this depends on: {outcome.description}"
        if outcome.state is State.CANNOT_CHECK:
            return cannot_check(comes_after, "", "")
        return not_started(comes_after, "", "")
    return None


def _observe(
    criterion: Criterion | Prediction, cluster: Cluster, answer: Rows | None, observed: Any
) -> Observation:
    if isinstance(criterion, Criterion):
        return criterion.check(cluster)
    if answer is None:
        return not_started(
            "no prediction was given",
            f"your prediction: {criterion.question}",
            then(_ANSWER, criterion.form, criterion.steps),
        )
    if unpredicted := _unpredicted(criterion, answer):
        return unpredicted
    seen = criterion.observe(cluster, observed)
    if isinstance(seen, Observation):
        return replace(seen, next_step=seen.next_step or then("run", criterion.steps))
    again = then(_ANSWER, criterion.form, criterion.call)
    if criterion.choices and not _is_one_of(criterion.choices, answer):
        said = " ".join(cell for row in answer.rows for cell in row)
        wanted = " or ".join(criterion.choices)
        asked_again = not_started("your prediction is not one of the answers", wanted, again)
        return replace(asked_again, predicted=said or "nothing")
    answer = without_units(answer, criterion.units)
    found = compare(answer, understand(seen, "what was observed"), criterion.column)
    if found.state is State.PASS:
        return found
    if found.state is State.FAIL:
        again = f"{criterion.hint} says where to look; then change your prediction and check again"
    return replace(found, next_step=found.next_step or again)


def _unpredicted(criterion: Prediction, answer: Rows) -> Observation | None:
    """Return why an answer is no prediction; None when it is one."""
    if _is_left_open(answer):
        return not_started(
            "the prediction is still empty",
            f"your prediction: {criterion.question}",
            then(_WRITE, criterion.form),
        )
    if answer.computed:
        return not_started(
            "this table comes from the course; it is not your own prediction",
            f"your prediction: {criterion.question}",
            then(_ANSWER, criterion.form, criterion.call),
        )
    return None


def _is_left_open(answer: Rows) -> bool:
    """Tell whether a prediction is still the form that is to be filled in."""
    return any(cell in ("…", PLACEHOLDER) for row in answer.rows for cell in row)


def _is_one_of(choices: Sequence[str], answer: Rows) -> bool:
    return len(answer.rows) == 1 and any(same(answer.rows[0][0], one) for one in choices)


def _observe_until_deadline(
    criterion: Criterion | Prediction, seen: Observation, look: Callable[[], Observation]
) -> Observation:
    """Look again, by the criterion's wait policy, while it may still come."""
    if not criterion.wait or not seen.retryable:
        return seen
    deadline = time.monotonic() + criterion.wait.deadline
    with Countdown(criterion.wait.condition) as countdown:
        while seen.retryable and (left := deadline - time.monotonic()) > 0:
            countdown.show(left, seen.observed)
            time.sleep(min(criterion.wait.poll, left))
            seen = look()
    return seen


def _error_as_observation(error: Exception) -> Observation:
    """Return an error as what it is to a checkpoint: something that could not be looked at."""
    if isinstance(error, EksnetError):
        return cannot_check(seen_of(error), _line(error.expected), _line(error.next_step))
    return cannot_check(
        _line(f"the check itself failed: {type(error).__name__}: {seen_of(error)}"),
        "a check that completes",
        "this is not your mistake: report this line to the authors of the course",
    )


def seen_of(error: Exception) -> str:
    """Return what an error says was seen, in one line; never raises."""
    try:
        return _line(error.seen if isinstance(error, EksnetError) else error)
    except Exception:
        return "the text of the error cannot be read"


def _line(text: object) -> str:
    return " ".join(str(text).split())[:_LONGEST]


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Keep warnings, logs and standard error silent: graders take any text there for a failure.

    Standard error stays a file with a descriptor: on a terminal the official client hands it to the
    program that brings credentials, such as `aws eks get-token`.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            open(os.devnull, "w") as nowhere,
            warnings.catch_warnings(),
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
