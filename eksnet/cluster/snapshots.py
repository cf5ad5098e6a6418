"""What was there before a risky change: kept on this computer, of this cluster only.

Nobody has to ask for one. `Client.send` has a snapshot taken before it changes or deletes a
ConfigMap of kube-system, and a client of `Cluster.aws` before it changes the add-on coredns.
`eksnet rollback` lists them and puts one back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eksnet import inputs
from eksnet.cluster.guard import Identity
from eksnet.errors import EksnetError, RefusedError
from eksnet.listing import Listing

Json = dict[str, Any]

CONFIGMAP, ADDON = "ConfigMap", "add-on"
_FORMATS = {CONFIGMAP: "eksnet configmap backup 1", ADDON: "eksnet add-on snapshot 1"}
_CONTENT = {CONFIGMAP: ("data", "binaryData"), ADDON: ("version", "values")}
_LOOKS = ("labels", "annotations")
_LONGEST = 60
# So many are kept, of all things together.
_MOST = 100
# What the course itself keeps in a ConfigMap is nothing to roll back.
_RISKY = re.compile(r"/api/v1/namespaces/kube-system/configmaps/(?!eksnet-)[^/]+")
_NUMBERED = re.compile(r"(?P<number>\d{4,})-.*\.json")


@dataclass(frozen=True)
class Snapshot:
    """The state of something before a change.

    Attributes:
        number: Its number, from 1; the newest one has the highest.
        kind: `ConfigMap` or `add-on`.
        namespace: The ConfigMap's namespace; empty for an add-on.
        name: Its name.
        taken: When, as ISO 8601.
        before: What was about to change it.
        path: The file.
        content: The state: data and binaryData of a ConfigMap, version and values of an add-on.
    """

    number: int
    kind: str
    namespace: str
    name: str
    taken: str
    before: str
    path: Path
    content: Mapping[str, Any] = field(hash=False)

    @property
    def what(self) -> str:
        """What it is of."""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{where}"


class Files:
    """The files of one cluster: whole or not at all, readable by their owner only."""

    def __init__(self, identity: Identity, directory: Path) -> None:
        """Keep them in a directory, which is made when the first is written."""
        self._identity = identity
        self.directory = directory

    def save(self, path: Path, kind: str, thing: Mapping[str, Any], **more: Any) -> None:
        """Write the state of something to a file.

        Args:
            path: The file; what is there is replaced.
            kind: `ConfigMap` or `add-on`.
            thing: It, with its metadata.
            more: What else is to be in the file.
        """
        with self._draft(path.parent, kind, thing, more) as draft:
            os.replace(draft, path)

    def save_new(self, path: Path, kind: str, thing: Mapping[str, Any], **more: Any) -> bool:
        """Write it unless there is such a file already; tell whether it was written."""
        with self._draft(path.parent, kind, thing, more) as draft:
            try:
                os.link(draft, path)
            except FileExistsError:
                return False
            finally:
                os.unlink(draft)
        return True

    @contextlib.contextmanager
    def _draft(
        self, directory: Path, kind: str, thing: Mapping[str, Any], more: Mapping[str, Any]
    ) -> Any:
        metadata = thing["metadata"]
        looks = {key: metadata[key] for key in _LOOKS if metadata.get(key)}
        names = {"name": metadata["name"], "namespace": metadata.get("namespace", "")}
        record = {
            "format": _FORMATS[kind],
            "cluster": asdict(replace(self._identity, user="")),
            "metadata": {**names, **looks},
            **content(kind, thing),
            **more,
        }
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        # As mkstemp makes it: nobody else reads it.
        descriptor, draft = tempfile.mkstemp(dir=directory)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        yield draft

    def load(self, path: Path, kind: str = CONFIGMAP) -> Json:
        """Return what a file holds.

        Raises:
            EksnetError: It is not whole, or of another cluster.
        """
        try:
            record: Json = json.loads(path.read_text(encoding="utf-8"))
            whole = record["format"] == _FORMATS[kind] and _is_whole(record, kind)
            identity = Identity(**record["cluster"])
        except (OSError, *inputs.ODD) as error:
            raise _not_a_backup(path, str(error)) from None
        if not whole:
            raise _not_a_backup(path, f"its format is {record['format']!r}, or a value is not text")
        if not identity.is_same_cluster(self._identity):
            raise EksnetError(
                f"{path} is a backup of another cluster, at {identity.server}",
                f"a backup of the cluster at {self._identity.server}",
                "connect to that cluster, or back up this one",
            )
        return record


class Snapshots(Files):
    """The snapshots of one cluster."""

    def take(self, kind: str, thing: Mapping[str, Any], before: str) -> Path:
        """Keep the state of something; the newest snapshot of it will do where it is the same.

        Args:
            kind: `ConfigMap` or `add-on`.
            thing: It, with its metadata.
            before: What is about to change it.

        Raises:
            EksnetError: It cannot be written; then nothing should be changed.
        """
        found = list(self.all())
        metadata = thing["metadata"]
        place = (kind, metadata.get("namespace", ""), metadata["name"])
        for one in reversed(found):
            if (one.kind, one.namespace, one.name) == place:
                if is_same(kind, one.content, thing):
                    return one.path
                break
        number = found[-1].number + 1 if found else 1
        try:
            path = self._written(number, kind, thing, before)
        except OSError as error:
            raise EksnetError(
                f"no snapshot can be kept in {self.directory}: {error.strerror}; nothing was "
                "changed",
                "a folder of yours with room in it",
                "df -h shows full disks",
            ) from None
        for one in found[: max(0, len(found) + 1 - _MOST)]:
            one.path.unlink(missing_ok=True)
        return path

    def _written(self, number: int, kind: str, thing: Mapping[str, Any], before: str) -> Path:
        """Write it under the first number that is free: another kernel may take one, too."""
        metadata = thing["metadata"]
        name = file_name(f"{metadata.get('namespace') or kind}.{metadata['name']}")
        taken = datetime.now(UTC).isoformat(timespec="seconds")
        while True:
            path = self.directory / f"{number:04}-{name}.json"
            free = not any(self.directory.glob(f"{number:04}-*.json"))
            if free and self.save_new(path, kind, thing, taken=taken, before=before):
                return path
            number += 1

    def all(self) -> Listing[Snapshot]:
        """Return the snapshots, the newest one last; what is no whole file is passed over."""
        found = []
        for path in sorted(self.directory.glob("*.json"), key=_number):
            for kind in _FORMATS:
                with contextlib.suppress(EksnetError, *inputs.ODD):
                    found.append(_snapshot(path, kind, self.load(path, kind)))
        return Listing.of(
            found,
            {
                "number": lambda one: one.number,
                "of": lambda one: one.what,
                "taken": lambda one: one.taken,
                "before": lambda one: one.before,
            },
        )

    def numbered(self, number: int) -> Snapshot:
        """Return a snapshot.

        Args:
            number: Its number.

        Raises:
            EksnetError: There is none of that number.
        """
        found = {one.number: one for one in self.all()}
        if number not in found:
            known = ", ".join(map(str, found)) or "none: nothing risky was changed so far"
            raise EksnetError(
                f"there is no snapshot {number} of this cluster", f"one of {known}",
                "`eksnet rollback` lists them",
            )  # fmt: skip
        return found[number]

    def before_write(self, method: str, path: str, read: Callable[[str], Json | None]) -> None:
        """Take a snapshot before a request that changes a ConfigMap of kube-system.

        Args:
            method: The request's method.
            path: Its path.
            read: Reads a path; None where there is nothing.

        Raises:
            EksnetError: It cannot be kept.
        """
        if not _RISKY.fullmatch(path):
            return
        # What may be written and not be read cannot be kept.
        with contextlib.suppress(RefusedError):
            current = read(path)
            if current is not None:
                self.take(CONFIGMAP, current, _SAID.get(method, method))


_SAID = {"PUT": "an edit", "PATCH": "an edit", "DELETE": "its deletion"}


def _number(path: Path) -> int:
    found = _NUMBERED.fullmatch(path.name)
    return int(found["number"]) if found else 0


def _snapshot(path: Path, kind: str, record: Json) -> Snapshot:
    number, metadata = _number(path), record["metadata"]
    if not number:
        raise ValueError(path.name)
    taken, before = str(record["taken"]), str(record["before"])
    return Snapshot(
        number, kind, metadata["namespace"], metadata["name"], taken, before, path,
        content(kind, record),
    )  # fmt: skip


def content(kind: str, thing: Mapping[str, Any]) -> Json:
    """Return what of something is kept.

    Args:
        kind: `ConfigMap` or `add-on`.
        thing: It.
    """
    return {key: thing[key] for key in _CONTENT[kind] if thing.get(key) is not None}


def is_same(kind: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two states of something are the same.

    Args:
        kind: `ConfigMap` or `add-on`.
        one: The one.
        other: The other.
    """
    return all((one.get(key) or {}) == (other.get(key) or {}) for key in _CONTENT[kind])


def file_name(text: str) -> str:
    """Return a text as a part of a file's name.

    Args:
        text: The text.
    """
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in text)
    if len(name) <= _LONGEST:
        return name
    # A name of Kubernetes may be longer than what a file system leaves for a part of a file's.
    return f"{name[:_LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _not_a_backup(path: Path, why: str) -> EksnetError:
    return EksnetError(
        f"{path} is not a complete backup: {why}",
        "a file that cluster.backup wrote",
        "move the file to another folder",
    )


def _is_whole(record: Json, kind: str) -> bool:
    """Tell whether a record has the names of something, and texts where they have to be."""
    names = [record["metadata"]["name"], record["metadata"]["namespace"]]
    if kind == ADDON:
        return all(isinstance(text, str) for text in (*names, record["version"]))
    texts = [text for part in _CONTENT[kind] for text in (record.get(part) or {}).values()]
    return all(names) and all(isinstance(text, str) for text in (*names, *texts))
