"""A router with two nodes and the internet, in namespaces of their own: what its filters let by.

Run in a new network namespace, as root of a user namespace; standard input says what to do. A probe
is a real packet: whether it has arrived, or was counted as lost, is told on standard output.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from eksnet.sandbox import balancing, connections, desired, filters, network
from eksnet.sandbox.vpc import plan

_NEWNET = 0x40000000
_PATIENCE = 20.0
_libc = ctypes.CDLL(None, use_errno=True)
_RAW = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "icmp": socket.IPPROTO_ICMP}
VPC = plan()


class Wires:
    """The network namespaces, by name; the router's is this process's own."""

    def __init__(self) -> None:
        self.files = {"router": os.open("/proc/self/ns/net", os.O_RDONLY)}
        network.prepare_router()
        network.configure(network.router_commands(VPC))
        for node in VPC.nodes:
            holder = self._new(node.short)
            network.configure(network.link_commands(node, holder.pid, VPC))
            pods = [f"addr add {node.pods[number]}/32 dev lo" for number in (7, 8)]
            network.configure([*network.node_commands(node), *pods], self._enter(holder.pid))
        holder = self._new("internet")
        place = Path(f"/proc/{holder.pid}/ns/net")
        network.configure(network.internet_link_commands(place))
        network.configure(network.internet_commands(VPC), self._enter(holder.pid))

    def _new(self, name: str) -> subprocess.Popen[bytes]:
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo; read x"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert holder.stdout
        holder.stdout.readline()
        self.files[name] = os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY)
        return holder

    @staticmethod
    def _enter(pid: int) -> list[str]:
        return ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]

    def socket(self, where: str, *kind: int) -> socket.socket:
        with self.entered(where):
            return socket.socket(socket.AF_INET, *kind)

    @contextlib.contextmanager
    def entered(self, where: str) -> Iterator[None]:
        assert _libc.setns(self.files[where], _NEWNET) == 0
        try:
            yield
        finally:
            assert _libc.setns(self.files["router"], _NEWNET) == 0


def lost() -> int:
    """Return how many packets the filters have dropped."""
    listed = json.loads(_nft("-j", "list", "table", "inet", filters.TABLE))["nftables"]
    rules = [one["rule"]["expr"] for one in listed if "rule" in one]
    return sum(part["counter"]["packets"] for r in rules for part in r if "counter" in part)


def _nft(*words: str) -> str:
    return subprocess.run(["nft", *words], capture_output=True, text=True, check=True).stdout


def probe(wires: Wires, one: dict) -> str:
    """Send a packet and tell what becomes of it: `lost`, or the source with which it arrives."""
    protocol, port = one["protocol"], one.get("port", 0)
    arrives = one.get("arrives", port)
    before, mark = lost(), os.urandom(8)
    with (
        wires.socket(one["at"], socket.SOCK_RAW, _RAW[protocol]) as receiver,
        _sent(wires, one, protocol, port, mark),
    ):
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            while select.select([receiver], [], [], 0)[0]:
                packet, (source, _) = receiver.recvfrom(2048)
                if _is_it(packet, protocol, arrives, mark):
                    return source
            if lost() > before:
                return "lost"
    return "nothing"


def _sent(wires: Wires, one: dict, protocol: str, port: int, mark: bytes) -> socket.socket:
    if protocol == "icmp":
        sender = wires.socket(one["of"], socket.SOCK_RAW, socket.IPPROTO_ICMP)
        sender.bind((one["source"], 0))
        body = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + mark
        sender.sendto(body[:2] + struct.pack("!H", _checksum(body)) + body[4:], (one["to"], 0))
    elif protocol == "udp":
        sender = wires.socket(one["of"], socket.SOCK_DGRAM)
        sender.bind((one["source"], 0))
        # What is lost in the sender's own network is told to the sender.
        with contextlib.suppress(PermissionError):
            sender.sendto(mark, (one["to"], port))
    else:
        sender = wires.socket(one["of"], socket.SOCK_STREAM)
        sender.bind((one["source"], 0))
        sender.setblocking(False)
        sender.connect_ex((one["to"], port))
    return sender


def _is_it(packet: bytes, protocol: str, port: int, mark: bytes) -> bool:
    body = packet[4 * (packet[0] & 15) :]
    if protocol == "tcp":
        syn_alone = body[13] & 0x12 == 2
        return syn_alone and struct.unpack("!H", body[2:4])[0] == port
    return mark in body


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def exchange(wires: Wires, one: dict) -> str:
    """Connect and get an answer; return as whom the server saw the client, and the answer."""
    with wires.socket(one["at"], socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((one["to"], one["port"]))
        server.listen()

        def serve() -> None:
            connection, (client, _) = server.accept()
            with connection:
                connection.sendall(f"{client} asked".encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with wires.socket(one["of"], socket.SOCK_STREAM) as client:
            client.settimeout(_PATIENCE)
            client.bind((one["source"], 0))
            client.connect((one["to"], one["port"]))
            return client.recv(100).decode()


def refused(wires: Wires, one: dict) -> str:
    """Return the error of a connection that nobody lets through and that is answered."""
    with wires.socket(one["of"], socket.SOCK_STREAM) as client:
        client.settimeout(_PATIENCE)
        client.bind((one["source"], 0))
        try:
            client.connect((one["to"], one["port"]))
        except OSError as error:
            return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return "connected"


_held: dict[str, socket.socket] = {}
_serving: set[tuple[str, int]] = set()


def serve(wires: Wires, one: dict) -> str:
    """Begin to answer each line at an address with it, and with the client that was seen."""
    key = (one["to"], one["port"])
    if key not in _serving:
        _serving.add(key)
        server = wires.socket(one["at"], socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(key)
        server.listen(100)
        threading.Thread(target=_accept, args=(server, one["to"]), daemon=True).start()
    return "serving"


def _accept(server: socket.socket, name: str) -> None:
    while True:
        connection, (client, _) = server.accept()
        said = f"{name} sees {client}"
        threading.Thread(target=_echo, args=(connection, said), daemon=True).start()


def _echo(connection: socket.socket, said: str) -> None:
    with connection, contextlib.suppress(OSError):
        while connection.recv(100):
            connection.sendall(said.encode())


def ask(wires: Wires, one: dict) -> list[str]:
    """Connect some times, each from another port, and say something; return what is answered."""
    found = []
    for number in range(one.get("times", 1)):
        client = wires.socket(one["of"], socket.SOCK_STREAM)
        client.settimeout(one.get("patience", _PATIENCE))
        try:
            client.bind((one["source"], one.get("source_port", 0)))
            client.connect((one["to"], one["port"]))
            client.sendall(b"?")
            found.append(client.recv(100).decode())
        except OSError as error:
            found.append(_words(error))
        if "hold" in one:
            _held[f"{one['hold']}{number}"] = client
        else:
            client.close()
    return found


def say(wires: Wires, one: dict) -> str:
    """Say something on a connection that is held; return what comes back."""
    client = _held[one["held"]]
    client.settimeout(one.get("patience", _PATIENCE))
    try:
        client.sendall(b"?")
        return client.recv(100).decode() or "closed"
    except OSError as error:
        return _words(error)


def _words(error: OSError) -> str:
    return "timed out" if isinstance(error, TimeoutError) else os.strerror(error.errno or 0)


def main() -> None:
    """Do what standard input says; see the tests."""
    wires = Wires()
    doing = {
        "probe": probe, "exchange": exchange, "refused": refused,
        "serve": serve, "ask": ask, "say": say,
    }  # fmt: skip
    said, before, held = [], (), frozenset()
    for step in json.load(sys.stdin):
        if "desired" in step:
            wanted = desired.read(json.dumps(step["desired"]))
            states = balancing.read_states(json.dumps(step.get("seen", {"targets": {}})))
            services = balancing.services(wanted, states)
            network.filter_packets(
                filters.table(wanted, VPC), balancing.table(services, wanted, VPC)
            )
            gone = held - wanted.network_addresses
            connections.end(balancing.ended(before, services, gone))
            before, held = services, wanted.network_addresses
            here = network.balancer_addresses(VPC)
            network.configure(network.address_commands(here, wanted.addresses))
            said.append(sorted(map(str, network.balancer_addresses(VPC))))
        else:
            said.append(doing[step["do"]](wires, step))
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
