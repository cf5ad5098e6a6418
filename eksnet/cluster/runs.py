"""The run: one learner's way through the course on one cluster.

Its id stands in the labels and tags of what is made. It begins with the first thing that is, and
lasts until a clean-up has found nothing left. Its record is in the cluster's directory, beside what
`begin` and the backups keep there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from eksnet.cluster.files import write_whole
from eksnet.errors import EksnetError

# An id begins with letters: a value of a Helm chart that looks like a number becomes one.
_ID = re.compile(r"run-[0-9a-f]{8}")
_FILE = "run.json"


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        id: Its id; empty where nothing was made.
        ended: Whether a clean-up has found nothing left, and nothing was made since then.
        lessons: The lessons that were begun on this cluster, in any run.
    """

    id: str = ""
    ended: bool = False
    lessons: tuple[str, ...] = ()


def read(directory: Path) -> Run:
    """Return the run on a cluster; a file that holds none counts as none.

    Args:
        directory: The cluster's directory.
    """
    # A replay hands in a learner's: deeply nested JSON ends in a RecursionError.
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        found = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        name, lessons = str(found["id"]), tuple(map(str, found["lessons"]))
        return Run(name if _ID.fullmatch(name) else "", found["ended"] is True, lessons)
    return Run()


def begun(directory: Path) -> str:
    """Return the id of the run on a cluster; one begins where there is none, or it has ended.

    Args:
        directory: The cluster's directory.

    Raises:
        EksnetError: It cannot be kept.
    """
    found = read(directory)
    if found.id and not found.ended:
        return found.id

    def begin(now: Run) -> Run:
        # Another kernel may have begun it meanwhile.
        known = bool(now.id) and not now.ended
        return now if known else replace(now, id=f"run-{secrets.token_hex(4)}", ended=False)

    return _changed(directory, begin).id


def note(directory: Path, lesson: str) -> None:
    """Remember that a lesson was begun.

    Args:
        directory: The cluster's directory.
        lesson: The lesson's notebook.

    Raises:
        EksnetError: It cannot be kept.
    """
    _changed(
        directory,
        lambda now: replace(now, lessons=tuple(dict.fromkeys((*now.lessons, lesson)))),
    )


def end(directory: Path) -> None:
    """End the run on a cluster: what is made from now on is another one's.

    Args:
        directory: The cluster's directory.

    Raises:
        EksnetError: It cannot be kept.
    """
    _changed(directory, lambda now: replace(now, ended=True))


def _changed(directory: Path, change: Callable[[Run], Run]) -> Run:
    """Change the record of the run, and return it."""
    try:
        with _alone(directory):
            found = change(read(directory))
            write_whole(directory / _FILE, json.dumps(asdict(found)))
    except OSError as error:
        raise EksnetError(
            f"the run cannot be recorded in {directory}: {error.strerror}; nothing was changed",
            "a folder of yours with room in it",
            "df -h shows full disks",
        ) from None
    return found


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
