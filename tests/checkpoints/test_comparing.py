from __future__ import annotations

from typing import Any

import pytest

import eksnet
from eksnet.display import Mark, Tone

NAMES = ("musl", "go", "busybox")


@pytest.mark.parametrize(
    ("prediction", "observed", "rows", "same"),
    [
        (2, 10, [("2", "10", "no")], [False]),
        ("10", 10, [("10", "10", "yes")], [True]),
        ("noerror", "NOERROR", [("noerror", "NOERROR", "yes")], [True]),
        ("a.b.", "a.b", [("a.b.", "a.b", "yes")], [True]),
        (..., 10, [("no prediction yet", "10", "")], [None]),
        (None, 3, [("None", "3", "no")], [False]),
        (
            {"musl": "found", "go": ...},
            {"musl": "not found", "go": "found"},
            [("musl", "found", "not found", "no"), ("go", "no prediction yet", "found", "")],
            [False, None],
        ),
        ({"b": 1}, {"a": 1, "b": 1}, [("a", "no prediction yet", "1", ""), ("b", "1", "1", "yes")],
         [None, True]),
        (..., {"a": 1}, [("a", "no prediction yet", "1", "")], [None]),
        (7, {"a": 1}, [("a", "no prediction yet", "1", "")], [None]),
    ],
)  # fmt: skip
def test_a_prediction_stands_beside_what_was_observed(
    prediction: Any, observed: Any, rows: list[tuple[str, ...]], same: list[bool | None]
) -> None:
    found = eksnet.compare(prediction, observed)
    assert list(found.rows) == rows
    assert list(found) == same
    assert len(found.columns) == len(rows[0])


def test_whether_they_are_the_same_is_shown_as_a_verdict_is() -> None:
    found = eksnet.compare(
        {"musl": "found", "go": 1, "busybox": ...}, dict.fromkeys(NAMES, "found")
    )
    verdicts = [row[-1] for row in found.rows]
    assert verdicts == [Mark("yes", Tone.GOOD), Mark("no", Tone.BAD), ""]
    assert [getattr(one, "tone", None) for one in verdicts] == [Tone.GOOD, Tone.BAD, None]
    html = found._repr_html_()
    assert [f"{sign}</span>" in html for sign in ("✓ yes", "✗ no")] == [True, True]
    assert repr(found).splitlines()[0].endswith("observed  same")
    assert repr(found).splitlines()[1:3] == [
        "musl     found              found     yes",
        "go       1                  found     no",
    ]
