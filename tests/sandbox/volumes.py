"""Volumes that make a controller delete a directory: one of the learner's, if it could."""

from __future__ import annotations

import json
from pathlib import Path

VOLUME_AND_CLAIM = """
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {{storage: 1Mi}}
  storageClassName: ""
  persistentVolumeReclaimPolicy: {policy}
  {source}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec:
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Mi}}}}
  storageClassName: ""
  volumeName: {name}
---
"""


def manifest(paths: dict[str, Path], policy: str = "Delete") -> str:
    """Return a bound volume of each path, with its claim; both have the path's name."""
    return "".join(
        VOLUME_AND_CLAIM.format(
            name=name, source=f"hostPath: {{path: {json.dumps(str(path))}}}", policy=policy
        )
        for name, path in paths.items()
    )


def local(name: str, path: str) -> str:
    """Return a bound local volume of a path, on a node of Linux, that is to be deleted."""
    source = (
        f"local: {{path: {path}}}\n  nodeAffinity: {{required: {{nodeSelectorTerms: "
        "[{matchExpressions: [{key: kubernetes.io/os, operator: In, values: [linux]}]}]}}"
    )
    return VOLUME_AND_CLAIM.format(name=name, source=source, policy="Delete")


def victims(places: list[Path]) -> dict[str, Path]:
    """Make a directory with a file in each place, once below a directory called `tmp`.

    The controllers take a path for a temporary one when `/tmp/` is anywhere in it.
    """
    found = {}
    for number, place in enumerate(places):
        for kind, path in (("plain", place / "kept"), ("tmp", place / "tmp" / "kept")):
            path.mkdir(parents=True)
            (path / "file").write_text("mine")
            found[f"victim-{number}-{kind}"] = path
    return found


def lost(paths: dict[str, Path]) -> list[Path]:
    """Return which of the directories are not as they were made."""
    return [
        path
        for path in paths.values()
        if not (path / "file").exists() or (path / "file").read_text() != "mine"
    ]


def is_deleted_as_temporary(path: Path) -> bool:
    """Tell whether the controllers take a path for one that they may delete."""
    return "/tmp/" in str(path)
