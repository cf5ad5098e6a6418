"""Submissions as they come in: read with bounds, and never written to a disk.

Whatever a submission is, reading it gives attempts or a reason why not. A link is not followed, an
archive is not unpacked, and nothing is read that is larger than what `eksnet submit` writes.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from eksnet.checkpoints import evidence
from eksnet.checkpoints.evidence import Attempt
from eksnet.errors import EksnetError
from eksnet.printable import cell

_LARGEST_ARCHIVE = 16_000_000
_LARGEST_EVIDENCE = 2 * evidence.CAP
_LARGEST_DIRECTORY = 200_000
_LARGEST_NOTEBOOK = 5_000_000
_MOST_FILES = 64
# Copies of one notebook that a learner may have: each is run.
_MOST_COPIES = 3
_DEEPEST = 4
_IPYNB = ".ipynb"
# A learner's name is a file's name and a spreadsheet's cell, where `=` would begin a formula.
_NAME = re.compile(r"\w[\w .@+-]{0,98}\w|\w")
_EVIDENCE = re.compile(r"(?:[^/]+/)?evidence/[\w.-]+\.jsonl")
_NOTEBOOK = re.compile(r"(?:[^/]+/)?notebooks/([\w.-]+)\.ipynb")
_END = b"PK\x05\x06"
_END_SIZE = 22
_LOCATOR_64, _LOCATOR_64_SIZE = b"PK\x06\x07", 20
# What an archive that was made by hand, or damaged, raises while it is read.
_ODD = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError,
    OverflowError, OSError,
)  # fmt: skip


@dataclass(frozen=True)
class Submission:
    """What one learner has handed in.

    Attributes:
        learner: The learner's name: that of the file or the folder.
        attempts: All attempts, in the order of the files.
        unreadable: How many lines of the evidence are no attempt.
        faults: What could not be read, each with its reason.
        files: How many files were read.
    """

    learner: str
    attempts: tuple[Attempt, ...] = ()
    unreadable: int = 0
    faults: tuple[str, ...] = ()
    files: int = 0


class _UnreadableError(Exception):
    """A file is no submission; its text says why."""


@dataclass(frozen=True)
class Found:
    """The submissions of a folder, not read yet.

    Attributes:
        learners: The files of each learner, by the learner's name.
        faults: What is no submission: a name in the folder and the reason.
    """

    learners: dict[str, list[Path]]
    faults: tuple[tuple[str, str], ...]


def find(folder: Path) -> Found:
    """Find the submissions of a folder: files, and folders of them as nbgrader has them.

    Each entry of the folder is a learner's: `NAME.zip`, `NAME.jsonl`, or a folder `NAME` with such
    files, and notebooks, at any depth that nbgrader has.

    Raises:
        EksnetError: The folder cannot be read.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "") or error
        raise EksnetError(
            f"{folder} cannot be read: {why}",
            "a folder of submissions",
            "eksnet grade DIRECTORY --csv gradebook.csv --feedback out/",
        ) from error
    learners: dict[str, list[Path]] = {}
    faults: list[tuple[str, str]] = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name.endswith(".csv"):
            continue
        try:
            files = list(_files(entry))
            learners.setdefault(_learner(entry), []).extend(files)
        except _UnreadableError as error:
            faults.append((cell(entry.name)[:100], str(error)))
    return Found(dict(sorted(learners.items())), tuple(faults))


def read(learner: str, files: Iterable[Path]) -> Submission:
    """Read what a learner has handed in; never raises for what is in it."""
    attempts: list[Attempt] = []
    faults: list[str] = []
    unreadable = count = 0
    for path in files:
        if path.suffix == _IPYNB:
            continue
        try:
            contents = list(_contents(path, _evidence))
            for content in contents:
                found = evidence.parse(content)
                attempts += found.attempts
                unreadable += found.unreadable
            count += 1
        except _UnreadableError as error:
            faults.append(f"{cell(path.name)}: {error}")
    return Submission(learner, tuple(attempts), unreadable, tuple(faults), count)


def notebooks(files: Iterable[Path], stem: str) -> tuple[list[bytes], list[str]]:
    """Read a learner's copies of a notebook; never raises for what is in it.

    Args:
        files: What the learner has handed in.
        stem: The notebook's name.

    Returns:
        The copies, by their names, and what could not be read, each with its reason.
    """
    found: list[tuple[str, bytes]] = []
    faults: list[str] = []
    for path in files:
        try:
            found += _copies(path, stem)
        except _UnreadableError as error:
            faults.append(f"{cell(path.name)}: {error}")
    if len(found) > _MOST_COPIES:
        faults.append(f"{len(found)} copies of {stem}: the first {_MOST_COPIES} were taken")
    return [content for _, content in sorted(found)[:_MOST_COPIES]], faults


def _copies(path: Path, stem: str) -> Iterator[tuple[str, bytes]]:
    """Yield the copies of a notebook in a file, each with its name.

    Raises:
        _UnreadableError: It cannot be read, or is not what `eksnet submit` writes.
    """
    if path.suffix == _IPYNB and _is_copy(path.stem, stem):
        for content in _contents(path, _evidence):
            yield path.stem, content
    if path.suffix != ".zip":
        return
    names: list[str] = []

    def wanted(archive: zipfile.ZipFile) -> Iterator[bytes]:
        for entry in archive.infolist():
            named = _NOTEBOOK.fullmatch(entry.filename)
            if named and _is_copy(named[1], stem) and len(names) <= _MOST_COPIES:
                names.append(named[1])
                yield _entry(archive, entry, _LARGEST_NOTEBOOK)

    contents = list(_contents(path, wanted))
    yield from zip(names, contents, strict=True)


def _is_copy(name: str, stem: str) -> bool:
    """Tell whether a file is a notebook or a copy of it: `05_lab_hosts-2`."""
    return name == stem or name.removeprefix(f"{stem}-").isdigit()


def name_fault(name: str) -> str:
    """Return what is wrong with a learner's name, in words; empty when nothing is."""
    if _NAME.fullmatch(name) and name.isprintable():
        return ""
    return "a name has up to 100 letters, digits, blanks and . @ + - _, and begins with a letter"


def normalized(name: str) -> str:
    """Return a name with each letter in its one form: file systems differ in that."""
    return unicodedata.normalize("NFC", name.strip())


def _learner(entry: os.DirEntry[str]) -> str:
    is_folder = entry.is_dir(follow_symlinks=False)
    name = normalized(entry.name if is_folder else Path(entry.name).stem)
    if fault := name_fault(name):
        raise _UnreadableError(fault)
    return name


def _files(entry: os.DirEntry[str]) -> Iterator[Path]:
    """Yield the files that a learner's entry stands for."""
    if entry.is_symlink():
        raise _UnreadableError("it is a link, which is not followed")
    if not entry.is_dir(follow_symlinks=False):
        if not _is_ours(entry.name):
            raise _UnreadableError("it is neither a .zip nor a .jsonl nor an .ipynb file")
        yield Path(entry.path)
        return
    found = []
    for place, folders, names in os.walk(entry.path, onerror=_refuse):
        if len(Path(place).relative_to(entry.path).parts) >= _DEEPEST:
            folders.clear()
        folders.sort()
        found += [Path(place) / name for name in sorted(names) if _is_ours(name)]
        if len(found) > _MOST_FILES:
            raise _UnreadableError(f"it has more than {_MOST_FILES} files")
    if not found:
        raise _UnreadableError("there is no .zip, no .jsonl and no .ipynb file in it")
    yield from found


def _refuse(error: OSError) -> None:
    """Refuse a submission with a folder that cannot be listed: nobody knows what is in it.

    Raises:
        _UnreadableError: Always.
    """
    raise _UnreadableError(f"{cell(Path(error.filename).name)} cannot be read: {error.strerror}")


def _is_ours(name: str) -> bool:
    return name.endswith((".zip", ".jsonl", _IPYNB))


def _contents(path: Path, wanted: Callable[[zipfile.ZipFile], Iterator[bytes]]) -> Iterator[bytes]:
    """Yield the content of a file; of an archive, what is wanted of it.

    Raises:
        _UnreadableError: It cannot be read, or is not what `eksnet submit` writes.
    """
    is_archive = path.suffix == ".zip"
    largest = _LARGEST_NOTEBOOK if path.suffix == _IPYNB else _LARGEST_EVIDENCE
    try:
        # A pipe would wait for its other end without the second flag.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        most = _LARGEST_ARCHIVE if is_archive else largest
        try:
            _check_file(os.fstat(descriptor), most)
        except _UnreadableError:
            os.close(descriptor)
            raise
        with os.fdopen(descriptor, "rb") as file:
            if is_archive:
                yield from _unpacked(file, wanted)
            else:
                yield file.read(most)
    except _ODD as error:
        why = getattr(error, "strerror", "") or str(error) or type(error).__name__
        raise _UnreadableError(cell(f"it cannot be read: {why}")[:200]) from error


def _check_file(about: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise _UnreadableError("it is no ordinary file")
    if about.st_size > most:
        raise _UnreadableError(f"it has more than {most:,} bytes")


def _unpacked(
    file: BinaryIO, wanted: Callable[[zipfile.ZipFile], Iterator[bytes]]
) -> Iterator[bytes]:
    """Yield what is wanted of an archive, once all that it lists is as it should be."""
    _check_directory(file)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        for entry in entries:
            _check_entry(entry)
        names = [entry.filename for entry in entries]
        if not any(name.split("/")[-1] == "submission.json" or _EVIDENCE.fullmatch(name)
                   for name in names):  # fmt: skip
            raise _UnreadableError("`eksnet submit` did not write it: it has no submission.json")
        yield from wanted(archive)


def _evidence(archive: zipfile.ZipFile) -> Iterator[bytes]:
    """Yield the evidence of an archive."""
    wanted = [entry for entry in archive.infolist() if _EVIDENCE.fullmatch(entry.filename)]
    if len(wanted) > _MOST_FILES:
        raise _UnreadableError(f"it has more than {_MOST_FILES} files of evidence")
    room = _LARGEST_EVIDENCE
    for entry in wanted:
        content = _entry(archive, entry, room)
        room -= len(content)
        yield content


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int) -> bytes:
    """Return what an entry holds: what it says of its own size is its writer's word."""
    with archive.open(entry) as packed:
        content = packed.read(room + 1)
    if len(content) > room:
        raise _UnreadableError(f"unpacked it has more than {room:,} bytes")
    return content


def _check_directory(file: BinaryIO) -> None:
    """Refuse an archive whose list of files is huge: zipfile would read all of it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_SIZE - _LOCATOR_64_SIZE))
    end = file.read()
    file.seek(0)
    last, before = end[-_END_SIZE:], end[:-_END_SIZE]
    if len(last) < _END_SIZE or last[:4] != _END or last[-2:] != b"\0\0":
        raise _UnreadableError("it is no complete .zip file")
    listed = int.from_bytes(last[12:16], "little")
    if before.startswith(_LOCATOR_64) or listed > _LARGEST_DIRECTORY:
        raise _UnreadableError("it lists too many files")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    """Refuse an archive with what `eksnet submit` never writes."""
    name = entry.filename
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise _UnreadableError(f"it has a file outside itself: {cell(name)[:60]}")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _UnreadableError(f"it has a link: {cell(name)[:60]}")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _UnreadableError(f"it is packed in a way that is not read: {cell(name)[:60]}")
