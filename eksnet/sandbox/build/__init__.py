"""The engine's builder: upstream's programs and ours, built once from pinned Go modules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from eksnet.sandbox.build.builder import Engine, ProgramStatus
from eksnet.sandbox.build.cache import base_directory, use
from eksnet.sandbox.build.modules import MODULES
from eksnet.sandbox.build.progress import Progress, Say

__all__ = ["Engine", "ProgramStatus", "Progress", "build", "engine", "program", "status",
           "use", "wait_for"]  # fmt: skip


def engine() -> Engine:
    """Return the sandbox's engine, in the cache that the environment names."""
    return Engine(MODULES, base_directory())


def build(programs: Iterable[str] | None = None, say: Say = print) -> None:
    """Build the engine's programs; see `Engine.build`."""
    engine().build(programs, say)


def status(*, verify: bool = False) -> list[ProgramStatus]:
    """Return the state of the engine's programs; see `Engine.status`."""
    return engine().status(verify=verify)


def program(name: str) -> Path:
    """Return a built program; see `Engine.program`."""
    return engine().program(name)


def wait_for(programs: Iterable[str], say: Say = print) -> None:
    """Return when the programs can be used; see `Engine.wait_for`."""
    engine().wait_for(programs, say)
