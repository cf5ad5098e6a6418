"""What the data plane has seen of targets: the file that it replaces at each change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from eksnet.sandbox.aws.elb.health import Health


class Observed:
    """Reads the file again when it is another one."""

    def __init__(self, file: Path) -> None:
        """Read nothing yet: the data plane may not have written."""
        self._file = file
        self._version: tuple[int, int] | None = None
        self._targets: Mapping[str, Mapping[str, Mapping[str, str]]] = {}

    def health(self, group: str, target: str, port: int) -> Health | None:
        """Return what was seen of a target last; None for nothing.

        Args:
            group: The ARN of its target group.
            target: Its id.
            port: Its port.
        """
        self._refresh()
        found = self._targets.get(group, {}).get(f"{target}:{port}")
        if not found:
            return None
        return Health(found["state"], found.get("reason", ""), found.get("description", ""))

    def _refresh(self) -> None:
        try:
            status = self._file.stat()
            version = status.st_ino, status.st_mtime_ns
            if version != self._version:
                self._targets = json.loads(self._file.read_text())["targets"]
                self._version = version
        except FileNotFoundError:
            self._version, self._targets = None, {}
