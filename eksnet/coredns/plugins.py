"""The plugins that a CoreDNS is built with, from the tables of `data/`."""

from __future__ import annotations

import functools

from eksnet.data import rows


@functools.cache
def known_plugins() -> frozenset[str]:
    """Return the plugins of the release, from the table of their order."""
    return frozenset(row["plugin"] for row in rows("coredns_plugin_order"))


def is_refused_twice(plugin: str) -> bool:
    """Tell whether CoreDNS refuses a second use of a plugin in a server block."""
    return second_use(plugin) == "refused"


def adds_up(plugin: str) -> bool:
    """Tell whether a second use of a plugin in a server block has an effect beside the first.

    Of the others CoreDNS refuses it, ignores it, or takes it in the place of the first.
    """
    return second_use(plugin) == "adds"


def second_use(plugin: str) -> str:
    """Return what becomes of a second use in a server block; empty for a plugin that is unknown.

    It is `refused` or `ignored`, it `replaces` the first, or `adds` to it.
    """
    return _second_uses().get(plugin, "")


@functools.cache
def _second_uses() -> dict[str, str]:
    return {row["plugin"]: row["second_use"] for row in rows("coredns_plugin_uses")}
