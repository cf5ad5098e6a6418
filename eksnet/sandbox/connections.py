"""Connections through load balancers that end: the kernel forgets them, their clients are reset."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address

from eksnet.sandbox.balancing import PROD, Ended

_FIELD = re.compile(r"(src|dst|sport|dport)=(\S+)")
_ACK = 0x10
# Bytes of a header of TCP, and its length as the header has it, in words of four bytes.
_HEADER, _WORDS = 20, 5


@dataclass(frozen=True)
class Ends:
    """The two ends of a connection of TCP, as its client knows them.

    Attributes:
        client: The client's address.
        client_port: Its port.
        asked: The address that it asked.
        asked_port: The port.
    """

    client: IPv4Address
    client_port: int
    asked: IPv4Address
    asked_port: int


def end(ended: Ended) -> None:
    """End connections: the kernel forgets them, and clients of TCP are reset.

    Args:
        ended: Which ones.

    Raises:
        OSError: The kernel refused.
    """
    words = ["conntrack", "-D", *selection(ended)]
    # Its exit code is 1 when there was none.
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    if ended.door[0] == "tcp":
        _prod(parse(said))


def selection(ended: Ended) -> list[str]:
    """Return the words by which conntrack selects connections."""
    protocol, address, port = ended.door
    words = ["-p", protocol, "--orig-dst", str(address), "--orig-port-dst", str(port)]
    if ended.target is None:
        return words
    target, target_port = ended.target
    return [*words, "--reply-src", str(target), "--reply-port-src", str(target_port)]


def parse(said: str) -> list[Ends]:
    """Return the connections that conntrack lists."""
    found = []
    for line in said.splitlines():
        # Each line has the fields twice: as the client sends, and as the target answers.
        fields = dict(reversed(_FIELD.findall(line)))
        found.append(
            Ends(
                IPv4Address(fields["src"]),
                int(fields["sport"]),
                IPv4Address(fields["dst"]),
                int(fields["dport"]),
            )
        )
    return found


def _prod(found: list[Ends]) -> None:
    """Have clients say something, which is then answered with a reset.

    A reset counts only with the number that the client expects, and nobody but the client knows it:
    it says it in answer to a segment that does not fit.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, PROD)
        for ends in found:
            raw.sendto(packet(ends, os.urandom(4)), (str(ends.client), 0))


def packet(ends: Ends, number: bytes) -> bytes:
    """Return a packet with an empty segment, as from the address that a client asked.

    Args:
        ends: The connection.
        number: The segment's sequence number, four bytes.
    """
    source, target = ends.asked.packed, ends.client.packed
    ports = struct.pack("!HH", ends.asked_port, ends.client_port)
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
