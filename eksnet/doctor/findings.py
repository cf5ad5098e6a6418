"""What the doctor's checks find, and how the whole is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from eksnet.commands import runnable
from eksnet.display import Mark, Shown, Tone, padded
from eksnet.printable import printable


class Verdict(StrEnum):
    """What a check comes to."""

    OK = "OK"
    FINDING = "FINDING"
    CANNOT_TELL = "CANNOT TELL"
    """It could not be made."""
    SKIPPED = "SKIPPED"
    """It says nothing about this target."""


_TONES = {
    Verdict.OK: Tone.GOOD,
    Verdict.FINDING: Tone.BAD,
    Verdict.CANNOT_TELL: Tone.UNKNOWN,
    Verdict.SKIPPED: Tone.OPEN,
}


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        verdict: What it comes to.
        what: What was seen.
        remedy: The exact next step; empty where nothing is to be done.
        check: What was looked at.
        why: Why it matters.
    """

    verdict: Verdict
    what: str
    remedy: str = ""
    check: str = ""
    why: str = ""

    def of(self, check: str, why: str) -> Finding:
        """Return the finding with the check that it is of.

        Args:
            check: What was looked at.
            why: Why it matters.
        """
        return replace(self, check=check, why=why)

    @property
    def is_told_whole(self) -> bool:
        """Whether a reader has to know why it matters and what to do."""
        return self.verdict in (Verdict.FINDING, Verdict.CANNOT_TELL)


Findings = Iterable[Finding]


def ok(what: str) -> Finding:
    """Return that something is as the course needs it."""
    return Finding(Verdict.OK, what)


def finding(what: str, remedy: str) -> Finding:
    """Return that something is not as the course needs it."""
    return Finding(Verdict.FINDING, what, remedy)


def cannot_tell(what: str, remedy: str = "") -> Finding:
    """Return that something could not be looked at."""
    return Finding(Verdict.CANNOT_TELL, what, remedy)


def skipped(what: str) -> Finding:
    """Return that a check says nothing about this target."""
    return Finding(Verdict.SKIPPED, what)


@dataclass(frozen=True, repr=False)
class Report(Shown):
    """What all checks found, in the order in which they were made.

    Attributes:
        target: What was looked at, as `eksnet.connect` takes it.
        findings: The findings.
    """

    target: str
    findings: tuple[Finding, ...]

    def with_verdict(self, verdict: Verdict) -> tuple[Finding, ...]:
        """Return the findings of one verdict.

        Args:
            verdict: The verdict.
        """
        return tuple(one for one in self.findings if one.verdict == verdict)

    @property
    def exit_code(self) -> int:
        """0 where all is fine, 1 where something was found, 2 where a check could not be made."""
        if self.with_verdict(Verdict.FINDING):
            return 1
        return 2 if self.with_verdict(Verdict.CANNOT_TELL) else 0

    @property
    def headline(self) -> str:
        """The whole in one sentence."""
        said = {one: len(self.with_verdict(one)) for one in Verdict}
        parts = [f"{said[Verdict.OK]} checks are fine", _counted(said[Verdict.FINDING], "finding")]
        unknown, skipped = said[Verdict.CANNOT_TELL], said[Verdict.SKIPPED]
        parts += [f"{_counted(unknown, 'check')} could not be made"] if unknown else []
        parts += [f"{_counted(skipped, 'check')} skipped"] if skipped else []
        return f"{self.target}: {', '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        found = [{**asdict(one), "remedy": runnable(one.remedy)} for one in self.findings]
        return {"target": self.target, "exit_code": self.exit_code, "findings": found}

    def _text(self, *, colours: bool) -> str:
        return "\n".join([*self._lines(colours=colours), self.headline])

    def _lines(self, *, colours: bool) -> Iterable[str]:
        verdicts = max(map(len, Verdict))
        checks = max((len(one.check) for one in self.findings), default=0)
        inside = " " * (verdicts + 2)
        for one in self.findings:
            mark = padded(Mark(one.verdict, _TONES[one.verdict]), verdicts, colours=colours)
            yield f"{mark}  {printable(f'{one.check:<{checks}}  {one.what}')}"
            if one.is_told_whole:
                yield f"{inside}why:  {one.why}"
                if one.remedy:
                    yield printable(f"{inside}next: {runnable(one.remedy)}")


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
