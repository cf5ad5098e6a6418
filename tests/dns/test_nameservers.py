"""Several nameservers: where each real resolver sends its queries, beside the model."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from real_resolvers import Case

from eksnet.dns import PROFILES, Reply, ResolvConf, pod_resolv_conf, search_walk

ONE, TWO, THREE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
NETWORKS = 16
# One that does not answer costs a second; busybox has 10 s of its own.
OPTIONS = ("ndots:5", "timeout:1", "attempts:2")
ANSWERS = {"a.c A": "answer", "a.c AAAA": "NODATA"}
CASES = {
    "all answer": ((ONE, TWO), ()),
    "three": ((ONE, TWO, THREE), ()),
    "the first is silent": ((ONE, TWO), (ONE,)),
    "the second is silent": ((ONE, TWO), (TWO,)),
    "two of three are silent": ((ONE, TWO, THREE), (ONE, TWO)),
    "none answers": ((ONE, TWO), (ONE, TWO)),
}


def conf(servers: tuple[str, ...]) -> ResolvConf:
    return ResolvConf(servers, ("b", "c"), 5, OPTIONS)


@pytest.fixture(scope="module")
def seen(networks):
    """What each resolver does in each case."""
    asked = [
        (profile, what, Case(profile, "a", conf(servers), ANSWERS, "", servers, silent))
        for (what, (servers, silent)), profile in itertools.product(CASES.items(), PROFILES)
    ]
    found = networks.look_up([case for *_, case in asked])
    return {(p, what): one for (p, what, _), one in zip(asked, found, strict=True)}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("what", CASES)
def test_queries_go_where_the_model_says(seen, profile, what):
    servers, silent = CASES[what]
    answers = {tuple(key.split()): reply for key, reply in ANSWERS.items()}
    walk = search_walk("a", conf(servers), profile=profile, answers=answers, silent=silent)
    real = seen[profile, what]
    came = Counter(
        (kind, name, server)
        for (kind, name, _), server in zip(real.queries, real.servers, strict=True)
    )
    said = Counter((q.rdtype, q.name, to) for q in walk.questions for to in q.servers)
    assert said == came
    assert walk.query_count == len(real.queries)
    assert walk.found == ("192.0.2.1" in real.output) == (what != "none answers")


def test_with_one_nameserver_nothing_is_said_of_servers():
    walk = search_walk("a", pod_resolv_conf("ops-ns"))
    assert {question.servers for question in walk.questions} == {()}


def test_one_nameserver_that_does_not_answer_is_a_lost_query():
    walk = search_walk("a", ResolvConf(("10.0.0.2",)), silent=("10.0.0.2",))
    assert {question.reply for question in walk.questions} == {Reply.TIMEOUT}
    assert not walk.found


@pytest.mark.parametrize(("profile", "queries"), [("glibc", 2), ("musl", 6), ("go", 2)])
def test_musl_asks_all_at_once(profile, queries):
    servers = ("10.0.0.2", "10.0.0.3", "10.0.0.4")
    walk = search_walk("a.b.c", ResolvConf(servers), {"a.b.c"}, profile)
    assert walk.query_count == queries
