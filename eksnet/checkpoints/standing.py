"""How far a learner is: the best attempt at each checkpoint, on this cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet.checkpoints.criteria import Definition, State, whole
from eksnet.checkpoints.evidence import Attempt
from eksnet.checkpoints.results import marked, paragraph, points
from eksnet.display import Shown
from eksnet.listing import Listing

if TYPE_CHECKING:
    import pandas as pd

_RANKS = {
    state: place
    for place, state in enumerate((State.NOT_STARTED, State.CANNOT_CHECK, State.FAIL, State.PASS))
}


@dataclass(frozen=True)
class Standing:
    """Where a learner stands with one checkpoint.

    Attributes:
        definition: The checkpoint.
        state: The state of the best attempt; NOT_STARTED without any.
        points: The points of the best attempt.
    """

    definition: Definition
    state: State
    points: int

    @property
    def share(self) -> str:
        """The points as text; a dash when nobody could look."""
        unknown = self.state is State.CANNOT_CHECK and not self.points
        return f"{'-' if unknown else self.points} of {self.definition.points}"

    def rank(self) -> tuple[int, int]:
        """Return what puts attempts in order, the best last."""
        return rank(self.state, self.points)


@dataclass(frozen=True, repr=False)
class Progress(Shown):
    """Where a learner stands, a row per checkpoint.

    Attributes:
        standings: One for each checkpoint, in the course's order.
        note: What has to be known about it; empty when nothing.
    """

    standings: tuple[Standing, ...]
    note: str = ""

    @property
    def points(self) -> int:
        """The points of the best attempts."""
        return sum(one.points for one in self.standings)

    @property
    def possible(self) -> int:
        """The points that there are."""
        return sum(one.definition.points for one in self.standings)

    @property
    def headline(self) -> str:
        """The whole in one line."""
        return f"{self.points} of {points(self.possible)}, the best attempts on this cluster"

    def _listing(self) -> Listing[Standing]:
        return Listing.of(
            self.standings,
            {
                "notebook": lambda one: one.definition.notebook,
                "checkpoint": lambda one: one.definition.id,
                "title": lambda one: one.definition.title,
                "state": lambda one: marked(one.state, one.points),
                "points": lambda one: one.share,
            },
        )

    def _text(self, *, colours: bool) -> str:
        listing = self._listing()._text(colours=colours)
        return "\n".join(filter(None, (listing, self.headline, self.note)))

    def _repr_html_(self) -> str:
        said = paragraph(self.headline) + paragraph(self.note)
        return self._listing()._repr_html_() + said

    def to_frame(self) -> pd.DataFrame:
        """Return a row per checkpoint, as text but for the points."""
        frame = self._listing().to_frame()
        frame["points"] = [one.points for one in self.standings]
        frame["of"] = [one.definition.points for one in self.standings]
        return frame


def standings(
    definitions: Iterable[Definition], attempts: Sequence[Attempt]
) -> tuple[Standing, ...]:
    """Return the best attempt at each checkpoint; criteria that are no more count for nothing."""
    return tuple(
        max(
            (standing(one, attempt) for attempt in attempts if attempt.checkpoint == one.id),
            key=Standing.rank,
            default=Standing(one, State.NOT_STARTED, 0),
        )
        for one in definitions
    )


def standing(definition: Definition, attempt: Attempt) -> Standing:
    """Return what an attempt is worth by a definition, whatever its own line says of points."""
    state, earned = worth(definition, attempt)
    return Standing(definition, state, earned)


def rank(state: State, points: int) -> tuple[int, int]:
    """Return what puts attempts in order, the best last."""
    return points, _RANKS[state]


def worth(definition: Definition, attempt: Attempt) -> tuple[State, int]:
    """Return an attempt's state and points by a definition."""
    states, earned = set(), 0
    for criterion in definition.criteria:
        state = attempt.states.get(criterion.id, State.NOT_STARTED)
        states.add(state)
        if state is State.PASS:
            earned += criterion.points
    return whole(states), earned
