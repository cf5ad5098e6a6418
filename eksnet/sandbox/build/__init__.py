"""The engine's builder: upstream's programs and ours, built once from a pinned Go module."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from eksnet.bootstrap import engine_directory
from eksnet.sandbox.build.builder import Engine, ProgramStatus
from eksnet.sandbox.build.cache import use
from eksnet.sandbox.build.modules import CONTROLLER_CHART, MODULE
from eksnet.sandbox.build.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from eksnet.sandbox.build.packing import Packed

__all__ = [
    "CONTROLLER_CHART",
    "Engine",
    "ProgramStatus",
    "Progress",
    "build",
    "engine",
    "pack",
    "program",
    "status",
    "unpack",
    "use",
    "wait_for",
]  # fmt: skip


def engine() -> Engine:
    """Return the sandbox's engine, in the cache that the environment names."""
    return Engine(MODULE, engine_directory())


def build(progress: ProgressCallback = print, *, keep_caches: bool | None = None) -> None:
    """Build the engine's programs; see `Engine.build`."""
    engine().build(progress, keep_caches=keep_caches)


def status(*, verify: bool = False) -> list[ProgramStatus]:
    """Return the state of the engine's programs; see `Engine.status`."""
    return engine().status(verify=verify)


def program(name: str) -> Path:
    """Return a built program; see `Engine.program`."""
    return engine().program(name)


def wait_for(programs: Iterable[str], progress: ProgressCallback = print) -> None:
    """Return when the programs can be used; see `Engine.wait_for`."""
    engine().wait_for(programs, progress)


def pack(target: Path) -> Packed:
    """Write the engine into one file; see `eksnet.sandbox.build.packing.pack`."""
    from eksnet.sandbox.build import packing

    return packing.pack(engine(), target)


def unpack(source: str, sha256: str | None = None, progress: ProgressCallback = print) -> bool:
    """Take the engine from a packed file; see `eksnet.sandbox.build.packing.unpack`."""
    from eksnet.sandbox.build import packing

    return packing.unpack(engine(), source, sha256, progress)
