"""The engine as a whole: what of it is there, and building what is not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from eksnet.errors import EksnetError
from eksnet.sandbox.build import cache, progress, toolchain
from eksnet.sandbox.build.cache import Shelf, State
from eksnet.sandbox.build.compiler import AGAIN, Compiler
from eksnet.sandbox.build.modules import Module, Program
from eksnet.sandbox.build.progress import Count, Progress, Say, Watch
from eksnet.sandbox.build.toolchain import Go

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
    """Go modules and the cache that holds their programs.

    Attributes:
        modules: The modules, in the order in which they are built.
        base: The cache.
    """

    modules: tuple[Module, ...]
    base: Path

    def status(self, *, verify: bool = False) -> list[ProgramStatus]:
        """Return every program's state, in the order in which they are built.

        Args:
            verify: Compare contents (about a second), not only sizes.
        """
        found = []
        for module in self.modules:
            shelf = self._shelf(module)
            for program in module.programs:
                state = shelf.state(program.name, verify=verify) if shelf else "missing"
                path = (shelf.directory if shelf else self.base) / program.name
                found.append(ProgramStatus(program.name, state, path))
        return found

    def program(self, name: str) -> Path:
        """Return a built program.

        Raises:
            EksnetError: It is not there, or it is not what was built.
        """
        self._check_names([name])
        found = next(status for status in self.status() if status.name == name)
        if found.state != "built":
            raise EksnetError(
                f"the engine's program {name} is {found.state}: {found.path}",
                "a built and unchanged program",
                "eksnet engine build",
            )
        return found.path

    def build(self, programs: Iterable[str] | None = None, say: Say = print) -> None:
        """Build what is missing or damaged; when another build runs, join it.

        Args:
            programs: Names; all of them when not given.
            say: Where lines go when there is no terminal for a bar.

        Raises:
            EksnetError: Something cannot be built.
        """
        names = self._names() if programs is None else list(programs)
        for found in self.status(verify=True):
            if found.name in names and found.state == "damaged":
                say(f"{found.name} is damaged and will be built again")
                Shelf(found.path.parent).distrust(found.name)
        self.wait_for(names, say)

    def wait_for(self, programs: Iterable[str], say: Say = print) -> None:
        """Return when the programs can be used: at once, after the running build, or after one.

        Args:
            programs: Names.
            say: Where lines go when there is no terminal for a bar.

        Raises:
            EksnetError: Something cannot be built.
        """
        names = self._check_names(programs)
        with progress.shown(say) as watch:
            while self._missing(names):
                with cache.lock(self.base) as lock:
                    if lock is not None:
                        self._build(names, lock, watch)
                        continue
                self._look_on(watch)

    def _look_on(self, watch: Watch) -> None:
        if (report := progress.read(self._report)) is not None:
            watch(report)
        time.sleep(_POLL)

    def _build(self, names: list[str], lock: int, watch: Watch) -> None:
        def tell(report: Progress) -> None:
            progress.write(self._report, report)
            watch(report)

        try:
            self._sweep()
            for module in self.modules:
                wanted = [program for program in module.programs if program.name in names]
                if wanted:
                    self._build_module(module, wanted, lock, tell)
        except OSError as error:
            raise EksnetError(
                f"the engine's cache cannot be written: {error}",
                f"about 5 GB free in {self.base}",
                f"free some space, or set EKSNET_ENGINE_DIR to another directory; then {AGAIN}",
            ) from error
        finally:
            self._report.unlink(missing_ok=True)
            self._sweep()

    def _sweep(self) -> None:
        shutil.rmtree(self._drafts, ignore_errors=True)

    def _build_module(self, module: Module, wanted: list[Program], lock: int, tell: Watch) -> None:
        count = Count(tell)
        count.fetching()
        go = toolchain.find(self.base, module.go_directive)
        go = go or toolchain.install(self.base, module.go_directive)
        shelf = self._shelf_of(module, go)
        shelf.open_for_build()
        missing = [program for program in wanted if shelf.state(program.name) != "built"]
        if missing:
            self._drafts.mkdir(exist_ok=True)
            compiler = Compiler(go, module, self._drafts, lock)
            count.expect(compiler.stale(missing, count.fetched), len(missing))
            for program in missing:
                count.begin(program.name)
                self._build_program(program, compiler, shelf, count)
                count.landed()
        cache.prune(self.base, module.name)

    def _build_program(
        self, program: Program, compiler: Compiler, shelf: Shelf, count: Count
    ) -> None:
        draft = shelf.draft(program.name)
        try:
            compiler.compile(program, draft, count.compiled)
            if self._shelf_of(compiler.module, compiler.go) != shelf:
                raise EksnetError(
                    f"the sources in {compiler.module.source} changed during the build",
                    "sources that do not change during a build",
                    "eksnet engine build",
                )
            shelf.land(program.name)
        finally:
            draft.unlink(missing_ok=True)

    def _shelf_of(self, module: Module, go: Go) -> Shelf:
        return Shelf(self.base / f"{module.name}-{module.key(go.version)}")

    def _shelf(self, module: Module) -> Shelf | None:
        # Without a Go of the right age there is no key, and nothing can have been built with it.
        go = toolchain.find(self.base, module.go_directive)
        return self._shelf_of(module, go) if go else None

    def _missing(self, names: list[str]) -> list[str]:
        return [
            found.name for found in self.status() if found.name in names and found.state != "built"
        ]

    def _names(self) -> list[str]:
        return [program.name for module in self.modules for program in module.programs]

    def _check_names(self, names: Iterable[str]) -> list[str]:
        known = self._names()
        names = list(names)
        for name in names:
            if name not in known:
                raise EksnetError(
                    f"the engine has no program {name!r}",
                    f"one of {', '.join(known)}",
                    "eksnet engine status",
                )
        return names

    @property
    def _report(self) -> Path:
        return self.base / "progress.json"

    @property
    def _drafts(self) -> Path:
        return self.base / "drafts"
