from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from eksnet.checkpoints import definitions
from eksnet.checkpoints.criteria import Observation, State, cannot_check, failed, passed, then
from eksnet.checkpoints.evidence import Attempt, Binding
from eksnet.checkpoints.results import Outcome, Result, Text
from eksnet.checkpoints.standing import Progress, Standing, standings
from eksnet.diagnosis import CANNOT_TELL, FAILS, Check, Diagnosis
from eksnet.display import Tone

TRICKY = failed("<b>bold</b> & more", "a < b", 'cluster.edit("x")')
RESULT = Result(
    "x-01",
    "A & B",
    (
        Outcome("x-01.a", "It is", 2, passed("it is")),
        Outcome("x-01.b", "It is <not>", 1, TRICKY),
        Outcome("x-01.p", "As predicted", 1, Observation(State.FAIL, "30", "", "see", "3600")),
        Outcome("x-01.c", "Nobody saw", 1, cannot_check("no answer", "one", "look")),
        Outcome("x-01.d", "Nobody saw this", 3, cannot_check("no answer", "one", "look")),
    ),
    note="This attempt was not recorded: disk full",
)
PROGRESS = Progress(
    standings(
        definitions.of_notebook("05"),
        [Attempt("hosts-02", "", Binding(), {"hosts-02.plugin": State.PASS})],
    ),
    note="1 < 2 lines",
)


class _Words(HTMLParser):
    """The words of HTML, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        self.words += data.split()


SIGNS = {tone.sign for tone in Tone}
STATES = [(str(state).replace("_", " "), str(state)) for state in State]


def said(html: str) -> list[str]:
    """The words of HTML, without what only HTML has: signs, and states in two words."""
    text = " ".join(word for word in _Words(html).words if word not in SIGNS)
    for shown, state in STATES:
        text = text.replace(shown, state)
    return text.replace(" ,", ",").split()


@pytest.mark.parametrize(
    "shown",
    [
        RESULT,
        PROGRESS,
        Text("", "hosts {\n  a < b\n}"),
        Text("Run once: x\nHint 1 of 3: look < here", "hosts = 'a'", "More: hint(2)"),
        Diagnosis(
            (
                Check(FAILS, "0 <of> 2", "2", "wait", check="pods"),
                Check(CANNOT_TELL, "?", check="log"),
            )
        ),
    ],
)
def test_html_says_the_same_as_the_text(shown: Any) -> None:
    bundle, _ = DisplayFormatter().format(shown)
    assert set(bundle) == {"text/plain", "text/html"}
    assert said(bundle["text/html"]) == said(escape(bundle["text/plain"], quote=False))


@pytest.mark.parametrize(
    ("state", "sign"),
    [
        (State.PASS, "✓ PASS"),
        (State.FAIL, "✗ FAIL"),
        (State.NOT_STARTED, "○ NOT STARTED"),
        (State.CANNOT_CHECK, "? CANNOT CHECK"),
    ],
)
def test_a_state_has_a_sign_a_colour_and_its_word(state: State, sign: str) -> None:
    result = Result("x-01", "A", (Outcome("x-01.a", "It is", 1, Observation(state, "seen")),))
    standing = Progress((Standing(definitions.find("hosts-06"), state, 0),))
    for shown in (result, standing):
        assert re.search(
            rf"background-color: #\w{{6}}; [^>]+>{re.escape(sign)}<", shown._repr_html_()
        )
        assert str(state) in repr(shown)
        assert "\x1b[" not in repr(shown)
        plain = re.sub(r"\x1b\[[\d;]*m", "", shown.coloured())
        assert plain == repr(shown)
        assert f"m{state}\x1b[0m" in shown.coloured()


def test_what_was_observed_and_predicted_stand_in_rows_beside_their_state() -> None:
    html = RESULT._repr_html_()
    body = html.split("<tbody>")[3]
    rows = [_Words("<tr " + row).words for row in body.split("<tr ")[1:]]
    assert rows == [
        ["✗", "FAIL", "0", "of", "1", "As", "predicted"],
        ["observed:", "30"],
        ["predicted:", "3600"],
        ["next:", "see"],
    ]
    assert body.count('<td rowspan="4"') == 2


def test_the_text_of_a_result() -> None:
    assert repr(RESULT) == (
        "x-01 A & B: FAIL, 2 of 4 points, 4 points not checked\n"
        "Run once before the commands below: cluster = eksnet.connect()\n"
        "PASS          2 of 2  It is\n"
        "                      observed: it is\n"
        "FAIL          0 of 1  It is <not>\n"
        "                      observed: <b>bold</b> & more\n"
        "                      expected: a < b\n"
        '                      next: cluster.edit("x")\n'
        "FAIL          0 of 1  As predicted\n"
        "                      observed: 30\n"
        "                      predicted: 3600\n"
        "                      next: see\n"
        "CANNOT_CHECK  - of 1  Nobody saw\n"
        "                      observed: no answer\n"
        "                      expected: one\n"
        "                      next: look\n"
        "CANNOT_CHECK  - of 3  Nobody saw this\n"
        "                      observed: the same as in the row above\n"
        "This attempt was not recorded: disk full"
    )


def test_lines_of_code_stand_where_they_can_be_copied_from() -> None:
    step = then("add it", "hosts = 'a < b'", "cluster.edit(hosts)")
    result = Result("x-01", "A", (Outcome("x-01.a", "It is", 1, failed("no", "yes", step)),))
    assert repr(result).endswith("next: add it:\nhosts = 'a < b'\ncluster.edit(hosts)")
    html = result._repr_html_()
    assert re.search(r">next:</td><td [^>]+>add it:<pre [^>]*white-space: pre-wrap[^>]*>", html)
    assert "hosts = &#x27;a &lt; b&#x27;\ncluster.edit(hosts)</pre>" in html
    assert repr(result).index("Run once before") < repr(result).index("add it")


def test_a_frame_holds_all_of_it() -> None:
    frame = RESULT.to_frame()
    assert list(frame["criterion"]) == ["x-01.a", "x-01.b", "x-01.p", "x-01.c", "x-01.d"]
    assert list(frame["points"].isna()) == [False, False, False, True, True]
    assert frame["observed"][4] == "no answer"
    assert list(frame["predicted"]) == ["", "", "3600", "", ""]


def attempt(checkpoint: str, *states: State) -> Attempt:
    names = [criterion.id for criterion in definitions.find(checkpoint).criteria]
    return Attempt(checkpoint, "", Binding(), dict(zip(names, states, strict=False)))


P, F, N, C = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK


@pytest.mark.parametrize(
    ("attempts", "state", "share"),
    [
        ([], N, "0 of 2"),
        ([(N, N), (P, F), (F, N)], F, "1 of 2"),
        ([(P, P), (N, N)], P, "2 of 2"),
        ([(C, C), (N, N)], C, "- of 2"),
        ([(C, C), (F, F)], F, "0 of 2"),
        # A criterion that came later has not been tried.
        ([(P,)], N, "1 of 2"),
    ],
)
def test_the_best_attempt_counts(
    attempts: list[tuple[State, ...]], state: State, share: str
) -> None:
    tried = [attempt("hosts-06", *states) for states in attempts]
    (standing,) = standings([definitions.find("hosts-06")], tried)
    assert (standing.state, standing.share) == (state, share)


def test_criteria_that_are_no_more_count_for_nothing() -> None:
    old = Attempt("hosts-06", "", Binding(), {"hosts-06.gone": P, "hosts-06.restored": P})
    (standing,) = standings([definitions.find("hosts-06")], [old])
    assert (standing.state, standing.points) == (N, 1)
    assert "NOT_STARTED in part" in repr(Progress((standing,)))


def test_progress_as_a_frame() -> None:
    frame = PROGRESS.to_frame()
    assert frame["points"].sum() == PROGRESS.points == 1
    assert frame["of"].sum() == PROGRESS.possible


def test_an_observation_stays_in_its_state() -> None:
    assert [one.state for one in (passed("a"), TRICKY, cannot_check("a", "b", "c"))] == [P, F, C]
    assert Observation(N, "x").next_step == ""
