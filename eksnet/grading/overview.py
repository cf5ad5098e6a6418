"""The class at a glance: points per checkpoint, and all that has to be looked at. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from eksnet.checkpoints.criteria import Definition, State
from eksnet.display import table
from eksnet.grading.feedback import page
from eksnet.grading.marking import Flag, Graded
from eksnet.listing import Listing
from eksnet.panel import Table
from eksnet.picture import FAINT, LETTER, Picture, line, text
from eksnet.printable import cell

_ROW, _TOP, _BAR, _BAR_WIDTH, _MARGIN = 20.0, 40.0, 12.0, 300.0, 12.0
_LONGEST_ID = 28


@dataclass
class Tally:
    """What a class has at one checkpoint.

    Attributes:
        definition: The checkpoint.
        points: All points of all learners.
        states: How many learners stand how, by the state.
    """

    definition: Definition
    points: int = 0
    states: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))

    @property
    def learners(self) -> int:
        """How many learners were counted."""
        return sum(self.states.values())

    @property
    def mean(self) -> float:
        """The points of a learner, on average."""
        return self.points / self.learners if self.learners else 0.0


@dataclass
class Class:
    """What grading has found out about a class.

    Attributes:
        tallies: One for each checkpoint, in the course's order.
        totals: Each learner, where the marks come from, and all points.
        flags: What has to be looked at, of each submission.
        look: What could not be checked when the learner did: the checkpoint and what was observed.
        unreadable: What could not be read, by the name of the submission, with the reason.
        conflicts: Manual marks that cannot stand as they are.
        ungraded: Who was not graded, because the grading was interrupted.
    """

    tallies: tuple[Tally, ...]
    totals: list[tuple[str, str, int]] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    look: list[Flag] = field(default_factory=list)
    unreadable: list[Flag] = field(default_factory=list)
    conflicts: list[Flag] = field(default_factory=list)
    ungraded: list[Flag] = field(default_factory=list)

    def add(self, graded: Graded) -> None:
        """Count a learner."""
        name = graded.learner.id
        self.totals.append((name, graded.sources, graded.points))
        self.flags += graded.flags
        for tally, mark in zip(self.tallies, graded.marks, strict=True):
            tally.points += mark.standing.points
            tally.states[mark.standing.state] += 1
            self.look += [
                Flag(name, seen.criterion.id, cell(seen.observed))
                for seen in mark.criteria
                if seen.state is State.CANNOT_CHECK
            ]

    @property
    def possible(self) -> int:
        """The points that there are."""
        return sum(tally.definition.points for tally in self.tallies)

    @property
    def notices(self) -> tuple[tuple[str, str, Sequence[Flag]], ...]:
        """What has to be looked at: a title, what its middle column is, and the rows."""
        interrupted = ("Not graded", "why", self.ungraded)
        return (
            *((interrupted,) if self.ungraded else ()),
            ("Flagged submissions", "kind", self.flags),
            ("Could not be checked: to look at", "criterion", self.look),
            ("Could not be read", "counted", self.unreadable),
            ("Manual marks in doubt", "assignment", self.conflicts),
        )

    @property
    def has_notices(self) -> bool:
        """Whether anything has to be looked at."""
        return any(flags for _, _, flags in self.notices)


def picture(tallies: Sequence[Tally]) -> Picture:
    """Draw the mean points at each checkpoint, a bar each, with the numbers beside it."""
    learners = tallies[0].learners if tallies else 0
    caption = f"Points per checkpoint, the mean of {learners} learners"
    left = _MARGIN + LETTER * min(_LONGEST_ID, max(len(one.definition.id) for one in tallies)) + 8
    drawn = [text((left, 22), "of the points: 0", strong=True),
             text((left + _BAR_WIDTH, 22), "all", anchor="end", strong=True)]  # fmt: skip
    for number, tally in enumerate(tallies):
        drawn.append(_bar(tally, left, _TOP + _ROW * number))
    height = _TOP + _ROW * len(tallies) + _MARGIN
    spoken = "; ".join(
        f"{one.definition.id}: {one.mean:.1f} of {one.definition.points}" for one in tallies
    )
    twin = Table(caption, _rows(tallies))
    width = left + _BAR_WIDTH + 150
    return Picture(caption, f"{caption}. {spoken}.", (width, height), tuple(drawn), twin)


def _bar(tally: Tally, left: float, y: float) -> str:
    share = tally.mean / tally.definition.points if tally.definition.points else 0.0
    middle = y + _BAR / 2
    said = f"{tally.mean:.1f} of {tally.definition.points}"
    return (
        text((left - 8, y + 10), tally.definition.id[:_LONGEST_ID], anchor="end")
        + line(((left, middle), (left + _BAR_WIDTH, middle)), FAINT)
        + f'<rect class="tip here" x="{left:g}" y="{y:g}" width="{_BAR_WIDTH * share:.1f}" '
        f'height="{_BAR:g}"/>' + text((left + _BAR_WIDTH + 8, y + 10), said)
    )


def _rows(tallies: Sequence[Tally]) -> Listing[Tally]:
    return Listing.of(
        tallies,
        {
            "checkpoint": lambda one: one.definition.id,
            "title": lambda one: one.definition.title,
            "of": lambda one: one.definition.points,
            "mean": lambda one: f"{one.mean:.1f}",
            "pass": lambda one: one.states[State.PASS],
            "fail": lambda one: one.states[State.FAIL],
            "not started": lambda one: one.states[State.NOT_STARTED],
            "cannot check": lambda one: one.states[State.CANNOT_CHECK],
        },
    )


def overview(found: Class) -> str:
    """Return the class as a page for the instructor alone: it names everybody."""
    drawn, numbers = picture(found.tallies), _rows(found.tallies)
    parts = ["<p>For the instructor: everybody's marks are in it.</p>", drawn.inline]
    parts.append(_table(numbers.columns, numbers.rows, "The same in numbers"))
    for title, column, flags in found.notices:
        parts.append(f"<h2>{title}: {len(flags)}</h2>")
        if flags:
            rows = [(one.learner, one.kind, one.reason) for one in flags]
            parts.append(_table(("learner", column, "reason"), rows))
    totals = [(name, source, str(points)) for name, source, points in found.totals]
    parts.append(f"<h2>Learners: {len(totals)}</h2>")
    caption = f"Points of {found.possible}, without manual marks"
    parts.append(_table(("learner", "source", "points"), totals, caption))
    return page("The class", "".join(parts))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    shown = [tuple(map(cell, row)) for row in rows]
    return table(columns, shown, caption=caption, folded=False)
