"""Real packets through a kernel's rules: a router's namespace between a client and a server.

Run as a program inside the router's namespace; `sent` starts it there.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from eksnet.kubeproxy import Connection, Packet, parse_conntrack
from eksnet.kubeproxy.packet import Tuple

PRIVATE = ["unshare", "--user", "--map-root-user", "--net"]
CLIENT, CLIENTS_ROUTER = "10.0.129.77", "10.0.129.1"
ROUTER, SERVER = "10.0.128.10", "10.0.128.99"
_PATIENCE = 10.0


@dataclass(frozen=True)
class Seen:
    """What became of a packet.

    Attributes:
        packet: The packet as the server got it.
        entries: What the router's connection tracking holds afterwards, by the first direction.
    """

    packet: Packet
    entries: dict[Tuple, Connection]


def sent(rules: str, packet: Packet, *behind: str) -> Seen:
    """Send a UDP packet from the client through a router, and return what became of it.

    Args:
        rules: The router's rules, for iptables-restore or for nft.
        packet: The packet.
        behind: The addresses that the server has.
    """
    assert (packet.protocol, packet.source) == ("udp", CLIENT)
    given = [rules, [packet.source_port, packet.destination, packet.port], behind]
    done = subprocess.run(
        [*PRIVATE, sys.executable, __file__],
        input=json.dumps(given),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (source, source_port), (destination, port), conntrack = json.loads(done.stdout)
    entries = {one.original: one for one in parse_conntrack(conntrack)}
    return Seen(Packet(source, destination, port, "udp", source_port), entries)


# In the router's namespace.


def main() -> None:
    rules, (source_port, destination, port), behind = json.load(sys.stdin)
    with _namespace() as client, _namespace() as server:
        _link("clients", CLIENTS_ROUTER, client, CLIENT)
        _link("servers", ROUTER, server, SERVER)
        for address in behind:
            _run("ip", "address", "add", f"{address}/32", "dev", "lo", inside=server)
        _run("ip", "link", "set", "lo", "up", inside=server)
        _run("ip", "route", "add", "default", "via", SERVER)
        with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
            file.write("1")
        load = ["nft", "-f", "/dev/stdin"] if "table ip" in rules else ["iptables-restore"]
        _run(*load, text=rules)
        sockets = [_inside(server, address, port) for address in behind]
        _inside(client, CLIENT, source_port).sendto(b"a packet", (destination, port))
        came = _first(sockets)
        print(json.dumps([*came, _run("conntrack", "-L")]))


@contextlib.contextmanager
def _namespace() -> Iterator[int]:
    """Keep another network namespace as long as it is needed; what comes is its process."""
    command = ["unshare", "--net", "sh", "-c", "echo ready; cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()


def _link(name: str, here: str, process: int, there: str) -> None:
    _run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(process))
    _run("ip", "address", "add", f"{here}/24", "dev", name)
    _run("ip", "link", "set", name, "up")
    _run("ip", "address", "add", f"{there}/24", "dev", "eth0", inside=process)
    _run("ip", "link", "set", "eth0", "up", inside=process)
    _run("ip", "route", "add", "default", "via", here, inside=process)


def _run(*command: str, inside: int = 0, text: str = "") -> str:
    enter = ["nsenter", f"--net=/proc/{inside}/ns/net"] if inside else []
    done = subprocess.run([*enter, *command], input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def _inside(process: int, address: str, port: int) -> socket.socket:
    """Return a socket of another network namespace."""
    with open("/proc/self/ns/net") as own, open(f"/proc/{process}/ns/net") as other:
        _enter(other.fileno())
        try:
            found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            found.bind((address, port))
        finally:
            _enter(own.fileno())
    return found


def _enter(namespace: int) -> None:
    # Python has it from 3.12 on.
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0):
        raise OSError(ctypes.get_errno(), "setns")


def _first(sockets: list[socket.socket]) -> tuple[tuple[str, int], tuple[str, int]]:
    """Return from whom the first packet came and at which socket."""
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        ready = selector.select(_PATIENCE)
        assert ready, "no packet came"
        arrived = ready[0][0].fileobj
        return arrived.recvfrom(100)[1], arrived.getsockname()


if __name__ == "__main__":
    main()
