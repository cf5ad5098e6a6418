"""Runs a learner's notebook within the walls, and says over a socket what came of each cell.

Run with the number of a connected socket: over it comes the notebook, and goes a line of JSON for
each cell. It waits for the answer: meanwhile the checkpoints that the cell has checked are asked.
What is said here is the notebook's word: it has this process in its hands.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from eksnet.checkpoints import evidence
from eksnet.course.runner import CELL_DEADLINE, private_kernel

_MOST_SAID = 300
_MOST_ATTEMPTS = 20
_LONGEST_ATTEMPT = 20_000
_MOST_BACKUPS, _LONGEST_BACKUP = 8, 50_000


class Recorded:
    """The attempts that the kernel's checks record."""

    def __init__(self) -> None:
        self._read: dict[Path, int] = {}

    def new(self) -> list[str]:
        """Return the lines that have come since the last time."""
        found: list[str] = []
        for path in sorted(evidence.directory().glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                content = file.read(_MOST_ATTEMPTS * _LONGEST_ATTEMPT)
                self._read[path] = file.tell()
            found += content.decode(errors="replace").splitlines()
        return [line for line in found[:_MOST_ATTEMPTS] if len(line) <= _LONGEST_ATTEMPT]


def backups() -> dict[str, str]:
    """Return the backups of ConfigMaps that the kernel has made, by the names of their files."""
    places = sorted((evidence.directory().parent / "eksnet-backups").glob("*/*.json"))
    found = {}
    for path in places[:_MOST_BACKUPS]:
        with path.open("rb") as file:
            found[path.name] = file.read(_LONGEST_BACKUP).decode(errors="replace")
    return found


def main() -> None:
    """Run the notebook that comes over the socket."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    stream = connection.makefile("rwb")
    text = stream.read(int.from_bytes(stream.read(4), "big"))

    def say(**said: Any) -> None:
        stream.write(json.dumps(said).encode() + b"\n")
        stream.flush()

    try:
        _run(text, say, lambda: stream.read(1))
    except Exception as error:
        say(ended=f"{type(error).__name__}: {error}"[:_MOST_SAID])
    else:
        say(ended="")


def _run(text: bytes, say: Any, wait: Any) -> None:
    """Run all cells, also those after one that failed, as the learner did who went on.

    Raises:
        Exception: It is no notebook, or its kernel ended.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.reads(text.decode(), as_version=4)  # type: ignore[no-untyped-call]
    recorded = Recorded()

    def executed(cell: Any, cell_index: int, execute_reply: Any) -> None:
        reply = execute_reply["content"]
        error = ""
        if reply["status"] == "error":
            error = f"{reply.get('ename')}: {reply.get('evalue')}"[:_MOST_SAID]
        # Nobody needs what it has shown: kept, it would add up.
        cell.outputs = []
        name = str(cell.get("id") or cell_index)[:_MOST_SAID]
        attempts = recorded.new()
        say(cell=name, error=error, attempts=attempts, backups=backups() if attempts else {})
        wait()

    with tempfile.TemporaryDirectory() as sockets:
        client = NotebookClient(
            notebook,
            timeout=CELL_DEADLINE,
            kernel_name="python3",
            allow_errors=True,
            config=private_kernel(sockets),
            on_cell_executed=executed,
        )
        client.execute()


if __name__ == "__main__":
    main()
