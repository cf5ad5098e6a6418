"""Where built programs lie, and why a file there may be believed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from eksnet.bootstrap import engine_directory
from eksnet.errors import EksnetError

__all__ = ["AGAIN", "Record", "Shelf", "State", "check_space", "drafts", "engine_directory", "lock",
           "prune", "remove_all", "use"]  # fmt: skip

State = Literal["built", "missing", "damaged"]
AGAIN = "`eksnet engine build`; it continues where it stopped"
# Back and forth between two branches builds nothing again.
_KEPT = 2


def drafts(base: Path) -> Path:
    """Return the folder for what is not whole yet; who holds the lock has it alone."""
    return base / "drafts"


def check_space(base: Path, needed: int) -> None:
    """Refuse what would run into a full disk.

    Args:
        base: The engine's cache; it need not exist.
        needed: How many MB are needed.

    Raises:
        EksnetError: There is less.
    """
    place = next(path for path in (base, *base.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free // 10**6
    if free < needed:
        raise EksnetError(
            f"{free / 1000:.1f} GB are free in {base}",
            f"{needed / 1000:.1f} GB, most of them only until the engine is there",
            "free some space, or set EKSNET_ENGINE_DIR to a larger disk; an engine that"
            " was packed elsewhere needs less than one that is built: make lab ENGINE=FILE",
        )


@dataclass(frozen=True)
class Record:
    """What a program was when it was built."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, file: Path) -> Record:
        """Describe a file."""
        return cls(name, file.stat().st_size, _sha256(file))


@dataclass(frozen=True)
class Shelf:
    """The directory with one module's programs for one key.

    A program has a record (name, size, SHA-256) that is written after the program has its name:
    what has no record, or another size than its record says, is not believed.
    """

    directory: Path

    def path(self, name: str) -> Path:
        """Return where a program lies, or would lie."""
        return self.directory / name

    def _record(self, name: str) -> Path:
        return self.directory / "records" / f"{name}.json"

    def state(self, name: str, *, verify: bool = False) -> State:
        """Compare a program with its record: by size, or with `verify` by content."""
        try:
            record = Record(**json.loads(self._record(name).read_text()))
            size = self.path(name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except (ValueError, TypeError):
            return "damaged"
        if size != record.size:
            return "damaged"
        if verify and Record.of(name, self.path(name)) != record:
            return "damaged"
        return "built"

    def publish(self, record: Record, draft: Path) -> None:
        """Give a finished draft its name, and then its record.

        Args:
            record: What the draft is.
            draft: The file, on the same disk; it is moved.
        """
        name = record.name
        # Whatever the umask: root of a node is not root of this computer, and has to run it.
        draft.chmod(0o755)
        _to_disk(draft)
        self.invalidate(name)
        draft.replace(self.path(name))
        paper = draft.with_name(f"{name}.json")
        self._record(name).parent.mkdir(exist_ok=True)
        paper.write_text(json.dumps(asdict(record)) + "\n")
        _to_disk(paper)
        paper.replace(self._record(name))

    def invalidate(self, name: str) -> None:
        """Take a program's record away, so that it is built again."""
        self._record(name).unlink(missing_ok=True)

    def open(self) -> None:
        """Make the directory, newest of all."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        os.utime(self.directory)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def prune(base: Path, module: str) -> None:
    """Remove a module's old shelves, all but the newest two and those that a sandbox uses."""
    shelves = _shelves(base, module)
    shelves.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for old in shelves[_KEPT:]:
        if not _is_used(old):
            shutil.rmtree(old, ignore_errors=True)


def _shelves(base: Path, module: str) -> list[Path]:
    # Without the kind of computer in its name, an earlier version of the course has made it.
    name = re.compile(rf"{module}-[0-9a-f]{{12}}(-[a-z0-9]+-[a-z0-9]+)?")
    return [path for path in base.iterdir() if name.fullmatch(path.name)]


def remove_all(base: Path) -> None:
    """Remove all that the engine has put into its cache; nothing of it, if a sandbox uses any.

    Raises:
        EksnetError: A sandbox that runs uses programs.
        OSError: Something cannot be removed.
    """
    with contextlib.ExitStack() as alone:
        shelves = _shelves(base, r"[a-z]+")
        for shelf in shelves:
            descriptor = os.open(shelf, os.O_RDONLY)
            alone.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EksnetError(
                    f"a running sandbox uses the programs in {shelf}",
                    "no running sandbox",
                    "`eksnet down` stops it, or `eksnet down --sandbox NAME` another one",
                ) from None
        built_with = [*base.glob("go-*"), *base.glob(".go-*")]
        for directory in (*shelves, *built_with, drafts(base)):
            if directory.exists():
                shutil.rmtree(directory)
        for name in ("progress.json", "build.lock"):
            (base / name).unlink(missing_ok=True)
    for directory in (base, base.parent):
        # Whatever else is in there is not the engine's.
        with contextlib.suppress(OSError):
            directory.rmdir()


def use(directory: Path) -> int:
    """Keep a directory of programs from being removed.

    Returns:
        A file descriptor: until its last copy is closed, in any process, the programs stay.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _is_used(directory: Path) -> bool:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def lock(base: Path) -> Iterator[int | None]:
    """Hold the right to build, as a file descriptor; None when another process holds it.

    Raises:
        EksnetError: The cache cannot be written.
    """
    try:
        base.mkdir(parents=True, exist_ok=True)
        file = (base / "build.lock").open("a")
    except OSError as error:
        raise EksnetError(
            f"the engine's cache cannot be written: {error}",
            f"a directory of your own at {base}",
            "fix its permissions, or set EKSNET_ENGINE_DIR to another directory",
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file.fileno()
