"""Connections through load balancers that end: the kernel forgets them, their clients are reset."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from eksnet.sandbox.balancing import PROD, Ended, Place

_FIELD = re.compile(r"\b(?:src|dst|sport|dport)=(\S+)")
_ACK = 0x10
# Bytes of a header of TCP, and its length as the header has it, in words of four bytes.
_HEADER, _WORDS = 20, 5


@dataclass(frozen=True)
class Connection:
    """A connection through a load balancer, as the kernel lists it.

    Attributes:
        protocol: `tcp` or `udp`.
        client: The client's address and port.
        asked: The address and the port that it asked.
        target: The address and the port that answer.
    """

    protocol: str
    client: Place
    asked: Place
    target: Place

    def ends_with(self, ended: Ended) -> bool:
        """Tell whether it is one of those that end."""
        is_asked = (self.protocol, *self.asked) == ended.door
        return is_asked and ended.target in (None, self.target)


def end(ended: Iterable[Ended]) -> None:
    """End connections: the kernel forgets them, and clients of TCP are reset.

    Args:
        ended: Which ones.

    Raises:
        OSError: The kernel refused.
    """
    if not (ended := list(ended)):
        return
    # Once for all: most of them have no connection.
    present = parse(_conntrack("-L", "--dst-nat"))
    for one in ended:
        if any(connection.ends_with(one) for connection in present):
            _prod(parse(_conntrack("-D", *selection(one))))


def _conntrack(*words: str) -> str:
    # Its exit code is 1 when it finds none.
    done = subprocess.run(["conntrack", *words], capture_output=True, text=True, check=False)
    return done.stdout


def selection(ended: Ended) -> list[str]:
    """Return the words by which conntrack selects connections."""
    protocol, address, port = ended.door
    words = ["-p", protocol, "--orig-dst", str(address), "--orig-port-dst", str(port)]
    if ended.target is None:
        return words
    target, target_port = ended.target
    return [*words, "--reply-src", str(target), "--reply-port-src", str(target_port)]


def parse(listed: str) -> list[Connection]:
    """Return the connections of TCP and UDP that conntrack lists."""
    return [
        Connection(
            line.split()[0],
            client=(IPv4Address(source), int(source_port)),
            asked=(IPv4Address(asked), int(port)),
            target=(IPv4Address(target), int(target_port)),
        )
        for line in listed.splitlines()
        # Each line has four fields twice: as the client sends, and as the target answers.
        if len(fields := _FIELD.findall(line)) == 8
        for source, asked, source_port, port, target, _, target_port, _ in [fields]
    ]


def _prod(found: Iterable[Connection]) -> None:
    """Have clients say something, which is then answered with a reset.

    A reset counts only with the number that the client expects, and nobody but the client knows it:
    it says it in answer to a segment that does not fit.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, PROD)
        for one in found:
            if one.protocol == "tcp":
                raw.sendto(packet(one, os.urandom(4)), (str(one.client[0]), 0))


def packet(connection: Connection, number: bytes) -> bytes:
    """Return a packet with an empty segment, as from the address that a client asked.

    Args:
        connection: The connection.
        number: The segment's sequence number, four bytes.
    """
    (asked, port), (client, client_port) = connection.asked, connection.client
    source, target = asked.packed, client.packed
    ports = struct.pack("!HH", port, client_port)
    segment = ports + number + struct.pack("!IBBHHH", 0, _WORDS << 4, _ACK, 0, 0, 0)
    pseudo = source + target + struct.pack("!BBH", 0, socket.IPPROTO_TCP, _HEADER)
    segment = segment[:16] + struct.pack("!H", _checksum(pseudo + segment)) + segment[18:]
    # The kernel fills in the checksum and the identification.
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + _HEADER, 0, 0, 64, socket.IPPROTO_TCP, 0)
    return header + source + target + segment


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF
