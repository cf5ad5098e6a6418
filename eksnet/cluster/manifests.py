"""Reading manifests: YAML with one or several objects, with the line of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from eksnet import inputs
from eksnet.errors import EksnetError


class _Loader(yaml.SafeLoader):
    """Reads JSON too: it writes a character beyond U+FFFF as two escapes, a surrogate pair."""

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if not isinstance(value, str):
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@dataclass(frozen=True)
class Manifest:
    """One object of a manifest.

    Attributes:
        line: The line on which it begins, counted from 1.
        body: The object.
    """

    line: int
    body: dict[str, Any] = field(hash=False)

    @property
    def api_version(self) -> str:
        """Its apiVersion."""
        return str(self.body["apiVersion"])

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The namespace that it names; empty when it names none."""
        return str(self.body["metadata"].get("namespace") or "")


def read(manifest: str | Path, where: str = "the manifest") -> list[Manifest]:
    """Return the objects of a manifest, in its order.

    Args:
        manifest: YAML text, or the file that holds it (a Path, or a name ending in .yaml or .yml).
        where: What messages call the text.

    Raises:
        EksnetError: Not YAML, or something in it is no object; the message names the line.
    """
    if not isinstance(manifest, str | Path):
        raise EksnetError(
            f"the manifest is of type {type(manifest).__name__}", "YAML text, or a Path to a file"
        )
    if isinstance(manifest, Path) or _is_file_name(manifest):
        where, text = str(manifest), _read_file(Path(manifest))
    else:
        text = manifest
    found = list(_read_json(text, where))
    if found:
        return found
    loader = _Loader("")
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            body = loader.construct_document(node)
            found.extend(_objects(body, node.start_mark.line + 1, where))
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text, where) from None
    except (yaml.YAMLError, *inputs.ODD) as error:
        # PyYAML stumbles over some texts of its own, such as the date 2001-99-99.
        raise EksnetError(f"{where} is not YAML: {error}", "YAML text") from None
    if not found:
        raise EksnetError(f"{where} has no object", "at least one Kubernetes object in YAML")
    return found


def _read_json(text: str, where: str) -> Iterator[Manifest]:
    """Yield the objects of a text in JSON; nothing when it is something else.

    JSON is YAML, too; what programs write is read by this a hundred times as fast.
    """
    if not text.lstrip().startswith("{"):
        return
    try:
        body = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return
    yield from _objects(body, 1, where)


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def _is_file_name(text: str) -> bool:
    """Tell whether the text names a file rather than being a manifest."""
    return "\n" not in text and text.endswith((".yaml", ".yml"))


def _read_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise EksnetError(
            f"{file} cannot be read: {getattr(error, 'strerror', None) or error}",
            "a file with a manifest",
            f"give the path from the notebook's directory, {Path.cwd()}",
        ) from None


def _objects(body: object, line: int, where: str) -> list[Manifest]:
    if body is None:
        return []
    if (
        isinstance(body, dict)
        and body.get("kind") == "List"
        and isinstance(body.get("items"), list)
    ):
        return [one for item in body["items"] for one in _objects(item, line, where)]
    missing = _missing(body)
    if missing:
        raise EksnetError(
            f"{where}, line {line}: an object without {' and '.join(missing)}",
            "apiVersion, kind and metadata.name in every object",
            "add them; a line with --- separates documents",
        )
    assert isinstance(body, dict)
    return [Manifest(line, body)]


def _missing(body: object) -> list[str]:
    if not isinstance(body, dict):
        return ["any field"]
    missing = [key for key in ("apiVersion", "kind") if not body.get(key)]
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        missing.append("metadata.name")
    return missing


def _not_yaml(error: yaml.MarkedYAMLError, text: str, where: str) -> EksnetError:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "it cannot be read"
    if mark is None:
        return EksnetError(f"{where} is not YAML: {problem}", "YAML text")
    lines = text.splitlines()
    shown = lines[mark.line].rstrip() if mark.line < len(lines) else "(its end)"
    return EksnetError(
        f"{where}, line {mark.line + 1}: {problem}\n  {mark.line + 1} | {shown}",
        "YAML, indented with spaces",
        "fix this line or the previous one",
    )
