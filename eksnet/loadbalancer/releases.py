"""Releases of the load balancer controller, as they are written: `2.7`, `v3.3.0`."""

from __future__ import annotations

import re

from eksnet import inputs, versions
from eksnet.errors import EksnetError

Release = tuple[int, int, int]

_WRITTEN = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?", re.ASCII)
_NEWEST_PATCH = 999
FIRST: Release = (2, 0, 0)
"""The first release that the tables know: version 1 was another program."""


def release_of(text: str) -> Release:
    """Return a release as numbers; of `2.7` the newest, whatever its last number is.

    Args:
        text: The release, such as `2.7` or `v3.3.0`.

    Raises:
        EksnetError: It is none, or older than the tables.
    """
    found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    patch = found and int(found[3] or _NEWEST_PATCH)
    release = (int(found[1]), int(found[2]), int(patch or 0)) if found else (0, 0, 0)
    if release < FIRST:
        raise EksnetError(
            f"{inputs.shown(text)} is not a release of the controller that is known here",
            f"a release from {written(FIRST)} on, such as 2.7 or {written(PINNED)}",
            "`kubectl -n kube-system get deployment aws-load-balancer-controller -o wide` "
            "names the image's",
        )
    return release


def written(release: Release) -> str:
    """Return a release as it is written; without the last number where that is left open."""
    return ".".join(map(str, release[:2] if release[2] == _NEWEST_PATCH else release))


PINNED: Release = release_of(versions.CONTROLLER)
"""The release that the engine has."""
