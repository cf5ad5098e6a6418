"""What a check found, as text and as the same in HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from eksnet import display
from eksnet.checkpoints.criteria import Observation, State, described, whole
from eksnet.commands import runnable
from eksnet.display import LEFT, Mark, Shown, Tone
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    import pandas as pd

# The rooms whose functions hints and next steps call.
_ROOMS = ("coredns", "dns", "kubeproxy", "loadbalancer")
_TONES = {
    State.PASS: Tone.GOOD,
    State.FAIL: Tone.BAD,
    State.NOT_STARTED: Tone.OPEN,
    State.CANNOT_CHECK: Tone.UNKNOWN,
}


def marked(state: State, points: int = 0) -> Mark:
    """Return a state in words, with its tone; see `eksnet.checkpoints.criteria.described`."""
    return Mark(described(state, points), _TONES[state])


@dataclass(frozen=True)
class Outcome:
    """What a check found for one criterion.

    Attributes:
        id: The criterion's id.
        description: The criterion's fact.
        possible: What it is worth.
        observation: What was seen.
    """

    id: str
    description: str
    possible: int
    observation: Observation

    @property
    def state(self) -> State:
        """How it stands."""
        return self.observation.state

    @property
    def points(self) -> int:
        """The points that it earned."""
        return self.possible if self.state is State.PASS else 0

    @property
    def share(self) -> str:
        """The points as text; a dash for those that nobody could look at."""
        return f"{'-' if self.state is State.CANNOT_CHECK else self.points} of {self.possible}"

    def remarks(self) -> Iterator[tuple[str, str]]:
        """Yield what is said below the description: a label and a text each."""
        seen = self.observation
        yield "observed", seen.observed
        yield "predicted", seen.predicted
        if self.state is not State.PASS:
            yield "expected", seen.expected
            yield "next", runnable(seen.next_step)


@dataclass(frozen=True, repr=False)
class Result(Shown):
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
    def possible(self) -> int:
        """The points that there are."""
        return sum(outcome.possible for outcome in self.outcomes)

    @property
    def unchecked(self) -> int:
        """The points that nobody could look at: neither earned nor lost."""
        return sum(one.possible for one in self.outcomes if one.state is State.CANNOT_CHECK)

    @property
    def headline(self) -> str:
        """The whole in one line."""
        return "".join(self._headline())

    def _headline(self) -> tuple[str, Mark, str]:
        """Return what stands before the state, the state, and what stands after it."""
        looked = self.possible - self.unchecked
        score = f"{self.points} of {points(looked)}" if looked else "this gives and costs no points"
        unchecked = f", {points(self.unchecked)} not checked" if looked and self.unchecked else ""
        return f"{self.id} {self.title}: ", marked(self.state, self.points), f", {score}{unchecked}"

    @property
    def needed(self) -> str:
        """What has to be run before the next steps, where it has not been; empty for nothing."""
        steps = (one.observation.next_step for one in self.outcomes if one.state is not State.PASS)
        return needed_line("\n".join(steps))

    def _text(self, *, colours: bool) -> str:
        states = max(len(outcome.state) for outcome in self.outcomes)
        shares = max(len(outcome.share) for outcome in self.outcomes)
        indent = " " * (states + shares + 4)
        before, state, after = self._headline()
        lines = [f"{before}{state.text(colours=colours)}{after}", *filter(None, [self.needed])]
        for outcome, remarks in self._rows():
            mark = display.padded(marked(outcome.state), states, colours=colours)
            lines.append(f"{mark}  {outcome.share:<{shares}}  {outcome.description}")
            # Lines of code after a sentence stay at the margin, where they can be copied from.
            lines += [f"{indent}{label}: {text}" for label, text in remarks]
        return "\n".join(lines + ([self.note] if self.note else []))

    def _repr_html_(self) -> str:
        before, state, after = self._headline()
        rows = "".join(_outcome_rows(outcome, remarks) for outcome, remarks in self._rows())
        return (
            f"<p><b>{escape(before)}</b>{state.html}<b>{escape(after)}</b></p>"
            f"{paragraph(self.needed)}<table>{rows}</table>{paragraph(self.note)}"
        )

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
        from eksnet.frames import Frame

        rows = [
            {
                "criterion": one.id,
                "state": str(one.state),
                "points": None if one.state is State.CANNOT_CHECK else one.points,
                "of": one.possible,
                "observed": one.observation.observed,
                "predicted": one.observation.predicted,
                "expected": one.observation.expected,
                "next": one.observation.next_step,
            }
            for one in self.outcomes
        ]
        return Frame(rows)


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
    """A hint or a solution.

    Attributes:
        said: Sentences, a line each; empty where there is only code.
        code: Lines of code, to be copied; empty without any.
        after: What is said after the code; empty when nothing is.
    """

    said: str
    code: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        """The whole; code after sentences stands below an empty line."""
        before = "\n\n".join(filter(None, (self.said, self.code)))
        return "\n".join(filter(None, (before, self.after)))

    def __repr__(self) -> str:
        return runnable(self.text)

    def _repr_html_(self) -> str:
        said, code, after = map(runnable, (self.said, self.code, self.after))
        code = display.code(code) if code else ""
        return "".join(map(paragraph, said.splitlines())) + code + paragraph(after)


def needed(text: str) -> str:
    """Return the line that defines the names that commands in a text use; empty without any.

    Example:
        >>> needed('coredns.ask(cluster, "example.com")')
        'from eksnet import coredns; cluster = eksnet.connect()'
    """
    rooms = ", ".join(room for room in _ROOMS if re.search(rf"\b{room}\.[\w.]+\(", text))
    lines = [f"from eksnet import {rooms}"] if rooms else []
    lines += (
        ["cluster = eksnet.connect()"] if re.search(r"\bcluster\.\w+\(|[(=]cluster\b", text) else []
    )
    return "; ".join(lines)


def needed_line(text: str) -> str:
    """Return the same as a sentence."""
    line = needed(text)
    return f"Run once before the commands below: {line}" if line else ""


def points(number: int) -> str:
    """Return a number of points in words."""
    return f"{number} point" if number == 1 else f"{number} points"


def paragraph(text: str) -> str:
    """Return a sentence as a paragraph in HTML; nothing for none."""
    return f"<p>{display.prose(text)}</p>" if text else ""


def _outcome_rows(outcome: Outcome, remarks: list[tuple[str, str]]) -> str:
    """Return a row for the criterion, and one for each remark; its state stands beside them all."""
    top = f"{LEFT}; border-top: 1px solid #808080"
    span = f'<td rowspan="{len(remarks) + 1}" style="{top}; white-space: nowrap">'
    first = (
        f"{span}{marked(outcome.state).html}</td>{span}{outcome.share}</td>"
        f'<td colspan="2" style="{top}"><b>{escape(outcome.description)}</b></td>'
    )
    rows = [first, *(_remark(label, text) for label, text in remarks)]
    # JupyterLab's stripes would part what belongs together.
    body = "".join(f'<tr style="background: none">{row}</tr>' for row in rows)
    return f"<tbody>{body}</tbody>"


def _remark(label: str, text: str) -> str:
    sentence, _, code = text.partition("\n")
    said = display.prose(sentence) + (display.code(code) if code else "")
    return f'<td style="{LEFT}">{label}:</td><td style="{LEFT}">{said}</td>'
