"""Reading a context from kubeconfig files: what it points at, never who may use it.

The official client loads the credentials. It cannot say whether a context still means what it
meant, because loading runs credential programs; so the files are read here once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eksnet import inputs
from eksnet.errors import EksnetError


@dataclass(frozen=True)
class Context:
    """What a context says.

    Attributes:
        name: The context's name.
        server: The API server's URL.
        ca: SHA-256 of the certificate authority, in hex; of nothing when there is none.
        user: The user's name and SHA-256 of the user's entry, in hex.
        namespace: Where objects go that name no namespace.
    """

    name: str
    server: str
    ca: str
    user: str
    namespace: str


def search_path() -> str:
    """Return the files as the client wants them: one path, or several with the path separator."""
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def read(name: str, files: str) -> Context:
    """Return the context of that name.

    Args:
        name: The context's name.
        files: Kubeconfig files, joined by the path separator; those that are not there count as
            empty, and the first entry of a name wins, as with kubectl.

    Raises:
        EksnetError: No such context, or a file that cannot be read or is no kubeconfig.
    """
    entries = _entries(files)
    if name not in entries["contexts"]:
        known = ", ".join(sorted(entries["contexts"])) or "none"
        raise EksnetError(
            f"no context {name!r} in {files}",
            f"one of these contexts: {known}",
            "`kubectl config get-contexts` lists them; KUBECONFIG names other files",
        )
    context, _ = entries["contexts"][name]
    cluster, folder = _entry(entries, "clusters", str(context.get("cluster", "")), name)
    user_name = str(context.get("user", ""))
    user, _ = entries["users"].get(user_name, ({}, folder))
    where = f"context {name!r} in {files}"
    with inputs.well_formed(where, context, "a kubeconfig's entries", _LOOK):
        return Context(
            name=name,
            server=_server(cluster, name),
            ca=digest(_certificate_authority(cluster, folder)),
            user=f"{user_name} {digest(_lasting(user))}",
            namespace=inputs.namespace(
                context.get("namespace") or "default", f"the namespace of context {name!r}"
            ),
        )


_Entry = tuple[dict[str, Any], Path]
_LOOK = "`kubectl config view` shows the kubeconfig"
_SECTIONS = {"contexts": "context", "clusters": "cluster", "users": "user"}


def _entries(files: str) -> dict[str, dict[str, _Entry]]:
    found: dict[str, dict[str, _Entry]] = {section: {} for section in _SECTIONS}
    for file in map(Path, filter(None, files.split(os.pathsep))):
        content = _load(file)
        for section, key in _SECTIONS.items():
            for item in _items(content, section, file):
                entry = inputs.mapping(item.get(key), f"{key} of {section} in {file}", _LOOK)
                found[section].setdefault(str(item.get("name")), (dict(entry), file.parent))
    return found


def _items(content: Mapping[str, Any], section: str, file: Path) -> list[Mapping[str, Any]]:
    items = content.get(section) or []
    if not isinstance(items, list) or not all(isinstance(one, Mapping) for one in items):
        raise EksnetError(
            f"{section} in {file} is {inputs.shown(items)}",
            "a list of entries, each with a name",
            _LOOK,
        )
    return items


def _load(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EksnetError(f"{file} cannot be read: {error}", "a kubeconfig file", _LOOK) from None
    return inputs.mapping(inputs.yaml(text, str(file), "a kubeconfig"), f"what {file} holds", _LOOK)


def _server(cluster: Mapping[str, Any], context: str) -> str:
    server = str(cluster.get("server", ""))
    with contextlib.suppress(ValueError):
        parts = urlsplit(server)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return server
    raise EksnetError(
        f"the server of context {context!r} is {inputs.shown(server)}", "https://HOST:PORT", _LOOK
    )


def _entry(entries: dict[str, dict[str, _Entry]], section: str, name: str, context: str) -> _Entry:
    if name not in entries[section]:
        raise EksnetError(
            f"context {context!r} names {name!r}, but {section} has no entry with this name",
            "a complete kubeconfig",
            _LOOK,
        )
    return entries[section][name]


def _certificate_authority(cluster: dict[str, Any], folder: Path) -> str:
    if data := cluster.get("certificate-authority-data"):
        return str(data)
    if file := cluster.get("certificate-authority"):
        try:
            return (folder / str(file)).read_text()
        except (OSError, ValueError) as error:
            return str(error)
    return ""


def _lasting(user: dict[str, Any]) -> str:
    # What an auth provider keeps is renewed while nobody changed anything.
    kept = {key: value for key, value in user.items() if key != "auth-provider"}
    return json.dumps(kept, sort_keys=True, default=str)


def digest(text: str) -> str:
    """Return SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
