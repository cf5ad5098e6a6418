"""One DNS question and whether its answer is right: how a node's own view of DNS is looked at."""

from __future__ import annotations

import secrets
import socket
from ipaddress import IPv4Address

_RECURSION_DESIRED = 0x0100
_IS_ANSWER = 0x80
_TYPE_A, _CLASS_IN = 1, 1


def question(name: str, number: int) -> bytes:
    """Return a query for a name's IPv4 address, as RFC 1035 has it.

    Args:
        name: The full name.
        number: The query's id, 16 bits.
    """
    counts = (1, 0, 0, 0)
    header = (number, _RECURSION_DESIRED, *counts)
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    coded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return _words(*header) + coded + _words(_TYPE_A, _CLASS_IN)


def answers(reply: bytes, number: int, address: IPv4Address) -> bool:
    """Tell whether a reply is the one to a query, without an error, and ends with an address."""
    return (
        len(reply) > 12
        and reply[:2] == number.to_bytes(2, "big")
        and bool(reply[2] & _IS_ANSWER)
        and reply[3] & 0x0F == 0
        and reply.endswith(_words(4) + address.packed)
    )


def ask(
    connection: socket.socket, server: str, name: str, address: IPv4Address, patience: float
) -> bool:
    """Ask a server, and tell whether the address came back in time.

    Args:
        connection: A UDP socket of the network from which to ask; it is used up.
        server: The server's address.
        name: The full name.
        address: The right answer.
        patience: How long to wait for it, in seconds.
    """
    number = secrets.randbelow(2**16)
    try:
        connection.settimeout(patience)
        # A connected socket is told at once that nobody is there.
        connection.connect((server, 53))
        connection.send(question(name, number))
        return answers(connection.recv(4096), number, address)
    except OSError:
        return False


def _words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)
