"""The inside of a dry run: process 1 of its namespaces, which starts CoreDNS and asks it.

Run by `eksnet.sandbox.dryrun` with the number of a connected socket, CoreDNS's program, and the
number of that process. The job that comes over the socket can be a stranger's: nothing in it names
a file of this computer.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from eksnet.sandbox import mounts
from eksnet.sandbox.dryrun import API_PORT, TRACE_PORT
from eksnet.sandbox.namespaces import end_with_parent
from eksnet.sandbox.roots import Root, started_in

# Any directory will do that is there and is not needed: the root hides it, and for CoreDNS alone.
_STAGE = next(one for one in map(Path, ("/mnt", "/media", "/srv", "/tmp")) if one.is_dir())
_MEMORY = 2**30
_START = 30.0
_PATIENCE = 6.0
# CoreDNS hands in its spans once a second.
_TOLD, _REST = 4.0, 0.2
_REFUSED = 5
_HINFO, _ROOT_NS = b"\0\x0d", b"\0\0\2"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_SERVES = b"\nCoreDNS-"


def main() -> None:
    """Do the job that comes over the socket, and say what came of it."""
    end_with_parent()
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    # CoreDNS takes a tenth of it; a Corefile could make it take all that there is.
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    job = _receive(connection)
    mounts.make_private()
    _prepare_network(job["addresses"])
    listener = socket.create_server(("127.0.0.1", API_PORT))
    socket.send_fds(connection, [b"\0"], [listener.fileno()])
    listener.close()
    upstreams, traces = Upstreams(job["upstreams"]), Traces(job["order"])
    coredns = CoreDNS(Path(sys.argv[2]), job)
    started = coredns.wait_until_it_serves()
    asked = [_ask(one, upstreams) for one in job["questions"]] if started else []
    log = coredns.log()
    # Who has ended tells no more.
    paths = [traces.path(one.began, one.ended) if coredns.runs else [] for one in asked]
    replies = [{**one.told(), "path": path} for one, path in zip(asked, paths, strict=True)]
    said = {"started": started, "running": coredns.runs, "log": log, "replies": replies}
    _answer(connection, said)
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

    def __init__(self, program: Path, job: dict[str, Any]) -> None:
        texts = {
            "/etc/coredns/Corefile": job["corefile"],
            "/etc/resolv.conf": "nameserver 10.0.0.2\n",
            "/etc/hosts": "127.0.0.1 localhost\n",
            f"{_ACCOUNT}/token": "dry",
            f"{_ACCOUNT}/ca.crt": job["authority"],
        }
        root = Root(shown={"/bin/coredns": program}, texts=texts)
        environment = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(API_PORT),
            **job["environment"],
        }
        self._reader, writer = os.pipe()
        self._process = started_in(
            root,
            _STAGE,
            lambda: subprocess.Popen(
                ["/bin/coredns", "-conf", "/etc/coredns/Corefile"], env=environment, cwd="/",
                stdin=subprocess.DEVNULL, stdout=writer, stderr=writer,
            ),
        )  # fmt: skip
        os.close(writer)
        self._said = b""
        self.runs = True

    def wait_until_it_serves(self) -> bool:
        """Tell whether it says its release, as it does once it serves, before it ends."""
        deadline = time.monotonic() + _START
        while _SERVES not in self._said and (left := deadline - time.monotonic()) > 0:
            if not self._read(left):
                self.runs = False
                break
        return _SERVES in self._said

    def _read(self, patience: float) -> bool:
        if not select.select([self._reader], [], [], patience)[0]:
            return False
        found = os.read(self._reader, 65536)
        self._said += found
        return bool(found)

    def log(self) -> str:
        """Return what it has written; an end of it is known after that."""
        while self.runs and select.select([self._reader], [], [], _REST)[0]:
            self.runs = self._read(0)
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
            if not _is_own(query):
                self.asked.append(host)
            end.sendto(query[:2] + flags + query[4:], client)


def _is_own(query: bytes) -> bool:
    """Tell whether CoreDNS asks by itself: for its health (NS of the root), or a loop (HINFO)."""
    place = 12
    while place < len(query) and query[place]:
        place += 1 + query[place]
    return query[place + 1 : place + 3] == _HINFO or query[12:15] == _ROOT_NS


@dataclass(frozen=True)
class Asked:
    """A query that was sent.

    Attributes:
        reply: What came back; empty for nothing.
        upstream: The upstream that was asked; empty for none.
        began: When it was sent, in microseconds since 1970.
        ended: When its reply was there.
    """

    reply: bytes
    upstream: str
    began: int
    ended: int

    def told(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return {"wire": base64.b64encode(self.reply).decode(), "upstream": self.upstream}


def _ask(question: dict[str, Any], upstreams: Upstreams) -> Asked:
    upstreams.asked.clear()
    began = time.time_ns() // 1000
    reply = _exchange(base64.b64decode(question["wire"]), *question["server"])
    upstream = upstreams.asked[-1] if upstreams.asked else ""
    return Asked(reply, upstream, began, time.time_ns() // 1000)


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


class Traces:
    """What CoreDNS's plugin `trace` tells: a span for each plugin that a question came to.

    A plugin that does not answer calls the next one, whose span is below its own. Where it looks
    another name up meanwhile, that begins again with the first plugin.
    """

    def __init__(self, order: list[str]) -> None:
        self._places = {name: place for place, name in enumerate(order)}
        self.spans: list[dict[str, Any]] = []
        traces = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                traces.spans += json.loads(body)
                self.send_response(202)
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", TRACE_PORT), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def path(self, began: int, ended: int) -> list[str]:
        """Return the plugins that a question came to, which was asked in a span of time."""
        deadline = time.monotonic() + _TOLD
        while (root := self._root(began, ended)) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        found: list[str] = []
        while root := self._below(root) if root else None:
            found.append(root["name"])
        return found

    def _root(self, began: int, ended: int) -> dict[str, Any] | None:
        for one in self.spans:
            is_own = "parentId" not in one and one["tags"].get("coredns.io/type") != "HINFO"
            if is_own and began <= one["timestamp"] <= ended:
                return one
        return None

    def _below(self, span: dict[str, Any]) -> dict[str, Any] | None:
        here = self._places.get(span["name"], -1)
        children = [one for one in self.spans if one.get("parentId") == span["id"]]
        return next((one for one in children if self._places.get(one["name"], -1) >= here), None)


if __name__ == "__main__":
    main()
