"""Requests to the API server, through the official client's connection and credentials.

One door in and one door out: whatever could change the cluster goes through `Client.send` or
`Client.open_channel`, and both ask the guard first. `Client.ask` posts too, but never without
`dryRun=All`. Whatever goes wrong becomes an `ApiError`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode, urlsplit

from eksnet import inputs
from eksnet.cluster.guard import Guard
from eksnet.cluster.targets import Target
from eksnet.cluster.waits import Waits
from eksnet.errors import (
    ConflictError,
    EksnetError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from eksnet.inputs import DAY

Json = dict[str, Any]
Query = Mapping[str, str | list[str]]

_NO_QUERY: Query = MappingProxyType({})

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0


class ApiError(EksnetError):
    """The API server did not do what it was asked.

    Its class follows from the status, as that of an OSError does from its number: 404 is a
    `NotFoundError` too, 409 a `ConflictError`, 403 and 405 a `RefusedError`, no status an
    `UnreachableError`.

    Attributes:
        status: The HTTP status; 0 when there was no answer.
        reason: The API server's reason in one word, such as NotFound.
        causes: What it says of single fields, as in a Status object.
    """

    def __new__(cls, *_: str, status: int = 0, **__: object) -> ApiError:
        """Return an error of the kind that the status says."""
        return super().__new__(_KINDS.get(status, cls) if cls is ApiError else cls)

    def __init__(
        self,
        seen: str,
        expected: str = "",
        next_step: str = "",
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Json, ...] = (),
    ) -> None:
        super().__init__(seen, expected, next_step)
        self.status = status
        self.reason = reason
        self.causes = causes

    def saying(self, seen: str, expected: str = "", next_step: str = "") -> ApiError:
        """Return the same error in other words; what is empty stays as it is.

        Args:
            seen: What was observed.
            expected: What should have been there.
            next_step: What to do about it.
        """
        return ApiError(
            seen,
            expected or self.expected,
            next_step or self.next_step,
            status=self.status,
            reason=self.reason,
            causes=self.causes,
        )


class ApiNotFoundError(ApiError, NotFoundError):
    """The API server has no such object."""


class ApiConflictError(ApiError, ConflictError):
    """The object is there already, has changed meanwhile, or others own its fields."""


class ApiRefusedError(ApiError, RefusedError):
    """The API server lets this user not do it."""


class ApiUnreachableError(ApiError, UnreachableError):
    """The API server did not answer."""


_KINDS: dict[int, type[ApiError]] = {
    0: ApiUnreachableError,
    403: ApiRefusedError,
    404: ApiNotFoundError,
    405: ApiRefusedError,
    409: ApiConflictError,
}


@dataclass(frozen=True)
class Answer:
    """A decoded answer.

    Attributes:
        status: The HTTP status, 200 to 299.
        body: The JSON object.
    """

    status: int
    body: Json


class Client:
    """Requests to one API server, as one user."""

    # Whether a cut of the connection is waited for; a sandbox that is down is told at once.
    is_patient = False

    def __init__(
        self,
        configuration: Any,
        guard: Guard,
        target: Target,
        sign_in_again: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            configuration: The official client's configuration, with credentials loaded.
            guard: Called before every request that could change the cluster.
            target: What was connected to.
            sign_in_again: Has the next request be signed in with new credentials; None where they
                are what they are.
        """
        from kubernetes.client import ApiClient

        self._configuration = configuration
        self._pool = ApiClient(configuration).rest_client.pool_manager
        self._guard = guard
        self._sign_in_again = sign_in_again
        self.target = target
        # Called with method and path before each write: what is there may have to be kept.
        self.before_write: Callable[[str, str], None] = lambda method, path: None

    def ask_guard(self) -> None:
        """Ask the guard whether something may be changed.

        Raises:
            EksnetError: The guard refused.
        """
        self._guard()

    @property
    def kubectl(self) -> str:
        """How the reader calls kubectl for this cluster."""
        if self.target.kind == "sandbox":
            return "eksnet kubectl"
        # No context need be of that name: `aws eks update-kubeconfig` makes one, the current one.
        return "kubectl" if self.target.kind == "eks" else f"kubectl --context {self.target.name}"

    @property
    def configuration(self) -> Any:
        """The official client's configuration, with credentials that last for now."""
        if renew := self._configuration.refresh_api_key_hook:
            renew(self._configuration)
        return self._configuration

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._configuration.host)

    def get(self, path: str, query: Query = _NO_QUERY, *, accept: str = "application/json") -> Json:
        """Read a JSON object.

        Raises:
            ApiError: There is no such thing, no right to read it, or no answer.
        """
        response = self._request("GET", path, query, headers={"Accept": accept})
        return self._decode(response).body

    def find(self, path: str) -> Json | None:
        """Read a JSON object; None when there is none.

        Raises:
            ApiError: No right to read it, or no answer.
        """
        try:
            return self.get(path)
        except NotFoundError:
            return None

    def get_text(self, path: str, query: Query = _NO_QUERY) -> str:
        """Read plain text, such as a log; bytes that are not UTF-8 become U+FFFD.

        Raises:
            ApiError: As in `get`.
        """
        response = self._request("GET", path, query, headers={"Accept": "*/*"})
        self._refuse_failure(response.status, response.data)
        return str(response.data.decode(errors="replace"))

    def watch(self, path: str, query: Query, seconds: float) -> Iterator[Json]:
        """Yield a collection's changes; the API server ends the watch after about `seconds`.

        Raises:
            ApiError: As in `get`; status 410 when the resource version is too old to go on from.
        """
        asked = {**query, "watch": "1", "timeoutSeconds": str(max(1, round(seconds)))}
        response = self._request("GET", path, asked, read=seconds + _READ_SECONDS, stream=True)
        try:
            if response.status >= 300:
                self._refuse_failure(response.status, response.read())
            for line in self._lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise self._failure(int(event["object"].get("code", 500)), event["object"])
                yield event
        finally:
            # What was not read would be taken for the next answer on this connection.
            response.close()

    def read_as_it_is(
        self, path: str, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], Iterator[bytes]]:
        """Read a path as another client asked for it, whatever comes of it.

        Args:
            path: The path with its query.
            headers: The headers of the request.

        Returns:
            The status, the headers, and the body as it comes: that of a watch takes its time.

        Raises:
            ApiError: There was no answer.
        """
        response = self._request("GET", path, headers=headers, read=DAY, stream=True)
        return response.status, response.headers, response.stream(amt=None)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Query = _NO_QUERY,
        *,
        content_type: str = "application/json",
    ) -> Answer:
        """Ask for a change, if the guard lets it pass.

        Raises:
            EksnetError: The guard refused; nothing was sent.
            ApiError: The API server refused.
        """
        data = None if body is None else _encoded(body)
        self._guard()
        if query.get("dryRun") != "All":
            self.before_write(method, path)
        headers = {"Accept": "application/json", "Content-Type": content_type}
        return self._decode(self._request(method, path, query, headers=headers, body=data))

    def ask(self, path: str, body: object) -> Json:
        """Post what changes nothing: a review of rights, or an object that is only tried.

        The API server stores nothing of it, and so the guard is not asked.

        Raises:
            ApiError: The API server, or an admission webhook, refused.
        """
        data, query = _encoded(body), {"dryRun": "All"}
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return self._decode(self._request("POST", path, query, headers=headers, body=data)).body

    def open_channel(self, path: str, query: Query) -> Any:
        """Open a WebSocket to a program in a pod, if the guard lets it pass.

        Returns:
            The official client's WSClient, in binary mode.

        Raises:
            EksnetError: The guard refused; nothing was sent.
            ApiError: The API server refused.
        """
        self._guard()
        from kubernetes.stream import ws_client
        from websocket import WebSocketBadStatusException, WebSocketException

        url = ws_client.get_websocket_url(self._url(path, query))  # type: ignore[no-untyped-call]
        waits = Waits(self.target)
        while True:
            try:
                return ws_client.WSClient(  # type: ignore[no-untyped-call]
                    self._configuration, url, self._credentials(), capture_all=False, binary=True
                )
            except WebSocketBadStatusException as error:
                if error.status_code != 401 or not self._sign_in_again or not waits.once():
                    raise self._failure(
                        error.status_code, _status(error.resp_body or b"")
                    ) from None
                self._sign_in_again()
            except (WebSocketException, OSError) as error:
                # Anything else may have begun the command.
                refused = isinstance(error, ConnectionRefusedError)
                if not (self.is_patient and refused and waits.for_connection()):
                    raise self._no_answer(error) from None

    def _request(
        self,
        method: str,
        path: str,
        query: Query = _NO_QUERY,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        read: float = _READ_SECONDS,
        stream: bool = False,
    ) -> Any:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        url, waits = self._url(path, query), Waits(self.target)
        while True:
            try:
                response = self._pool.request(
                    method,
                    url,
                    headers={**(headers or {}), **self._credentials()},
                    body=body,
                    preload_content=not stream,
                    timeout=Timeout(connect=_CONNECT_SECONDS, read=read),
                    # What may be repeated is decided here: a silent second try may write twice.
                    retries=False,
                    redirect=False,
                )
            except (HTTPError, OSError) as error:
                if self.is_patient and _may_be_repeated(method, error) and waits.for_connection():
                    continue
                raise self._no_answer(error) from None
            if response.status == 401 and self._sign_in_again and waits.once():
                self._sign_in_again()
            elif not waits.for_server(response):
                return response
            response.drain_conn()
            response.release_conn()

    def _url(self, path: str, query: Query) -> str:
        try:
            return self.server + path + ("?" + urlencode(query, doseq=True) if query else "")
        except UnicodeEncodeError:
            raise EksnetError(
                f"{inputs.shown(dict(query))} has half a character (of a surrogate pair)",
                "valid Unicode text",
                "remove it",
            ) from None

    def _credentials(self) -> dict[str, str]:
        settings = self._configuration.auth_settings().get("BearerToken")
        return {settings["key"]: settings["value"]} if settings and settings["value"] else {}

    def _lines(self, response: Any) -> Iterator[bytes]:
        from urllib3.exceptions import HTTPError

        rest = b""
        try:
            for chunk in response.stream(amt=None):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from filter(None, whole)
        except (HTTPError, OSError) as error:
            raise self._no_answer(error) from None

    def _decode(self, response: Any) -> Answer:
        self._refuse_failure(response.status, response.data)
        with contextlib.suppress(ValueError, RecursionError):
            body = json.loads(response.data)
            if isinstance(body, dict):
                return Answer(response.status, body)
        text = response.data[:80].decode(errors="replace")
        raise ApiError(
            f"{self.server} sent an answer that is not JSON: {text!r}",
            "the API server of a Kubernetes cluster",
            f"`{self.kubectl} cluster-info`; a proxy may have answered instead",
            status=response.status,
        )

    def _refuse_failure(self, status: int, body: bytes) -> None:
        if not 200 <= status < 300:
            raise self._failure(status, _status(body))

    def _failure(self, status: int, said: Json) -> ApiError:
        message = str(said.get("message") or f"HTTP status {status}")
        expected, next_step = self._remedy(status, said.get("details") or {})
        return ApiError(
            f"the API server of {self.target} says: {message}",
            expected,
            next_step,
            status=status,
            reason=str(said.get("reason", "")),
            causes=tuple((said.get("details") or {}).get("causes") or ()),
        )

    def _remedy(self, status: int, details: Json) -> tuple[str, str]:
        match status:
            case 401:
                return "credentials that the API server accepts", (
                    "`eksnet logs aws` shows why a token was refused; "
                    "`eksnet up`, then eksnet.connect() again"
                    if self.target.kind == "sandbox"
                    else "renew your credentials (`aws sso login`, …), then eksnet.connect() again"
                )
            case 403:
                return (
                    "the right to do this",
                    f"`{self.kubectl} auth can-i --list` lists your rights",
                )
            case 404:
                kind = ".".join(filter(None, (details.get("kind"), details.get("group")))) or "KIND"
                return "an existing name", f"`{self.kubectl} get {kind} -A` lists the names"
            case 409:
                return (
                    "an object that no other client created or changed at the same time",
                    "read the object again, then repeat the call",
                )
            case 400 | 422:
                return "an object that the API server accepts", "fix the field that it names"
            case 429:
                return "fewer requests", "wait a minute, then repeat the call"
            case _:
                return (
                    "an API server without internal errors",
                    f"`{self.kubectl} get --raw /readyz?verbose`",
                )

    def _no_answer(self, error: Exception) -> ApiError:
        place = urlsplit(self.server).netloc
        return ApiError(
            f"the API server of {self.target} at {place} did not answer: {_plain(error)}",
            "a running API server that this computer reaches and trusts",
            "`eksnet status`, then eksnet.connect() again"
            if self.target.kind == "sandbox"
            else f"`{self.kubectl} cluster-info`, then eksnet.connect() again",
            reason="NoAnswer",
        )


def _may_be_repeated(method: str, error: Exception) -> bool:
    """Tell whether a request without an answer did nothing, or would do the same once more."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    cause = getattr(error, "reason", None) or error
    # A POST that was sent may have created what it asks for; and with a name the second is refused.
    return method != "POST" or isinstance(cause, ConnectTimeoutError | NewConnectionError)


def _encoded(body: object) -> bytes:
    """Return an object as JSON that every API server reads.

    Raises:
        EksnetError: A text in it is none that can be sent, or a number is none.
    """
    try:
        return json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise EksnetError(
            f"{inputs.shown(body)} cannot be sent: {error}",
            "valid Unicode text, and numbers",
            "fix the value that the message names",
        ) from None


def _status(body: bytes) -> Json:
    with contextlib.suppress(ValueError):
        said = json.loads(body)
        if isinstance(said, dict):
            return said
    text = body[:200].decode(errors="replace").strip()
    return {"message": text} if text else {}


def _plain(error: Exception) -> str:
    # urllib3 wraps the operating system's word in its own objects' names.
    cause = getattr(error, "reason", None) or error.__cause__ or error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    text = str(cause)
    return text.rpartition(">: ")[2] or text
