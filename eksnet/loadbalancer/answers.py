"""Requests to a load balancer from the internet, and what it answers."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from urllib.parse import SplitResult

from eksnet import display, inputs
from eksnet.cluster import Cluster, DeadlineError
from eksnet.cluster.countdown import until
from eksnet.errors import EksnetError, UnreachableError

# Between two tries, in seconds.
_POLL = 0.5


@dataclass(frozen=True, repr=False)
class Response:
    """An answer over HTTP.

    Attributes:
        status: The status code, such as 200.
        headers: The headers, by their names in lower case; one that came more than once has all
            its values with commas between them.
        body: The body as text.
    """

    status: int
    headers: Mapping[str, str]
    body: str

    def __repr__(self) -> str:
        return f"<Response {self.status}>\n{self.body}".rstrip()

    def _repr_html_(self) -> str:
        return f"<p>{escape(f'Status {self.status}')}</p>{display.code(self.body)}"


def request(
    cluster: Cluster,
    url: str,
    *,
    host: str = "",
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    timeout: float = 30,
    trust_sandbox: bool = False,
) -> Response:
    """Send a request from the internet and return the answer; redirects are not followed.

    On the sandbox the request comes from its own internet, on other clusters from this computer.

    Args:
        cluster: The cluster.
        url: The URL; its host is where the request is sent.
        host: The host that is asked for, if it is another one: the header Host and, with HTTPS,
            the name whose certificate is expected.
        method: The method.
        headers: More headers.
        body: The body; None for none.
        timeout: How long each step may take, in seconds; that there is no way to its target a load
            balancer says after ten.
        trust_sandbox: Whether certificates of the sandbox's ACM are valid.

    Raises:
        UnreachableError: There was no answer.
        EksnetError: It is no URL that can be asked, or the load balancer is an internal one.
    """
    place = inputs.url(url)
    wanted = inputs.dns_name(host, "host") if host else str(place.hostname)
    inputs.seconds(timeout)
    try:
        with _connect(cluster, place, wanted, timeout, trust_sandbox) as connection:
            return _exchange(connection, place, wanted, method, headers or {}, body)
    except (OSError, http.client.HTTPException) as error:
        raise _unanswered(url, wanted, error) from None
    except ValueError as error:
        # Of the client: what it will not send, such as a line break in a header.
        raise EksnetError(
            f"the request cannot be sent: {error}", "a method and headers of HTTP"
        ) from None


def wait_until_answers(
    cluster: Cluster,
    url: str,
    *,
    status: int = 200,
    host: str = "",
    headers: Mapping[str, str] | None = None,
    timeout: float = 120,
    trust_sandbox: bool = False,
) -> Response:
    """Ask again until an answer has a status, and return that answer.

    Args:
        cluster: The cluster.
        url: As `request` takes it.
        status: The status code that is waited for.
        host: As `request` takes it.
        headers: As `request` takes them.
        timeout: How long to wait, in seconds.
        trust_sandbox: As `request` takes it.

    Raises:
        DeadlineError: There was no such answer in time.
        EksnetError: As `request` raises it, except that an answer is missing.
    """
    answers: list[Response] = []
    seen = "nothing was asked"

    def answered() -> bool:
        nonlocal seen
        try:
            found = request(cluster, url, host=host, headers=headers, trust_sandbox=trust_sandbox)
        except UnreachableError as error:
            seen = error.seen
            return False
        answers.append(found)
        seen = f"{url} answers {found.status}"
        return found.status == status

    if until(f"{status} from {inputs.url(url).hostname}", answered, timeout, _POLL):
        return answers[-1]
    raise DeadlineError(
        f"{seen}, after {timeout:g} s",
        f"the status {status}",
        "look at the health of the load balancer's targets",
    )


def _connect(
    cluster: Cluster, place: SplitResult, wanted: str, timeout: float, trust_sandbox: bool
) -> socket.socket:
    port = place.port or inputs.PORTS[place.scheme]
    connection = cluster.dial(str(place.hostname), port, timeout)
    connection.settimeout(timeout)
    if place.scheme == "http":
        return connection
    context = ssl.create_default_context()
    if trust_sandbox and cluster.certificates_ca:
        context.load_verify_locations(cluster.certificates_ca)
    try:
        return context.wrap_socket(connection, server_hostname=wanted)
    except BaseException:
        connection.close()
        raise


def _exchange(
    connection: socket.socket,
    place: SplitResult,
    wanted: str,
    method: str,
    headers: Mapping[str, str],
    body: str | None,
) -> Response:
    client = http.client.HTTPConnection(str(place.hostname), place.port)
    client.sock = connection
    shown = wanted if place.port in (None, inputs.PORTS[place.scheme]) else f"{wanted}:{place.port}"
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")
    sent = {"Host": shown, "User-Agent": "eksnet", **headers}
    client.request(method, path, None if body is None else body.encode(), sent)
    with client.getresponse() as answer:
        text = answer.read().decode(errors="replace")
        names = dict.fromkeys(name.lower() for name, _ in answer.getheaders())
        told = {name: ", ".join(answer.headers.get_all(name, ())) for name in names}
        return Response(answer.status, told, text)


def _unanswered(url: str, wanted: str, error: Exception) -> UnreachableError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return UnreachableError(
            f"the certificate of {url} is not valid: {error.verify_message}",
            f"a certificate for {wanted} by an authority that this computer trusts",
            "on the sandbox, trust_sandbox=True trusts the authority of its ACM",
        )
    if isinstance(error, socket.gaierror):
        why = "its host has no address"
    else:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return UnreachableError(
        f"{url} did not answer: {why}",
        "an answer over HTTP",
        "look at the load balancer's listeners, security groups and state",
    )
