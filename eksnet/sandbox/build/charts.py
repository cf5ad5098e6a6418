"""A Helm chart as one file, packed from its folder; the same chart gives the same bytes."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

_IGNORE = ".helmignore"


def pack(folder: Path, output: Path) -> None:
    """Write a chart into a file as `helm package` does, but without times.

    Args:
        folder: The chart's folder; its name is the chart's.
        output: The file to write.

    Raises:
        OSError: It cannot be read or written.
    """
    with (
        output.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for path in _files(folder):
            member = tarfile.TarInfo(path.relative_to(folder.parent).as_posix())
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                archive.addfile(member, content)


def _files(folder: Path) -> Iterator[Path]:
    """Yield a chart's files, without those that its `.helmignore` names."""
    ignore = folder / _IGNORE
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(_matches(pattern, name) for pattern in patterns):
            yield path


def _matches(pattern: str, name: str) -> bool:
    """Tell whether a pattern names a file, a folder above it, or either by its last part alone."""
    *folders, _ = name.split("/")
    above = ["/".join(folders[: n + 1]) for n in range(len(folders))]
    places = above if pattern.endswith("/") else [name, *above]
    wanted = pattern.rstrip("/")
    return any(
        fnmatch(place if "/" in wanted else place.rpartition("/")[2], wanted) for place in places
    )
