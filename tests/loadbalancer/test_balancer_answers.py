"""Requests to load balancers, sent to servers of the test's own."""

import contextlib
import datetime
import functools
import http.server
import socket
import ssl
import threading
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from eksnet import loadbalancer
from eksnet.cluster import Cluster, DeadlineError
from eksnet.errors import EksnetError, UnreachableError

NAME = "k8s-shop.ap-northeast-2.elb.amazonaws.com"


class Handler(http.server.BaseHTTPRequestHandler):
    """Says what it was asked; after `/busy`, so many times 503 first."""

    protocol_version = "HTTP/1.1"
    busy = 0

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        text = f"{self.command} {self.path} of {self.headers['Host']}: "
        text += self.rfile.read(length).decode() + self.headers.get("X-Own", "")
        status = 301 if self.path == "/moved" else 200
        if self.path == "/busy" and Handler.busy:
            Handler.busy, status = Handler.busy - 1, 503
        self.send_response(status)
        for value in ("a=1", "b=2"):
            self.send_header("Set-Cookie", value)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(context=None):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def at(port, authority=None):
    """Return a cluster whose load balancer is a port of this computer."""
    dialled = []

    def dial(host, wanted, seconds):
        dialled.append((host, wanted))
        return socket.create_connection(("127.0.0.1", port), seconds)

    return SimpleNamespace(dial=dial, certificates_ca=authority, dialled=dialled)


@pytest.fixture(scope="module")
def port():
    with serving() as found:
        yield found


def test_a_request_asks_and_returns_the_answer(port):
    cluster = at(port)
    found = loadbalancer.request(cluster, f"http://{NAME}/a?b=1")
    assert (found.status, found.body) == (200, f"GET /a?b=1 of {NAME}: ")
    assert found.headers["set-cookie"] == "a=1, b=2"
    assert repr(found) == f"<Response 200>\nGET /a?b=1 of {NAME}: ".rstrip()
    assert "Status 200" in found._repr_html_()
    assert cluster.dialled == [(NAME, 80)]


@pytest.mark.parametrize(
    ("url", "more", "asked", "dialled"),
    [
        (f"http://{NAME}", {}, f"GET / of {NAME}: ", 80),
        (f"http://{NAME}:8080/", {}, f"GET / of {NAME}:8080: ", 8080),
        (f"http://{NAME}:80/", {}, f"GET / of {NAME}: ", 80),
        (f"http://{NAME}/", {"host": "app.example.com"}, "GET / of app.example.com: ", 80),
        (
            f"http://{NAME}/",
            {"method": "POST", "body": "한", "headers": {"X-Own": "!"}},
            f"POST / of {NAME}: 한!",
            80,
        ),
    ],
)
def test_host_method_headers_and_body_are_the_readers(port, url, more, asked, dialled):
    cluster = at(port)
    assert loadbalancer.request(cluster, url, **more).body == asked
    assert cluster.dialled == [(NAME, dialled)]


def test_redirects_are_shown_and_not_followed(port):
    found = loadbalancer.request(at(port), f"http://{NAME}/moved")
    assert (found.status, found.headers["location"]) == (301, "/elsewhere")


@pytest.mark.parametrize(
    ("url", "more", "seen"),
    [
        ("ftp://x/", {}, "the URL is 'ftp://x/'"),
        ("http:///path", {}, "the URL is"),
        ("http://x:99999/", {}, "the URL is"),
        ("http://x:0/", {}, "the URL is"),
        ("http://x/a b", {}, "the URL is"),
        ("http://[x/", {}, "the URL is"),
        ("", {}, "the URL is empty"),
        (7, {}, "the URL is 7"),
        ("http://x/", {"host": "a b"}, "host"),
        ("http://x/", {"timeout": -1}, "timeout is -1"),
        ("http://x/", {"method": "GET\nX"}, "the request cannot be sent"),
        ("http://x/", {"headers": {"A": "b\r\nc: d"}}, "the request cannot be sent"),
        ("http://x/", {"headers": {"A": "한"}}, "the request cannot be sent"),
    ],
)
def test_what_cannot_be_asked_is_refused(port, url, more, seen):
    with pytest.raises(EksnetError) as caught:
        loadbalancer.request(at(port), url, **more)
    assert seen in caught.value.seen


def closed(*_):
    """Connect to what closes at once."""
    own, other = socket.socketpair()
    other.close()
    return own


def raising(error):
    def dial(*_):
        raise error

    return dial


@pytest.mark.parametrize(
    ("dial", "seen"),
    [
        (raising(socket.gaierror(-2, "Name or service not known")), "its host has no address"),
        (raising(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (raising(TimeoutError(110, "Connection timed out")), "Connection timed out"),
        (closed, "did not answer"),
    ],
)
def test_no_answer_says_why(dial, seen):
    with pytest.raises(UnreachableError) as caught:
        loadbalancer.request(SimpleNamespace(dial=dial), f"http://{NAME}/")
    assert seen in caught.value.seen


def test_a_wait_ends_with_the_status_that_was_asked_for(port):
    Handler.busy = 2
    found = loadbalancer.wait_until_answers(at(port), f"http://{NAME}/busy")
    assert (found.status, Handler.busy) == (200, 0)
    Handler.busy = 1
    assert (
        loadbalancer.wait_until_answers(at(port), f"http://{NAME}/busy", status=503).status == 503
    )


@pytest.mark.parametrize(
    ("cluster", "status", "seen"),
    [
        (None, 404, "answers 200, after 0 s"),
        (SimpleNamespace(dial=raising(socket.gaierror(-2, ""))), 200, "has no address, after 0 s"),
    ],
)
def test_a_wait_says_what_was_there_in_its_place(port, cluster, status, seen):
    with pytest.raises(DeadlineError) as caught:
        loadbalancer.wait_until_answers(
            cluster or at(port), f"http://{NAME}/", status=status, timeout=0
        )
    assert seen in caught.value.seen


def test_a_wait_does_not_go_on_where_waiting_is_pointless():
    dial = raising(EksnetError("shop is an internal load balancer"))
    with pytest.raises(EksnetError, match="internal"):
        loadbalancer.wait_until_answers(SimpleNamespace(dial=dial), f"http://{NAME}/")


def certificate(directory, name):
    """Write a certificate of its own authority for a name, with its key; return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


def test_certificates_of_the_sandbox_are_trusted_on_request_alone(tmp_path):
    file = certificate(tmp_path, "app.example.com")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    with serving(context) as port:
        ask = functools.partial(loadbalancer.request, at(port, file), f"https://{NAME}/")
        found = ask(host="app.example.com", trust_sandbox=True)
        assert found.body == "GET / of app.example.com: "
        for more, why in (
            ({"host": "app.example.com"}, "self-signed certificate"),
            ({"trust_sandbox": True}, "Hostname mismatch"),
        ):
            with pytest.raises(UnreachableError) as caught:
                ask(**more)
            assert "is not valid" in caught.value.seen
            assert why in caught.value.seen
            assert "trust_sandbox=True" in caught.value.next_step


def test_without_a_sandbox_this_computer_itself_connects(port):
    with Cluster.dial("127.0.0.1", port, 5) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)
    assert Cluster.certificates_ca is None
