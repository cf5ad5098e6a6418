"""`eksnet open`: a port of this computer for the browser, which leads to a load balancer.

A proxy of HTTP: the load balancer is asked from the sandbox's internet, with its own name in the
header Host, so that its rules count. Where it redirects to itself, such as from HTTP to HTTPS, a
second port leads there.
"""

from __future__ import annotations

import http.client
import http.server
import os
import socket
import ssl
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from eksnet import inputs
from eksnet.errors import EksnetError, UnreachableError
from eksnet.sandbox import internet
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.paths import Paths

# In seconds.
_PATIENCE = 10.0
_CHUNK = 2**16
# RFC 9110, 7.6.1: what is between two neighbours alone.
_HOP_BY_HOP = (
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where requests go, and the host that they ask for.

    Attributes:
        scheme: `http` or `https`.
        address: The name that leads to the load balancer.
        port: Its port.
        host: The host that is asked for.
    """

    scheme: str
    address: str
    port: int
    host: str

    @property
    def authority(self) -> str:
        """The host with its port, unless that is the usual one."""
        usual = self.port == inputs.PORTS[self.scheme]
        return self.host if usual else f"{self.host}:{self.port}"

    def redirected(self, location: str) -> Origin | None:
        """Return the origin that a redirect leads to; None when it is not this load balancer."""
        try:
            to = inputs.url(location)
        except EksnetError:
            return None
        if to.hostname not in (self.host.lower(), self.address.lower()):
            return None
        return Origin(to.scheme, self.address, to.port or inputs.PORTS[to.scheme], self.host)


class Proxies:
    """The ports of this computer, one for each origin; use it in a `with` statement."""

    def __init__(self, paths: Paths) -> None:
        """Listen nowhere yet."""
        self._paths = paths
        self._servers: dict[Origin, http.server.ThreadingHTTPServer] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Proxies:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def base(self, origin: Origin) -> str:
        """Return the URL on this computer that stands for an origin."""
        with self._lock:
            if origin not in self._servers:
                handler = partial(_Handler, self, origin)
                server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
                threading.Thread(target=server.serve_forever, daemon=True).start()
                self._servers[origin] = server
            return f"http://127.0.0.1:{self._servers[origin].server_port}"

    def connect(self, origin: Origin) -> socket.socket:
        """Return a connection to an origin.

        Raises:
            OSError: There is none.
            EksnetError: The sandbox is down, or the load balancer an internal one.
        """
        name = self._paths.state.name
        connection = internet.dial(origin.address, origin.port, _PATIENCE, name)
        if origin.scheme == "http":
            return connection
        context = ssl.create_default_context()
        if self._paths.certificates_ca.exists():
            context.load_verify_locations(self._paths.certificates_ca)
        return context.wrap_socket(connection, server_hostname=origin.host)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Sends each request of the browser on, and the answer back."""

    protocol_version = "HTTP/1.1"

    def __init__(self, proxies: Proxies, origin: Origin, *arguments: Any) -> None:
        self.proxies, self.origin = proxies, origin
        super().__init__(*arguments)

    def __getattr__(self, name: str) -> Any:
        # The base class looks for a method of this object for each method of HTTP.
        if name.startswith("do_"):
            return self._pass_on
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal is the learner's."""

    def _pass_on(self) -> None:
        self.close_connection = True
        try:
            with self.proxies.connect(self.origin) as upstream:
                if self.headers.get("Upgrade"):
                    self._tunnel(upstream)
                else:
                    self._exchange(upstream)
        except (OSError, http.client.HTTPException, EksnetError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        try:
            self.send_error(502, "no answer", f"{self.origin.authority}: {error}")
        except OSError:
            return  # the browser has gone away

    def _sent(self) -> Iterator[tuple[str, str]]:
        """Return the headers that go to the load balancer: this computer's port is not in them."""
        base = self.proxies.base(self.origin)
        real = f"{self.origin.scheme}://{self.origin.authority}"
        for name, value in self.headers.items():
            if name.lower() == "host":
                yield name, self.origin.authority
            elif name.lower() in ("origin", "referer"):
                yield name, value.replace(base, real, 1)
            else:
                yield name, value

    def _exchange(self, upstream: socket.socket) -> None:
        client = http.client.HTTPConnection(self.origin.host, self.origin.port)
        client.sock = upstream
        client.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self._sent():
            if name.lower() not in _HOP_BY_HOP:
                client.putheader(name, value)
        client.putheader("Connection", "close")
        client.endheaders()
        for chunk in self._body():
            client.send(chunk)
        with client.getresponse() as answer:
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, self._returned(name, value))
            self.send_header("Connection", "close")
            self.end_headers()
            while chunk := answer.read1(_CHUNK):
                self.wfile.write(chunk)

    def _body(self) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length") or 0)
        while left and (chunk := self.rfile.read1(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk

    def _returned(self, name: str, value: str) -> str:
        if name.lower() != "location" or not (to := self.origin.redirected(value)):
            return value
        rest = urlsplit(value)._replace(scheme="", netloc="").geturl()
        return self.proxies.base(to) + rest

    def _tunnel(self, upstream: socket.socket) -> None:
        """Copy bytes both ways, as for a WebSocket."""
        lines = [f"{self.command} {self.path} {self.request_version}"]
        lines += [f"{name}: {value}" for name, value in self._sent()]
        upstream.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        back = threading.Thread(target=_copy, args=(upstream, self.connection), daemon=True)
        back.start()
        _copy(self.connection, upstream)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until one side ends, and tell the other."""
    try:
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            end.close()


def open_url(url: str, host: str = "", name: str | None = None, *, browser: bool = True) -> None:
    """Lead a port of this computer to a load balancer until this process is interrupted.

    Args:
        url: The URL at the load balancer; without a scheme, HTTP is meant.
        host: The host that is asked for, if it is not the URL's own.
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.
        browser: Whether to open a browser, if there is one.

    Raises:
        EksnetError: It is no URL, the load balancer is an internal one, or it does not answer.
    """
    parts = inputs.url(url if "://" in url else f"http://{url}")
    port, address = parts.port or inputs.PORTS[parts.scheme], str(parts.hostname)
    wanted = inputs.dns_name(host, "--host") if host else address
    origin = Origin(parts.scheme, address, port, wanted)
    with Proxies(sandbox_paths.paths(name)) as proxies:
        try:
            proxies.connect(origin).close()
        except OSError as error:
            raise UnreachableError(
                f"{url} does not answer: {error.strerror or error}",
                "a load balancer that is open to the internet",
                f"`eksnet curl -v {url}` shows more",
            ) from None
        rest = parts._replace(scheme="", netloc="").geturl()
        shown = proxies.base(origin) + (rest or "/")
        # From the moment on at which somebody can have read it, Ctrl-C is the way to end.
        try:
            print(f"{shown} leads to {url} until you press Ctrl-C.", flush=True)
            if browser and has_browser(os.environ):
                webbrowser.open(shown)
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


def has_browser(variables: Mapping[str, str]) -> bool:
    """Tell whether a browser would have a window: one in this terminal would take it.

    Args:
        variables: The variables of the environment.
    """
    return any(variables.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
