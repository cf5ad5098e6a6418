"""Evidence: every attempt at a checkpoint, a line of JSON each, in one file per cluster.

A file belongs to a cluster, and a line to the nonce that an instructor's ConfigMap held then, so
that an attempt counts for the cluster and the course for which it was made. None of this proves who
made it: the file is the learner's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eksnet.checkpoints.criteria import State
from eksnet.checkpoints.results import Result

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

FORMAT = "eksnet attempt 1"
NONCE = ("eksnet-course", "kube-public")
# About a thousand attempts.
CAP = 1_000_000
_TEXT = 300
_ROWS = 50
_SECRETS = re.compile(
    r"k8s-aws-v1\.[\w-]+"
    r"|eyJ[\w-]+\.[\w-]+(\.[\w-]+)?"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*"
    r"|(?i:\b(bearer|token|password|passwd|secret)\b[\"']?\s*[:=\s]\s*)[\"']?[\w+/=.~-]{8,}"
)


@dataclass(frozen=True)
class Binding:
    """What an attempt belongs to.

    Attributes:
        cluster: `ca:` and a digest for a sandbox, whose authority outlives its resets, and where
            the UID of kube-system may not be read; else `uid:` and that UID. Empty when no cluster
            was reached.
        nonce: What the instructor's ConfigMap holds; empty when there is none, None when it could
            not be read.
    """

    cluster: str = ""
    nonce: str | None = None

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
    """

    checkpoint: str
    at: str
    binding: Binding
    states: dict[str, State]


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
    """Return what attempts on a cluster belong to; reads the instructor's ConfigMap."""
    identity = cluster.identity
    if cluster.target.kind == "sandbox" or not identity.uid:
        return Binding(f"ca:{identity.ca[:32]}", _nonce(cluster))
    return Binding(f"uid:{identity.uid}", _nonce(cluster))


def _nonce(cluster: Cluster) -> str | None:
    from eksnet.cluster import ApiError

    name, namespace = NONCE
    try:
        held = cluster.get("configmap", name, namespace).get("data") or {}
    except ApiError as error:
        return "" if error.status == 404 else None
    return str(held.get("nonce", ""))[:_TEXT]


def append(binding: Binding, result: Result, answer: Sequence[Sequence[str]] | None) -> None:
    """Append an attempt to the cluster's file.

    Whole lines only, also when two kernels write at once, and after a crash in the middle of one.

    Args:
        binding: What it belongs to.
        result: What the check found.
        answer: The learner's prediction as rows; None without one.

    Raises:
        OSError: It could not be written.
    """
    line = _line(binding, result, answer)
    path = binding.path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(path):
        _make_room(path, len(line))
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
    if not path.exists():
        return Evidence((), 0)
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    attempts = tuple(filter(None, map(_attempt, lines)))
    return Evidence(attempts, len(lines) - len(attempts))


def _line(binding: Binding, result: Result, answer: Sequence[Sequence[str]] | None) -> bytes:
    record: dict[str, Any] = {
        "format": FORMAT,
        "checkpoint": result.id,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cluster": binding.cluster,
        "nonce": binding.nonce,
        "state": result.state,
        "points": result.points,
        "of": result.of,
        "criteria": [
            {
                "id": one.id,
                "state": one.state,
                "of": one.of,
                "observed": _plain(one.observation.observed),
                "expected": _plain(one.observation.expected),
            }
            for one in result.outcomes
        ],
    }
    if answer is not None:
        record["answer"] = [[_plain(cell) for cell in row[:_ROWS]] for row in answer[:_ROWS]]
    return json.dumps(record).encode() + b"\n"


def _plain(text: str) -> str:
    """Return a text without what looks like a credential, cut to a length that fits a line."""
    return _SECRETS.sub("(withheld)", text[: 2 * _TEXT])[:_TEXT]


def _attempt(line: bytes) -> Attempt | None:
    """Return the attempt of a line; None for a line that is none."""
    # Deeply nested JSON ends in a RecursionError, other text in a ValueError.
    with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
        record = json.loads(line)
        states = {one["id"]: State(one["state"]) for one in record["criteria"]}
        texts = [record["checkpoint"], record["at"], record["cluster"], *states]
        texts += [] if record["nonce"] is None else [record["nonce"]]
        if record["format"] == FORMAT and all(isinstance(text, str) for text in texts):
            binding = Binding(record["cluster"], record["nonce"])
            return Attempt(record["checkpoint"], record["at"], binding, states)
    return None


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
    best: dict[tuple[str, str | None], tuple[int, int]] = {}
    for place, line in enumerate(lines):
        if attempt := _attempt(line):
            key = (attempt.checkpoint, attempt.binding.nonce)
            earned = sum(state is State.PASS for state in attempt.states.values())
            best[key] = max(best.get(key, (-1, 0)), (earned, place))
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
