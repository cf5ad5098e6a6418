"""The learner's own copy of the course: without outputs, and without the answers.

`learners` is the rule by which one is made from the other. `Copies` is the folder in which they are
kept; none that a learner has changed is ever written over.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import io
import json
import os
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eksnet.course.catalogue import PREDICT, WHY, course, directory, named
from eksnet.errors import EksnetError

DEFAULT = Path("~/eksnet-course")
_EMPTY = "..."
_SUMMARY = "Why? Open this after you have run the cell above."


def learners(notebook: Any) -> Any:
    """Return a notebook as a learner begins it.

    Outputs and execution counts are gone, folded solutions stay folded, and in cells with the tag
    `predict` each assigned value is `...`: see `emptied`. Cells that explain a result are folded:
    on the screen they are just below the question, and would answer it.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if PREDICT in cell.metadata.get("tags", ()):
                cell.source = emptied(cell.source)
        elif cell.id.endswith(WHY):
            cell.source = folded(cell.source)
    return notebook


def is_untouched(content: bytes, path: Path) -> bool:
    """Tell whether the code of a copy is still what a learner begins with.

    Args:
        content: The copy; what is no notebook is none that nobody has touched.
        path: The notebook of the course.
    """
    try:
        given = [
            "".join(cell["source"])
            for cell in json.loads(content)["cells"]
            if cell["cell_type"] == "code"
        ]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False
    begun = json.loads(_learners_text(path))["cells"]
    return given == ["".join(one["source"]) for one in begun if one["cell_type"] == "code"]


def folded(prose: str) -> str:
    """Return an explanation that is not seen until the learner opens it.

    Args:
        prose: The explanation, as Markdown.
    """
    return f"<details><summary>{_SUMMARY}</summary>\n\n{prose}\n\n</details>"


def emptied(source: str) -> str:
    """Return code in which each assigned value is `...`; comments stay.

    Of a dict that is written out only the values are, its keys stay. A comment inside a value
    stands above its statement.

    Example:
        >>> emptied('prediction = {"hosts": 30}  # seconds')
        'prediction = {"hosts": ...}  # seconds'
    """
    text = _Text(source)
    assignments = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign | ast.AnnAssign)
    ]
    # From the end: what stands before a change keeps its place.
    for node in sorted(assignments, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        if node.value is not None:
            _empty(text, node, node.value)
    return text.text


def _empty(text: _Text, node: ast.Assign | ast.AnnAssign, value: ast.expr) -> None:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    end = text.end(node)
    if isinstance(value, ast.Dict) and value.keys and None not in value.keys:
        spans = [(text.start(one), text.end(one), _EMPTY) for one in _leaves(value)]
    else:
        last = node.annotation if isinstance(node, ast.AnnAssign) else targets[-1]
        begins = text.after_equals(text.end(last))
        unpacked = next((one for one in targets if isinstance(one, ast.Tuple | ast.List)), None)
        # The brackets of the outermost are not needed.
        shape = _shape(unpacked)[1:-1] if unpacked else _EMPTY
        spans = [(begins, end, f" {shape}")]
    comments = [line for start, stop, _ in spans for line in text.comments(start, stop)]
    for start, stop, new in reversed(spans):
        text.replace(start, stop, new)
    if comments:
        indent = " " * node.col_offset
        place = text.start(node) - node.col_offset
        text.replace(place, place, "".join(f"{indent}{one}\n" for one in comments))


def _leaves(value: ast.Dict) -> Iterator[ast.expr]:
    """Yield the values of a dict, and of the dicts in it, in their order."""
    for one in value.values:
        if isinstance(one, ast.Dict) and one.keys and None not in one.keys:
            yield from _leaves(one)
        else:
            yield one


def _shape(target: ast.expr) -> str:
    """Return placeholders that can be unpacked into a target."""
    if isinstance(target, ast.Tuple | ast.List):
        parts = ", ".join(map(_shape, target.elts))
        return f"({parts},)" if len(target.elts) == 1 else f"({parts})"
    return _EMPTY


class _Text:
    """A source that is changed in places that its syntax tree names, as bytes of UTF-8."""

    def __init__(self, source: str) -> None:
        self._bytes = source.encode()
        self._lines = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        self._source = source.splitlines(keepends=True)

    @property
    def text(self) -> str:
        """The source as it is now."""
        return self._bytes.decode()

    def start(self, node: ast.stmt | ast.expr) -> int:
        """Return where a node begins."""
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.stmt | ast.expr) -> int:
        """Return where a node ends."""
        return self._lines[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)

    def after_equals(self, place: int) -> int:
        """Return where the first `=` after a place ends."""
        return next(
            start + 1 for start, token in self._placed() if start >= place and token.string == "="
        )

    def comments(self, start: int, stop: int) -> list[str]:
        """Return the comments between two places."""
        return [
            token.string
            for place, token in self._placed()
            if start <= place < stop and token.type == tokenize.COMMENT
        ]

    def replace(self, start: int, stop: int, new: str) -> None:
        """Put a text in the place of another; what stands before it keeps its place."""
        self._bytes = self._bytes[:start] + new.encode() + self._bytes[stop:]

    def _placed(self) -> Iterator[tuple[int, tokenize.TokenInfo]]:
        """Yield each token with the place in bytes at which it begins; a column is of letters."""
        for token in self._tokens:
            line, column = token.start
            before = self._source[line - 1][:column] if line <= len(self._source) else ""
            yield self._lines[line - 1] + len(before.encode()), token


@dataclass(frozen=True)
class Copies:
    """A learner's folder.

    What was written there is remembered by its digest, in a file of the folder: a copy that differs
    from it has been changed by the learner, and is theirs.

    Attributes:
        folder: The folder.
    """

    folder: Path

    @property
    def record(self) -> Path:
        """The digest of each file as it was written, by the file's name."""
        return self.folder / ".eksnet" / "written.json"

    def prepare(self) -> list[str]:
        """Bring the folder up to date, and return what has to be said about it, a line each.

        What is missing is written; what is as it was written is replaced by a newer one; what the
        learner has changed stays.

        Raises:
            EksnetError: The folder cannot be written, or is the course's own.
        """
        return [line for path in course() if (line := self._prepare(path))]

    def _prepare(self, path: Path) -> str:
        new = _learners_text(path)
        if self.write(path.name, new):
            return ""
        begun = self._written()
        family = [name for name in begun if _is_copy_of(Path(name).stem, path.stem)]
        if any(begun[name] == _digest(new) and (self.folder / name).exists() for name in family):
            return ""
        return (
            f"{path.name} is your edited copy; the course has a newer version: "
            f"`eksnet lab --fresh {path.stem}` adds it next to yours"
        )

    def fresh(self, name: str) -> list[str]:
        """Make new copies beside those that are kept, and return what was made, a line each.

        Args:
            name: A notebook's name or number; `01` means all its parts.

        Raises:
            EksnetError: No notebook of the course is called so, or the folder cannot be written.
        """
        return [self._fresh(path) for path in named(name, "eksnet lab --fresh")]

    def _fresh(self, path: Path) -> str:
        new = _learners_text(path)
        if self.write(path.name, new):
            return f"{path.name} is fresh"
        name = self._free(path.name)
        self.write(name, new)
        return f"{name} is new; your copy is next to it"

    def _free(self, name: str) -> str:
        """Return a name beside one that is taken: `05_lab_hosts-2.ipynb`."""
        taken, number = Path(name), 2
        while (self.folder / (free := f"{taken.stem}-{number}{taken.suffix}")).exists():
            number += 1
        return free

    def renew(self, name: str, text: str) -> str:
        """Write a page anew; one that the learner has changed gets another name first.

        Returns:
            What has to be said; empty when nothing has.

        Raises:
            EksnetError: It cannot be written.
        """
        if self.write(name, text.encode()):
            return ""
        kept = self._free(name)
        (self.folder / name).rename(self.folder / kept)
        self.write(name, text.encode())
        return f"you had changed {name}: your copy is now {kept}"

    def write(self, name: str, new: bytes) -> bool:
        """Write a file, unless the learner has changed it.

        Args:
            name: Its name in the folder.
            new: What it is to hold.

        Returns:
            Whether it holds that now.

        Raises:
            EksnetError: It cannot be written.
        """
        path, written = self.folder / name, self._written()
        try:
            there = path.read_bytes() if path.exists() else None
            if there not in (None, new) and _digest(there or b"") != written.get(name):
                return False
            if there != new:
                _replace(path, new)
            if written.get(name) != _digest(new):
                _replace(
                    self.record, json.dumps({**written, name: _digest(new)}, indent=1).encode()
                )
        except OSError as error:
            raise EksnetError(
                f"{error.filename or path} cannot be written: {error.strerror}",
                "a folder of your own for the copies of the notebooks",
                "eksnet lab --course DIRECTORY",
            ) from error
        return True

    def _written(self) -> dict[str, str]:
        """Return the record; without one, all that is there is the learner's."""
        try:
            found = json.loads(self.record.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def open_copies(folder: Path) -> Copies:
    """Return the copies in a folder, which is made when there is none.

    Raises:
        EksnetError: It is the course's own, or cannot be made.
    """
    folder = folder.expanduser().resolve()
    own = directory().parent.resolve()
    if folder.is_relative_to(own):
        raise EksnetError(
            f"{folder} belongs to the course itself",
            "a folder of your own for the copies of the notebooks",
            f"eksnet lab --course {DEFAULT}",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EksnetError(
            f"{folder} cannot be made: {error.strerror}",
            "a folder of your own for the copies of the notebooks",
            "eksnet lab --course DIRECTORY",
        ) from error
    return Copies(folder)


def _learners_text(path: Path) -> bytes:
    import nbformat

    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    text: str = nbformat.writes(learners(notebook))  # type: ignore[no-untyped-call]
    return text.encode() + b"\n"


def _is_copy_of(stem: str, original: str) -> bool:
    return stem == original or stem.removeprefix(f"{original}-").isdigit()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step: after a crash it is the old one or the new one."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
