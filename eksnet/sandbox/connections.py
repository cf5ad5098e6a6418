"""Connections through load balancers that end: the kernel forgets them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from eksnet.sandbox.balancing import Ended, Place

_FIELD = re.compile(r"\b(?:src|dst|sport|dport)=(\S+)")


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
        address, port = self.asked
        is_asked = ended.address == address and ended.port in (None, (self.protocol, port))
        return is_asked and ended.target in (None, self.target)


def end(ended: Iterable[Ended]) -> None:
    """End connections: what comes on one of them afterwards is answered with a reset.

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
            _conntrack("-D", *selection(one))


def _conntrack(*words: str) -> str:
    # Its exit code is 1 when it finds none.
    done = subprocess.run(["conntrack", *words], capture_output=True, text=True, check=False)
    return done.stdout


def selection(ended: Ended) -> list[str]:
    """Return the words by which conntrack selects connections."""
    words = ["--orig-dst", str(ended.address)]
    if ended.port is not None:
        protocol, port = ended.port
        words = ["-p", protocol, *words, "--orig-port-dst", str(port)]
    if ended.target is not None:
        target, target_port = ended.target
        words += ["--reply-src", str(target), "--reply-port-src", str(target_port)]
    return words


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
