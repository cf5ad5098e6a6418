from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet.checkpoints.answers import NotUnderstoodError, compare, understand, without_units
from eksnet.checkpoints.criteria import State
from eksnet.dns.walk import walk

SEEN = walk([("a.ops-ns", False), ("a.svc", False), ("a", True)])
TABLE = "order  query name  match\n1  a.ops-ns  X\n2  a.svc  X\n3  a  O\n"


@pytest.mark.parametrize(
    "answer",
    [
        SEEN,
        list(SEEN),
        SEEN.to_frame(),
        SEEN.to_frame()[["match", "query name"]],
        TABLE,
        "a.ops-ns, X\nA.SVC., X\n a | O",
        [("a.ops-ns", "X"), ("a.svc", "x"), ("a", "o")],
        (["a.ops-ns", False], ["a.svc", "no"], ["a", True]),
        [("a.ops-ns", np.bool_(False)), ("a.svc", np.False_), ("a", np.bool_(True))],
        [("a.ops-ns", "False"), ("a.svc", "false"), ("a", "True")],
        [("a.ops-ns", 0), ("a.svc", 0.0), ("a", 1)],
        pd.DataFrame({"query name": ["a.ops-ns", "a.svc", "a"], "match": [False, False, True]}),
        [[np.int64(1), "a.ops-ns", "X"], [2, "a.svc", "X"], [3, "a", "O"]],
        [[1, "a.ops-ns", "X"], [2, "a.svc", "X"], [3, "a", "O"]],
    ],
)
def test_a_table_is_understood_in_many_forms(answer: Any) -> None:
    rows, seen = understand(answer), understand(SEEN)
    assert [compare(rows, seen, column).state for column in (0, 1)] == [State.PASS] * 2


def test_a_table_that_the_course_made_is_told_from_a_list_of_the_same_rows() -> None:
    assert understand(SEEN).computed
    assert understand(SEEN.to_frame()[["query name"]]).computed
    assert not understand(list(SEEN)).computed
    assert not understand(pd.DataFrame({"query name": ["a"]})).computed
    assert not understand([list(row) for row in SEEN.rows]).computed


@pytest.mark.parametrize(
    "names",
    [
        ["a.ops-ns", "a.svc", "a"],
        ("a.ops-ns", "a.svc", "a"),
        np.array(["a.ops-ns", "a.svc", "a"]),
        pd.Series(["a.ops-ns", "a.svc", "a"]),
        SEEN.names,
        SEEN.to_frame()["query name"],
        "a.ops-ns, a.svc, a",
        "a.ops-ns\na.svc\na",
        {1: "a.ops-ns", 2: "a.svc", 3: "a"},
        {3: "a", 1: "a.ops-ns", 2: "a.svc"},
        {0: "a.ops-ns", 2: "a", 1: "a.svc"},
        {"2": "a.svc", "1": "a.ops-ns", "3": "a"},
    ],
)
def test_a_list_of_names_is_an_answer_to_the_names_alone(names: Any) -> None:
    rows, seen = understand(names), understand(SEEN)
    assert compare(rows, seen, 0).state is State.PASS
    missing = compare(rows, seen, 1)
    assert missing.state is State.NOT_STARTED
    assert missing.observed == "your answer has no column for match"


@pytest.mark.parametrize(
    ("answer", "observed", "predicted", "next_step"),
    [
        (["a.ops-ns", "a", "a"], "row 2: a.svc", "a", "1 row before it matches"),
        (["b", "a", "a"], "row 1: a.ops-ns", "b", "compare row 1"),
        (["a.ops-ns", "a.svc"], "row 3: a", "nothing", "the 1 row missing"),
        ([], "row 1: a.ops-ns", "nothing", "the 3 rows missing"),
        (
            ["a.ops-ns", "a.svc", "a", "b"],
            "row 4: nothing",
            "b",
            "why you predicted 1 row too many",
        ),
        (["a.ops-ns", None, "a"], "row 2: a.svc", "nothing", ""),
    ],
)
def test_the_row_is_named_at_which_they_part(
    answer: Any, observed: str, predicted: str, next_step: str
) -> None:
    seen = compare(understand(answer), understand(SEEN), 0)
    assert (seen.state, seen.observed, seen.predicted) == (State.FAIL, observed, predicted)
    # "expected" is what is right, and a prediction that differs is not.
    assert seen.expected == ""
    assert next_step in seen.next_step


@pytest.mark.parametrize(
    ("answer", "seen", "state"),
    [
        (30, 30, State.PASS), (30.0, 30, State.PASS), ("30", 30, State.PASS),
        (np.int64(30), 30, State.PASS), (np.float64(30), 30, State.PASS), ([30], 30, State.PASS),
        (31, 30, State.FAIL), ("servfail", "SERVFAIL", State.PASS),
        ("NXDOMAIN", "SERVFAIL", State.FAIL), (True, "O", State.PASS), (False, "O", State.FAIL),
        ("True", "O", State.PASS), ("True", "X", State.FAIL), (0, "O", State.FAIL),
        (np.bool_(True), "O", State.PASS), (1, 0, State.FAIL), ("x", 0, State.FAIL),
    ],
)  # fmt: skip
def test_one_value_is_compared_with_one(answer: Any, seen: Any, state: State) -> None:
    assert compare(understand(answer), understand(seen), 0).state is state


@pytest.mark.parametrize(
    ("answer", "observed"),
    [
        ({"cached": 30, "uncached": 3600}, ""),
        ([3600, 30], ""),
        ([("uncached", 3600), ("cached", 30)], ""),
        ([("cached", 30), ("uncached", 3600)], ""),
        ({"uncached": 3600, "cached": 3600}, "cached: 30"),
        ({"uncached": 30, "cached": 30}, "uncached: 3600"),
        ({"uncached": 3600}, "your answer has no value for 'cached'"),
    ],
)
def test_a_dict_is_compared_by_its_keys(answer: Any, observed: str) -> None:
    seen = compare(understand(answer), understand({"uncached": 3600, "cached": 30}), 0)
    if observed:
        assert (seen.state, seen.observed) == (State.FAIL, observed)
    else:
        assert seen.state is State.PASS


@pytest.mark.parametrize("answer", [[3600], 3600, {}, {"other": 1}, "3600"])
def test_what_does_not_say_what_is_of_which_key_is_asked_again(answer: Any) -> None:
    seen = compare(understand(answer), understand({"uncached": 3600, "cached": 30}), 0)
    if answer == {"other": 1}:
        assert (seen.state, seen.observed) == (
            State.FAIL, "your answer has no value for 'uncached'",
        )  # fmt: skip
    else:
        assert seen.state is State.NOT_STARTED
        assert seen.expected == "a dict with the keys 'uncached' and 'cached'"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({"a", "b"}, "your prediction has the type set"),
        (object(), "your prediction has the type object"),
        (b"a", "your prediction has the type bytes"),
        (["a", {"b"}], "row 2 has a value of type set"),
        ([["a", ["b"]]], "row 1 has a value of type list"),
        ({"a": [1]}, "a has a value of type list"),
        ((name for name in "ab"), "your prediction has the type generator"),
        (pd.DataFrame({"a": [pd.NaT]}), "row 1 has a value of type NaTType"),
    ],
)
def test_what_is_not_understood_is_said(answer: Any, what: str) -> None:
    with pytest.raises(NotUnderstoodError, match=what) as raised:
        understand(answer)
    assert "a number or text" in raised.value.expected


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("30s", State.PASS), ("30 seconds", State.PASS), (["30 S"], State.PASS),
        ("31s", State.FAIL), ("30 min", State.FAIL), ("30ss", State.FAIL), ("s", State.FAIL),
    ],
)  # fmt: skip
def test_a_unit_may_stand_behind_a_number(answer: Any, state: State) -> None:
    bare = without_units(understand(answer), ("s", "seconds"))
    assert compare(bare, understand(30), 0).state is state
    keyed = without_units(understand({"cached": "30s", "uncached": 3600}), ("s",))
    seen = understand({"uncached": 3600, "cached": 30})
    assert compare(keyed, seen, 0).state is State.PASS


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(ANYTHING, ANYTHING)
def test_whatever_is_answered_is_compared_or_not_understood(answer: Any, seen: Any) -> None:
    try:
        one, other = understand(answer), understand(seen)
    except NotUnderstoodError as error:
        assert "cannot be read" in error.seen
        return
    columns = min((len(row) for row in other.rows), default=1)
    assert compare(one, other, max(0, columns - 1)).state in (
        State.PASS, State.FAIL, State.NOT_STARTED,
    )  # fmt: skip
    assert compare(other, other, 0).state is State.PASS
