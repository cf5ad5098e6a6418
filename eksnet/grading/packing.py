"""What a learner hands in: evidence, progress and notebooks in one archive, without secrets."""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eksnet.checkpoints import definitions, evidence
from eksnet.checkpoints.evidence import Attempt, withheld
from eksnet.checkpoints.standing import standings
from eksnet.course.catalogue import course
from eksnet.errors import EksnetError

FORMAT = "eksnet submission 1"
TITLE = "submission.json"
# The same bytes for the same content: an archive has no time before this one.
_TIME = (1980, 1, 1, 0, 0, 0)
_LARGEST_NOTEBOOK = 5_000_000
# The fields of an attempt that are handed in as they are.
_KEPT = ("format", "checkpoint", "at", "cluster", "nonce", "state", "points", "of")
_ARN = re.compile(
    r"\barn:(aws[\w-]*):([\w-]*):([\w-]*):(\d{12}|[…\d]*):([\w-]+)([:/][^\s\"'\\,;)\]}]*)?"
)
_ACCOUNT = re.compile(r"(?<!\d)\d{8}(\d{4})(?!\d)")
_ACCOUNT_WITH_DASHES = re.compile(r"(?<!\d)\d{4}-\d{4}-(\d{4})(?!\d)")
# To the patterns of secrets it is white space, so that one is found over several lines.
_BETWEEN = "\x1f"


@dataclass(frozen=True)
class Entry:
    """A file of a submission.

    Attributes:
        name: Its name in the archive.
        what: What it is, in a few words.
        content: What it holds.
    """

    name: str
    what: str
    content: bytes


def submission(folder: Path) -> list[Entry]:
    """Return what a submission holds: all evidence there is, and the notebooks of a folder.

    Args:
        folder: The learner's copy of the course.

    Raises:
        EksnetError: There is nothing to hand in, or a file cannot be read.
    """
    found = [*_evidence(), *_notebooks(folder)]
    if not found:
        raise EksnetError(
            f"there is nothing to hand in: no attempt in {evidence.directory()}, no notebook in "
            f"{folder}",
            "a checkpoint that was checked, or notebooks of the course",
            "eksnet submit FILE --course DIRECTORY",
        )
    title = {"format": FORMAT, "files": [entry.name for entry in found]}
    return [Entry(TITLE, "the list of files", _json(title)), *found]


def write(path: Path, entries: list[Entry]) -> None:
    """Write an archive, whole or not at all.

    Raises:
        EksnetError: It cannot be written, or another file has its name.
    """
    if path.suffix != ".zip":
        raise EksnetError(f"{path} does not end in .zip", "NAME.zip", f"eksnet submit {path}.zip")
    if os.path.lexists(path) and not _is_submission(path):
        raise EksnetError(
            f"{path} is there already, and is no submission",
            "a new name, or an earlier submission",
            "choose another name",
        )
    draft = ""
    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".eksnet-submit-")
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for entry in entries:
                about = zipfile.ZipInfo(entry.name, _TIME)
                about.external_attr = 0o100600 << 16
                archive.writestr(about, entry.content, zipfile.ZIP_DEFLATED)
        os.replace(draft, path)
    except OSError as error:
        if draft:
            Path(draft).unlink(missing_ok=True)
        raise EksnetError(
            f"{path} cannot be written: {error.strerror}", "a folder of your own", "eksnet submit"
        ) from error


def shortened(text: str) -> str:
    """Return a text without credentials, its account ids and ARNs shortened.

    Of an account id the last four digits stay, of an ARN also what kind of thing it names.

    Example:
        >>> shortened("arn:aws:iam::111122223333:role/Alice in 111122223333")
        'arn:aws:iam::…3333:role/… in …3333'
    """
    text = _ARN.sub(_short_arn, withheld(text))
    return _ACCOUNT_WITH_DASHES.sub(r"…\1", _ACCOUNT.sub(r"…\1", text))


def _short_arn(found: re.Match[str]) -> str:
    partition, service, region, account, kind, name = found.groups()
    owner = f"…{account[-4:]}" if account else ""
    return f"arn:{partition}:{service}:{region}:{owner}:{kind}{name[0] + '…' if name else ''}"


def _evidence() -> Iterator[Entry]:
    """Yield each file of evidence, and where the learner stands on its cluster."""
    counted: dict[str, list[Attempt]] = {}
    for path in sorted(evidence.directory().glob("*.jsonl")):
        lines = _content(path).split(b"\n")
        records = list(filter(None, map(_record, lines)))
        content = b"".join(json.dumps(record).encode() + b"\n" for record in records)
        for attempt in (attempts := evidence.parse(content).attempts):
            counted.setdefault(attempt.binding.cluster, []).append(attempt)
        if attempts:
            yield Entry(f"evidence/{path.name}", f"{len(attempts)} attempts", content)
    if counted:
        yield Entry("progress.json", "your points on each cluster", _json(_progress(counted)))


def _progress(counted: dict[str, list[Attempt]]) -> dict[str, dict[str, int]]:
    every = definitions.every()
    return {
        cluster: {one.definition.id: one.points for one in standings(every, attempts)}
        for cluster, attempts in counted.items()
    }


def _record(line: bytes) -> dict[str, Any] | None:
    """Return an attempt with its texts shortened; None for a line that is none.

    What it belongs to stays: a cluster's UID may have an account id's digits.
    """
    if not evidence.parse(line).attempts:
        return None
    record: dict[str, Any] = json.loads(line)
    criteria = [
        {part: one[part] for part in ("id", "state", "of") if part in one}
        | {part: shortened(str(one.get(part, ""))) for part in ("observed", "expected")}
        for one in record["criteria"]
    ]
    kept = {part: record[part] for part in _KEPT if part in record} | {"criteria": criteria}
    if "answer" in record:
        kept["answer"] = _everywhere(record["answer"], shortened)
    return kept


def _notebooks(folder: Path) -> Iterator[Entry]:
    """Yield the notebooks of the course, and their copies, as they stand in a folder."""
    stems = [path.stem for path in course()]
    for path in sorted(folder.expanduser().glob("*.ipynb")):
        # Another notebook of the same folder is the learner's own affair.
        if any(path.stem == one or path.stem.startswith(f"{one}-") for one in stems):
            yield Entry(f"notebooks/{path.name}", "a notebook, without outputs", _notebook(path))


@functools.cache
def _own_sources() -> frozenset[str]:
    """Return the texts of the course's cells: as they are, each can be run again."""
    return frozenset(
        "".join(cell["source"])
        for path in course()
        for cell in json.loads(path.read_bytes())["cells"]
    )


def _notebook(path: Path) -> bytes:
    """Return a notebook's cells alone: their texts shortened, no outputs, no attachments."""
    try:
        given = json.loads(_content(path))
        cells = [_cell(cell) for cell in given["cells"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise EksnetError(
            f"{path} is not a notebook",
            "a notebook that JupyterLab opens",
            "restore it, or move it out of the folder",
        ) from None
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return _json({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5})


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(source)
    tags = [shortened(str(tag)) for tag in cell.get("metadata", {}).get("tags", ())]
    kept = {
        "cell_type": cell["cell_type"],
        "id": cell.get("id", ""),
        "metadata": {"tags": tags} if tags else {},
        "source": text if text in _own_sources() else shortened(text),
    }
    if cell["cell_type"] == "code":
        kept |= {"outputs": [], "execution_count": None}
    return kept


def _everywhere(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value of JSON with each text changed; rows of texts are taken as one text."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return change(_BETWEEN.join(value)).split(_BETWEEN)
    if isinstance(value, list):
        return [_everywhere(one, change) for one in value]
    return value


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST_NOTEBOOK:
            raise EksnetError(
                f"{path} has more than {_LARGEST_NOTEBOOK // 10**6} MB",
                "a notebook as the course's are",
                "clear its outputs, or move it out of the folder",
            )
        return path.read_bytes()
    except OSError as error:
        raise EksnetError(f"{path} cannot be read: {error.strerror}") from error


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode(errors="replace") + b"\n"


def _is_submission(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return not path.is_symlink() and TITLE in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
