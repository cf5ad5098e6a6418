"""How far a build is: the report, the file through which others see it, and how it is shown."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

ProgressCallback = Callable[[str], None]


@dataclass(frozen=True)
class Progress:
    """A point in a build.

    Attributes:
        program: The program that is being built; empty while sources are fetched.
        done: Packages compiled, or Go modules fetched.
        total: Packages to compile; 0 while that is not known.
    """

    program: str
    done: int
    total: int

    def __str__(self) -> str:
        """Return the report as a sentence without a full stop."""
        if not self.total:
            return "fetching the engine's sources" + (f": {self.done}" if self.done else "")
        percent = 100 * self.done // self.total
        return f"building {self.program}: {self.done} of {self.total} packages ({percent} %)"


Watch = Callable[[Progress], None]


class Count:
    """Counts the packages of one module's build and tells how far it is."""

    def __init__(self, tell: Watch) -> None:
        self._tell = tell
        self._left: set[str] = set()
        self._total = 0
        self._done = 0
        self._program = ""

    def fetching(self) -> None:
        """Say that sources are looked for, and fetched where they are missing."""
        self._tell(Progress("", self._done, 0))

    def fetched(self) -> None:
        """Count one Go module's sources."""
        self._done += 1
        self.fetching()

    def expect(self, packages: set[str], programs: int) -> None:
        """Begin anew, with what is to be compiled; a program counts as a package of its own."""
        self._left = set(packages)
        self._total = len(packages) + programs
        self._done = 0

    def begin(self, program: str) -> None:
        """Name the program that is being built."""
        self._program = program
        self._report(0)

    def compiled(self, package: str) -> None:
        """Count one package, if it is one of those that were expected."""
        if package in self._left:
            self._left.remove(package)
            self._report(1)

    def published(self) -> None:
        """Count the program itself."""
        self._report(1)

    def _report(self, more: int) -> None:
        self._done += more
        self._tell(Progress(self._program, self._done, self._total))


@contextlib.contextmanager
def shown(callback: ProgressCallback) -> Iterator[Watch]:
    """Give a function that shows reports: a bar on a terminal, now and then a line elsewhere."""
    # Loading these takes longer than a command that builds nothing.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    console = Console(stderr=True)
    # rich shows nothing at all on a terminal that cannot move its cursor.
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        yield _lines(callback)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=console, transient=True) as bar:
        yield _bar(bar)


def _bar(bar: RichProgress) -> Watch:
    def watch(progress: Progress) -> None:
        # The bar appears with the first report: a command with nothing to build shows none.
        if not bar.task_ids:
            bar.add_task("")
        building = f"building {progress.program}, in packages"
        what = building if progress.total else "fetching the engine's sources"
        total = progress.total or None
        bar.update(bar.task_ids[0], description=what, completed=progress.done, total=total)

    return watch


def _lines(callback: ProgressCallback) -> Watch:
    last: tuple[str, int] | None = None

    def watch(progress: Progress) -> None:
        nonlocal last
        # Of sources it is not known how many will come: a line with every hundredth.
        step = 10 * progress.done // progress.total if progress.total else progress.done // 100
        if (progress.program, step) != last:
            last = (progress.program, step)
            callback(str(progress))

    return watch


def write_progress(path: Path, progress: Progress) -> None:
    """Leave the report for the processes that wait for this build."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(progress)))
    draft.replace(path)


def read_progress(path: Path) -> Progress | None:
    """Return what the running build last reported; None when there is no report to be read."""
    try:
        return Progress(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
