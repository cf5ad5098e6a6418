"""A small AWS on 127.0.0.1: who asks, one EKS cluster, and whatever refusal a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
ACCOUNT = "111122223333"
USER = f"arn:aws:iam::{ACCOUNT}:user/ada"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/teacher"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/teacher/ada"
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"


class Call:
    """What reached the server: the operation, and with which keys."""

    def __init__(self, service: str, operation: str, headers: dict[str, str]) -> None:
        self.service = service
        self.operation = operation
        self.session = headers.get("x-amz-security-token", "")
        credential = headers.get("authorization", "").partition("Credential=")[2].split("/")
        self.key, self.region = credential[0], (credential + [""] * 3)[2]

    def __repr__(self) -> str:
        return f"{self.service}:{self.operation}"


Refusal = tuple[int, str, str]


class FakeAws:
    """The server.

    Attributes:
        cluster: What `describe_cluster` says of the one cluster; another name is not found.
        addons: Its add-ons.
        calls: What reached it, in order.
        refuse: Returns a status, a code and a message to answer with, or None to go on.
        caller: The ARN of whoever asks.
        lasts: For how long the keys of a role are valid.
    """

    def __init__(self, endpoint: str) -> None:
        self.cluster: Json = {
            "name": "prod",
            "arn": f"arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/prod",
            "version": "1.35",
            "platformVersion": "eks.7",
            "status": "ACTIVE",
            "endpoint": endpoint,
            "certificateAuthority": {"data": "YXV0aG9yaXR5"},
            "resourcesVpcConfig": {
                "endpointPublicAccess": True,
                "publicAccessCidrs": ["0.0.0.0/0"],
            },
        }
        self.addons = ["coredns", "kube-proxy"]
        self.calls: list[Call] = []
        self.refuse: Callable[[Call], Refusal | None] = lambda call: None
        self.caller = USER
        self.lasts = timedelta(hours=1)
        self.assumed = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.fake = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def fake(self) -> FakeAws:
        return self.server.fake  # type: ignore[attr-defined,no-any-return]

    def log_message(self, *_: object) -> None:
        pass

    def do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path = urlsplit(self.path).path
        asked = {key: values[0] for key, values in parse_qs(body).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        if path == "/":
            service = headers.get("authorization", "").split("/")[3:4] or ["sts"]
            call = Call(service[0], asked.get("Action", ""), headers)
        else:
            call = Call("eks", f"{self.command} {path}", headers)
        self.fake.calls.append(call)
        if refusal := self.fake.refuse(call):
            self.refused(*refusal, xml=path == "/")
        elif path == "/":
            getattr(self, f"on_{call.operation}")()
        else:
            self.on_eks(path)

    do_GET = do_POST = do_DELETE = do  # noqa: N815 (the names that http.server calls)

    def answer(self, status: int, body: str, kind: str, headers: Json | None = None) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refused(self, status: int, code: str, message: str, *, xml: bool) -> None:
        if xml:
            error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
            body = f'<ErrorResponse xmlns="{_STS}">{error}</Error></ErrorResponse>'
            self.answer(status, body, "text/xml")
        else:
            head = {"x-amzn-ErrorType": code}
            self.answer(status, json.dumps({"message": message}), "application/json", head)

    def result(self, operation: str, inner: str) -> None:
        inner = f"<{operation}Result>{inner}</{operation}Result>"
        self.answer(200, f'<{operation}Response xmlns="{_STS}">{inner}</{operation}Response>',
                    "text/xml")  # fmt: skip

    def on_GetCallerIdentity(self) -> None:  # noqa: N802 (the operation's name)
        self.result(
            "GetCallerIdentity",
            f"<Arn>{self.fake.caller}</Arn><UserId>AIDA</UserId><Account>{ACCOUNT}</Account>",
        )

    def on_AssumeRole(self) -> None:  # noqa: N802 (the operation's name)
        self.fake.assumed += 1
        ends = (datetime.now(UTC) + self.fake.lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = (
            f"<AccessKeyId>ASIA{self.fake.assumed}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>session {self.fake.assumed}</SessionToken><Expiration>{ends}"
            "</Expiration>"
        )
        self.result("AssumeRole", f"<Credentials>{keys}</Credentials>")

    def on_eks(self, path: str) -> None:
        name = self.fake.cluster["name"]
        answers: Json = {
            "/clusters": {"clusters": [name]},
            f"/clusters/{name}": {"cluster": self.fake.cluster},
            f"/clusters/{name}/addons": {"addons": self.fake.addons},
        }
        if self.command == "GET" and path in answers:
            self.answer(200, json.dumps(answers[path]), "application/json")
        else:
            self.refused(404, "ResourceNotFoundException", "No cluster found", xml=False)
