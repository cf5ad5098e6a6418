"""What a check found, as text and as the same in HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from eksnet.checkpoints.criteria import Observation, State, described, whole
from eksnet.commands import runnable
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    import pandas as pd

# The rooms whose functions hints and next steps call.
_ROOMS = ("coredns", "dns", "kubeproxy")
# JupyterLab sets tables flush right, which sentences are not made for.
_LEFT = '<td style="text-align: left; vertical-align: top">'


@dataclass(frozen=True)
class Outcome:
    """What a check found for one criterion.

    Attributes:
        id: The criterion's id.
        description: The criterion's fact.
        of: What it is worth.
        observation: What was seen.
    """

    id: str
    description: str
    of: int
    observation: Observation

    @property
    def state(self) -> State:
        """How it stands."""
        return self.observation.state

    @property
    def points(self) -> int:
        """The points that it earned."""
        return self.of if self.state is State.PASS else 0

    @property
    def share(self) -> str:
        """The points as text; a dash for those that nobody could look at."""
        return f"{'-' if self.state is State.CANNOT_CHECK else self.points} of {self.of}"

    def remarks(self) -> Iterator[tuple[str, str]]:
        """Yield what is said below the description: a label and a text each."""
        seen = self.observation
        yield "observed", seen.observed
        yield "predicted", seen.predicted
        if self.state is not State.PASS:
            yield "expected", seen.expected
            yield "next", runnable(seen.next_step)


@dataclass(frozen=True, repr=False)
class Result:
    """What a check found.

    Attributes:
        id: The checkpoint's id.
        title: The checkpoint's title.
        outcomes: One for each criterion, in order.
        note: What went wrong beside the check itself; empty when nothing did.
    """

    id: str
    title: str
    outcomes: tuple[Outcome, ...]
    note: str = ""

    @property
    def state(self) -> State:
        """How the whole stands; see `eksnet.checkpoints.criteria.whole`."""
        return whole([outcome.state for outcome in self.outcomes])

    @property
    def points(self) -> int:
        """The points that were earned."""
        return sum(outcome.points for outcome in self.outcomes)

    @property
    def of(self) -> int:
        """The points that there are."""
        return sum(outcome.of for outcome in self.outcomes)

    @property
    def unchecked(self) -> int:
        """The points that nobody could look at: neither earned nor lost."""
        return sum(one.of for one in self.outcomes if one.state is State.CANNOT_CHECK)

    @property
    def headline(self) -> str:
        """The whole in one line."""
        looked = self.of - self.unchecked
        score = f"{self.points} of {points(looked)}" if looked else "no points given or lost"
        unchecked = f", {points(self.unchecked)} not checked" if looked and self.unchecked else ""
        state = described(self.state, self.points)
        return f"{self.id} {self.title}: {state}, {score}{unchecked}"

    @property
    def needed(self) -> str:
        """What has to be run before the next steps, where it has not been; empty for nothing."""
        steps = (one.observation.next_step for one in self.outcomes if one.state is not State.PASS)
        return needed_line("\n".join(steps))

    def __repr__(self) -> str:
        states = max(len(outcome.state) for outcome in self.outcomes)
        shares = max(len(outcome.share) for outcome in self.outcomes)
        indent = " " * (states + shares + 4)
        lines = [self.headline, *filter(None, [self.needed])]
        for outcome, remarks in self._rows():
            mark = f"{outcome.state:<{states}}  {outcome.share:<{shares}}"
            lines.append(f"{mark}  {outcome.description}")
            # Lines of code after a sentence stay at the margin, where they can be copied from.
            lines += [f"{indent}{label}: {text}" for label, text in remarks]
        return "\n".join(lines + ([self.note] if self.note else []))

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{_LEFT}{outcome.state}</td>{_LEFT}{outcome.share}</td>"
            f"{_LEFT}{_cell(outcome, remarks)}</td></tr>"
            for outcome, remarks in self._rows()
        )
        before, after = (f"<p>{escape(one)}</p>" if one else "" for one in (self.needed, self.note))
        table = f"<table><tbody>{rows}</tbody></table>"
        return f"<p><b>{escape(self.headline)}</b></p>{before}{table}{after}"

    def _rows(self) -> Iterator[tuple[Outcome, list[tuple[str, str]]]]:
        """Yield the outcomes with their remarks; what has just been said is not said again."""
        before: list[tuple[str, str]] = []
        for outcome in self.outcomes:
            remarks = [(label, text) for label, text in outcome.remarks() if text]
            yield (
                outcome,
                [("observed", "the same as in the row above")] if remarks == before else remarks,
            )
            before = remarks

    def to_frame(self) -> pd.DataFrame:
        """Return a row of text per criterion; points as numbers, missing where not checked."""
        import pandas as pd

        rows = [
            {
                "criterion": one.id,
                "state": str(one.state),
                "points": None if one.state is State.CANNOT_CHECK else one.points,
                "of": one.of,
                "observed": one.observation.observed,
                "predicted": one.observation.predicted,
                "expected": one.observation.expected,
                "next": one.observation.next_step,
            }
            for one in self.outcomes
        ]
        return pd.DataFrame(rows)


class CheckpointError(EksnetError):
    """A checkpoint that was required did not pass.

    Attributes:
        result: What the check found.
    """

    def __init__(self, result: Result) -> None:
        self.result = result
        # The one that the headline speaks of: what has not been started may stand before it.
        first = next(one for one in result.outcomes if one.state is result.state)
        super().__init__(
            f"{result.headline}\n  {first.id} {first.state}: {first.observation.observed}",
            first.observation.expected,
            first.observation.next_step,
        )


@dataclass(frozen=True, repr=False)
class Text:
    """A hint or a solution, shown as it is written.

    Attributes:
        text: The text.
    """

    text: str

    def __repr__(self) -> str:
        return runnable(self.text)

    def _repr_html_(self) -> str:
        # A hint is a paragraph, and may have lines of code after it.
        return f'<pre style="white-space: pre-wrap">{escape(repr(self))}</pre>'


def needed(text: str) -> str:
    """Return the line that defines the names that commands in a text use; empty without any.

    Example:
        >>> needed('coredns.ask(cluster, "example.com")')
        'from eksnet import coredns; cluster = eksnet.connect()'
    """
    rooms = ", ".join(room for room in _ROOMS if re.search(rf"\b{room}\.[\w.]+\(", text))
    lines = [f"from eksnet import {rooms}"] if rooms else []
    lines += (
        ["cluster = eksnet.connect()"] if re.search(r"\bcluster\.\w+\(|\(cluster\b", text) else []
    )
    return "; ".join(lines)


def needed_line(text: str) -> str:
    """Return the same as a sentence."""
    line = needed(text)
    return f"Run once before the commands below: {line}" if line else ""


def points(number: int) -> str:
    """Return a number of points in words."""
    return f"{number} point" if number == 1 else f"{number} points"


def _cell(outcome: Outcome, remarks: list[tuple[str, str]]) -> str:
    said = "".join(f"<br>{label}: {_lines(text)}" for label, text in remarks)
    return f"{escape(outcome.description)}{said}"


def _lines(text: str) -> str:
    """Return a sentence, and the lines of code after it as they are."""
    sentence, _, code = text.partition("\n")
    return escape(sentence) + (f'<pre style="margin: 0">{escape(code)}</pre>' if code else "")
