"""Which questions come to a plugin: the zones that cover a name, and the rules that rename it.

Source: plugin/normalize.go and plugin/rewrite/name.go of CoreDNS 1.14.3.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Sequence

from eksnet.coredns import gotext

_MODES = ("continue", "stop")


def covers(zone: str, name: str) -> bool:
    """Tell whether a name is in a zone; both with a final dot or without.

    Example:
        >>> covers("local.", "myapp.local"), covers("app.local", "myapp.local")
        (True, False)
    """
    return f".{_plain(name)}".endswith(f".{_plain(zone)}".rstrip("."))


def renames(rule: Sequence[str], name: str) -> bool:
    """Tell whether a rule of `rewrite` gives a name another name.

    Args:
        rule: The words of the rule's line, with the plugin's own name or without.
        name: The name.
    """
    words = [word for word in rule if word not in ("rewrite", *_MODES)]
    field, kind, pattern = [*words, "", "", ""][:3]
    if field != "name":
        return False
    if kind not in _MATCHES:
        kind, pattern = "exact", kind
    return bool(pattern) and _MATCHES[kind](_plain(name), pattern)


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def _by_expression(name: str, pattern: str) -> bool:
    # Go's expressions and Python's are the same where names are concerned.
    with contextlib.suppress(re.error):
        return re.search(pattern, f"{name}.") is not None
    return False


_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "exact": lambda name, pattern: name == _plain(pattern),
    "prefix": lambda name, pattern: name.startswith(pattern.lower()),
    "suffix": lambda name, pattern: name.endswith(_plain(pattern)),
    "substring": lambda name, pattern: pattern.lower() in name,
    "regex": _by_expression,
}


# Names of zones, as all plugins read them.


@functools.lru_cache(4096)
def split_transport(word: str) -> tuple[str, str]:
    """Return the transport that a word names, `dns` for none, and the rest of it.

    Source: plugin/pkg/parse/transport.go.
    """
    name, separator, rest = word.partition("://")
    known = ("tls", "dns", "quic", "grpc", "https3", "https", "unix")
    return (name, rest) if separator and name in known else ("dns", word)


def zones_of(word: str) -> tuple[str, ...]:
    """Return the zones that a word names, in full and in small letters; empty for none."""
    return tuple([zone.lower() for zone in zones_as_written(word)])


@functools.lru_cache(4096)
def zones_as_written(word: str) -> tuple[str, ...]:
    """Return the zones that a word names, in full; empty where it names none.

    Source: plugin/normalize.go (NormalizeExact, SplitHostPort), plugin/pkg/cidr.
    """
    zone = split_transport(word)[1]
    if zone.endswith(":"):
        return ()
    host, colon, port = zone.rpartition(":")
    if colon and gotext.integer(port) is not None:
        zone = host
    if len(zone.encode("utf-8", "surrogatepass")) > 255 or not gotext.is_domain(zone):
        return ()
    if "/" in zone and (found := gotext.network(zone)):
        return _reverse_zones(zone, found)
    return (zone if zone.endswith(".") else f"{zone}.",)


def _reverse_zones(zone: str, found: gotext.Network) -> tuple[str, ...]:
    if zone.startswith(":") or (zone.startswith("0") and ":" in zone):
        return ()
    step = 8 if found.version == 4 else 4
    length = -(-found.prefixlen // step) * step
    return tuple(_reverse_zone(one, length // step) for one in found.subnets(new_prefix=length))


def _reverse_zone(network: gotext.Network, labels: int) -> str:
    suffix = ".in-addr.arpa." if network.version == 4 else ".ip6.arpa."
    every = network.network_address.reverse_pointer.split(".")[:-2]
    return f"{'.'.join(every[len(every) - labels :])}{suffix}".removeprefix(".")
