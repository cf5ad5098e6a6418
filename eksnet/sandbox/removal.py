"""Taking away what a sandbox or the engine keeps on the disk; what is the learner's own stays."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eksnet.bootstrap import engine_directory
from eksnet.errors import EksnetError
from eksnet.sandbox import holder, locks, state
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.lifecycle import Progress
from eksnet.sandbox.paths import Paths, size


@dataclass(frozen=True)
class Removed:
    """What was taken away.

    Attributes:
        directory: Where it was.
        size: How much room it took, in bytes.
        ended: Whether a sandbox that ran was ended first.
        kept: What is still there, because it is no part of a sandbox's state or of the engine.
    """

    directory: Path
    size: int
    ended: bool = False
    kept: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"{self.size / 2**20:.0f} MiB in {self.directory}"


def remove_sandbox(name: str | None = None, *, progress: Progress = lambda _: None) -> Removed:
    """End a sandbox and take its state away.

    The cluster's authority stays: the learner's progress and backups belong to the cluster with
    that authority, and are kept elsewhere.

    Args:
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.
        progress: Called with a line when another command has to be waited for.

    Raises:
        EksnetError: Something cannot be removed; what was before it is gone.
    """
    paths = sandbox_paths.paths(name)
    if not paths.state.exists():
        return Removed(paths.state, 0)
    before = size(paths.state)
    with _removal_errors(paths.state), locks.start_lock(paths, progress):
        # What is thrown away need not be put in order first.
        ended = holder.stop(paths, signal.SIGKILL)
        for part in _parts(paths):
            state.discard(paths, part)
    kept = tuple(path for path in paths.state.iterdir() if path != paths.identity)
    return Removed(paths.state, before - size(paths.state), ended, kept)


def _parts(paths: Paths) -> Iterator[Path]:
    """Return the parts of a state in an order in which any of them may be the last to go.

    A start makes again what is missing, as long as no cluster is left whose other parts are gone.
    The directory with the lock goes at the end.
    """
    yield paths.cluster
    yield from (paths.seed, paths.bytecode, paths.version)
    yield from (paths.kubeconfig, paths.own_kubeconfig, paths.helm, paths.logs)
    yield from (paths.state / name for name in ("busybox", "musl"))
    yield from paths.state.glob(".*")  # what a command that was killed did not finish
    if paths.identity.exists():
        yield from (p for p in paths.identity.iterdir() if p.name not in ("ca.crt", "ca.key"))
    yield paths.run


def remove_engine() -> Removed:
    """Take away the engine's programs, and the Go that was installed to build them.

    Raises:
        EksnetError: A sandbox that runs uses them, they are being built, or they cannot be removed.
    """
    from eksnet.sandbox.build import cache

    base = engine_directory()
    if not base.exists():
        return Removed(base, 0)
    before = size(base)
    with _removal_errors(base), cache.lock(base) as lock:
        if lock is None:
            raise EksnetError(
                "the engine is being built",
                "no running build",
                "`eksnet engine build` shows its progress; run `eksnet remove --engine` after it",
            )
        cache.remove_all(base)
    kept = tuple(base.iterdir()) if base.exists() else ()
    return Removed(base, before - size(base), kept=kept)


@contextlib.contextmanager
def _removal_errors(directory: Path) -> Iterator[None]:
    """Say it in the course's words when something cannot be removed."""
    try:
        yield
    except OSError as error:
        raise EksnetError(
            f"{error.filename or directory} cannot be removed: {error.strerror}",
            "files that you own",
            f"sudo rm -r {directory}, if root started that sandbox",
        ) from error
