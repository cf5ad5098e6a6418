"""A packet, and the entry that connection tracking keeps for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.listing import Listing

PROTOCOLS = ("tcp", "udp", "sctp", "icmp")
_MOST_MARK = 2**32 - 1
ANY_PORT = 0
"""A source port that the kernel chooses at random (`--random-fully`)."""


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection.

    Attributes:
        source: Its source address.
        destination: Its destination address.
        port: Its destination port; 0 for a protocol without ports, such as icmp.
        protocol: tcp, udp, sctp or icmp.
        source_port: Its source port; 0 once the kernel has chosen another at random.
        mark: The mark that rules leave on it on their way; it never leaves the node.
    """

    source: str
    destination: str
    port: int = 0
    protocol: str = "tcp"
    source_port: int = 40000
    mark: int = 0

    def __post_init__(self) -> None:
        inputs.ipv4(self.source, "the source")
        inputs.ipv4(self.destination, "the destination")
        inputs.port(self.port)
        inputs.port(self.source_port, "the source port")
        inputs.one_of(self.protocol, PROTOCOLS, "protocol")
        inputs.count(self.mark, "the mark", 0, _MOST_MARK)

    def __str__(self) -> str:
        """Return it as `tcp 10.0.129.11:40000 -> 10.100.0.10:53`, with the mark if there is one."""
        mark = f" mark {self.mark:#x}" if self.mark else ""
        if self.protocol == "icmp":
            return f"icmp {self.source} -> {self.destination}{mark}"
        start = f"{self.source}:{_port(self.source_port)}"
        return f"{self.protocol} {start} -> {self.destination}:{self.port}{mark}"


@dataclass(frozen=True)
class Tuple:
    """One direction of a connection.

    Attributes:
        source: The source address.
        destination: The destination address.
        source_port: The source port; 0 where the kernel chooses one.
        port: The destination port; 0 where the kernel chooses one.
    """

    source: str
    destination: str
    source_port: int = 0
    port: int = 0

    def __str__(self) -> str:
        """Return it as `conntrack -L` prints it; without ports when there are none."""
        if not (self.source_port or self.port):
            return f"src={self.source} dst={self.destination}"
        ports = f"sport={_port(self.source_port)} dport={_port(self.port)}"
        return f"src={self.source} dst={self.destination} {ports}"


@dataclass(frozen=True)
class Connection:
    """An entry of connection tracking: what came, and what an answer will look like.

    The answer's addresses show the translation: its source is the endpoint, its destination the
    client, or the node when the packet was masqueraded.

    Attributes:
        protocol: tcp, udp, sctp or icmp.
        original: The packet as it came.
        reply: The answer as it comes back.
        state: The state of a TCP connection, such as ESTABLISHED; empty for others.
        answered: Whether an answer has been seen.
    """

    protocol: str
    original: Tuple
    reply: Tuple
    state: str = ""
    answered: bool = False

    @property
    def is_translated(self) -> bool:
        """Whether the answer comes from somewhere else than the packet went to."""
        return self.reply.source != self.original.destination or (
            self.reply.source_port != self.original.port
        )

    @property
    def is_masqueraded(self) -> bool:
        """Whether the answer goes to somewhere else than the packet came from."""
        return self.reply.destination != self.original.source

    @property
    def backend(self) -> str:
        """Who answers, as IP:PORT."""
        return f"{self.reply.source}:{self.reply.source_port}"

    @property
    def masked(self) -> Connection:
        """The entry without what differs each time: the client's port, the state, the answers."""
        original, reply = replace(self.original, source_port=0), replace(self.reply, port=0)
        return Connection(self.protocol, original, reply)

    def __str__(self) -> str:
        """Return it as `conntrack -L` prints it, without times."""
        return " ".join(
            filter(None, (self.protocol, self.state, str(self.original), str(self.reply)))
        )


def connection(before: Packet, after: Packet) -> Connection:
    """Return the entry for a packet, from what it was when it came and when it left."""
    if before.protocol == "icmp":
        there, back = (before.source, before.destination), (after.destination, after.source)
        return Connection("icmp", Tuple(*there), Tuple(*back))
    original = Tuple(before.source, before.destination, before.source_port, before.port)
    reply = Tuple(after.destination, after.source, after.port, after.source_port)
    return Connection(before.protocol, original, reply)


_ENTRY = re.compile(
    r"(?P<protocol>[a-z]\w*)\s+\d+(?:\s+\d+)?\s+(?:(?P<state>[A-Z_]+)\s+)?(?P<rest>(?:src=|\[).*)"
)
_SIDE = re.compile(
    r"src=(?P<source>\S+) dst=(?P<destination>\S+)"
    r"(?: sport=(?P<sport>[0-9]{1,5}) dport=(?P<dport>[0-9]{1,5})| type=\d+ code=\d+ id=\d+)?"
)


def parse_conntrack(text: str) -> Listing[Connection]:
    """Return the IPv4 entries in what `conntrack -L` printed, in its order.

    Args:
        text: What `conntrack -L` printed.

    Raises:
        EksnetError: A line is no entry; the message names it.
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("conntrack v"):
            continue
        fits = _ENTRY.match(line)
        sides = [_side(one) for one in _SIDE.finditer(fits["rest"])] if fits else []
        if fits is None or len(sides) != 2:
            raise EksnetError(
                f"line {number} is {line[:70]!r}", "a line of `conntrack -L` with two src=… dst=…"
            )
        if ":" in sides[0].source:
            continue
        original, reply = sides
        answered = "[UNREPLIED]" not in line
        found.append(Connection(fits["protocol"], original, reply, fits["state"] or "", answered))
    return Listing.of(
        found,
        {
            "protocol": lambda one: one.protocol,
            "state": lambda one: one.state,
            "packet": lambda one: one.original,
            "answer": lambda one: one.reply,
        },
    )


def _side(found: re.Match[str]) -> Tuple:
    return Tuple(
        found["source"], found["destination"], int(found["sport"] or 0), int(found["dport"] or 0)
    )


def _port(port: int) -> str:
    return str(port) if port else "(any)"
