from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from eksnet.checkpoints import definitions
from eksnet.checkpoints.criteria import Observation, State, cannot_check, failed, passed, then
from eksnet.checkpoints.evidence import Attempt, Binding
from eksnet.checkpoints.results import Outcome, Result, Text
from eksnet.checkpoints.standing import Progress, standings

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


@pytest.mark.parametrize("shown", [RESULT, PROGRESS, Text("hosts {\n  a < b\n}")])
def test_html_says_the_same_as_the_text(shown: Any) -> None:
    bundle, _ = DisplayFormatter().format(shown)
    assert set(bundle) == {"text/plain", "text/html"}
    assert _Words(bundle["text/html"]).words == bundle["text/plain"].split()


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
    step = then("put it in", "hosts = 'a < b'", "cluster.edit(hosts)")
    result = Result("x-01", "A", (Outcome("x-01.a", "It is", 1, failed("no", "yes", step)),))
    assert repr(result).endswith("next: put it in:\nhosts = 'a < b'\ncluster.edit(hosts)")
    code = "hosts = &#x27;a &lt; b&#x27;\ncluster.edit(hosts)</pre>"
    assert f'next: put it in:<pre style="margin: 0">{code}' in result._repr_html_()
    assert repr(result).index("Run once before") < repr(result).index("put it in")


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
    assert frame["of"].sum() == PROGRESS.of


def test_an_observation_stays_in_its_state() -> None:
    assert [one.state for one in (passed("a"), TRICKY, cannot_check("a", "b", "c"))] == [P, F, C]
    assert Observation(N, "x").next_step == ""
