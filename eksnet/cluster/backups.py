"""Backup and restore of a ConfigMap: exact, of this cluster only, and nothing is ever lost.

The first backup is the good one: it is kept until a restore has used it, so that a backup cell that
runs again after the edit does no harm. A restore keeps what it replaces beside the backup.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from eksnet import inputs
from eksnet.cluster.client import Client
from eksnet.cluster.edits import text_of
from eksnet.cluster.guard import Identity
from eksnet.cluster.kinds import CONFIG_MAP
from eksnet.display import Mark, Tone, prose
from eksnet.errors import EksnetError

Json = dict[str, Any]
Check = Callable[[str, str, Json], None]

_NAME = "the ConfigMap's name"
_FORMAT = "eksnet configmap backup 1"
_CONTENT = ("data", "binaryData")
_LONGEST = 60
_LOOKS = ("labels", "annotations")


@dataclass(frozen=True)
class Backup:
    """A ConfigMap's state in a file; usable wherever a path is.

    Attributes:
        namespace: The ConfigMap's namespace.
        name: Its name.
        path: The file.
        edited_since: Whether an earlier backup was kept that is not the ConfigMap's state now.
    """

    namespace: str
    name: str
    path: Path
    edited_since: bool

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        kept = "; not replaced: the ConfigMap was edited since then" if self.edited_since else ""
        return f"ConfigMap {self.name} in {self.namespace} is backed up{kept}"

    def _repr_html_(self) -> str:
        return f"<p>{Mark('saved', Tone.GOOD).html} {prose(repr(self))}</p>"


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        namespace: The ConfigMap's namespace.
        name: Its name.
        changed: Whether anything had to be put back.
        replaced: The file with the state that was there before; None when nothing changed.
    """

    namespace: str
    name: str
    changed: bool
    replaced: Path | None

    def __repr__(self) -> str:
        did = "restored" if self.changed else "unchanged"
        return f"ConfigMap {self.name} in {self.namespace} is {did}"

    def _repr_html_(self) -> str:
        mark = Mark("restored", Tone.GOOD) if self.changed else Mark("unchanged", Tone.OPEN)
        return f"<p>{mark.html} {prose(repr(self))}</p>"


class Backups:
    """The backups of one cluster's ConfigMaps."""

    def __init__(self, client: Client, identity: Identity, target: str, base: Path) -> None:
        """Keep them in a directory of the cluster's own below `base`."""
        self._client = client
        self._identity = identity
        self._directory = base / f"{_file_name(target)}-{identity.key}"

    @property
    def directory(self) -> Path:
        """The directory of this cluster's files; made when the first is written."""
        return self._directory

    def path(self, name: str, namespace: str, suffix: str = "") -> Path:
        """Return the file of a ConfigMap's backup."""
        return self._directory / f"{_file_name(namespace)}.{_file_name(name)}{suffix}.json"

    def backup(self, name: str, namespace: str) -> Backup:
        """Write a ConfigMap's state to its file, unless an earlier one waits for its restore."""
        current = self._client.get(CONFIG_MAP.path(namespace, text_of(name, _NAME)))
        path = self.path(name, namespace)
        if path.exists():
            kept = self._load(path)
            return Backup(namespace, name, path, edited_since=not _same(kept, current))
        self._save(path, current)
        return Backup(namespace, name, path, edited_since=False)

    def restore(self, name: str, namespace: str, check: Check) -> Restored:
        """Put back what the last backup holds; a second time does nothing.

        Args:
            name: The ConfigMap's name.
            namespace: Its namespace.
            check: Called with name, namespace and content of what is to be written.
        """
        path = self.path(text_of(name, _NAME), namespace)
        used = self.path(name, namespace, ".restored")
        source = path if path.exists() else used
        if not source.exists():
            raise EksnetError(
                f"there is no backup of ConfigMap {name} in {namespace} of this cluster",
                "a backup that was made before the edit",
                f'cluster.backup("{name}", "{namespace}") makes one',
            )
        current = self._current(name, namespace)
        saved = self._load(source)
        if source == used and not (current and _same(saved, current)):
            raise EksnetError(
                f"the backup of ConfigMap {name} in {namespace} is already restored, "
                "and the ConfigMap was changed after that",
                "a backup that was made before that change",
                f"the backup is still in {used}: cluster.restore(Path(…)) restores it again",
            )
        restored = self._put(saved, current, name, namespace, check)
        if source == path:
            path.replace(used)
        return restored

    def saved(self, name: str, namespace: str, *, restored: bool) -> Json | None:
        """Return what a backup holds; None when there is none."""
        path = self.path(name, namespace, ".restored" if restored else "")
        return self._load(path) if path.exists() else None

    def archive_backup(self, name: str, namespace: str) -> Path | None:
        """Let a backup wait no longer, as if it had been restored; return its file."""
        path = self.path(name, namespace)
        if not path.exists():
            return None
        return path.replace(self.path(name, namespace, ".restored"))

    def restore_file(self, file: Path, check: Check) -> Restored:
        """Put back what a backup's file holds; the file stays."""
        saved = self._load(file)
        name, namespace = saved["metadata"]["name"], saved["metadata"]["namespace"]
        return self._put(saved, self._current(name, namespace), name, namespace, check)

    def _put(
        self, saved: Json, current: Json | None, name: str, namespace: str, check: Check
    ) -> Restored:
        if current and _same(saved, current):
            return Restored(namespace, name, changed=False, replaced=None)
        check(name, namespace, saved)
        query = {"fieldManager": "eksnet-edit"}
        if current is None:
            body = {"apiVersion": "v1", "kind": "ConfigMap", **_content(saved)}
            body["metadata"] = saved["metadata"]
            self._client.send("POST", CONFIG_MAP.path(namespace), body, query)
            return Restored(namespace, name, changed=True, replaced=None)
        replaced = self._unused(name, namespace, current)
        self._save(replaced, current)
        kept = {key: value for key, value in current.items() if key not in _CONTENT}
        # With its resource version: what somebody wrote meanwhile is not overwritten unseen.
        body = {**kept, **_content(saved)}
        self._client.send("PUT", CONFIG_MAP.path(namespace, name), body, query)
        return Restored(namespace, name, changed=True, replaced=replaced)

    def _unused(self, name: str, namespace: str, current: Json) -> Path:
        """Return a file for what is replaced: none that holds something else."""
        numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        paths = (self.path(name, namespace, f".replaced{number}") for number in numbers)
        return next(path for path in paths if not path.exists() or self._holds(path, current))

    def _holds(self, path: Path, current: Json) -> bool:
        with contextlib.suppress(EksnetError):
            return _same(self._load(path), current)
        return False

    def _current(self, name: str, namespace: str) -> Json | None:
        return self._client.find(CONFIG_MAP.path(namespace, name))

    def _save(self, path: Path, configmap: Json) -> None:
        metadata = configmap["metadata"]
        looks = {key: metadata[key] for key in _LOOKS if metadata.get(key)}
        record = {
            "format": _FORMAT,
            "cluster": asdict(replace(self._identity, user="")),
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], **looks},
            **_content(configmap),
        }
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Whole or not at all; readable by its owner only, as mkstemp makes it.
        descriptor, draft = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)

    def _load(self, path: Path) -> Json:
        try:
            record: Json = json.loads(path.read_text(encoding="utf-8"))
            whole = record["format"] == _FORMAT and _is_whole(record)
            identity = Identity(**record["cluster"])
            whole = whole and bool(record["metadata"]["namespace"])
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


def _not_a_backup(path: Path, why: str) -> EksnetError:
    return EksnetError(
        f"{path} is not a complete backup: {why}",
        "a file that cluster.backup wrote",
        "move the file to another folder",
    )


def _is_whole(record: Json) -> bool:
    """Tell whether a record has a ConfigMap's names, and texts under its keys."""
    names = (record["metadata"]["name"], record["metadata"]["namespace"])
    texts = [text for part in _CONTENT for text in (record.get(part) or {}).values()]
    return all(names) and all(isinstance(text, str) for text in (*names, *texts))


def _content(configmap: Json) -> Json:
    return {key: configmap[key] for key in _CONTENT if configmap.get(key) is not None}


def _same(one: Json, other: Json) -> bool:
    return all((one.get(key) or {}) == (other.get(key) or {}) for key in _CONTENT)


def _file_name(text: str) -> str:
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)
    if len(name) <= _LONGEST:
        return name
    # A name of Kubernetes may be longer than what a file system leaves for a part of a file's.
    return f"{name[:_LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
