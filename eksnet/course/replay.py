"""A notebook that nobody trusts, run on a fresh sandbox, confined; whoever looks on stands outside.

What runs is somebody's program. It can do with the lent sandbox what it likes, and with nothing
else; so that sandbox has a name of its own, and begins afresh for each run.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from eksnet.errors import EksnetError
from eksnet.printable import cell
from eksnet.sandbox import lifecycle, preflight
from eksnet.sandbox.confined import Confined, Limits, confined
from eksnet.sandbox.paths import paths

SANDBOX = "grading"
_VARIABLE = "EKSNET_SANDBOX"
_COMMAND = (sys.executable, "-m", "eksnet.course.replay_inside")
_SHORTEST, _LONGEST = 10.0, 86400.0
_MOST_NAMED = 5
_SAID = 200
_FILE = re.compile(r"\w[\w.-]{0,150}\.json", re.ASCII)

Told = Callable[[list[str], dict[str, str]], None]
"""Is given the lines of evidence that a cell's checks have recorded, and the backups that there
are by then, by the names of their files. The next cell runs after that."""


@dataclass
class Replay:
    """What came of one run.

    Attributes:
        errors: The cells that failed, each with its error.
        ended: Why it ended before its last cell; empty when it did not.
        seconds: How long it took, with the sandbox's reset.
        reset: How much of that the reset took.
    """

    errors: list[str] = field(default_factory=list)
    ended: str = ""
    seconds: float = 0.0
    reset: float = 0.0

    def remarks(self) -> Iterator[str]:
        """Yield what has to be said about it."""
        if self.errors:
            more = len(self.errors) - _MOST_NAMED
            named = "; ".join(self.errors[:_MOST_NAMED]) + (f"; and {more} more" * (more > 0))
            yield f"cells failed, and the run went on: {named}"
        if self.ended:
            yield f"the run ended early: {self.ended}"


@contextlib.contextmanager
def sandbox() -> Iterator[None]:
    """Have the name `sandbox` mean the one of the replays; it is down afterwards.

    Raises:
        EksnetError: This computer, or this user of it, can run no sandbox.
    """
    # What one of before has taken is free then, and what is missing is said before the first run.
    lifecycle.down(SANDBOX)
    preflight.check_computer()
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = SANDBOX
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
        lifecycle.down(SANDBOX)


def limits(seconds: float) -> Limits:
    """Return the limits of one run.

    Args:
        seconds: How long it may take.

    Raises:
        EksnetError: That is no such time.
    """
    if not _SHORTEST <= seconds <= _LONGEST:
        raise EksnetError(
            f"--limit {seconds:g}",
            f"seconds for one notebook, {_SHORTEST:.0f} at least",
            "omit --limit",
        )
    return Limits(seconds=seconds)


def replay(notebook: bytes, told: Told, most: Limits) -> Replay:
    """Run a notebook on a fresh sandbox, within `sandbox`; whatever it does, this returns.

    Args:
        notebook: Its content.
        told: Called after each cell that has recorded attempts; the run waits meanwhile.
        most: What it may use.

    Raises:
        EksnetError: The sandbox cannot be started, or no walls can be built on this computer.
    """
    found = Replay()
    began = time.monotonic()
    lifecycle.reset(SANDBOX)
    found.reset = time.monotonic() - began
    with confined(paths(SANDBOX), _COMMAND, most) as running:
        running.send(len(notebook).to_bytes(4, "big") + notebook)
        where = _follow(running, found, told)
        running.end()
        if why := running.ended or found.ended:
            found.ended = f"{why}, {where}"
    found.seconds = time.monotonic() - began
    return found


def _follow(running: Confined, found: Replay, told: Told) -> str:
    """Take what the run says until it ends, and return after which cell that was."""
    where = "before its first cell"
    found.ended = "its processes were ended from inside"
    while (line := running.line()) is not None:
        said = _message(line)
        if "ended" in said:
            found.ended = _text(said["ended"])
            break
        where = f"after cell {_text(said.get('cell'))}"
        if error := _text(said.get("error")):
            found.errors.append(f"{_text(said.get('cell'))}: {error}")
        if lines := _lines(said.get("attempts")):
            told(lines, _files(said.get("backups")))
        running.send(b"\n")
    return where


def _message(line: bytes) -> Mapping[str, Any]:
    """Return what a line says; nothing, when it is none of `replay_inside`."""
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(line)
        if isinstance(said, dict):
            return said
    return {}


def _lines(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _files(value: object) -> dict[str, str]:
    """Return files whose names are no way out of a folder."""
    given = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in given if _FILE.fullmatch(name) and isinstance(text, str)}


def _text(value: object) -> str:
    """Return a text of the notebook's as it can be shown."""
    return cell(value)[:_SAID] if isinstance(value, str) else ""
