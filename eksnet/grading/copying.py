"""Which submissions share what they can hardly share by chance. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from eksnet.grading.marking import COPIED, Flag, Graded

# Two learners pass one checkpoint in the same second by chance, but not several.
_ENOUGH = 3
# So that a class in which all have copied is told in a time that grows with its size.
_NAMED = 3


class Copies:
    """What the submissions of a class have in common: looked at one by one, told at the end.

    An attempt is recognised by its checkpoint, its second and its states, so that another name of
    the cluster hides nothing. A sandbox is one learner's; another cluster can be a whole class's.
    """

    def __init__(self) -> None:
        self._attempts: dict[int, tuple[str, ...]] = {}
        self._sandboxes: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._shared: dict[tuple[str, str], int] = Counter()

    def add(self, graded: Graded) -> None:
        """Look at what counts of a learner."""
        name = graded.learner.id
        earned = [mark for mark in graded.marks if mark.attempt and mark.standing.points]
        self._counts[name] = len(earned)
        for mark in earned:
            assert mark.attempt
            print_ = hash((mark.definition.id, mark.at, tuple(sorted(mark.attempt.states.items()))))
            others = self._attempts.get(print_, ())
            for other in others if mark.at else ():
                self._shared[other, name] += 1
            if len(others) < _NAMED:
                self._attempts[print_] = (*others, name)
        for cluster in {mark.attempt.binding.cluster for mark in earned if mark.attempt}:
            if cluster.startswith("ca:"):
                self._sandboxes.setdefault(cluster, []).append(name)

    def flags(self) -> Iterator[Flag]:
        """Yield a flag for each of two: which of them has copied cannot be told from evidence."""
        for (one, other), count in sorted(self._shared.items()):
            for name, with_whose in ((one, other), (other, one)):
                if count >= min(_ENOUGH, self._counts[name]):
                    yield Flag(
                        name,
                        COPIED,
                        f"{count} of {self._counts[name]} counted attempts were made in the same "
                        f"seconds, with the same states, as those of {with_whose}: counted",
                    )
        for cluster, names in sorted(self._sandboxes.items()):
            for name in names if len(names) > 1 else ():
                others = [one for one in names if one != name]
                listed = ", ".join(others[:_NAMED]) + (", …" if len(others) > _NAMED else "")
                yield Flag(
                    name, COPIED, f"the sandbox {cluster[:15]}… is also that of {listed}: counted"
                )
