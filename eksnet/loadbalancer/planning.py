"""`plan`: ask the engine's program what the controller would make of manifests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.loadbalancer import planned
from eksnet.loadbalancer.planned import Plan

if TYPE_CHECKING:
    from eksnet.cluster import Cluster
    from eksnet.cluster.access import Access

MOST = 16 * 1024 * 1024
"""How many bytes of manifests are read at most."""
STDIN = "-"
_SUFFIXES = (".yaml", ".yml", ".json")
_NEXT = "eksnet plan FILE"


def plan(cluster: Cluster | Access, *manifests: str | Path, namespace: str | None = None) -> Plan:
    """Say what the AWS Load Balancer Controller would make of manifests; nothing is written.

    Args:
        cluster: The cluster, or how to reach one.
        manifests: YAML text, or files and directories with YAML: Ingresses, Services of type
            LoadBalancer, target group bindings, and what else stands beside them.
        namespace: Where objects go that name no namespace; the cluster's own when None.

    Raises:
        EksnetError: No manifest can be read, the cluster or AWS does not answer, or the engine's
            program is not built.
    """
    from eksnet.cluster import manifests as reading
    from eksnet.cluster.access import Access
    from eksnet.cluster.programs import ask_program

    if not manifests:
        raise EksnetError("there is nothing to plan", "at least one manifest", _NEXT)
    found = [
        one.body
        for manifest in manifests
        for where, text in _texts(manifest)
        # With its end of line it is no file's name.
        for one in reading.read(f"{text}\n", where)
    ]
    access = cluster if isinstance(cluster, Access) else cluster.access
    where = access.namespace if namespace is None else inputs.namespace(namespace)
    request = {**access.to_json(), "namespace": where, "manifests": found}
    with inputs.well_formed(
        "the answer of the engine's program plan", "plan", "a plan", "eksnet engine build"
    ):
        return planned.of_answer(ask_program("plan", request))


def _texts(manifest: str | Path) -> Iterator[tuple[str, str]]:
    """Yield texts with where they come from: a manifest itself, a file, or a directory's files."""
    if not isinstance(manifest, str | Path):
        raise EksnetError(
            f"the manifest is {inputs.shown(manifest)}", "YAML text, or a Path to a file"
        )
    if isinstance(manifest, str) and not _is_file_name(manifest):
        yield "the manifest", inputs.sendable(manifest, "the manifest")
        return
    path = Path(inputs.text(str(manifest), "the file's name"))
    for file in _files(path):
        yield str(file), _read(file)


def _files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        files = sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES)
    except OSError as error:
        raise _unreadable(str(path), error) from None
    if not files:
        raise EksnetError(
            f"{path} has no file ending in {', '.join(_SUFFIXES)}", "manifests", _NEXT
        )
    return files


def _is_file_name(text: str) -> bool:
    return "\n" not in text and text.endswith(_SUFFIXES)


def files(*paths: str) -> list[str | Path]:
    """Return what the command was given: paths, and the text of the standard input for `-`.

    Raises:
        EksnetError: The standard input cannot be read.
    """
    return [
        f"{_decoded(_stdin(), 'the standard input')}\n" if one == STDIN else Path(one)
        for one in paths
    ]


def _stdin() -> bytes:
    try:
        return sys.stdin.buffer.read(MOST + 1)
    except OSError as error:
        raise _unreadable("the standard input", error) from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _decoded(file.read(MOST + 1), str(path))
    except (OSError, ValueError) as error:
        raise _unreadable(str(path), error) from None


def _decoded(content: bytes, where: str) -> str:
    if len(content) > MOST:
        raise EksnetError(f"{where} has more than {MOST:,} bytes", "manifests", _NEXT)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise EksnetError(
            f"{where}, line {line}: a byte that is not UTF-8", "a manifest in UTF-8", _NEXT
        ) from None


def _unreadable(where: str, error: Exception) -> EksnetError:
    why = getattr(error, "strerror", None) or str(error)
    return EksnetError(f"{where} cannot be read: {why}", "a file with manifests", _NEXT)
