"""Evidence: every attempt at a checkpoint, a line of JSON each, in one file per cluster.

A file belongs to a cluster, and a line to the nonce that an instructor's ConfigMap held then, so
that an attempt counts for the cluster and the course for which it was made. None of this proves who
made it: the file is the learner's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import State
from eksnet.checkpoints.results import Result
from eksnet.errors import EksnetError, RefusedError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

FORMAT = "eksnet attempt 1"
NONCE = ("eksnet-course", "kube-public")
# About two thousand attempts; half of it holds the longest line for each of 60 checkpoints.
CAP = 2_000_000
# So that the best attempt at each checkpoint of the course fits into half a file.
_LINE = 16_000
_TEXT = 300
_ROWS = 50
# By the text: to ask the class itself takes three times as long.
_STATES = {str(state): state for state in State}
# Between the cells of a row: to the pattern below it is white space.
_CELL = "\x1f"
_SECRETS = re.compile(
    r"k8s-aws-v1\.[\w-]+"
    r"|eyJ[\w-]+\.[\w-]+(\.[\w-]+)?"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    # PEM to its end, over lines and also when it was cut; and in base64, as in a kubeconfig.
    r"|(?s:-----BEGIN\s.*?(-----END[^-]*-----|\Z))"
    r"|LS0tLS1CRUdJTi[\w+/=]*"
    r"|[^\s:/@\"']+:[^\s/@]+@(?=[\w\[])"
    r"|(?i:[\w-]{0,40}(token|passwo?r?d|secret|key-data|access_?key|api_?key|signature|credential)"
    r"[\w-]{0,40}[\"'\\]*\s*[:=]\s*[\"'\\]*)[^\s\"'\\&,;]+"
    r"|(?i:\b(basic|bearer|token|password|passwd|secret|\w+_(token|key))\b[\"']?\s+[\"']?)"
    r"[\w+/=.~-]{8,}"
)


@dataclass(frozen=True)
class Binding:
    """What an attempt belongs to.

    Attributes:
        cluster: `ca:` and a digest for a sandbox, whose authority outlives its resets; else `uid:`
            and the UID of kube-system, or where that may not be read `api:` and a digest of server
            and authority. Empty when no cluster was reached.
        nonce: What the instructor's ConfigMap holds; empty when there is none, or none that the
            learner may read.
    """

    cluster: str = ""
    nonce: str = ""

    @property
    def path(self) -> Path:
        """The evidence of this cluster."""
        name = re.sub(r"[^\w-]", "-", self.cluster) or "unreached"
        return directory() / f"{name}.jsonl"


@dataclass(frozen=True)
class Attempt:
    """A line of evidence.

    Attributes:
        checkpoint: The checkpoint's id.
        at: When, in UTC, as ISO 8601.
        binding: What it belongs to.
        states: How each criterion stood, by its id.
        points: What it was worth when it was made.
        told: What was observed at a criterion and what was expected, each as the line has it.
        answer: The learner's prediction as the line has it, whatever that is; None without one.
        sources: Who has looked at a criterion, by its id, where that was not the learner's check.
    """

    checkpoint: str
    at: str
    binding: Binding
    states: dict[str, State]
    points: int = 0
    told: Sequence[Mapping[str, Any]] = ()
    answer: Any = None
    sources: dict[str, str] = field(default_factory=dict)

    @functools.cached_property
    def seen(self) -> dict[str, tuple[str, str]]:
        """What was observed at each criterion, and what was expected, by its id.

        Of a learner's attempts one at each checkpoint is looked at so closely.
        """
        return {one["id"]: _said(one) for one in self.told}


@dataclass(frozen=True)
class Evidence:
    """What a file of evidence holds.

    Attributes:
        attempts: The attempts, in its order.
        unreadable: How many lines are no attempt.
    """

    attempts: tuple[Attempt, ...]
    unreadable: int


def directory() -> Path:
    """Return where evidence is kept, beside the sandboxes' state and the backups."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "eksnet-evidence"


def bind(cluster: Cluster) -> Binding:
    """Return what attempts on a cluster belong to; reads the instructor's ConfigMap.

    Raises:
        ApiError: Whether there is a nonce could not be told.
    """
    identity = cluster.identity
    nonce = _nonce(cluster)
    if cluster.target.kind == "sandbox":
        return Binding(f"ca:{identity.ca[:32]}", nonce)
    if identity.uid:
        return Binding(f"uid:{identity.uid}", nonce)
    # As `Identity.is_same_cluster` does: many clusters name no authority, and share an empty one.
    place = hashlib.sha256(f"{identity.server}\n{identity.ca}".encode()).hexdigest()
    return Binding(f"api:{place[:32]}", nonce)


def _nonce(cluster: Cluster) -> str:
    name, namespace = NONCE
    try:
        held: Mapping[str, Any] = cluster.find("configmap", name, namespace) or {}
    except RefusedError:
        return ""
    return str((held.get("data") or {}).get("nonce", ""))[:_TEXT]


def append(binding: Binding, result: Result, answer: Sequence[Sequence[str]] | None) -> None:
    """Append an attempt to the cluster's file.

    Whole lines only, also when two kernels write at once, and after a crash in the middle of one.

    Args:
        binding: What it belongs to.
        result: What the check found.
        answer: The learner's prediction as rows; None without one.

    Raises:
        OSError: It could not be written.
        EksnetError: It is too long for a line.
    """
    line = _line(binding, result, answer)
    path = binding.path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(path):
        _make_room(path, len(line) + 1)  # A line that a crash cut short is ended first.
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            rest = (b"" if _ends_whole(file) else b"\n") + line
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())


def read(path: Path) -> Evidence:
    """Read a file of evidence; whatever is in it, what is no attempt is counted and passed over.

    Raises:
        OSError: It cannot be opened.
    """
    return parse(path.read_bytes()) if path.exists() else Evidence((), 0)


def parse(content: bytes) -> Evidence:
    """Return what the content of a file of evidence says, as `read` does."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    attempts = tuple(filter(None, map(_attempt, lines)))
    return Evidence(attempts, len(lines) - len(attempts))


def withheld(text: str) -> str:
    """Return a text without what looks like a credential."""
    return _SECRETS.sub("(withheld)", text)


def _line(binding: Binding, result: Result, answer: Sequence[Sequence[str]] | None) -> bytes:
    """Return an attempt as a line of a bounded length: first the answer is cut, then the texts."""
    for length in (_TEXT, _TEXT // 5, 0):
        record = _record(binding, result, length)
        room = min(_LINE, CAP // 2) - len(json.dumps(record)) - len(', "answer": []\n')
        if room >= 0:
            if answer is not None:
                record["answer"] = list(_fitting(_plain_rows(answer), room))
            return json.dumps(record).encode() + b"\n"
    raise EksnetError(f"the record of the attempt at {result.id} is longer than {_LINE} bytes")


def _fitting(rows: Iterable[list[str]], room: int) -> Iterator[list[str]]:
    """Yield the rows that fit into so many bytes of JSON."""
    for row in rows:
        room -= len(json.dumps(row)) + len(", ")
        if room < 0:
            return
        yield row


def _record(binding: Binding, result: Result, length: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "checkpoint": result.id,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cluster": binding.cluster,
        "nonce": binding.nonce,
        "state": result.state,
        "points": result.points,
        "of": result.possible,
        "criteria": [
            {
                "id": one.id,
                "state": one.state,
                "of": one.possible,
                "observed": _plain(one.observation.observed)[:length],
                "expected": _plain(one.observation.expected)[:length],
            }
            for one in result.outcomes
        ],
    }


def _plain(text: str) -> str:
    """Return a text without what looks like a credential, cut to a length that fits a line."""
    return withheld(text[: 2 * _TEXT])[:_TEXT]


def _plain_rows(rows: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Yield rows without what looks like a credential, also one that goes over many cells."""
    lines: list[str] = []
    for row in rows[:_ROWS]:
        line = _CELL.join(" ".join(cell[: 2 * _TEXT].split()) for cell in row[:_ROWS])
        if sum(map(len, lines)) + len(line) > _LINE:
            break
        lines.append(line)
    for line in withheld("\n".join(lines)).split("\n") if lines else ():
        yield [cell[:_TEXT] for cell in line.split(_CELL)]


def _attempt(line: bytes) -> Attempt | None:
    """Return the attempt of a line; None for a line that is none."""
    # Deeply nested JSON ends in a RecursionError, other text in a ValueError.
    with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
        # As text: of bytes it would first look which encoding they are in.
        record = json.loads(line.decode())
        criteria = record["criteria"]
        states = {one["id"]: _STATES[one["state"]] for one in criteria}
        name, at, cluster = record["checkpoint"], record["at"], record["cluster"]
        nonce = record["nonce"] or ""
        # Raises for what is no text.
        "".join((name, at, cluster, nonce, *states))
        if record["format"] == FORMAT:
            points = record.get("points")
            earned = points if isinstance(points, int) else 0
            binding = _binding(cluster, nonce)
            return Attempt(name, at, binding, states, earned, criteria, record.get("answer"))
    return None


# A learner's attempts belong to one cluster and one nonce, or to a few.
@functools.lru_cache(maxsize=64)
def _binding(cluster: str, nonce: str) -> Binding:
    return Binding(cluster, nonce)


def _said(criterion: Mapping[str, object]) -> tuple[str, str]:
    """Return what was observed and expected, of a length that can be shown."""
    return _shown(criterion.get("observed")), _shown(criterion.get("expected"))


def _shown(text: object) -> str:
    return text[:_TEXT] if isinstance(text, str) else ""


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file of evidence; its own file may be replaced meanwhile."""
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ends_whole(file: Any) -> bool:
    end = file.seek(0, os.SEEK_END)
    if not end:
        return True
    file.seek(end - 1)
    return bool(file.read(1) == b"\n")


def _make_room(path: Path, wanted: int) -> None:
    """Drop the oldest attempts of a full file, the best of each checkpoint last."""
    if not path.exists() or path.stat().st_size + wanted <= CAP:
        return
    lines = [line for line in path.read_bytes().split(b"\n") if _attempt(line)]
    best: dict[tuple[str, str], tuple[int, int]] = {}
    for place, line in enumerate(lines):
        if attempt := _attempt(line):
            key = (attempt.checkpoint, attempt.binding.nonce)
            best[key] = max(best.get(key, (-1, 0)), (attempt.points, place))
    kept = {place for _, place in best.values()}
    oldest_first = sorted(range(len(lines)), key=lambda place: (place in kept, place))
    size = sum(len(line) + 1 for line in lines)
    for place in oldest_first:
        if size <= CAP // 2:
            break
        size -= len(lines[place]) + 1
        lines[place] = b""
    _replace(path, b"".join(line + b"\n" for line in lines if line))


def _replace(path: Path, content: bytes) -> None:
    descriptor, draft = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
