"""A Corefile made ready for a dry run: its questions traced, and what its run needs around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eksnet.coredns import gotext
from eksnet.coredns.corefile import Corefile, ServerBlock, address
from eksnet.coredns.zones import covers, split_transport, zones_of

_LISTENS = "127.0.0.1"


@dataclass(frozen=True)
class Instrumented:
    """A Corefile for a dry run.

    Attributes:
        text: Its text, with the plugin `trace` in each server block; a line is where it was.
        is_traced: Whether all server blocks tell which plugins a question meets: not where one has
            a `trace` of its own.
        addresses: Addresses that it needs to listen on, and to forward to.
        upstreams: The servers that it forwards to.
    """

    text: str
    is_traced: bool
    addresses: tuple[str, ...]
    upstreams: tuple[tuple[str, int], ...]


def instrument(tree: Corefile, collector: str) -> Instrumented:
    """Return a Corefile with a trace of its questions: it tells which plugin answered.

    CoreDNS's counters do not: `coredns_dns_responses_total` has a label `plugin`, in which CoreDNS
    1.14.3 puts the plugin after `prometheus`, whoever wrote the answer (plugin.go, pluginWriter).

    Args:
        tree: The Corefile.
        collector: Where the trace is sent to, as ADDRESS:PORT.
    """
    text = tree.text
    for block in reversed(tree.blocks):
        if not block.uses("trace"):
            text = _with_line(text, block, f"trace {collector}")
    upstreams = tuple(dict.fromkeys(_upstreams(tree)))
    addresses = [host for host, _ in upstreams]
    addresses += [host for block in tree.blocks for host in bound(block)]
    kept = dict.fromkeys(one for one in addresses if _can_be_added(one))
    is_traced = not any(block.uses("trace") for block in tree.blocks)
    return Instrumented(text, is_traced, tuple(kept), upstreams)


def _with_line(text: str, block: ServerBlock, line: str) -> str:
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
