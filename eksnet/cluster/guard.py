"""The guard: nobody changes a cluster that they did not name.

On every target but the sandbox a kernel's first write needs the cluster's name said, and a context
that has come to mean another cluster, or another user, is refused. `Client` calls its guard before
every request that could change anything; there is no way around it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields

from eksnet.cluster.targets import Target
from eksnet.errors import EksnetError

VARIABLE = "EKSNET_CHANGES"

Guard = Callable[[], None]


@dataclass(frozen=True)
class Identity:
    """What makes a cluster this cluster, and its user this user.

    Attributes:
        server: The API server's URL.
        ca: SHA-256 of its certificate authority, in hex.
        user: The kubeconfig user's name and a digest of the entry.
        uid: The UID of the namespace kube-system; empty when the user may not read it.
    """

    server: str
    ca: str
    user: str
    uid: str

    @property
    def key(self) -> str:
        """A short name for the cluster, whoever its user is: 12 hex digits or fewer."""
        return (self.uid.replace("-", "") or self.ca)[:12]

    def is_same_cluster(self, other: Identity) -> bool:
        """Tell whether both are one cluster: the UID decides where it is known.

        Args:
            other: What makes the other cluster that one.
        """
        if self.uid and other.uid:
            return self.uid == other.uid
        return (self.server, self.ca) == (other.server, other.ca)


_NAMES = {
    "server": "API server",
    "ca": "certificate authority",
    "user": "user",
    "uid": "UID of kube-system",
}

_LOOK = {"context": "kubectl config view", "eks": "aws eks describe-cluster"}

# The clusters that were named in this process; naming one holds for the whole kernel.
_named: set[Identity] = set()


def allow_changes() -> None:
    """Let every write pass: the sandbox's guard."""


def refuse_changes() -> None:
    """Let no write pass: the guard of those who only look.

    Raises:
        EksnetError: Always.
    """
    raise EksnetError(
        "this would change the cluster, but the connection is read-only",
        "read requests only",
        "eksnet.connect() connects with the right to make changes",
    )


class NamedCluster:
    """The guard of every target but the sandbox."""

    def __init__(
        self, target: Target, seen: Identity, look: Callable[[], Identity], changes: str | None
    ) -> None:
        """Remember what `connect` saw.

        Args:
            target: What was connected to.
            seen: Its identity then.
            look: Finds its identity now.
            changes: The name that was said, if any; EKSNET_CHANGES says it otherwise.
        """
        self._target = target
        self._seen = seen
        self._look = look
        self._changes = changes

    def __call__(self) -> None:
        """Let a write pass.

        Raises:
            EksnetError: The cluster was not named, or is not the one that `connect` saw.
        """
        if self._seen not in _named:
            check_name(self._target, self._changes or os.environ.get(VARIABLE))
        check_unchanged(self._target, self._seen, self._look())
        _named.add(self._seen)


def check_name(target: Target, said: str | None) -> None:
    """Refuse a write to a cluster whose name was not said.

    Raises:
        EksnetError: Nothing was said, or another name.
    """
    if said == target.name:
        return
    seen = f"this would change {target}, and "
    seen += f"{said!r} was named instead" if said else "its name was not given"
    raise EksnetError(
        seen,
        "the name of the cluster to change",
        f'eksnet.connect("{target}", changes="{target.name}"), or {VARIABLE}={target.name}',
    )


def check_unchanged(target: Target, seen: Identity, now: Identity) -> None:
    """Refuse a write to a cluster that is no longer the one that was connected to.

    Raises:
        EksnetError: Server, certificate authority, user or the UID of kube-system differ.
    """
    changed = [
        _NAMES[field.name]
        for field in fields(Identity)
        if getattr(seen, field.name) != getattr(now, field.name)
    ]
    if changed:
        raise EksnetError(
            f"{target} has changed since eksnet.connect(): another {' and another '.join(changed)}",
            f"the API server {seen.server} of that time",
            f"look at `{_LOOK.get(target.kind, _LOOK['context'])}`; if it is correct, run "
            f'eksnet.connect("{target}")',
        )
