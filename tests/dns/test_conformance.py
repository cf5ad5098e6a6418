"""The model beside the real resolvers: every query in order, for names and answers at random.

glibc is what `getent ahosts` uses, musl and Go are small programs that are built here, busybox is
its nslookup. The real one is right. A and AAAA of one name leave together, so within a row only
their number is compared; busybox alone asks one after the other, and there the order counts too.

A reply that never comes costs a second or more, so `make test` has few of these, and `make soak`
many. With SOAK_SEED, `make soak` repeats a run.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter

import pytest
from real_resolvers import Case, Networks, Seen

from eksnet.dns import PROFILES, ResolvConf, candidates, search_walk

NETWORKS = 16
QUICK, SLOW = 500, 24
SOAK_QUICK, SOAK_SLOW = 3000, 250
LABELS = ("a", "bb", "my-service", "app-ns", "ops-ns", "svc", "cluster", "example", "com")
QUICK_REPLIES = {"NXDOMAIN": 8, "NODATA": 4, "answer": 1, "SERVFAIL": 2, "REFUSED": 1}
# musl waits for another reply after these, until its time is over.
MUSL_QUICK_REPLIES = {"NXDOMAIN": 8, "NODATA": 1, "answer": 1}
SLOW_REPLIES = {"NXDOMAIN": 6, "NODATA": 2, "answer": 1, "SERVFAIL": 2, "REFUSED": 1, "silence": 4}
ADDRESSES = ("192.0.2.1", "2001:db8::1")
PATIENT = ("timeout:30", "attempts:2")


def drawn(chance: random.Random, profile: str, slow: bool) -> Case:
    name = ".".join(chance.choices(LABELS, k=chance.randint(1, 7)))
    options = list(PATIENT)
    if slow:
        options = ["timeout:1", f"attempts:{chance.choice((1, 1, 1, 2))}"]
    if (ndots := chance.choice((None, 0, 1, 2, 3, 4, 5, 6, 15))) is not None:
        options.append(f"ndots:{ndots}")
    if chance.random() < 0.1:
        options.append(chance.choice(("single-request", "single-request-reopen")))
    conf = ResolvConf.parse(
        ResolvConf(("127.0.0.1",), search_list(chance, profile, slow), 1, tuple(options)).render()
    )
    replies = SLOW_REPLIES if slow else QUICK_REPLIES
    if profile == "musl" and not slow:
        replies = MUSL_QUICK_REPLIES
    answers = {}
    for full in dict.fromkeys((*candidates(name, conf), *candidates(name, conf, "busybox"))):
        a, aaaa = chance.choices(list(replies), list(replies.values()), k=2)
        answers[f"{full} A"] = a
        answers[f"{full} AAAA"] = a if chance.random() < 0.5 else aaaa
    return Case(profile, name + "." * (chance.random() < 0.1), conf, answers)


def search_list(chance: random.Random, profile: str, slow: bool) -> tuple[str, ...]:
    count = chance.randint(0, 2 if slow else 5)
    domains = [".".join(chance.choices(LABELS, k=chance.randint(1, 4))) for _ in range(count)]
    # A root: musl before 1.2.4 and busybox make no query of it that a server understands.
    if profile in ("glibc", "go") and chance.random() < 0.08:
        domains.insert(chance.randint(0, count), ".")
    if chance.random() < 0.05:
        domains += [f"{'long' * 12}.{n}" for n in range(3 + chance.randint(0, 3))]
    return tuple(domains)


def cases(seed: object, profile: str, count: int, slow: bool) -> list[Case]:
    chance = random.Random(f"{seed} {profile} {slow}")
    return [drawn(chance, profile, slow) for _ in range(count)]


def by_row(queries: list[tuple[str, str]]) -> list[tuple[str, Counter[str]]]:
    """Return each name that is asked, with the number of queries for each type, in order."""
    rows = itertools.groupby(queries, key=lambda query: query[1].lower())
    return [(name, Counter(kind for kind, _ in row)) for name, row in rows]


def in_turn(queries: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], Counter]:
    """Return each query once, in order, and how often each was sent."""
    return list(dict.fromkeys(queries)), Counter(queries)


def parting(case: Case, seen: Seen) -> str:
    """Return where the model and the real resolver part; nothing when they do not."""
    walk = search_walk(
        case.name,
        case.conf,
        profile=case.profile,
        answers={tuple(key.split()): reply for key, reply in case.answers.items()},
    )
    predicted = [(one.kind, one.name) for one in walk.questions for _ in range(one.sent)]
    observed = [(kind, name) for kind, name, _ in seen.queries]
    shape = in_turn if case.profile == "busybox" else by_row
    found = any(address in seen.output for address in ADDRESSES)
    if shape(predicted) == shape(observed) and walk.found == found:
        return ""
    return (
        f"{case.profile} {case.name}\n{case.conf!r}\nanswers {dict(case.answers)}\n"
        f"predicted {walk.found} {shape(predicted)}\nobserved  {found} {shape(observed)}\n"
    )


def assert_alike(networks: Networks, asked: list[Case]) -> None:
    seen = networks.look_up(asked)
    partings = [parting(case, one) for case, one in zip(asked, seen, strict=True)]
    found = [text for text in partings if text]
    assert not found, f"{len(found)} of {len(asked)} part:\n" + "\n".join(found[:5])
    assert all(one.queries for one in seen)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_query_is_as_predicted(networks, profile):
    assert_alike(networks, cases("quick", profile, QUICK, slow=False))


def test_every_query_is_as_predicted_where_replies_are_lost(networks):
    asked = [case for profile in PROFILES for case in cases("slow", profile, SLOW, slow=True)]
    assert_alike(networks, asked)


def test_glibc_asks_otherwise_once_it_has_lost_an_aaaa(networks):
    # Rare at random: the first loss is asked for again, one type after the other; the second from
    # a fresh socket, and from then on no more than once.
    conf = ResolvConf.parse("search b c d\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    lost = {f"{full} AAAA": "silence" for full in ("a.b", "a.c", "a.d")}
    case = Case("glibc", "a", conf, lost)
    (seen,) = networks.look_up([case])
    assert parting(case, seen) == ""
    assert len(seen.queries) > 8


@pytest.mark.soak
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("count", "slow"), [(SOAK_QUICK, False), (SOAK_SLOW, True)])
def test_many_more(networks, profile, count, slow):
    seed = os.environ.get("SOAK_SEED", time.time_ns() % 10**6)
    print(f"SOAK_SEED={seed}")
    assert_alike(networks, cases(seed, profile, count, slow))
