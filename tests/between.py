"""What is between a learner and a cluster, as a test has it: it can be cut, and AWS can be busy."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Wire:
    """A port of 127.0.0.1 that leads to another one, until it is cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts = 0
        # When a cut ends, while there is one.
        self._ends = 0.0
        self._whole = threading.Event()
        self._whole.set()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self, seconds: float) -> None:
        """End every connection and let none in, for a time from now on; returns at once."""
        with self._lock:
            self.cuts += 1
            was_whole = self._whole.is_set()
            self._whole.clear()
            self._ends = time.monotonic() + seconds
            self._stop()
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        if was_whole:
            threading.Thread(target=self._reopen, daemon=True).start()

    def wait(self) -> None:
        """Wait until no cut is left."""
        assert self._whole.wait(60)

    def close(self) -> None:
        self._stop()

    def _stop(self) -> None:
        # Whoever waits in accept() holds the port; this wakes them.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _reopen(self) -> None:
        while True:
            time.sleep(max(0.05, self._ends - time.monotonic()))
            with self._lock:
                if time.monotonic() < self._ends:
                    continue
                try:
                    self._listener = socket.create_server(("127.0.0.1", self.port))
                except OSError:
                    # A client that tries and tries may have met itself at this port.
                    continue
                self._whole.set()
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
            return

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return
            if listener.fileno() < 0:
                # Closed while it waited: the last one slipped through.
                here.close()
                return
            there = socket.create_connection(("127.0.0.1", self._to))
            with self._lock:
                self._open |= {here, there}
            threading.Thread(target=self._carry, args=(here, there), daemon=True).start()

    def _carry(self, here: socket.socket, there: socket.socket) -> None:
        ends = {here: there, there: here}
        with here, there, contextlib.suppress(OSError):
            while True:
                for one in select.select(list(ends), [], [])[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    ends[one].sendall(data)
        with self._lock:
            self._open -= {here, there}


Refusal = tuple[int, str, str]


class Aws(ThreadingHTTPServer):
    """An AWS endpoint before another one, which names the wire as the API server's address.

    Attributes:
        refuse: Returns a status, a code and a message for a path to answer with, or None.
        paths: What was asked.
    """

    daemon_threads = True

    def __init__(self, endpoint: str, server: str, wire: Wire) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.to = urlsplit(endpoint).netloc
        self.server_url, self.wire = server.encode(), f"https://127.0.0.1:{wire.port}".encode()
        self.refuse: Callable[[str], Refusal | None] = lambda path: None
        self.paths: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Forward(BaseHTTPRequestHandler):
    server: Aws
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.paths.append(self.path)
        if refusal := self.server.refuse(self.path):
            status, code, message = refusal
            said = json.dumps({"message": message}).encode()
            self._answer(status, [("x-amzn-ErrorType", code)], said)
            return
        # The signature is of the headers as they are, the host among them.
        connection = http.client.HTTPConnection(self.server.to, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        said = answer.read().replace(self.server.server_url, self.server.wire)
        kept = [one for one in answer.getheaders() if one[0].lower() in KEPT]
        self._answer(answer.status, kept, said)

    do_GET = do_POST = do_DELETE = do_PUT = do  # noqa: N815 (the names that http.server calls)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


KEPT = ("content-type", "x-amzn-errortype", "x-amzn-requestid")


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
