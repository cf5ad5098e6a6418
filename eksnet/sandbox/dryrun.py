"""A CoreDNS that is started dry: in namespaces of its own, with a root of its own, for a moment.

Nothing of it outlives the call, however that ends: the process inside ends when its parent does,
and the kernel ends all that is in its PID namespace with it. The Corefile is a stranger's: CoreDNS
gets no file of the computer but its own program, no network but a loopback device, and no right.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from eksnet import interrupts
from eksnet.errors import EksnetError
from eksnet.sandbox import build, preflight
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.borrowing import DRY_RUN, borrowed
from eksnet.sandbox.pki import serving_certificate

API_PORT, TRACE_PORT = 6443, 9411
_DEADLINE = 90.0
_NAMESPACES = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--ipc")
_KEPT = ("--fork", "--kill-child", "--mount-proc")

Chunks = tuple[int, Mapping[str, str], Iterator[bytes]]
Reader = Callable[[str, Mapping[str, str]], Chunks]
"""Reads a path of the cluster's API with some headers: the status, headers and the body."""


@dataclass(frozen=True)
class Question:
    """A query to send.

    Attributes:
        wire: The query as it goes over the wire, in base64.
        server: The address and the port to which it goes.
    """

    wire: str
    server: tuple[str, int]


@dataclass(frozen=True)
class Job:
    """What is to be run.

    Attributes:
        corefile: The text of its Corefile.
        questions: The queries, asked one after the other.
        addresses: Addresses that the loopback device gets.
        upstreams: Where queries are forwarded to: somebody listens there who refuses them.
        order: The plugins in the order in which a question meets them.
        environment: Variables of its process.
    """

    corefile: str
    questions: tuple[Question, ...] = ()
    addresses: tuple[str, ...] = ()
    upstreams: tuple[tuple[str, int], ...] = ()
    order: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What came of a query.

    Attributes:
        wire: The reply as it came, in base64; empty for none.
        path: The plugins that the question met, by CoreDNS's own trace, in order; the last one
            answered, or failed. Empty where it cannot be told.
        upstream: The upstream that it was forwarded to; empty for none.
    """

    wire: str
    path: tuple[str, ...]
    upstream: str


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        started: Whether CoreDNS took the Corefile and began to serve.
        running: Whether it still ran at the end.
        log: What it wrote.
        replies: A reply for each query, as far as it got.
    """

    started: bool
    running: bool
    log: str
    replies: tuple[Reply, ...]


def run(job: Job, read: Reader | None = None) -> Outcome:
    """Run CoreDNS and ask it; who may make no namespaces has the lender of the sandbox start it.

    Args:
        job: What is to be run.
        read: Reads the API of the cluster for the plugin `kubernetes`; None for no cluster.

    Raises:
        EksnetError: This computer lets no namespaces be made, or the run was cut off.
    """
    lender = sandbox_paths.paths().lent
    certificate, key = serving_certificate("127.0.0.1")
    with contextlib.ExitStack() as stack:
        if lender.exists():
            started = Started(_borrowed(lender))
            stack.callback(started.own.close)
        else:
            with interrupts.held():
                started = start()
                stack.callback(started.end)
        own = started.own
        own.settimeout(_DEADLINE)
        _send(own, {**asdict(job), "authority": certificate})
        listener = stack.enter_context(_listener(own))
        if read:
            stack.enter_context(_api(listener, read, certificate + key))
        else:
            listener.close()
        return _outcome(started)


@dataclass(frozen=True)
class Started:
    """A dry run that waits for its job.

    Attributes:
        own: The socket over which it gets the job.
        process: Its process; None where somebody else has started it.
    """

    own: socket.socket
    process: subprocess.Popen[bytes] | None = None

    def end(self) -> str:
        """End it, and return what it complained of."""
        self.own.close()
        if self.process is None:
            return ""
        self.process.kill()
        return self.process.communicate()[1].decode(errors="replace").strip()


def start() -> Started:
    """Start the inside of a dry run; whoever has its socket says what is run.

    Hold interrupts back until there is somebody to end it.

    Raises:
        EksnetError: This computer lets no namespaces be made, or CoreDNS is not built.
    """
    preflight.check_namespaces()
    program = build.program("coredns")
    own, inside = socket.socketpair()
    command = [*_NAMESPACES, *_KEPT, sys.executable, "-m", "eksnet.sandbox.dryrun_inside"]
    # Whose it is can be seen in a list of processes.
    arguments = [str(inside.fileno()), str(program), str(os.getpid())]
    with inside:
        process = subprocess.Popen(
            [*command, *arguments], pass_fds=(inside.fileno(),), cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=preflight.environment(), start_new_session=True,
        )  # fmt: skip
    return Started(own, process)


def _borrowed(lender: Path) -> socket.socket:
    try:
        return borrowed(lender, DRY_RUN)
    except OSError as error:
        raise _cut_off(f"no dry run could be started: {error}") from None


def _send(connection: socket.socket, value: Any) -> None:
    text = json.dumps(value).encode()
    connection.sendall(len(text).to_bytes(4, "big") + text)


def _outcome(started: Started) -> Outcome:
    try:
        with started.own.makefile("rb") as stream:
            size = int.from_bytes(stream.read(4), "big")
            said = json.loads(stream.read(size) or b"null")
    except OSError as error:
        raise _cut_off(f"CoreDNS was not done in time: {error}") from None
    if said is None:
        raise _cut_off(f"the dry run ended early: {started.end().rpartition(chr(10))[2]}")
    replies = tuple(
        Reply(one["wire"], tuple(one["path"]), one["upstream"]) for one in said.pop("replies")
    )
    return Outcome(**said, replies=replies)


def _cut_off(seen: str) -> EksnetError:
    return EksnetError(seen, "a computer that runs the sandbox", "`eksnet up` says what is missing")


# The cluster's API, for reading.


def _listener(connection: socket.socket) -> socket.socket:
    """Return the socket that listens inside, where the API server is for CoreDNS."""
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    if not descriptors:
        raise _cut_off("the dry run ended before it began")
    return socket.socket(fileno=descriptors[0])


@contextlib.contextmanager
def _api(listener: socket.socket, read: Reader, pair: str) -> Iterator[None]:
    """Answer on a socket from inside, with what the cluster's API says to a GET."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # It is read from a file alone, and a file on the disk could be left there.
    with open(os.memfd_create("api"), "w") as file:
        file.write(pair)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    server = _Server(listener, context, read)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, context: ssl.SSLContext, read: Reader) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.read = read
        self._context = context

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; the handshake is the handler's."""
        connection, address = self.socket.accept()
        wrapped = self._context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        return wrapped, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a connection that CoreDNS's end has cut."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Hand on what the API says."""
        wanted = {"Accept": self.headers.get("Accept", "application/json")}
        status, headers, chunks = self.server.read(self.path, wanted)
        self.send_response(status)
        self.send_header("Content-Type", headers.get("Content-Type", "application/json"))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    def _refuse(self) -> None:
        self.send_error(405, "a dry run reads only")

    do_POST = do_PUT = do_PATCH = do_DELETE = _refuse  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""
