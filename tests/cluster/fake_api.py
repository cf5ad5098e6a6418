"""A small API server on 127.0.0.1: enough of Kubernetes' protocol to test a client against."""

from __future__ import annotations

import copy
import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from eksnet.sandbox.aws.access import Access

Json = dict[str, Any]

SERVED = {
    ("", "v1"): [
        ("Namespace", "namespaces", False, ["ns"]),
        ("Node", "nodes", False, ["no"]),
        ("Pod", "pods", True, ["po"]),
        ("Service", "services", True, ["svc"]),
        ("ServiceAccount", "serviceaccounts", True, ["sa"]),
        ("ConfigMap", "configmaps", True, ["cm"]),
        ("Secret", "secrets", True, []),
        ("Event", "events", True, ["ev"]),
    ],
    ("apps", "v1"): [
        ("Deployment", "deployments", True, ["deploy"]),
        ("DaemonSet", "daemonsets", True, ["ds"]),
    ],
    ("batch", "v1"): [("Job", "jobs", True, [])],
    ("coordination.k8s.io", "v1"): [("Lease", "leases", True, [])],
    ("apiextensions.k8s.io", "v1"): [
        ("CustomResourceDefinition", "customresourcedefinitions", False, ["crd"])
    ],
    ("rbac.authorization.k8s.io", "v1"): [
        ("ClusterRole", "clusterroles", False, []),
        ("ClusterRoleBinding", "clusterrolebindings", False, []),
    ],
    ("discovery.k8s.io", "v1"): [("EndpointSlice", "endpointslices", True, [])],
    ("admissionregistration.k8s.io", "v1"): [
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", False, []),
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", False, []),
    ],
    ("networking.k8s.io", "v1"): [("Ingress", "ingresses", True, ["ing"])],
    ("elbv2.k8s.aws", "v1beta1"): [("TargetGroupBinding", "targetgroupbindings", True, [])],
}
_PLURALS = {plural for kinds in SERVED.values() for _, plural, _, _ in kinds}
_KINDS = {plural: kind for kinds in SERVED.values() for kind, plural, _, _ in kinds}


class Request:
    """What reached the server."""

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        parts = urlsplit(target)
        self.method = method
        self.path = unquote(parts.path)
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        self.headers = headers
        self.body = body

    @property
    def writes(self) -> bool:
        """Whether it could change anything; a dry run stores nothing, nor does a review."""
        if self.query.get("dryRun") == "All":
            return False
        return self.method != "GET" or self.headers.get("upgrade", "").lower() == "websocket"

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


Refusal = tuple[int, Json]


class FakeApi:
    """The server; `refuse` and `react` let a test play the rest of a cluster.

    Attributes:
        requests: Everything that reached it, in order.
        objects: The objects by path.
        logs: The logs by a pod's path.
        refuse: Returns a status and a body to answer with, or None to go on.
        retry_after: How many seconds a client is to wait after status 429; empty says nothing.
        react: Called with each object that was created or changed, and its path.
        allows: Answers a review: whether a verb, group, resource … may be done.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.objects: dict[str, Json] = {}
        self.logs: dict[str, str] = {}
        self.refuse: Callable[[Request], Refusal | None] = lambda request: None
        self.retry_after = ""
        self.react: Callable[[str, Json], None] = lambda path, one: None
        self.allows: Callable[[Json], bool] = lambda attributes: True
        self._version = 100
        self._history: list[tuple[int, str, str, Json]] = []
        self._changed = threading.Condition(threading.RLock())
        api = self

        class Handler(_Handler):
            fake = api

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.put("/api/v1/namespaces/kube-system", {"kind": "Namespace"})
        self.put("/api/v1/namespaces/default", {"kind": "Namespace"})
        self.put("/api/v1/nodes/one", {"kind": "Node"})
        self.put("/api/v1/nodes/two", {"kind": "Node"})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.writes]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, path: str, fields: Json) -> Json:
        """Create or replace an object; its name and namespace come from the path."""
        with self._changed:
            old = self.objects.get(path)
            self._version += 1
            one = copy.deepcopy(fields)
            metadata = one.setdefault("metadata", {})
            metadata["name"] = path.rsplit("/", 1)[1]
            if match := re.search(r"/namespaces/([^/]+)/", path):
                metadata["namespace"] = match[1]
            one["kind"] = _KINDS[path.rsplit("/", 2)[1]]
            metadata["uid"] = old["metadata"]["uid"] if old else str(uuid.uuid4())
            metadata["resourceVersion"] = str(self._version)
            self.objects[path] = one
            self._note("MODIFIED" if old else "ADDED", path, one)
            self.react(path, one)
            return self.objects[path]

    def remove(self, path: str) -> None:
        with self._changed:
            self._version += 1
            one = self.objects.pop(path)
            one["metadata"]["resourceVersion"] = str(self._version)
            self._note("DELETED", path, one)

    def _note(self, what: str, path: str, one: Json) -> None:
        self._history.append((self._version, what, path, copy.deepcopy(one)))
        self._changed.notify_all()

    def select(self, path: str, query: dict[str, str]) -> list[Json]:
        with self._changed:
            return [
                copy.deepcopy(one)
                for where, one in sorted(self.objects.items())
                if _belongs(where, path) and _selected(one, query)
            ]

    def changes(self, path: str, query: dict[str, str], after: int) -> list[tuple[int, Json]]:
        return [
            (version, {"type": what, "object": one})
            for version, what, where, one in self._history
            if version > after and _belongs(where, path) and _selected(one, query)
        ]

    def wait_for_changes(
        self, path: str, query: dict[str, str], after: int, deadline: float
    ) -> list[tuple[int, Json]]:
        with self._changed:
            while not (found := self.changes(path, query, after)):
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self._changed.wait(left)
            return found

    @property
    def version(self) -> int:
        return self._version


def _belongs(where: str, collection: str) -> bool:
    """Tell whether an object's path is in a collection, of one namespace or of all."""
    parent, _ = where.rsplit("/", 1)
    return collection in (parent, re.sub(r"/namespaces/[^/]+(?=/)", "", parent))


def _selected(one: Json, query: dict[str, str]) -> bool:
    facts = {
        "metadata.name": one["metadata"]["name"],
        "involvedObject.name": one.get("involvedObject", {}).get("name"),
        "involvedObject.kind": one.get("involvedObject", {}).get("kind"),
    }
    wanted = [part.split("=", 1) for part in query.get("fieldSelector", "").split(",") if part]
    labels = one["metadata"].get("labels", {})
    labelled = [part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part]
    return all(facts[key] == value for key, value in wanted) and all(
        labels.get(key) == value for key, value in labelled
    )


class _Handler(BaseHTTPRequestHandler):
    fake: FakeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile.read(length))
        self.fake.requests.append(request)
        refusal = self.fake.refuse(request)
        if refusal:
            self.answer(*refusal)
            return
        try:
            getattr(self, f"handle_{request.method.lower()}")(request)
        except KeyError:
            kind, name = request.path.split("/")[-2:]
            said = failure(404, "NotFound", f'{kind} "{name}" not found')
            self.answer(404, {**said, "details": {"name": name, "kind": kind}})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815

    def answer(self, status: int, body: Json | str) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        if status == 429 and self.fake.retry_after:
            self.send_header("Retry-After", self.fake.retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_get(self, request: Request) -> None:
        fake, path = self.fake, request.path
        if path in ("/api", "/apis"):
            self.answer(200, discovery(core=path == "/api"))
        elif path == "/version":
            self.answer(200, {"gitVersion": "v1.35.4"})
        elif path.endswith("/log"):
            self.answer(200, fake.logs[path.removesuffix("/log")])
        elif path.rsplit("/", 1)[1] not in _PLURALS:
            self.answer(200, fake.objects[path])
        elif "watch" in request.query:
            self.stream(request)
        elif "as=Table" in request.headers["accept"]:
            self.answer(200, as_table(fake.select(path, request.query)))
        else:
            items = fake.select(path, request.query)
            version = {"resourceVersion": str(fake.version)}
            self.answer(200, {"kind": "List", "metadata": version, "items": items})

    def stream(self, request: Request) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        after = int(request.query["resourceVersion"])
        deadline = time.monotonic() + float(request.query["timeoutSeconds"])
        try:
            while found := self.fake.wait_for_changes(request.path, request.query, after, deadline):
                for after, event in found:  # noqa: B007
                    line = json.dumps(event).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def handle_post(self, request: Request) -> None:
        body = json.loads(request.body)
        if request.path.endswith("/selfsubjectaccessreviews"):
            allowed = self.fake.allows(body["spec"]["resourceAttributes"])
            self.answer(201, {**body, "status": {"allowed": allowed}})
            return
        if request.query.get("dryRun") == "All":
            self.answer(201, body)
            return
        path = f"{request.path}/{body['metadata']['name']}"
        if path in self.fake.objects:
            self.answer(409, failure(409, "AlreadyExists", "it is there already"))
        else:
            self.answer(201, self.fake.put(path, body))

    def handle_put(self, request: Request) -> None:
        body = json.loads(request.body)
        current = self.fake.objects[request.path]
        said = body["metadata"].get("resourceVersion")
        if said not in (None, current["metadata"]["resourceVersion"]):
            self.answer(409, failure(409, "Conflict", "the object has been modified"))
        else:
            self.answer(200, self.fake.put(request.path, body))

    def handle_patch(self, request: Request) -> None:
        body = json.loads(request.body)
        applies = "apply-patch" in request.headers["content-type"]
        current = self.fake.objects.get(request.path)
        if current is None:
            if not applies:
                raise KeyError(request.path)
            self.answer(201, self.fake.put(request.path, body))
            return
        merged = merge(current, body)
        if request.query.get("dryRun") == "All":
            self.answer(200, merged)
            return
        self.answer(200, current if merged == current else self.fake.put(request.path, merged))

    def handle_delete(self, request: Request) -> None:
        one = self.fake.objects[request.path]
        if one["metadata"].get("finalizers"):
            terminating = merge(one, {"metadata": {"deletionTimestamp": "now"}})
            self.answer(200, self.fake.put(request.path, terminating))
            return
        self.fake.remove(request.path)
        details = {"name": one["metadata"]["name"], "uid": one["metadata"]["uid"]}
        self.answer(200, {"kind": "Status", "status": "Success", "details": details})


def merge(one: Any, patch: Any) -> Any:
    """Return a JSON merge patch's result."""
    if not isinstance(one, dict) or not isinstance(patch, dict):
        return patch
    merged = {**one, **{key: merge(one.get(key), value) for key, value in patch.items()}}
    return {key: value for key, value in merged.items() if value is not None}


def failure(code: int, reason: str, message: str, causes: list[Json] | None = None) -> Json:
    details = {"causes": causes} if causes else {}
    return {
        "kind": "Status", "status": "Failure", "code": code, "reason": reason,
        "message": message, "details": details,
    }  # fmt: skip


def discovery(*, core: bool) -> Json:
    items = []
    for (group, version), kinds in SERVED.items():
        if bool(group) == core:
            continue
        resources = [
            {
                "resource": plural,
                "responseKind": {"group": "", "version": "", "kind": kind},
                "scope": "Namespaced" if namespaced else "Cluster",
                "singularResource": kind.lower(),
                "shortNames": short,
            }
            for kind, plural, namespaced, short in kinds
        ]
        versions = [{"version": version, "resources": resources}]
        items.append({"metadata": {"name": group} if group else {}, "versions": versions})
    return {"kind": "APIGroupDiscoveryList", "items": items}


def as_table(items: list[Json]) -> Json:
    columns = [
        {"name": "Name", "priority": 0},
        {"name": "Restarts", "priority": 0},
        {"name": "Age", "priority": 0},
        {"name": "Node", "priority": 1},
    ]
    rows = [
        {"cells": [one["metadata"]["name"], "2 (5m ago)", "3d", "one"], "object": one}
        for one in reversed(items)
    ]
    return {"kind": "Table", "columnDefinitions": columns, "rows": rows}


def kubeconfig(url: str, context: str = "lab", user: str = "learner", token: str = "t1") -> str:
    """Return a kubeconfig's text with one context."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "contexts": [{"name": context, "context": {"cluster": "c", "user": user}}],
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": user, "user": {"token": token}}],
        }
    )


def sandbox_access(url: str, directory: Path) -> Access:
    """Return how to reach an API server that stands for a sandbox's, with keys of its own."""
    keys, authority = directory / "aws.json", directory / "ca.crt"
    keys.write_text(json.dumps({"access_key": "AKIA", "secret": "secret"}))
    authority.write_text("authority")
    return Access(keys, "http://127.0.0.1:1", "ap-northeast-2", "workbook", url, authority)
