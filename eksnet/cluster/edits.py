"""Editing a key of a ConfigMap, with the difference to show for it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from eksnet.cluster.client import Client
from eksnet.cluster.kinds import CONFIG_MAP
from eksnet.display import Shown, diff, diff_coloured
from eksnet.errors import EksnetError


@dataclass(frozen=True, repr=False)
class Edit(Shown):
    """What an edit changed.

    Attributes:
        namespace: The ConfigMap's namespace.
        name: Its name.
        key: The key that was edited.
        before: The key's text before.
        after: The key's text now.
    """

    namespace: str
    name: str
    key: str
    before: str
    after: str

    @property
    def diff(self) -> str:
        """The difference as unified diff; empty when nothing changed."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), "before", "after", lineterm=""
        )
        return "\n".join(lines)

    def _text(self, *, colours: bool) -> str:
        text = self.diff or f"{self.key} of ConfigMap {self.name} was so already"
        return diff_coloured(text) if colours else text

    def _repr_html_(self) -> str:
        return diff(repr(self))


def edit_configmap(
    client: Client, name: str, key: str, change: str | Callable[[str], str], namespace: str
) -> Edit:
    """Change a key of a ConfigMap; see `Cluster.edit_configmap`."""
    path = CONFIG_MAP.path(namespace, name)
    current = client.get(path)
    data = current.get("data") or {}
    if callable(change) and key not in data:
        raise EksnetError(
            f"ConfigMap {name} in {namespace} has no key {key!r}",
            f"one of {', '.join(sorted(data)) or 'none'}",
            "give the text itself to make a new key",
        )
    before = data.get(key, "")
    after = change(before) if callable(change) else change
    if key not in data or after != before:
        # The resource version travels along: a change of somebody else's meanwhile is a conflict.
        client.send(
            "PUT", path, {**current, "data": {**data, key: after}}, {"fieldManager": "eksnet-edit"}
        )
    return Edit(namespace, name, key, before, after)
