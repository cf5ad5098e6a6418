"""Calls that were recorded, as IAM and RBAC see them; and whether files of rights allow them.

With KEEP_CALLS=DIRECTORY the tests keep the calls of each notebook there, and
`uv run python tests/notebooks/recorded.py DIRECTORY` writes them into used_rights.csv. Whatever a
file allows beyond these has its reason in other_rights.csv, which holds patterns.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from eksnet.aws import rights as aws_rights
from eksnet.cluster import rights

DIRECTORY = Path(__file__).with_name("recording")
USED = Path(__file__).with_name("used_rights.csv")
OTHERS = Path(__file__).with_name("other_rights.csv")
_CALL_OF_ALL = "sts:GetCallerIdentity"
# Who asks what they may do themselves: system:basic-user, bound to all who are authenticated.
_REQUEST_OF_ALL = ("create", "authorization.k8s.io", "selfsubjectaccessreviews")
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, order=True)
class Request:
    """A request to the API server, as RBAC sees it.

    Attributes:
        verb: The verb.
        group: The API group; empty for the first one.
        resource: The resource, with its subresource.
        namespace: The namespace; empty for what has none, or for all.
        name: The object's name; empty for a collection.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


def request(method: str, path: str, *, watch: bool) -> Request | None:
    """Return a request as RBAC sees it; None for what everybody may read, such as /version.

    Args:
        method: The HTTP method.
        path: The path, with a query or without.
        watch: Whether it asks for a watch.
    """
    path, _, query = unquote(path).partition("?")
    watch = watch or "watch=true" in query.split("&")
    parts = path.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1] if len(parts) > 1 else ""
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[0] not in ("api", "apis") or not rest:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource, name = rest[0], rest[1] if len(rest) > 1 else ""
    if len(rest) > 2:
        resource = f"{resource}/{rest[2]}"
    if method == "GET":
        verb = "get" if name else "watch" if watch else "list"
    else:
        verb = _VERBS[method] if name or method != "DELETE" else "deletecollection"
    return Request(verb, group, resource, namespace, name)


def read(file: Path) -> tuple[set[Request], set[str]]:
    """Return the requests and the actions of IAM that a file of recorded calls holds."""
    requests, actions = set(), set()
    for line in file.read_text().splitlines():
        call = json.loads(line)
        if "operation" in call:
            actions.add(f"{call['service']}:{call['operation']}")
        elif found := request(call["method"], call["path"], watch=call["watch"]):
            requests.add(found)
    return requests, actions


def allows(roles: Iterable[Mapping[str, Any]], asked: Request) -> bool:
    """Tell whether roles allow a request; a Role does so in its own namespace alone.

    Args:
        roles: ClusterRoles and Roles.
        asked: The request.
    """
    return any(
        one["metadata"].get("namespace", asked.namespace) == asked.namespace
        and any(covers(rule, asked) for rule in one.get("rules") or ())
        for one in roles
    )


def covers(rule: Mapping[str, Any], asked: Request) -> bool:
    """Tell whether one rule of a role allows a request."""
    return (
        asked.verb in rule["verbs"]
        and asked.group in rule.get("apiGroups", ())
        and asked.resource in rule.get("resources", ())
        and (not rule.get("resourceNames") or asked.name in rule["resourceNames"])
    )


def roles(text: str) -> list[dict[str, Any]]:
    """Return the objects of a file of manifests."""
    return [one for one in yaml.safe_load_all(text) if one]


def allowed_actions(policy: Mapping[str, Any]) -> Sequence[str]:
    """Return the actions of a policy."""
    return [action for one in policy["Statement"] for action in one["Action"]]


def is_allowed(action: str, allowed: Iterable[str]) -> bool:
    """Tell whether a list of actions, with `*` in them, has an action."""
    return any(fnmatchcase(action, one) for one in allowed)


def variables(file: Path) -> dict[str, str]:
    """Return the variables of a process whose calls are appended to a file."""
    return {"PYTHONPATH": str(DIRECTORY), "EKSNET_RECORDED": str(file)}


def keep(file: Path, name: str) -> None:
    """Keep recorded calls under a name, where KEEP_CALLS names a directory for them."""
    if kept := os.environ.get("KEEP_CALLS"):
        shutil.copy(file, Path(kept) / name)


def learner_roles() -> list[dict[str, Any]]:
    """Return the objects of the file for whoever administers a cluster."""
    return roles(rights.MANIFEST.read_text())


def outside(file: Path) -> tuple[list[Request], list[str]]:
    """Return the calls of a run that the learner's files do not allow.

    Args:
        file: The recorded calls.
    """
    requests, actions = read(file)
    allowed = allowed_actions(aws_rights.policy())
    granted = learner_roles()
    return (
        sorted(
            one
            for one in requests
            if (one.verb, one.group, one.resource) != _REQUEST_OF_ALL and not allows(granted, one)
        ),
        # Who asks who it is, is never denied, whatever a policy says.
        sorted(one for one in actions if one != _CALL_OF_ALL and not is_allowed(one, allowed)),
    )


def granted() -> Iterator[str]:
    """Yield each right of the learner's files: an action, or a verb with its resource."""
    yield from allowed_actions(aws_rights.policy())
    for one in learner_roles():
        for rule in one.get("rules") or ():
            for group, resource, verb in product(
                rule["apiGroups"], rule["resources"], rule["verbs"]
            ):
                yield _right(verb, group, resource)


def rights_used(file: Path) -> set[str]:
    """Return the rights that recorded calls have used.

    Args:
        file: The recorded calls.
    """
    requests, actions = read(file)
    return {
        # What applies an object may make it: the API server asks for both.
        *(_right("create", one.group, one.resource) for one in requests if one.verb == "patch"),
        *(_right(one.verb, one.group, one.resource) for one in requests),
        *(one for one in actions if one != _CALL_OF_ALL),
    }


def _right(verb: str, group: str, resource: str) -> str:
    return f"{verb} {resource}{'.' if group else ''}{group}"


def rows(file: Path) -> dict[str, str]:
    """Return a table of rights: what is said of each, by the right."""
    with file.open(newline="") as opened:
        return dict(list(csv.reader(opened))[1:])


def main() -> None:
    """Write which rights were used, and by what; what was not run keeps its place."""
    users: dict[str, set[str]] = {}
    runs = {file.name: rights_used(file) for file in Path(sys.argv[1]).iterdir()}
    for right, by in rows(USED).items():
        users[right] = set(by.split()) - {name.partition("_")[0] for name in runs}
    for name, used in runs.items():
        for right in used:
            users.setdefault(right, set()).add(name.partition("_")[0])
    allowed = list(granted())
    with USED.open("w", newline="") as opened:
        written = csv.writer(opened, lineterminator="\n")
        written.writerow(("right", "by"))
        written.writerows(
            (right, " ".join(sorted(by)))
            for right, by in sorted(users.items())
            if by and is_allowed(right, allowed)
        )


if __name__ == "__main__":
    main()
