"""Manifests as lint reads them: every object with its lines, however wrong it is.

`cluster.manifests` refuses what cannot be applied; here that is what is looked for. Texts are read
by the parser in C: a set of charts has thousands of objects.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from eksnet import inputs
from eksnet.errors import EksnetError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

STDIN = "-"
MOST = 32 * 1024 * 1024
"""How many bytes a file may have: more than any set of manifests."""
_ENDINGS = (".yaml", ".yml", ".json")
_NEXT = "eksnet lint FILE"
# A mistaken `eksnet lint /` ends at once.
_MOST_ENTRIES = 50_000
# The parser in C calls itself for each level, and ends the process when there are too many.
_DEEPEST = 500
_BRACKET = re.compile(r"[\[\]{}]")
_STEPS = re.compile(rf"(?:[-?:][ \t]+){{{_DEEPEST}}}")


@dataclass(frozen=True)
class Object:
    """An object of a manifest, as it is written.

    Attributes:
        file: Where it was read.
        line: The line on which it begins, from 1.
        body: The object.
        lines: The lines of its annotations.
    """

    file: str
    line: int
    body: dict[Any, Any] = field(hash=False, compare=False)
    lines: dict[str, int] = field(hash=False, compare=False)

    @property
    def kind(self) -> str:
        """Its kind; empty where it has none."""
        return text(self.body.get("kind"))

    @property
    def metadata(self) -> dict[Any, Any]:
        """Its metadata."""
        return mapping(self.body.get("metadata"))

    @property
    def spec(self) -> dict[Any, Any]:
        """Its spec."""
        return mapping(self.body.get("spec"))

    @property
    def name(self) -> str:
        """Its name; empty where it has none."""
        return text(self.metadata.get("name"))

    @property
    def namespace(self) -> str:
        """Its namespace: where it names none, that in which all of these are applied."""
        return text(self.metadata.get("namespace")) or "default"

    @property
    def key(self) -> str:
        """Its namespace and name, as the controller writes them."""
        return f"{self.namespace}/{self.name}"

    @property
    def title(self) -> str:
        """Its kind and name, for a reader."""
        return f"{self.kind} {self.name}".strip() or "an object"

    @property
    def annotations(self) -> dict[str, Any]:
        """Its annotations; the API server takes texts alone."""
        found = mapping(self.metadata.get("annotations"))
        return {key: value for key, value in found.items() if isinstance(key, str)}

    def line_of(self, annotation: str) -> int:
        """Return the line of an annotation; the object's own where it has none of that name."""
        return self.lines.get(annotation, self.line)


@dataclass(frozen=True)
class Unreadable:
    """A part of a file that is no object.

    Attributes:
        file: The file.
        line: The line, from 1; 0 where it is about the whole.
        seen: What is wrong.
        fix: What to do about it.
    """

    file: str
    line: int
    seen: str
    fix: str


def mapping(value: object) -> dict[Any, Any]:
    """Return a mapping; an empty one for everything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return a list; an empty one for everything else."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a text; an empty one for everything else."""
    return value if isinstance(value, str) else ""


# Files.


def files(paths: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the files of paths, with their texts; of a folder all that end like manifests.

    Args:
        paths: Files and folders; `-` is the standard input.

    Raises:
        EksnetError: One is not there, cannot be read, is too large, or is no text.
    """
    for path in paths:
        if path == STDIN:
            yield STDIN, _decoded(STDIN, _stdin())
        else:
            yield from below(path)


def below(path: str) -> Iterator[tuple[str, str]]:
    """Yield a file, or the files of a folder; see `files`."""
    inputs.text(path, "FILE", _NEXT)
    for file in _found(Path(path)):
        yield str(file), _decoded(str(file), _content(file))


def _found(path: Path) -> list[Path]:
    try:
        found = sorted(_manifests(path)) if path.is_dir() else [path]
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if not found:
        raise EksnetError(
            f"{path} has no file that ends with {', '.join(_ENDINGS)}", "manifests", _NEXT
        )
    return found


def _manifests(folder: Path) -> Iterator[Path]:
    seen = 0
    for place, folders, names in os.walk(folder):
        seen += len(folders) + len(names)
        if seen > _MOST_ENTRIES:
            raise EksnetError(
                f"{folder} has more than {_MOST_ENTRIES:,} files and folders",
                "a folder of manifests", "name one below it",
            )  # fmt: skip
        yield from (Path(place, name) for name in names if name.endswith(_ENDINGS))


def standard_input() -> str:
    """Return what comes from the standard input.

    Raises:
        EksnetError: It is too large, or no text.
    """
    return _decoded("the standard input", _stdin())


def _stdin() -> bytes:
    return sys.stdin.buffer.read(MOST + 1)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MOST + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None


def _unreadable(path: Path, error: Exception) -> EksnetError:
    why = getattr(error, "strerror", None) or str(error)
    return EksnetError(f"{path} cannot be read: {why}", "a manifest, or a folder of some", _NEXT)


def _decoded(path: str, content: bytes) -> str:
    if len(content) > MOST:
        raise EksnetError(f"{path} has more than {MOST:,} bytes", "manifests", "split the file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        seen = f"{path} is no text: line {line} has a byte that is not UTF-8"
        raise EksnetError(seen, "a manifest in UTF-8", _NEXT) from None


# Objects.


def read(file: str, manifest: str) -> Iterator[Object | Unreadable]:
    """Yield the objects of a text, and what of it is none.

    Args:
        file: Where it was read.
        manifest: The text: YAML or JSON, with any number of documents.
    """
    if _is_too_deep(manifest):
        yield Unreadable(file, 0, f"it is nested more than {_DEEPEST} levels deep", "flatten it")
        return
    loader = None
    try:
        loader = _Loader(manifest)
        while loader.check_node():
            node = loader.get_node()
            yield from _objects(file, node, loader.construct_document(node))
    except yaml.MarkedYAMLError as error:
        yield _not_yaml(file, manifest, error)
    except (yaml.YAMLError, *inputs.ODD) as error:
        # PyYAML stumbles over some texts of its own, such as the date 2001-99-99.
        yield Unreadable(file, 0, f"it is not YAML: {inputs.shown(str(error))}", _INDENTED)
    finally:
        if loader is not None:
            loader.dispose()


_INDENTED = "YAML, indented with spaces, one `---` between documents"


def _is_too_deep(manifest: str) -> bool:
    if _STEPS.search(manifest):
        return True
    if manifest.count("[") + manifest.count("{") <= _DEEPEST:
        return False
    depth = deepest = 0
    for bracket in _BRACKET.finditer(manifest):
        depth = depth + 1 if bracket.group() in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest > _DEEPEST


def _objects(file: str, node: Any, body: object) -> Iterator[Object | Unreadable]:
    line = node.start_mark.line + 1
    if body is None:
        return
    if not isinstance(body, dict):
        yield Unreadable(file, line, f"{inputs.shown(body)} is no object", "apiVersion, kind, …")
    elif body.get("kind") == "List" and isinstance(body.get("items"), list):
        items = _child(node, "items")
        for item, value in zip(items.value if items else (), body["items"], strict=False):
            yield from _objects(file, item, value)
    else:
        yield Object(file, line, body, _annotation_lines(node))


def _annotation_lines(node: Any) -> dict[str, int]:
    metadata = _child(node, "metadata")
    annotations = metadata and _child(metadata, "annotations")
    if annotations is None or not isinstance(annotations, yaml.MappingNode):
        return {}
    return {
        key.value: key.start_mark.line + 1
        for key, _ in annotations.value
        if isinstance(key.value, str)
    }


def _child(node: Any, name: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _not_yaml(file: str, manifest: str, error: yaml.MarkedYAMLError) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    lines = manifest.splitlines()
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    if "{{" in shown or any("{{" in one for one in lines[max(line - 3, 0) : line]):
        return Unreadable(
            file, line, "it is a template of Helm, not YAML", "lint what `helm template` prints"
        )
    problem = error.problem or error.context or "it cannot be read"
    return Unreadable(file, line, f"it is not YAML: {problem}", _INDENTED)
