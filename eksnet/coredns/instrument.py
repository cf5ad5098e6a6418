"""A Corefile made ready for a dry run: its counters on, and what its run needs around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eksnet.coredns import gotext
from eksnet.coredns.corefile import Corefile, Plugin, ServerBlock, address
from eksnet.coredns.zones import covers, split_transport, zones_of

COUNTERS = ("127.0.0.1", 9153)
_LISTENS = "127.0.0.1"


@dataclass(frozen=True)
class Instrumented:
    """A Corefile for a dry run.

    Attributes:
        text: Its text, with the plugin `prometheus` in each server block; a line is where it was.
        counters: The address and port of its counters; None where they cannot be had.
        addresses: Addresses that it needs to listen on, and to forward to.
        upstreams: The servers that it forwards to.
    """

    text: str
    counters: tuple[str, int] | None
    addresses: tuple[str, ...]
    upstreams: tuple[tuple[str, int], ...]


def instrument(tree: Corefile) -> Instrumented:
    """Return a Corefile with its counters on: they tell which plugin wrote an answer.

    Args:
        tree: The Corefile.
    """
    own = next((one for block in tree.blocks for one in block.uses("prometheus")), None)
    counters = _listens_at(own) if own else COUNTERS
    text = tree.text
    for block in reversed(tree.blocks):
        if not block.uses("prometheus") and counters:
            text = _with_counters(text, block, f"prometheus {counters[0]}:{counters[1]}")
    upstreams = tuple(dict.fromkeys(_upstreams(tree)))
    addresses = [host for host, _ in upstreams]
    addresses += [host for block in tree.blocks for host in bound(block)]
    kept = dict.fromkeys(one for one in addresses if _can_be_added(one))
    return Instrumented(text, counters, tuple(kept), upstreams)


def _listens_at(plugin: Plugin) -> tuple[str, int] | None:
    words = plugin.lines[0][1:]
    found = gotext.host_port(words[0]) if words else ("localhost", "9153")
    port = gotext.unsigned(found[1]) if found else None
    if not found or port is None or any(line[0] == "tls" for line in plugin.lines[1:]):
        return None
    host = found[0] if gotext.address(found[0]) and found[0] != "0.0.0.0" else _LISTENS
    return host, port


def _with_counters(text: str, block: ServerBlock, line: str) -> str:
    """Return a text with a plugin on the line of a server block's brace."""
    if block.opening is None or block.opening.via:
        return f"{text.rstrip()}\n{line}\n"
    place = block.opening.end
    rest = text[place:].split("\n", 1)[0].split("#", 1)[0]
    return f"{text[:place]} {line}{chr(10) if rest.strip() else ''}{text[place:]}"


def _upstreams(tree: Corefile) -> Iterator[tuple[str, int]]:
    for block in tree.blocks:
        for plugin in block.uses("forward"):
            for word in plugin.lines[0][2:]:
                yield from _upstream(word)


def _upstream(word: str) -> Iterator[tuple[str, int]]:
    transport, rest = split_transport(word)
    if word == "/etc/resolv.conf":
        yield NODE_RESOLVER
    found = gotext.host_port(rest) or (rest.strip("[]"), "53")
    host, port = gotext.address(found[0]), gotext.unsigned(found[1], 16)
    if transport == "dns" and host and port and not host.is_loopback:
        yield str(host), port


NODE_RESOLVER = ("10.0.0.2", 53)
"""What the resolv.conf of a dry run names, as that of a node on EKS does."""


def bound(block: ServerBlock) -> list[str]:
    """Return the addresses that a server block names with `bind`."""
    return [word for plugin in block.uses("bind") for word in plugin.lines[0][1:]]


def _can_be_added(word: str) -> bool:
    found = gotext.address(word)
    return found is not None and not found.is_loopback and not found.is_unspecified


def server_for(tree: Corefile, name: str) -> tuple[str, int] | None:
    """Return where a query for a name is to be sent; None where no server block answers DNS.

    It is the server block of the longest zone that covers the name, one on port 53 before others.
    """
    best: tuple[tuple[bool, int], tuple[str, int]] | None = None
    for block in tree.blocks:
        for key in block.keys:
            transport, zone, port = address(key)
            if transport != "dns" or not any(covers(one, name) for one in zones_of(key)):
                continue
            hosts = [one for one in bound(block) if gotext.address(one)]
            rank = (port == "53", len(zone))
            if best is None or rank > best[0]:
                best = rank, (hosts[0] if hosts else _LISTENS, int(port))
    return best[1] if best else None
