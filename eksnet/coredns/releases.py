"""Releases of CoreDNS: which plugins and options each knows, and in which order it asks them.

From the tables of `data/`, which `tests/data/plugin_releases.py` makes of CoreDNS' repository.
"""

from __future__ import annotations

import functools
import re

from eksnet import versions
from eksnet.data import rows
from eksnet.errors import EksnetError
from eksnet.listing import Listing

Release = tuple[int, int, int]

_WRITTEN = re.compile(r"v?(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:-eksbuild\.\d+)?")
FIRST: Release = (1, 8, 0)
"""The first release that the tables know."""


def release_of(text: str) -> Release:
    """Return a release as numbers.

    Args:
        text: The release, such as `1.14.3` or `v1.11.4-eksbuild.2`.

    Raises:
        EksnetError: It is none, or older than the tables.
    """
    found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    release = (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
    if release < FIRST:
        raise EksnetError(
            f"{text!r} is not a release of CoreDNS that is known here",
            f"a release from {'.'.join(map(str, FIRST))} on, such as {versions.COREDNS}",
            "`kubectl -n kube-system get deployment coredns -o wide` names the image's",
        )
    return release


PINNED: Release = release_of(versions.COREDNS)
"""The release that the engine has."""


@functools.cache
def _since() -> dict[tuple[str, str], Release]:
    table = rows("coredns_releases")
    return {(row["plugin"], row["option"]): release_of(row["since"]) for row in table}


@functools.cache
def plugins_of(release: Release) -> frozenset[str]:
    """Return the plugins that a release knows."""
    return frozenset(
        plugin for (plugin, option), since in _since().items() if not option and since <= release
    )


def plugin_since(plugin: str) -> Release | None:
    """Return the first release that knows a plugin; None where none does."""
    return _since().get((plugin, ""))


def option_since(plugin: str, option: str) -> Release | None:
    """Return the first release whose plugin has an option; None where none does."""
    return _since().get((plugin, option)) if option else None


def options_of(plugin: str, release: Release) -> frozenset[str]:
    """Return the options that a plugin of a release has."""
    return frozenset(
        option for (name, option), since in _since().items()
        if name == plugin and option and since <= release
    )  # fmt: skip


@functools.cache
def epochs() -> tuple[str, ...]:
    """Return the releases that asked plugins in another order than the one before."""
    return tuple(dict.fromkeys(row["release"] for row in rows("coredns_plugin_moves")))


def order_of(release: Release) -> tuple[str, ...]:
    """Return the plugins in the order in which a release asks them, as far as the tables know.

    Plugins that came without moving another one are not among them.
    """
    moves = [row for row in rows("coredns_plugin_moves") if release_of(row["release"]) <= release]
    last = moves[-1]["release"]
    return tuple(row["plugin"] for row in moves if row["release"] == last)


COMMON = (
    "errors", "log", "acl", "loadbalance", "cache", "rewrite", "autopath", "template", "hosts",
    "kubernetes", "file", "loop", "forward",
)  # fmt: skip
"""Plugins that a question meets in many Corefiles."""


def plugin_order(*releases: str) -> Listing[str]:
    """Return which of the common plugins a question meets first, second and so on, by release.

    The order is fixed when CoreDNS is built; the order in the Corefile does not count.

    Args:
        releases: The releases; without one, that of the engine.

    Raises:
        EksnetError: One is not known.
    """
    asked = releases or (versions.COREDNS.removeprefix("v"),)
    orders = [[name for name in order_of(release_of(one)) if name in COMMON] for one in asked]
    rows_ = tuple(zip(*orders, strict=True))
    places = tuple((str(place), *row) for place, row in enumerate(rows_, start=1))
    return Listing(("order", *asked), places, tuple(orders[-1]))
