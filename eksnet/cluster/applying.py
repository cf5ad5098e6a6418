"""Server-side apply and delete of manifests, and what became of each object."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from eksnet import inputs
from eksnet.cluster import conditions, contents, waiting
from eksnet.cluster.client import ApiError, Client, Json
from eksnet.cluster.kinds import Kind, Kinds, UnknownKindError
from eksnet.cluster.manifests import Manifest
from eksnet.cluster.objects import Applied, Result
from eksnet.errors import EksnetError, NotFoundError

# Returns the labels of what is made: asked for where something is.
Marks = Callable[[], Mapping[str, str]]
FIELD_MANAGER = "eksnet"
_APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
_SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts", True)
_SERVICE_ACCOUNT_SECONDS = 15.0
# The API server calls it an error of its own, without a reason or a cause; it is the manifest's.
# Source: sigs.k8s.io/structured-merge-diff v6 typed/validate.go.
_INTERNAL, _NOT_DECLARED = 500, "field not declared in schema"
# What the API server takes in one request.
_LARGEST = 3 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """An object's kind, name and namespace.

    Attributes:
        kind: Its kind.
        name: Its name.
        namespace: Its namespace; empty when its kind has none.
    """

    kind: Kind
    name: str
    namespace: str

    @property
    def path(self) -> str:
        """Its path."""
        return self.kind.path(self.namespace, self.name)

    def became(self, result: Result) -> Applied:
        """Return what became of it."""
        return Applied(self.kind.name, self.name, self.namespace, result)

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind.name} {self.name}{where}"


def place(kind: Kind, name: str, namespace: str) -> Place:
    """Return the place of an object; a kind without namespaces drops the namespace.

    Raises:
        EksnetError: No object of that kind can be called so.
    """
    what = f"the name of a {kind.name}"
    # Kubernetes' own groups have no dot but for that of roles; elsewhere names may be freer.
    name = inputs.path_segment(name, what) if "." in kind.group else inputs.object_name(name, what)
    return Place(kind, name, namespace if kind.namespaced else "")


def apply(
    client: Client,
    kinds: Kinds,
    manifests: Sequence[Manifest],
    namespace: str,
    marks: Marks,
    *,
    force: bool,
) -> Iterator[Applied]:
    """Apply objects in the manifest's order; see `Cluster.apply`."""
    done: list[Applied] = []
    for one in manifests:
        try:
            # Looked up one by one: a manifest may define the kind of an object further down.
            target = _place(kinds, one, namespace)
            done.append(_apply_one(client, target, one, marks, force=force))
        except EksnetError as error:
            raise _with_context(error, one, done) from None
        yield done[-1]


def _apply_one(
    client: Client, target: Place, one: Manifest, marks: Marks, *, force: bool
) -> Applied:
    found = client.find(target.path)
    before = "" if found is None else str(found["metadata"].get("resourceVersion", ""))
    body = one.body
    if target.namespace:
        body = {**body, "metadata": {**body["metadata"], "namespace": target.namespace}}
    if contents.is_marked(target.kind.name, body):
        body = _marked(body, found, marks)
    query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
    if force:
        query["force"] = "true"
    try:
        answer = client.send("PATCH", target.path, body, query, content_type=_APPLY)
    except ApiError as error:
        raise _unknown_field(error, client, target) or _conflict(error) or error from None
    if answer.status == 201 or not before:
        if target.kind.name == "Namespace" and not target.kind.group:
            _await_service_account(client, target.name)
        return target.became("created")
    same = answer.body["metadata"].get("resourceVersion") == before
    return target.became("unchanged" if same else "configured")


def hand_over(client: Client, target: Place, body: Json, manager: str) -> None:
    """Write down a field manager as the only owner of an object; see `Cluster.hand_over`."""
    query = {"fieldManager": manager, "force": "true", "dryRun": "All"}
    # The API server says which fields such an apply would own.
    tried = client.send("PATCH", target.path, body, query, content_type=_APPLY).body
    entries = tried["metadata"]["managedFields"]
    kept = [one for one in entries if _is_of(one, manager) or one.get("subresource")]
    if kept != entries:
        fields = {"metadata": {"managedFields": kept}}
        client.send("PATCH", target.path, fields, content_type=MERGE)


def _is_of(entry: Json, manager: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == "Apply"


def _marked(body: Json, found: Json | None, marks: Marks) -> Json:
    """Return what is applied with the marks of the course, if the course makes it, or made it."""
    own = marks() if found is None else contents.marks_of(found)
    if not own:
        return body
    metadata = body["metadata"]
    labels = {**(metadata.get("labels") or {}), **own}
    return {**body, "metadata": {**metadata, "labels": labels}}


def _await_service_account(client: Client, namespace: str) -> None:
    """Wait until pods can be made in a new namespace: each needs the account `default`."""
    there = conditions.Condition("there", lambda _: True)
    what = waiting.watched(_SERVICE_ACCOUNT, namespace, "default")
    # Who may not see it, or runs no such controller, does not need to be stopped here.
    with contextlib.suppress(EksnetError):
        waiting.until(client, what, there, _SERVICE_ACCOUNT_SECONDS)


def _unknown_field(error: ApiError, client: Client, target: Place) -> EksnetError | None:
    if error.status != _INTERNAL or _NOT_DECLARED not in error.seen:
        return None
    return error.saying(
        error.seen,
        f"fields that a {target.kind.name} has",
        f"`{client.kubectl} explain {target.kind.name.lower()} --recursive` lists them",
    )


def _conflict(error: ApiError) -> EksnetError | None:
    owned = [
        f"{cause.get('field')} ({str(cause.get('message')).removeprefix('conflict with ')})"
        for cause in error.causes
        if cause.get("reason") == "FieldManagerConflict"
    ]
    if not owned:
        return None
    return error.saying(
        f"other owners set these fields to different values: {', '.join(owned)}",
        "a manifest without these fields, or with the same values",
        "cluster.apply(…, force=True) takes over these fields",
    )


def _with_context(error: EksnetError, one: Manifest, done: Sequence[Applied]) -> EksnetError:
    """Add to an error which object it is about and what had been applied before."""
    seen = f"line {one.line}, {one.kind} {one.name}: {error.seen}"
    if done:
        seen += "\n    already applied: " + ", ".join(f"{a.kind} {a.name}" for a in done)
    if isinstance(error, ApiError):
        return error.saying(seen)
    return EksnetError(seen, error.expected, error.next_step)


def delete(
    client: Client, targets: Sequence[Place], timeout: float, *, wait: bool = True
) -> Iterator[Applied]:
    """Delete objects, the last first, and wait until each is gone; see `Cluster.delete`."""
    # In the foreground: when it is gone, what it owned is gone too.
    policy = "Foreground" if wait else "Background"
    asked = [(target, _delete_one(client, target, policy)) for target in reversed(targets)]
    for target, uid in asked:
        if uid is not None and wait:
            what = waiting.watched(target.kind, target.namespace, target.name)
            waiting.until(client, what, conditions.deleted(uid), timeout)
        yield target.became("was not there" if uid is None else "deleted")


def _delete_one(client: Client, target: Place, policy: str) -> str | None:
    """Delete an object and return its UID; None when it was not there.

    The answer is the object on its way out, or a status with its details when it is gone.
    """
    options: Json = {"propagationPolicy": policy}
    try:
        answer = client.send("DELETE", target.path, options).body
    except NotFoundError:
        return None
    about = answer.get("details") or answer.get("metadata") or {}
    return str(about.get("uid", ""))


def fields_of(value: object, what: str, *, empty: bool = False) -> Json:
    """Return the fields of an object or of a patch, if the API server can be sent them.

    Args:
        value: The fields.
        what: What the reader calls it.
        empty: Whether there may be none.

    Raises:
        EksnetError: It is no mapping, has no fields, or holds what JSON has no form for.
    """
    if not isinstance(value, Mapping):
        raise EksnetError(
            f"{what} is of type {type(value).__name__}; nothing was changed",
            "a dict of fields, such as {'spec': {'replicas': 2}}",
        )
    try:
        text = json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise EksnetError(
            f"{what} cannot be written as JSON: {error}; nothing was changed",
            "dicts with text as keys, lists, text, numbers, True, False or None",
        ) from None
    if not (value or empty):
        raise EksnetError(f"{what} is empty: it changes nothing", "a dict of fields")
    if len(text) > _LARGEST:
        raise EksnetError(
            f"{what} is {len(text):,} bytes long; nothing was changed",
            f"{_LARGEST:,} bytes at most, says the API server",
        )
    return dict(value)


def places(kinds: Kinds, manifests: Sequence[Manifest], namespace: str) -> list[Place]:
    """Return the places of a manifest's objects, those of unknown kinds left out.

    A kind that the cluster does not serve has no objects that could be deleted.
    """
    found = []
    for one in manifests:
        with contextlib.suppress(UnknownKindError):
            found.append(_place(kinds, one, namespace))
    return found


def _place(kinds: Kinds, one: Manifest, namespace: str) -> Place:
    where = inputs.namespace(one.namespace) if one.namespace else namespace
    return place(kinds.of(one.api_version, one.kind), one.name, where)
