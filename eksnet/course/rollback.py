"""`eksnet rollback`: what was there before a risky change, and putting it back."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from eksnet.cluster import connect, connect_read_only
from eksnet.cluster.snapshots import ADDON, Snapshot
from eksnet.coredns import addon

if TYPE_CHECKING:
    from eksnet.cluster import Cluster
    from eksnet.listing import Listing


@dataclass(frozen=True)
class Rollback:
    """A snapshot, and what would change if it were put back.

    Attributes:
        snapshot: The snapshot.
        target: The target, as `eksnet.connect` takes it.
        difference: From what is there to the snapshot, as unified diff; empty for none.
    """

    snapshot: Snapshot
    target: str
    difference: str


def listed(target: str | None = None) -> Listing[Snapshot]:
    """Return the snapshots of a cluster, the newest one last.

    Args:
        target: The target, as `eksnet.connect` takes it.

    Raises:
        EksnetError: It does not answer.
    """
    return connect_read_only(target).snapshots.all()


def to_json(found: Listing[Snapshot]) -> list[dict[str, Any]]:
    """Return what `--json` prints.

    Args:
        found: The snapshots.
    """
    return [{**asdict(one), "path": str(one.path)} for one in found]


def planned(number: int, target: str | None = None) -> Rollback:
    """Return what putting a snapshot back would change; nothing is changed.

    Args:
        number: The snapshot's number.
        target: The target, as `eksnet.connect` takes it.

    Raises:
        EksnetError: There is no such snapshot, or the cluster does not answer.
    """
    cluster = connect_read_only(target)
    snapshot = cluster.snapshots.numbered(number)
    before, after = _lines(_current(cluster, snapshot)), _lines(snapshot.content)
    found = difflib.unified_diff(before, after, "now", f"snapshot {number}", lineterm="")
    return Rollback(snapshot, str(cluster.target), "\n".join(found))


def put_back(plan: Rollback) -> str:
    """Put a snapshot back, and say what became of it.

    Args:
        plan: The snapshot, with its target.

    Raises:
        EksnetError: The cluster was not named where it has to be, or something refused.
    """
    cluster, snapshot = connect(plan.target), plan.snapshot
    if snapshot.kind != ADDON:
        # It was there: what is wrong with it was so before, too.
        return repr(cluster.restore(snapshot.path, unchecked=True))
    addon.put_back(cluster, snapshot.content["version"], snapshot.content.get("values", ""))
    return f"{snapshot.what} is put back"


def _current(cluster: Cluster, snapshot: Snapshot) -> Mapping[str, Any]:
    if snapshot.kind == ADDON:
        return addon.state(cluster)
    return cluster.find("configmap", snapshot.name, snapshot.namespace) or {}


def _lines(content: Mapping[str, Any]) -> list[str]:
    """Return the lines of a state: each value below its key."""
    return list(_shown(content))


def _shown(content: Mapping[str, Any]) -> Iterator[str]:
    for key in ("version", "values"):
        if key in content:
            yield f"{key}: {content[key] or '(none)'}"
    for part in ("data", "binaryData"):
        for key, text in sorted((content.get(part) or {}).items()):
            yield f"{key}:"
            yield from (f"  {line}" for line in str(text).splitlines())
