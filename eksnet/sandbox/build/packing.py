"""The engine as one file: packed where it was built, unpacked where nothing is to be built.

A packed file is a tar archive with gzip: first `engine.json`, which says of which engine it is and
what its programs are, then the programs. Its name carries the engine's key and the computer's kind.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import shlex
import shutil
import tarfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from eksnet.bootstrap import ENGINE_UNPACKED
from eksnet.errors import EksnetError
from eksnet.sandbox.build import sources
from eksnet.sandbox.build.builder import Engine
from eksnet.sandbox.build.cache import Record
from eksnet.sandbox.build.progress import ProgressCallback
from eksnet.sandbox.build.sources import LocalFile, RemoteFile

_CONTENTS = "engine.json"
_CONTENTS_LIMIT = 2**20
# A tenth larger than with 9, in a third of the time.
_COMPRESSION = 6


@dataclass(frozen=True)
class Packed:
    """A packed engine.

    Attributes:
        path: The file.
        size: Its size in bytes.
        sha256: Its checksum, which unpacking it elsewhere asks for.
    """

    path: Path
    size: int
    sha256: str


def file_name(engine: Engine) -> str:
    """Return the one name that an engine's packed file has."""
    return f"eksnet-{engine.name}.tar.gz"


def pack(engine: Engine, target: Path) -> Packed:
    """Write the engine's programs into one file.

    The same programs give the same bytes.

    Args:
        engine: The engine, built.
        target: A folder, or a file with the engine's name in it.

    Raises:
        EksnetError: The engine is not built, or the file cannot be written; then there is none.
    """
    path = target / file_name(engine) if target.is_dir() else target
    if path.name != file_name(engine):
        right = path.with_name(file_name(engine))
        raise EksnetError(
            f"{path.name!r} does not say which engine it is",
            f"{right.name}: the engine's key and the kind of computer",
            f"eksnet engine pack {shlex.quote(str(right))}",
        )
    for found in engine.status(verify=True):
        if found.state != "built":
            raise EksnetError(
                f"the engine's program {found.name} is {found.state}",
                "an engine that is built whole",
                "eksnet engine build",
            )
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            _write(engine, file)
            file.flush()
            os.fsync(file.fileno())
        record = Record.of(path.name, draft)
        draft.replace(path)
    except OSError as error:
        raise EksnetError(
            f"{path} cannot be written: {error.strerror}",
            "a folder of yours with about 200 MB of free space",
            "name another folder: `eksnet engine pack FOLDER`",
        ) from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    return Packed(path, record.size, record.sha256)


def _write(engine: Engine, file: io.BufferedWriter) -> None:
    shelf = engine.shelf
    records = [Record.of(program, shelf.path(program)) for program in engine.programs]
    contents = {"engine": engine.name, "programs": [asdict(record) for record in records]}
    text = json.dumps(contents, indent=1).encode()
    with (
        gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        archive.addfile(_member(_CONTENTS, len(text), 0o644), io.BytesIO(text))
        for record in records:
            with shelf.path(record.name).open("rb") as program:
                archive.addfile(_member(record.name, record.size, 0o755), program)


def _member(name: str, size: int, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, mode
    return member


def unpack(
    engine: Engine,
    source: str,
    sha256: str | None = None,
    progress: ProgressCallback = print,
) -> bool:
    """Take the engine's programs from a packed file, where they are not there yet.

    Args:
        engine: The engine.
        source: A path or a URL, of the file or of a folder that has it.
        sha256: The file's checksum. A file that only this user or root can have written needs none.
        progress: Called with each line of progress.

    Returns:
        Whether anything was missing.

    Raises:
        EksnetError: It is another engine's file, or not what its checksum says, or not whole; then
            nothing of it is kept.
    """
    packed = sources.locate(source, file_name(engine))
    checksum = sources.parse_sha256(sha256)

    def fetch(folder: Path) -> list[Record]:
        file = folder / file_name(engine)
        sources.copy(packed, file, checksum, progress)
        return _extract(engine, file, folder, packed)

    return engine.take(fetch, ENGINE_UNPACKED.peak, progress)


def _extract(
    engine: Engine, file: Path, folder: Path, source: LocalFile | RemoteFile
) -> list[Record]:
    """Write the programs of a packed file into a folder; return what they are."""
    try:
        with tarfile.open(file, "r:gz") as archive:
            members = iter(archive)
            records = _contents(engine, archive, next(members, None))
            left = {record.name: record for record in records}
            for member in members:
                record = left.pop(member.name, None)
                if record is None or not member.isreg():
                    raise _NotPackedError(
                        f"it holds {member.name!r}, which is none of its programs"
                    )
                _extract_program(archive, member, record, folder)
    except (_NotPackedError, tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _not_whole(source, str(error)) from None
    if left:
        raise _not_whole(source, f"missing: {', '.join(left)}")
    return records


class _NotPackedError(Exception):
    """An archive is not what `pack` writes; the message says why."""


def _contents(
    engine: Engine, archive: tarfile.TarFile, member: tarfile.TarInfo | None
) -> list[Record]:
    if member is None or member.name != _CONTENTS or not member.isreg():
        raise _NotPackedError(f"it does not begin with {_CONTENTS}")
    if member.size > _CONTENTS_LIMIT:
        raise _NotPackedError(f"its {_CONTENTS} has {member.size} bytes")
    file = archive.extractfile(member)
    assert file is not None
    try:
        contents = json.loads(file.read())
        name, records = contents["engine"], [Record(**one) for one in contents["programs"]]
    except (ValueError, TypeError, KeyError):
        raise _NotPackedError(f"its {_CONTENTS} cannot be read") from None
    if name != engine.name:
        raise _NotPackedError(f"inside it is {name!r}, whatever its name says")
    if [record.name for record in records] != list(engine.programs):
        raise _NotPackedError("its programs are not those of this engine")
    return records


def _extract_program(
    archive: tarfile.TarFile, member: tarfile.TarInfo, record: Record, folder: Path
) -> None:
    if member.size != record.size:
        raise _NotPackedError(f"{record.name} has {member.size} bytes, not {record.size}")
    file = archive.extractfile(member)
    assert file is not None
    with (folder / record.name).open("xb") as program:
        shutil.copyfileobj(file, program, 2**20)
    if Record.of(record.name, folder / record.name) != record:
        raise _NotPackedError(f"{record.name} is not what {_CONTENTS} says")


def _not_whole(source: LocalFile | RemoteFile, why: str) -> EksnetError:
    return EksnetError(
        f"{source} is not a whole packed engine: {why}",
        "a file as `eksnet engine pack` writes it",
        "nothing of it was used: get the file anew",
    )
