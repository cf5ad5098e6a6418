"""The annotations that the load balancer controller reads: from its guide and its constants.

`uv run python tests/data/controller_annotations.py` writes the catalogue of the version that the
engine pins. With a clone of the controller's repository as argument it writes that of 2.7 too, and
since which release there is each annotation, and each value of those that take a few words.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
import gomodules

from eksnet import data, versions

INGRESS, SERVICE = "alb.ingress.kubernetes.io", "service.beta.kubernetes.io"
GUIDES = {
    INGRESS: "docs/guide/ingress/annotations.md",
    SERVICE: "docs/guide/service/annotations.md",
}
CONSTANTS = "pkg/annotations/constants.go"
PREFIXES = {"IngressLBSuffix": INGRESS, "IngressSuffix": INGRESS, "SvcLBSuffix": SERVICE}
COLUMNS = (
    "annotation", "location", "type", "default", "merge", "section", "deprecated", "constant",
    "in_table",
)  # fmt: skip
RELEASES = ("annotation", "value", "since")
# The release to which the links of the course document lead, and the first with this guide.
OLD, FIRST = "v2.7.2", (2, 0, 0)

_ROW = re.compile(r"^\| *\[?([a-z.]+\.kubernetes\.io/[^\]|() ]+) *(?:\]\(#[^)]*\))? *\|(.*)$")
_CELL = re.compile(r"(?<!\\)\|")
_CONSTANT = re.compile(r'^\t(\w+) += "([^"]+)"(?: // deprecated, use "([^"]+)")?', re.MULTILINE)
_LINK = re.compile(r"deprecated, in favor of \[([^\]]+)\]")
_PLACE = re.compile(r"\$\{[^}]*\}")
Row = dict[str, str]
Read = Callable[[str], str]


def catalogue(read: Read) -> list[Row]:
    """Return the annotations of one release, those of the guide's tables first.

    Args:
        read: Returns a file of the release, empty when it has none.
    """
    constants = dict(_constants(read(CONSTANTS)))
    rows = [row for prefix, guide in GUIDES.items() for row in _table(prefix, read(guide))]
    for row in rows:
        row["constant"] = constants.pop(_without_places(row["annotation"]), ("", ""))[0]
    sections = _sections("".join(map(read, GUIDES.values())))
    for name, (constant, instead) in sorted(constants.items()):
        location = "Ingress" if name.startswith(INGRESS) else "Service"
        rows.append(
            dict.fromkeys(COLUMNS, "")
            | {"annotation": name, "location": location, "constant": constant, "in_table": "no"}
            | {"deprecated": f"{INGRESS}/{instead}" if instead else ""}
        )
    return [row | {"section": sections.get(row["annotation"], "")} for row in rows]


def _table(prefix: str, guide: str) -> Iterator[Row]:
    for line in guide.splitlines():
        if found := _ROW.match(line):
            cells = [_plain(one) for one in _CELL.split(found[2])]
            kind, default, *more = (*cells, "", "")[:4]
            of_service = prefix == SERVICE
            favoured = _LINK.search(found[2])
            yield dict.fromkeys(COLUMNS, "") | {
                "annotation": found[1],
                "type": " | ".join(one.strip() for one in kind.split("|")),
                "default": default,
                "location": "Service" if of_service else re.sub(r", *", ", ", more[0]),
                "merge": "" if of_service else more[1],
                "deprecated": f"{SERVICE}/{favoured[1]}" if favoured else "",
                "in_table": "yes",
            }


def _plain(cell: str) -> str:
    text = cell.replace(r"\|", "|").strip()
    return "" if text == "N/A" else text


def _constants(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for constant, suffix, instead in _CONSTANT.findall(text):
        for begin, prefix in PREFIXES.items():
            if constant.startswith(begin):
                yield f"{prefix}/{suffix}", (constant, instead)


def _without_places(name: str) -> str:
    return _PLACE.sub("", name).rstrip(".-")


def _sections(guide: str) -> dict[str, str]:
    """Return the headings under which the guide explains annotations."""
    found: dict[str, str] = {}
    heading = ""
    for line in guide.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ").strip()
        elif explained := re.match(r'- <a name="[^"]*">`([^`]+)`', line):
            found.setdefault(explained[1], heading)
    return found


def pinned() -> list[Row]:
    """Return the annotations of the version that the engine pins, from its Go module."""
    source = gomodules.directory(gomodules.CONTROLLER)
    return catalogue(lambda name: (source / name).read_text(encoding="utf-8"))


# What only a clone with its tags can tell.


def of_tag(clone: Path, tag: str) -> list[Row]:
    """Return the annotations of a release."""
    return catalogue(lambda name: _git(clone, "show", f"{tag}:{name}"))


def releases(clone: Path) -> Iterator[Row]:
    """Yield since which release there is an annotation, and each of a few words as its value."""
    found = re.findall(r"^v(\d+)\.(\d+)\.(\d+)$", _git(clone, "tag"), re.MULTILINE)
    seen: set[tuple[str, str]] = set()
    for release in sorted(tuple(map(int, one)) for one in found):
        if release < FIRST:
            continue
        since = ".".join(map(str, release))
        for row in of_tag(clone, f"v{since}"):
            words = row["type"].split(" | ") if " | " in row["type"] else []
            name = _without_places(row["annotation"])
            for value in ("", *words):
                if (name, value) not in seen:
                    seen.add((name, value))
                    yield {"annotation": name, "value": value, "since": since}


def _git(clone: Path, *arguments: str) -> str:
    command = ["git", "-C", str(clone), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def table(version: str) -> Path:
    """Return the file of a catalogue."""
    return data.directory() / f"controller_annotations_v{version}.csv"


def write(path: Path, columns: Iterable[str], rows: Iterable[Row]) -> None:
    """Write a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        written = csv.DictWriter(file, tuple(columns), lineterminator="\n")
        written.writeheader()
        written.writerows(rows)


if __name__ == "__main__":
    write(table(versions.CONTROLLER[1:].rpartition(".")[0]), COLUMNS, pinned())
    for clone in map(Path, sys.argv[1:]):
        write(table(OLD[1:].rpartition(".")[0]), COLUMNS, of_tag(clone, OLD))
        path = data.directory() / "controller_annotation_releases.csv"
        write(path, RELEASES, sorted(releases(clone), key=lambda row: tuple(row.values())))
