"""The inside of a dry run: process 1 of its namespaces, which starts CoreDNS and asks it.

Run by `eksnet.sandbox.dryrun` with the number of a connected socket and an empty directory.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from eksnet.sandbox import mounts
from eksnet.sandbox.dryrun import API_PORT
from eksnet.sandbox.namespaces import end_with_parent
from eksnet.sandbox.roots import Root, started_in

_START = 30.0
_PATIENCE = 6.0
_REFUSED = 5
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_COUNTED = re.compile(
    r'^coredns_dns_responses_total\{[^}]*\bplugin="([^"]*)"[^}]*\} (\S+)$', re.MULTILINE
)
_SERVES = b"\nCoreDNS-"


def main() -> None:
    """Do the job that comes over the socket, and say what came of it."""
    end_with_parent()
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    job = _receive(connection)
    mounts.make_private()
    _prepare_network(job["addresses"])
    listener = socket.create_server(("127.0.0.1", API_PORT))
    socket.send_fds(connection, [b"\0"], [listener.fileno()])
    listener.close()
    upstreams = Upstreams(job["upstreams"])
    coredns = CoreDNS(job, Path(sys.argv[2]))
    started = coredns.wait_until_it_serves()
    replies = [_ask(one, coredns, upstreams, job) for one in job["questions"]] if started else []
    _answer(
        connection,
        {
            "started": started,
            "running": coredns.is_running(),
            "log": coredns.log(),
            "replies": replies,
        },
    )
    os._exit(0)


def _receive(connection: socket.socket) -> dict[str, Any]:
    with connection.makefile("rb") as stream:
        size = int.from_bytes(stream.read(4), "big")
        found: dict[str, Any] = json.loads(stream.read(size))
    return found


def _answer(connection: socket.socket, value: dict[str, Any]) -> None:
    text = json.dumps(value).encode()
    connection.sendall(len(text).to_bytes(4, "big") + text)


def _prepare_network(addresses: list[str]) -> None:
    """Bring the loopback device up, with addresses; any port is free for who has no right."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for one in addresses:
        length = 128 if ":" in one else 32
        subprocess.run(["ip", "address", "add", f"{one}/{length}", "dev", "lo"], check=False)
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")


class CoreDNS:
    """A CoreDNS in a root of its own."""

    def __init__(self, job: dict[str, Any], directory: Path) -> None:
        texts = {
            "/etc/coredns/Corefile": job["corefile"],
            "/etc/resolv.conf": "nameserver 10.0.0.2\n",
            "/etc/hosts": "127.0.0.1 localhost\n",
            f"{_ACCOUNT}/token": "dry",
            f"{_ACCOUNT}/ca.crt": job["authority"],
        }
        root = Root(shown={"/bin/coredns": Path(job["program"])}, texts=texts)
        environment = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(API_PORT),
            **job["environment"],
        }
        self._reader, writer = os.pipe()
        self._process = started_in(
            root,
            directory / "root",
            lambda: subprocess.Popen(
                ["/bin/coredns", "-conf", "/etc/coredns/Corefile"], env=environment, cwd="/",
                stdin=subprocess.DEVNULL, stdout=writer, stderr=writer,
            ),
        )  # fmt: skip
        os.close(writer)
        self._said = b""

    def wait_until_it_serves(self) -> bool:
        """Tell whether it says its release, as it does once it serves, before it ends."""
        deadline = time.monotonic() + _START
        while _SERVES not in self._said and (left := deadline - time.monotonic()) > 0:
            if not self._read(left):
                break
        return _SERVES in self._said

    def _read(self, patience: float) -> bool:
        if not select.select([self._reader], [], [], patience)[0]:
            return False
        found = os.read(self._reader, 65536)
        self._said += found
        return bool(found)

    def is_running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def log(self) -> str:
        """Return what it has written."""
        while self._read(0.05):
            pass
        return self._said.decode(errors="replace")


class Upstreams:
    """Stands where queries are forwarded to: refuses each, and remembers who was asked."""

    def __init__(self, places: list[list[Any]]) -> None:
        self.asked: list[str] = []
        for host, port in places:
            with contextlib.suppress(OSError):
                self._listen(host, port)

    def _listen(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        end = socket.socket(family, socket.SOCK_DGRAM)
        # CoreDNS may listen on all addresses; who names one gets what is sent there.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        end.bind((host, port))
        threading.Thread(target=self._serve, args=(end, host), daemon=True).start()

    def _serve(self, end: socket.socket, host: str) -> None:
        while True:
            query, client = end.recvfrom(65535)
            # The question again, as an answer with the code REFUSED.
            flags = bytes([query[2] | 0x80, query[3] & 0xF0 | _REFUSED])
            if not _is_health_check(query):
                self.asked.append(host)
            end.sendto(query[:2] + flags + query[4:], client)


def _is_health_check(query: bytes) -> bool:
    """Tell whether a query is for the name servers of the root, as `forward` asks by itself."""
    return query[12:17] == b"\0\0\2\0\1"


def _ask(
    question: dict[str, Any], coredns: CoreDNS, upstreams: Upstreams, job: dict[str, Any]
) -> dict[str, str]:
    before = _counts(job["metrics"])
    upstreams.asked.clear()
    reply = _exchange(base64.b64decode(question["wire"]), *question["server"])
    after = _counts(job["metrics"])
    return {
        "wire": base64.b64encode(reply).decode(),
        "plugin": next(iter(after - before), ""),
        "upstream": upstreams.asked[-1] if upstreams.asked else "",
    }


def _exchange(query: bytes, host: str, port: int) -> bytes:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as end, contextlib.suppress(OSError):
        end.settimeout(_PATIENCE)
        end.connect((host, port))
        end.send(query)
        while (reply := end.recv(65535))[:2] != query[:2]:
            pass
        return reply
    return b""


def _counts(metrics: list[Any] | None) -> Counter[str]:
    """Return how many answers each plugin has written; nothing where it cannot be told."""
    found: Counter[str] = Counter()
    if metrics is None:
        return found
    connection = http.client.HTTPConnection(metrics[0], metrics[1], timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        for plugin, count in _COUNTED.findall(text):
            found[plugin] += int(float(count))
    return found


if __name__ == "__main__":
    main()
