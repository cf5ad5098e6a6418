"""Is every backend served its fair share? A stated test, with a verdict that can be shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eksnet import inputs
from eksnet.errors import EksnetError

LEVEL = 1e-6
"""How often an even choice is called uneven by mistake: once in a million tries."""

# Below, the counts do not follow chi-square closely enough.
_LEAST = 5
_MOST, _MOST_BACKENDS = 10**9, 1000


@dataclass(frozen=True)
class Share:
    """The verdict on how requests were shared; its text says no counts, for they always differ.

    Attributes:
        fair: Whether the counts fit an even choice.
        backends: Among how many backends.
        counts: How often each was reached.
        statistic: Pearson's chi-square.
        p_value: How likely an even choice gives counts at least as uneven.
    """

    fair: bool
    backends: int
    counts: Mapping[str, int] = field(repr=False, compare=False, hash=False)
    statistic: float = field(repr=False, compare=False)
    p_value: float = field(repr=False, compare=False)

    def __repr__(self) -> str:
        verdict = "fits an even share" if self.fair else "does not fit an even share"
        level = f"chi-square, level {LEVEL:f}"
        return f"{verdict} of 1/{self.backends} for each of {self.backends} backends ({level})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>"


def fair_share(
    answers: Mapping[str, int] | Iterable[str], backends: Iterable[str] | int | None = None
) -> Share:
    """Judge whether requests were shared evenly: Pearson's chi-square test against 1/n.

    Args:
        answers: Who answered each request, or how often each backend did.
        backends: Who could have answered, or how many; those that did, when None.

    Raises:
        EksnetError: Somebody else answered, or there are too few requests for the test: fewer than
            5 for each backend, or so few that a backend which never answers could be chance.
    """
    counts = Counter(answers)
    for number in counts.values():
        inputs.count(number, "the number of answers of each backend", 0, _MOST)
    known = _known(counts, backends)
    for backend in known:
        counts.setdefault(backend, 0)
    total, n = sum(counts.values()), len(counts)
    if total < (least := least_requests(n)):
        raise EksnetError(f"{total} requests for {n} backends", f"at least {least} requests")
    expected = total / n
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    p_value = chi_square_tail(statistic, n - 1)
    return Share(p_value >= LEVEL, n, dict(counts), statistic, p_value)


def least_requests(backends: int) -> int:
    """Return how many requests it takes to tell a backend that never answers from chance.

    When one of n is silent and the others share alike, Pearson's statistic is requests / (n - 1).

    Args:
        backends: Among how many backends, 0 or more.
    """
    least = max(1, _LEAST * backends)
    while backends > 1 and chi_square_tail(least / (backends - 1), backends - 1) >= LEVEL:
        least += 1
    return least


def _known(counts: Counter[str], backends: Iterable[str] | int | None) -> list[str]:
    if isinstance(backends, int):
        inputs.count(backends, "the number of backends", 1, _MOST_BACKENDS)
        if len(counts) > backends:
            raise EksnetError(f"{len(counts)} backends answered", f"at most {backends}")
        return [*counts, *(f"silent {n}" for n in range(backends - len(counts)))]
    known = list(counts if backends is None else backends)
    if strangers := sorted(set(counts) - set(known)):
        raise EksnetError(
            f"unknown backends answered: {', '.join(strangers)}", f"answers of {', '.join(known)}"
        )
    return known


def chi_square_tail(statistic: float, degrees: int) -> float:
    """Return the chance that chi-square with some degrees of freedom is at least so large.

    Source: Abramowitz and Stegun 26.4.4 and 26.4.5, exact sums for whole degrees of freedom.

    Args:
        statistic: The value, 0 or more.
        degrees: Degrees of freedom, 0 or more.
    """
    if degrees == 0:
        return 1.0
    half = statistic / 2
    if degrees % 2 == 0:
        term, total = math.exp(-half), 0.0
        for k in range(1, degrees // 2 + 1):
            total += term
            term *= half / k
        return min(total, 1.0)
    total = math.erfc(math.sqrt(half))
    term = math.sqrt(2 * statistic / math.pi) * math.exp(-half)
    for k in range(1, (degrees - 1) // 2 + 1):
        total += term
        term *= statistic / (2 * k + 1)
    return min(total, 1.0)
