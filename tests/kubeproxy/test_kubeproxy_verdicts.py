"""The share test and the version skew policy."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet.errors import EksnetError
from eksnet.kubeproxy import fair_share, version_skew
from eksnet.kubeproxy.shares import LEVEL, chi_square_tail, least_requests


@pytest.mark.parametrize(
    ("statistic", "degrees", "tail"),
    [
        # The 5 % and 0.1 % points of chi-square, as tables print them to three digits.
        (3.841, 1, 0.05),
        (5.991, 2, 0.05),
        (7.815, 3, 0.05),
        (9.488, 4, 0.05),
        (18.307, 10, 0.05),
        (10.828, 1, 0.001),
        (13.816, 2, 0.001),
        (16.266, 3, 0.001),
        (20.515, 5, 0.001),
    ],
)
def test_the_tail_of_chi_square(statistic, degrees, tail):
    assert math.isclose(chi_square_tail(statistic, degrees), tail, rel_tol=2e-3)


def test_an_even_share_is_called_so_and_shows_no_counts():
    share = fair_share({"a": 34, "b": 31, "c": 35})
    assert share.fair
    assert repr(share) == (
        "fits an even share of 1/3 for each of 3 backends (chi-square, level 0.000001)"
    )
    assert dict(share.counts) == {"a": 34, "b": 31, "c": 35}
    assert repr(fair_share({"a": 33, "b": 33, "c": 34})) == repr(share)


def test_an_uneven_share_is_called_so():
    share = fair_share(["a"] * 60 + ["b"] * 20 + ["c"] * 20)
    assert not share.fair
    assert repr(share).startswith("does not fit an even share of 1/3")


def test_a_backend_that_is_never_reached_counts():
    assert not fair_share({"a": 50, "b": 50}, ["a", "b", "c"]).fair
    assert not fair_share({"a": 50, "b": 50}, 3).fair
    assert fair_share({"a": 50, "b": 50}, 2).fair


def test_one_backend_alone_is_fair():
    assert fair_share({"a": 5}).fair


def test_few_even_choices_are_called_uneven():
    dice = random.Random(1)
    verdicts = [fair_share(dice.choices("abc", k=90), "abc").fair for _ in range(3000)]
    # At a level of 1 in 1000, two of these very choices are called uneven.
    assert all(verdicts)
    assert LEVEL == 1e-6


@pytest.mark.parametrize(("backends", "least"), [(0, 1), (1, 5), (2, 24), (3, 56), (10, 404)])
def test_so_few_requests_show_a_silent_backend(backends: int, least: int):
    assert least_requests(backends) == least


@given(st.integers(2, 40))
def test_a_silent_backend_is_seen_whenever_a_verdict_is_given(backends: int):
    spoken = backends - 1
    requests = -(-least_requests(backends) // spoken) * spoken
    assert not fair_share(dict.fromkeys(range(spoken), requests // spoken), backends).fair


@pytest.mark.parametrize(
    ("answers", "backends", "seen"),
    [
        ({"a": 4, "b": 4}, None, "8 requests for 2 backends"),
        ({"a": 23}, 2, "23 requests for 2 backends"),
        ({"a": 27, "b": 28}, 3, "55 requests for 3 backends"),
        ({}, None, "0 requests for 0 backends"),
        ({"a": 9, "z": 1}, ["a", "b"], "unknown backends answered: z"),
        ({"a": 9, "z": 9}, 1, "2 backends answered"),
    ],
)
def test_answers_that_cannot_be_judged(answers, backends, seen):
    with pytest.raises(EksnetError, match=seen):
        fair_share(answers, backends)


@pytest.mark.parametrize(
    ("proxy", "kubelet", "server", "allowed"),
    [
        ("v1.35.4-eksbuild.1", "v1.35.4", "v1.35.4", True),
        ("1.31", "1.34", "1.34", True),
        ("1.30", "1.33", "1.34", False),
        ("1.35", "1.34", "1.34", False),
        ("1.31", "1.27", "1.31", False),
        ("1.32", "1.35", "1.35", True),
        # Before 1.25 it was two.
        ("1.24", "1.26", "1.26", True),
        ("1.24", "1.27", "1.27", False),
    ],
)
def test_the_version_skew_policy(proxy, kubelet, server, allowed):
    assert version_skew(proxy, kubelet, server).allowed is allowed


def test_the_rule_that_is_broken_is_shown():
    found = version_skew("1.35", "1.34", "1.34")
    assert [one.rule for one in found if not one.kept] == ["not newer than the API server"]


@pytest.mark.parametrize("text", ["", "latest", "v2.0", "1.x"])
def test_what_is_no_version(text):
    with pytest.raises(EksnetError, match="is not a version"):
        version_skew(text, "1.34", "1.34")
