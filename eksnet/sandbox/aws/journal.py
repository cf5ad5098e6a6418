"""What was asked of the account, in order: written before the answer, read at the next start.

A line of JSON is one request that may have changed something, with what its result depends on: the
moment, the seed of everything random in it, and the private keys that were made for it. Done again
with these it has the same result, ids and times included.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Sent:
    """A request as it is handed to the service.

    Attributes:
        service: The service's name in a signature's scope.
        access_key: The id of the key that signed it.
        method: The HTTP method.
        path: The path as sent.
        query: The query as sent.
        body: The body; bytes are the characters of the same number.
        content_type: Its type.
        target: The header `X-Amz-Target` of JSON protocols.
    """

    service: str
    access_key: str
    method: str
    path: str
    query: str
    body: str
    content_type: str
    target: str


@dataclass(frozen=True)
class Entry:
    """A request that was done, with what its result depends on.

    Attributes:
        sent: The request.
        moment: When it was done, in UTC without a time zone.
        seed: The seed of what was random.
        keys: The private keys that were made, PEM.
        digest: The digest of the answer; empty where it need not be the same.
    """

    sent: Sent
    moment: datetime
    seed: int
    keys: tuple[str, ...]
    digest: str


class Journal:
    """A file of entries that only grows."""

    def __init__(self, file: Path) -> None:
        """Open the file; what a process wrote half when it was killed is cut off."""
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        text = _content(self._descriptor)
        self._length = text.rfind(b"\n") + 1
        os.ftruncate(self._descriptor, self._length)
        self._services = {entry.sent.service for entry in _entries(text[: self._length])}

    def has(self, service: str) -> bool:
        """Tell whether there is an entry of a service."""
        return service in self._services

    def entries(self) -> Iterator[Entry]:
        """Yield all entries, oldest first."""
        return _entries(_content(self._descriptor))

    def append(self, entry: Entry) -> None:
        """Write one more entry; it is in the file when this returns.

        Raises:
            OSError: There is no room; the file is as before.
        """
        line = json.dumps(asdict(entry), default=datetime.isoformat).encode() + b"\n"
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                raise OSError("the disk is full")
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._length)
            raise
        self._length += len(line)
        self._services.add(entry.sent.service)


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _entries(text: bytes) -> Iterator[Entry]:
    for line in text.splitlines():
        read = json.loads(line)
        yield Entry(
            Sent(**read["sent"]),
            datetime.fromisoformat(read["moment"]),
            read["seed"],
            tuple(read["keys"]),
            read["digest"],
        )
