"""Go's own caches: the engine's, not the user's, and gone when the engine is built."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from eksnet.sandbox.paths import size


@dataclass(frozen=True)
class GoCaches:
    """The caches of the Go commands that build the engine: modules' sources, compiled packages.

    A build goes on where an earlier one stopped, and drops them once every program is built. Who
    works on the Go code keeps them: as long as a file says so, every later build leaves them too.

    Attributes:
        base: The engine's cache.
    """

    base: Path

    @property
    def directory(self) -> Path:
        """The folder with both caches."""
        return self.base / "go-caches"

    @property
    def _kept(self) -> Path:
        return self.directory / "kept"

    def environment(self) -> dict[str, str]:
        """Return the variables that lead Go there."""
        return {
            "GOCACHE": str(self.directory / "packages"),
            "GOMODCACHE": str(self.directory / "modules"),
        }

    @property
    def are_kept(self) -> bool:
        """Whether a build leaves them when it is done."""
        return self._kept.exists()

    @property
    def exist(self) -> bool:
        """Whether there is anything to drop."""
        return self.directory.exists()

    @property
    def size(self) -> int:
        """How much room they take, in bytes."""
        return size(self.directory)

    def keep(self, kept: bool) -> None:
        """Have this build and later ones leave them, or not.

        Raises:
            OSError: It cannot be written down.
        """
        if kept:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._kept.touch()
        else:
            self._kept.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove them, and what an earlier removal that was killed has left.

        Raises:
            OSError: Something cannot be removed.
        """
        if self.exist:
            # Go would believe a module's folder although half of its files are gone.
            self.directory.rename(self.base / f".go-caches.{os.getpid()}")
        for leftover in self.base.glob(".go-caches.*"):
            shutil.rmtree(leftover)
