"""`eksnet open`: what the browser's requests become, before a server of the test's own."""

import http.client
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from eksnet.errors import EksnetError
from eksnet.sandbox import internet, opening
from eksnet.sandbox.opening import Origin, Proxies, has_browser
from eksnet.sandbox.paths import Paths

NAME = "shop-1.ap-northeast-2.elb.amazonaws.com"
SHOP = Origin("http", NAME, 80, NAME)
REDIRECTS = {
    "/secure": f"https://{NAME}:443/secure?a=1",
    "/own": f"http://{NAME.upper()}/there",
    "/away": "https://example.com/there",
    "/relative": "/there",
    "/odd": "http://[",
}


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        if self.headers.get("Upgrade"):
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n")
            while data := self.connection.recv(100):
                self.connection.sendall(data.upper())
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        shown = [self.command, self.path, self.headers["Host"], self.headers.get("Origin", "-"),
                 self.headers["Connection"], body.decode()]  # fmt: skip
        text = " ".join(shown).encode()
        self.send_response(302 if self.path in REDIRECTS else 200)
        if self.path in REDIRECTS:
            self.send_header("Location", REDIRECTS[self.path])
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))

    do_GET = do_PUT = do_PURGE = answer  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def dialled(monkeypatch):
    """The load balancer: a server of the test's own, whatever its name and port."""
    found = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def dial(host, port, seconds, name):
            found.append((host, port, name))
            return socket.create_connection(("127.0.0.1", server.server_port), seconds)

        monkeypatch.setattr(internet, "dial", dial)
        yield found
        server.shutdown()


@pytest.fixture
def proxies(dialled, tmp_path):
    with Proxies(Paths(tmp_path / "box")) as found:
        yield found


def ask(base, path="/", method="GET", **options):
    client = http.client.HTTPConnection(base.removeprefix("http://"), timeout=20)
    client.request(method, path, **options)
    answer = client.getresponse()
    return answer.status, answer.headers, answer.read().decode()


@pytest.mark.parametrize("method", ["GET", "PUT", "PURGE"])
def test_the_load_balancer_is_asked_for_its_own_host(proxies, dialled, method):
    base = proxies.base(SHOP)
    assert base.startswith("http://127.0.0.1:")
    headers = {"Origin": base, "Connection": "keep-alive"}
    status, headers, text = ask(base, "/a?b=1", method, body="c" * 5, headers=headers)
    assert (status, text) == (200, f"{method} /a?b=1 {NAME} http://{NAME} close ccccc")
    assert "Transfer-Encoding" not in headers
    assert dialled == [(NAME, 80, "box")]


def test_another_host_can_be_asked_for(proxies, dialled):
    origin = Origin("http", NAME, 8080, "app.example.com")
    assert ask(proxies.base(origin))[2] == "GET / app.example.com:8080 - close "
    assert dialled == [(NAME, 8080, "box")]


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("/secure", Origin("https", NAME, 443, NAME)),
        ("/own", SHOP),
        ("/away", None),
        ("/relative", None),
        ("/odd", None),
    ],
)
def test_a_redirect_to_the_load_balancer_leads_to_a_port_of_this_computer(proxies, path, to):
    status, headers, _ = ask(proxies.base(SHOP), path)
    rest = {"/secure": "/secure?a=1", "/own": "/there"}
    expected = proxies.base(to) + rest[path] if to else REDIRECTS[path]
    assert (status, headers["Location"]) == (302, expected)


def test_a_connection_that_changes_its_protocol_is_passed_on(proxies):
    host, port = proxies.base(SHOP).removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 20) as browser:
        browser.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
        )
        said = browser.makefile("rb")
        lines = [said.readline(), said.readline(), said.readline()]
        assert lines[0] == b"HTTP/1.1 101 Switching Protocols\r\n"
        browser.sendall(b"hello")
        assert said.read(5) == b"HELLO"
        browser.shutdown(socket.SHUT_WR)
        assert said.read() == b""


def test_no_answer_is_a_page_that_says_so(tmp_path, monkeypatch):
    def refuse(*_):
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(internet, "dial", refuse)
    with Proxies(Paths(tmp_path)) as proxies:
        status, _, text = ask(proxies.base(SHOP))
    assert status == 502
    assert "Connection refused" in text


@pytest.mark.parametrize(
    ("url", "host", "seen"),
    [
        ("ftp://x/", "", "the URL is 'ftp://x/'"),
        ("http://x/", "a b", "--host"),
        (f"{NAME}/", "", "is down"),
    ],
)
def test_what_cannot_be_opened_is_refused(url, host, seen):
    with pytest.raises(EksnetError) as caught:
        opening.open_url(url, host, "never-started")
    assert seen in caught.value.seen


@pytest.mark.parametrize(
    ("variables", "has_one"),
    [({}, False), ({"DISPLAY": ""}, False), ({"DISPLAY": ":0"}, True), ({"BROWSER": "b"}, True)],
)
def test_a_browser_needs_a_window(variables, has_one):
    assert has_browser(variables) is has_one


SCRIPT = """
import socket, sys
from eksnet import entry, interrupts
from eksnet.sandbox import internet, opening
entry.install()
internet.dial = lambda *_: socket.create_connection(("127.0.0.1", int(sys.argv[1])))
interrupts.orderly(lambda: opening.open_url("http://shop/a?b", browser=False))
"""


def test_it_ends_with_ctrl_c_and_leaves_nothing():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        opened = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, port], stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            start_new_session=True, env=os.environ,
        )  # fmt: skip
        with opened:
            line = opened.stdout.readline()
            address, _, rest = line.partition(" ")
            assert rest == "leads to http://shop/a?b until you press Ctrl-C.\n"
            assert address.endswith("/a?b")
            os.killpg(opened.pid, signal.SIGINT)
            assert opened.wait(20) == 0
        place = address.removeprefix("http://").partition("/")[0].split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((place[0], int(place[1])))
