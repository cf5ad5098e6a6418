"""Backup and restore of a ConfigMap: exact, of this cluster only, and nothing is ever lost.

The first backup is the good one: it is kept until a restore has used it, so that a backup cell that
runs again after the edit does no harm. A restore keeps what it replaces as a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eksnet.cluster.client import Client
from eksnet.cluster.edits import text_of
from eksnet.cluster.guard import Identity
from eksnet.cluster.kinds import CONFIG_MAP
from eksnet.cluster.snapshots import CONFIGMAP, Files, Snapshots, content, file_name, is_same
from eksnet.display import Mark, Tone, prose
from eksnet.errors import EksnetError

Json = dict[str, Any]
Check = Callable[[str, str, Json], None]

_NAME = "the ConfigMap's name"


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
        self._directory = base / f"{_part(target)}-{identity.key}"
        self._files = Files(identity, self._directory)
        self.snapshots = Snapshots(identity, self._directory / "snapshots")

    @property
    def directory(self) -> Path:
        """The directory of this cluster's files; made when the first is written."""
        return self._directory

    def path(self, name: str, namespace: str, suffix: str = "") -> Path:
        """Return the file of a ConfigMap's backup."""
        return self._directory / f"{_part(namespace)}.{_part(name)}{suffix}.json"

    def backup(self, name: str, namespace: str) -> Backup:
        """Write a ConfigMap's state to its file, unless an earlier one waits for its restore."""
        current = self._client.get(CONFIG_MAP.path(namespace, text_of(name, _NAME)))
        path = self.path(name, namespace)
        if path.exists():
            kept = self._files.load(path)
            return Backup(namespace, name, path, edited_since=not _same(kept, current))
        self._files.save(path, CONFIGMAP, current)
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
        saved = self._files.load(source)
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
        return self._files.load(path) if path.exists() else None

    def archive_backup(self, name: str, namespace: str) -> Path | None:
        """Let a backup wait no longer, as if it had been restored; return its file."""
        path = self.path(name, namespace)
        if not path.exists():
            return None
        return path.replace(self.path(name, namespace, ".restored"))

    def restore_file(self, file: Path, check: Check) -> Restored:
        """Put back what a backup's file holds; the file stays."""
        saved = self._files.load(file)
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
            body = {"apiVersion": "v1", "kind": "ConfigMap", **content(CONFIGMAP, saved)}
            body["metadata"] = saved["metadata"]
            self._client.send("POST", CONFIG_MAP.path(namespace), body, query)
            return Restored(namespace, name, changed=True, replaced=None)
        # Also of a namespace whose changes are not risky by themselves.
        replaced = self.snapshots.take(CONFIGMAP, current, "a restore")
        kept = {key: value for key, value in current.items() if key not in ("data", "binaryData")}
        # With its resource version: what somebody wrote meanwhile is not overwritten unseen.
        body = {**kept, **content(CONFIGMAP, saved)}
        self._client.send("PUT", CONFIG_MAP.path(namespace, name), body, query)
        return Restored(namespace, name, changed=True, replaced=replaced)

    def _current(self, name: str, namespace: str) -> Json | None:
        return self._client.find(CONFIG_MAP.path(namespace, name))


def _same(one: Json, other: Json) -> bool:
    return is_same(CONFIGMAP, one, other)


def _part(text: str) -> str:
    # A dot stands between the parts of a file's name.
    return file_name(text.replace(".", "_"))
