"""What the checks of a diagnosis find, and how the whole is shown."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet.commands import runnable
from eksnet.display import Mark, Shown, Tone, prose
from eksnet.errors import EksnetError, NotFoundError
from eksnet.listing import Listing

if TYPE_CHECKING:
    import pandas as pd

OK, FAILS, CANNOT_TELL = "OK", "FAILS", "CANNOT TELL"
_TONES = {OK: Tone.GOOD, FAILS: Tone.BAD, CANNOT_TELL: Tone.UNKNOWN}


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        verdict: OK, FAILS or CANNOT TELL.
        seen: What was seen.
        expected: What should have been there; empty when it is.
        next_step: What to do about it; empty when nothing is to be done.
        final: Whether waiting is known not to help.
    """

    verdict: str
    seen: str
    expected: str = ""
    next_step: str = ""
    final: bool = False

    def titled(self, title: str) -> Check:
        """Return the result as a step of the diagnosis.

        Args:
            title: What was asked.
        """
        return Check(**{**vars(self), "check": title})


@dataclass(frozen=True)
class Check(CheckResult):
    """One step of the diagnosis: what was asked, and what was found.

    Attributes:
        check: What was asked.
    """

    check: str = ""


def ok(seen: str) -> CheckResult:
    """Return that a check holds."""
    return CheckResult(OK, seen)


def fails(seen: str, expected: str, next_step: str, *, final: bool = False) -> CheckResult:
    """Return that a check does not hold; see `CheckResult`."""
    return CheckResult(FAILS, seen, expected, next_step, final)


def cannot_tell(seen: str, expected: str = "", next_step: str = "") -> CheckResult:
    """Return that a check could not be made."""
    return CheckResult(CANNOT_TELL, seen, expected, next_step)


def attempted(check: Callable[[], CheckResult]) -> CheckResult:
    """Make a check; what it misses fails it, what may not be read leaves it open.

    Args:
        check: Looks, and returns what it found.
    """
    try:
        return check()
    except NotFoundError as error:
        return fails(error.seen, error.expected, error.next_step)
    except EksnetError as error:
        return cannot_tell(error.seen, error.expected, error.next_step)


@dataclass(frozen=True, repr=False)
class Diagnosis(Shown):
    """What the checks found, in the order in which they are made.

    Attributes:
        checks: The checks.
    """

    checks: tuple[Check, ...]

    @property
    def first(self) -> Check | None:
        """The first check that fails, where to begin; None when none does."""
        return next((one for one in self.checks if one.verdict == FAILS), None)

    @property
    def begin_at(self) -> int | None:
        """The number of the first check that fails, counted from 1; None when none does."""
        return self.checks.index(self.first) + 1 if self.first else None

    @property
    def headline(self) -> str:
        """The whole in one sentence."""
        if self.first:
            return f"Start with {self.begin_at}, {self.first.check}: {self.first.seen}"
        unknown = sum(one.verdict == CANNOT_TELL for one in self.checks)
        return "No check fails" + (f"; {unknown} of the checks could not run" if unknown else "")

    @property
    def advice(self) -> str:
        """What to do about the first check that fails; empty when none does."""
        if not self.first:
            return ""
        return runnable(f"expected: {self.first.expected}\nnext: {self.first.next_step}")

    def _listing(self) -> Listing[Check]:
        numbers = itertools.count(1)
        return Listing.of(
            self.checks,
            {
                "": lambda _: next(numbers),
                "check": lambda one: one.check,
                "verdict": lambda one: Mark(one.verdict, _TONES[one.verdict]),
                "seen": lambda one: one.seen,
            },
        )

    def _text(self, *, colours: bool) -> str:
        listing = self._listing()._text(colours=colours)
        return "\n".join(filter(None, (listing, self.headline, self.advice)))

    def _repr_html_(self) -> str:
        said = "".join(
            f"<p>{prose(line)}</p>" for line in (self.headline, *self.advice.splitlines())
        )
        return self._listing()._repr_html_() + said

    def to_frame(self) -> pd.DataFrame:
        """Return a row of text per check, with what was expected and the next step."""
        from eksnet.frames import Frame

        columns = {"check": "check", "verdict": "verdict", "seen": "seen",
                   "expected": "expected", "next": "next_step"}  # fmt: skip
        return Frame(
            [{name: getattr(one, field) for name, field in columns.items()} for one in self.checks]
        )
