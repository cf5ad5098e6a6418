"""The pages beside the notebooks: the start page, on which JupyterLab opens, and the glossary."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from eksnet import data
from eksnet.checkpoints import definitions, evidence
from eksnet.checkpoints.evidence import Attempt
from eksnet.checkpoints.standing import Standing, standings
from eksnet.course.catalogue import Lesson, course, lesson
from eksnet.course.times import time_of

START, GLOSSARY = "00_start.md", "glossary.md"
_PAGES = Path(__file__).parent / "pages"
PICTURE = _PAGES / "cluster.svg"


def start_page(attempts: Iterable[Attempt]) -> str:
    """Return the start page as Markdown.

    Args:
        attempts: The learner's attempts at checkpoints.
    """
    stands = standings(definitions.every(), tuple(attempts))
    rows = [_row(lesson(path), time_of(path).minutes, stands) for path in course()]
    points, of = sum(one.points for one in stands), sum(one.definition.points for one in stands)
    return _page(
        "start.md",
        map=_table(("notebook", "what you learn", "minutes", "your points"), rows),
        points=f"{points} of {of} points",
        picture=base64.b64encode(PICTURE.read_bytes()).decode(),
        glossary=GLOSSARY,
    )


def _row(one: Lesson, minutes: int, stands: Sequence[Standing]) -> tuple[str, ...]:
    own = [standing for standing in stands if standing.definition.notebook == one.name]
    points, of = sum(each.points for each in own), sum(each.definition.points for each in own)
    link = f"[{one.title}]({one.name}.ipynb)"
    return link, one.teaches, str(minutes), f"{points} of {of}" if own else "-"


def glossary_page() -> str:
    """Return the glossary as Markdown."""
    with (data.directory() / "glossary.csv").open(newline="") as file:
        _, *rows = csv.reader(file)
    table = _table(("Korean", "English", "meaning"), sorted(rows))
    return _page("glossary.md", start=START, table=table)


def attempts() -> tuple[Attempt, ...]:
    """Return all attempts on this computer; none where they cannot be read."""
    found: list[Attempt] = []
    for path in sorted(evidence.directory().glob("*.jsonl")):
        try:
            found += evidence.read(path).attempts
        except OSError:
            continue
    return tuple(found)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, [":---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(name: str, **parts: str) -> str:
    return (_PAGES / name).read_text().format(**parts)
