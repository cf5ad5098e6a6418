"""The engine as a whole: what of it is there, and building what is not."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eksnet.errors import EksnetError
from eksnet.sandbox.build import cache, toolchain
from eksnet.sandbox.build.cache import AGAIN, Record, Shelf, State
from eksnet.sandbox.build.gocaches import GoCaches
from eksnet.sandbox.build.modules import Chart, Module, Program
from eksnet.sandbox.build.progress import (
    Count,
    Progress,
    ProgressCallback,
    Watch,
    read_progress,
    shown,
    write_progress,
)

if TYPE_CHECKING:
    from eksnet.sandbox.build.compiler import Compiler

_POLL = 0.2


@dataclass(frozen=True)
class ProgramStatus:
    """Whether a program can be used.

    Attributes:
        name: The program's name.
        state: `built`, `missing` or `damaged`.
        path: Where it lies, or would lie.
    """

    name: str
    state: State
    path: Path


@dataclass(frozen=True)
class Engine:
    """A Go module and the cache that holds its programs.

    Attributes:
        module: The module.
        base: The cache.
    """

    module: Module
    base: Path

    @property
    def name(self) -> str:
        """What tells this engine from others: its key, and the kind of computer it runs on."""
        return f"{self.module.name}-{self.module.key()}-{toolchain.platform()}"

    @property
    def programs(self) -> tuple[str, ...]:
        """The names of charts and programs, in the order in which they are built."""
        return tuple(one.name for one in self.module.files)

    @property
    def shelf(self) -> Shelf:
        """Where the programs lie, or would lie."""
        return Shelf(self.base / self.name)

    @property
    def go_caches(self) -> GoCaches:
        """What Go keeps for the next build."""
        return GoCaches(self.base)

    def status(self, *, verify: bool = False) -> list[ProgramStatus]:
        """Return every program's state, in the order in which they are built.

        Args:
            verify: Compare contents (about a second), not only sizes.
        """
        shelf = self.shelf
        return [
            ProgramStatus(name, shelf.state(name, verify=verify), shelf.path(name))
            for name in self.programs
        ]

    def program(self, name: str) -> Path:
        """Return a built program.

        Raises:
            EksnetError: It is not there, or it is not what was built.
        """
        self._check_names([name])
        shelf = self.shelf
        state = shelf.state(name)
        if state != "built":
            raise EksnetError(
                f"the engine's program {name} is {state}: {shelf.path(name)}",
                "a built and unchanged program",
                "eksnet engine build",
            )
        return shelf.path(name)

    def build(self, progress: ProgressCallback = print, *, keep_caches: bool | None = None) -> None:
        """Build what is missing or damaged; when another build runs, join it.

        Args:
            progress: Called with each line of progress, where there is no terminal for a bar.
            keep_caches: Whether this build and later ones leave Go's caches. When not given, they
                stay as long as an earlier build was told so.

        Raises:
            EksnetError: Something cannot be built.
        """
        if keep_caches is not None:
            with self._writable():
                self.go_caches.keep(keep_caches)
        for found in self.status(verify=True):
            if found.state == "damaged":
                progress(f"{found.name} is damaged and will be built again")
                self.shelf.invalidate(found.name)
        self.wait_for(self.programs, progress)
        self._drop_what_built_it()

    def wait_for(self, programs: Iterable[str], progress: ProgressCallback = print) -> None:
        """Return when the programs can be used: at once, after the running build, or after one.

        A build that is begun here makes the whole engine: begun again for the rest, it would have
        to compile once more what the programs share.

        Args:
            programs: Names.
            progress: Called with each line of progress, where there is no terminal for a bar.

        Raises:
            EksnetError: Something cannot be built.
        """
        with shown(progress) as watch:
            self._provide(self._check_names(programs), watch, lambda lock: self._build(lock, watch))

    def take(
        self,
        fetch: Callable[[Path], list[Record]],
        space: int,
        progress: ProgressCallback = print,
    ) -> bool:
        """Get the whole engine without building it, if any of it is missing.

        Args:
            fetch: Writes every program into an empty folder and returns what they are.
            space: How many MB it takes at its peak.
            progress: Called with each line of progress.

        Returns:
            Whether anything was missing.

        Raises:
            EksnetError: There is too little space, or what `fetch` raises.
        """

        def provide(_lock: int) -> None:
            cache.check_space(self.base, space)
            records = fetch(self._drafts)
            shelf = self._open_shelf()
            for record in records:
                shelf.publish(record, self._drafts / record.name)

        with shown(progress) as watch:
            was_missing = self._provide(self.programs, watch, provide)
        self._drop_what_built_it()
        return was_missing

    def _provide(self, names: Iterable[str], watch: Watch, provide: Callable[[int], None]) -> bool:
        """Get what is missing, or wait until the process that is at it has got it.

        Args:
            names: The programs.
            watch: Shows how far another process is.
            provide: Gets them; called with the descriptor of the lock.

        Returns:
            Whether anything was missing.
        """
        was_missing = False
        while self._missing(names):
            was_missing = True
            with cache.lock(self.base) as lock:
                if lock is not None:
                    with self._working():
                        provide(lock)
                    continue
            if (report := read_progress(self._report)) is not None:
                watch(report)
            time.sleep(_POLL)
        return was_missing

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """Have an empty folder for drafts; what is left in it goes, and so does the report."""
        try:
            self._sweep()
            self._drafts.mkdir(mode=0o700)
            yield
        except OSError as error:
            raise _cannot_write(self.base, error) from error
        finally:
            self._report.unlink(missing_ok=True)
            self._sweep()

    def _sweep(self) -> None:
        shutil.rmtree(self._drafts, ignore_errors=True)

    def _build(self, lock: int, watch: Watch) -> None:
        def tell(report: Progress) -> None:
            write_progress(self._report, report)
            watch(report)

        cache.check_space(self.base, self.module.peak - self.go_caches.size // 10**6)
        # Whoever only uses a program does not load what builds it.
        from eksnet.sandbox.build.compiler import Compiler

        count = Count(tell)
        count.fetching()
        go = toolchain.find(self.base, self.module.go_directive)
        go = go or toolchain.install(self.base, self.module.go_directive)
        shelf = self._open_shelf()
        missing = [one for one in self.module.files if shelf.state(one.name) != "built"]
        programs = [one for one in missing if isinstance(one, Program)]
        compiler = Compiler(go, self.module, self.base, lock)
        count.expect(compiler.stale(programs, count.fetched), len(missing))
        for one in missing:
            count.begin(one.name)
            self._build_one(one, compiler, shelf, count)
            count.published()
        if not self.go_caches.are_kept:
            self._drop()

    def _build_one(
        self, one: Chart | Program, compiler: Compiler, shelf: Shelf, count: Count
    ) -> None:
        draft = self._drafts / one.name
        if isinstance(one, Chart):
            compiler.pack(one, draft)
        else:
            compiler.compile(one, draft, count.compiled)
        if self.shelf != shelf:
            raise EksnetError(
                f"the sources in {self.module.source} changed during the build",
                "sources that do not change during a build",
                "eksnet engine build",
            )
        shelf.publish(Record.of(one.name, draft), draft)

    def _open_shelf(self) -> Shelf:
        """Return the programs' directory, the newest of all; of older ones few are kept."""
        shelf = self.shelf
        shelf.open()
        cache.prune(self.base, self.module.name)
        return shelf

    def _drop_what_built_it(self) -> None:
        """Drop Go's caches, and the Go that was installed for the build, unless they are kept."""
        if self.go_caches.are_kept or not (
            self.go_caches.exist or toolchain.is_installed(self.base)
        ):
            return
        with cache.lock(self.base) as lock:
            # Another build that uses them drops them itself.
            if lock is not None:
                self._drop()

    def _drop(self) -> None:
        with self._writable():
            self.go_caches.drop()
            toolchain.remove(self.base)

    @contextlib.contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _cannot_write(self.base, error) from error

    def _missing(self, names: Iterable[str]) -> list[str]:
        shelf = self.shelf
        return [name for name in names if shelf.state(name) != "built"]

    def _check_names(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        for name in names:
            if name not in self.programs:
                raise EksnetError(
                    f"the engine has no program {name!r}",
                    f"one of {', '.join(self.programs)}",
                    "eksnet engine status",
                )
        return names

    @property
    def _report(self) -> Path:
        return self.base / "progress.json"

    @property
    def _drafts(self) -> Path:
        return cache.drafts(self.base)


def _cannot_write(base: Path, error: OSError) -> EksnetError:
    return EksnetError(
        f"the engine's cache cannot be written: {error}",
        f"a directory of yours with enough free space at {base}",
        f"free some space, or set EKSNET_ENGINE_DIR to another directory; then {AGAIN}",
    )
