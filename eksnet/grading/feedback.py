"""A learner's feedback: one page that needs nothing else, without any check's source. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from html import escape
from itertools import groupby

from eksnet import display
from eksnet.checkpoints.criteria import Prediction, State
from eksnet.checkpoints.results import marked, points
from eksnet.grading.marking import Graded, Marked, Seen, Source
from eksnet.printable import printable

_MOST_ROWS, _LONGEST = 12, 300
# A page is opened as a file: nothing is loaded, and nothing in it can run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = (
    ":root{color-scheme:light dark;background:Canvas;color:CanvasText}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;"
    # Also an ARN is broken, before it would make a table wider than the window.
    "overflow-wrap:anywhere}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "th,td{text-align:left;vertical-align:top;padding:.25rem .6rem;"
    "border-bottom:1px solid #808080;min-width:3rem}"
    "th,td.n{white-space:nowrap;overflow-wrap:normal}caption{text-align:left}code{font-size:.95em}h3{margin-bottom:0}"
    "svg{max-width:100%;height:auto}"
    # On a narrow screen words stay whole for as long as they can.
    "@media(max-width:45rem){body{margin:1rem auto;padding:0 .5rem}"
    "table{font-size:.75rem}th,td{padding:.15rem .2rem}th{white-space:normal}"
    "th,td{min-width:0}td.n{white-space:normal}"
    "td:nth-last-child(-n+2){min-width:3.2rem}}"
)
_NOTHING = {
    Source.NONE: "<p>There is no submission that could be read: all points are zero.</p>",
    Source.EVIDENCE: "<p>The points come from the evidence that your checks recorded.</p>",
    Source.LIVE: "<p>Your cluster was looked at again. Where it shows what was asked, the source "
    "is <i>live</i>; all else is from the evidence that your checks recorded.</p>",
    Source.REPLAY: "<p>Your notebook was run from its first cell to its last on a fresh cluster, "
    "and that cluster was looked at after each check. The source <i>notebook</i> is what your own "
    "cells said of a trial.</p>",
}


def page(title: str, body: str) -> str:
    """Return a page that stands alone.

    Args:
        title: Its heading, as text.
        body: What stands below it, as HTML.
    """
    name = escape(title)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{name}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{name}</h1>{body}</main></body></html>\n"
    )


def feedback(graded: Graded) -> str:
    """Return a learner's feedback as a page: each criterion, what was observed and expected.

    What was found by comparing learners is the instructor's: no other learner is named here.
    """
    possible = sum(mark.definition.points for mark in graded.marks)
    summary = f"<p><b>{graded.points} of {points(possible)}</b></p>{_NOTHING[graded.source]}"
    reasons = "".join(f"<li>{display.prose(flag.reason)}</li>" for flag in graded.own_flags)
    looked = f"<h2>To be looked at</h2><ul>{reasons}</ul>" if reasons else ""
    return page(
        f"Feedback for {graded.learner.id}", f"{summary}{looked}{''.join(_notebooks(graded))}"
    )


def _notebooks(graded: Graded) -> Iterator[str]:
    for notebook, group in groupby(graded.marks, key=lambda mark: mark.definition.notebook):
        marks = list(group)
        earned = sum(mark.standing.points for mark in marks)
        possible = sum(mark.definition.points for mark in marks)
        yield f"<h2>{escape(notebook)}: {earned} of {points(possible)}</h2>"
        yield from map(_checkpoint, marks)


def _checkpoint(mark: Marked) -> str:
    state = _state(mark.standing.state, mark.standing.points)
    title = _title(mark.definition.id, mark.definition.title)
    head = f"<h3>{title}: {state} {mark.standing.share}</h3>"
    if not mark.attempt:
        return f"{head}<p>There is no attempt.</p>"
    seen = mark.criteria
    # Where all is as it was expected, nothing stands there.
    columns = _COLUMNS if any(one.expected for one in seen) else _COLUMNS[:-1]
    rows = "".join(_criterion(one, len(columns)) for one in seen)
    return f"{head}{_head(columns)}{rows}</tbody></table>{_prediction(mark)}"


_COLUMNS = ("state", "points", "source", "criterion", "observed", "expected")


@functools.cache
def _head(columns: tuple[str, ...]) -> str:
    cells = "".join(f'<th scope="col">{one}</th>' for one in columns)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>"


def _criterion(seen: Seen, columns: int) -> str:
    expected = f"<td>{_said(seen.expected)}</td>" if columns == len(_COLUMNS) else ""
    return (
        f'<tr><td class="n">{_state(seen.state)}</td><td class="n">{seen.share}</td>'
        f'<td class="n">{seen.source}</td><td>{_description(seen.criterion.description)}</td>'
        f"<td>{_said(seen.observed)}</td>{expected}</tr>"
    )


def _prediction(mark: Marked) -> str:
    """Return what the learner had predicted, where that was not all right."""
    asked = any(isinstance(one.criterion, Prediction) and not one.points for one in mark.criteria)
    answer = mark.attempt.answer if mark.attempt and asked else None
    if not isinstance(answer, list):
        return ""
    rows = [row for row in answer[:_MOST_ROWS] if isinstance(row, list)]
    said = "; ".join(": ".join(map(str, row[:_MOST_ROWS])) for row in rows)
    return f"<p>Your prediction: {_said(said[:_LONGEST])}</p>" if said else ""


def _said(text: str) -> str:
    return display.prose(printable(text))


@functools.cache
def _state(state: State, points: int = 0) -> str:
    return marked(state, points).html


@functools.cache
def _title(name: str, title: str) -> str:
    return f"{escape(name)} {escape(title)}"


@functools.cache
def _description(text: str) -> str:
    return display.prose(text)
