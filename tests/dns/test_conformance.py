"""The model beside the real resolvers: every query in order, for names and answers at random.

glibc is what `getent ahosts` uses, musl and Go are small programs that are built here, busybox is
its nslookup. The real one is right. A and AAAA of one name leave together, so within a row only
their number is compared; where one follows the other, in busybox and with `single-request`, their
order counts too.

A reply that never comes costs a second, ten with busybox; so lookups wait in many networks side by
side. `make soak` has many more of them; with SOAK_SEED it repeats a run.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter
from dataclasses import replace

import pytest
from real_resolvers import Case, Networks, Seen, musl_version

from eksnet.cluster import Exec
from eksnet.coredns.resolvers import program_of
from eksnet.dns import PROFILES, Reply, ResolvConf, Walk, candidates, profiles, search_walk
from eksnet.dns.profiles import Verdict

NETWORKS = 32
COUNT, SOAK_COUNT = 500, 4000
LABELS = ("a", "bb", "my-service", "app-ns", "ops-ns", "svc", "cluster", "example", "com")
# busybox takes its list for names without a dot alone, musl for those with fewer than ndots.
DOTS = {
    "glibc": range(7),
    "go": range(7),
    "musl": (0,) * 9 + (1, 1, 4),
    "busybox": (0,) * 9 + (1, 3),
}
# What is answered at once; musl takes nothing else for an answer, and waits.
PROMPT = {"NXDOMAIN": 8, "NODATA": 4, "answer": 1, "SERVFAIL": 2, "REFUSED": 1}
PROMPT_FOR_MUSL = {"NXDOMAIN": 15, "NODATA": 1, "answer": 1}
WAITED_FOR = {"NXDOMAIN": 12, "NODATA": 2, "answer": 1, "SERVFAIL": 2, "REFUSED": 2, "TIMEOUT": 4}
SHARE_OF_WAITS = {"glibc": 0.4, "musl": 0.7, "go": 0.4, "busybox": 0.4}
# How many of the 500 walks have each reply in them, more than one row, and both that and TIMEOUT.
OFTEN, LONG, LOST_IN_A_LIST = 50, 175, 40
# The least patient is musl, which asks again after half a second; what it waits for beside the
# server's answer is not seen.
LATE = 0.2
ROUNDS = 10
ADDRESSES = ("192.0.2.1", "2001:db8::1")
SERVER = "127.0.0.1"
PATIENT = ("timeout:30", "attempts:2")
ONE_BY_ONE = {"single-request", "single-request-reopen"}
# glibc takes any word that begins so; the others do not know it.
A_ALONE = ("no-aaaa", "no-aaaax", "no-aaa")


def drawn(chance: random.Random, profile: str, waits: bool) -> Case:
    name = ".".join(chance.choices(LABELS, k=1 + chance.choice(DOTS[profile])))
    options = list(PATIENT)
    if waits:
        options = ["timeout:1", f"attempts:{chance.choice((1, 1, 1, 1, 2))}"]
    if (ndots := chance.choice((None, 0, 1, 2, 3, 4, 5, 6, 15))) is not None:
        options.append(f"ndots:{ndots}")
    if chance.random() < 0.2:
        options.append(chance.choice(sorted(ONE_BY_ONE)))
    if chance.random() < 0.15:
        options.append(chance.choice(A_ALONE))
    conf = ResolvConf.parse(
        ResolvConf(("127.0.0.1",), search_list(chance, profile, waits), 1, tuple(options)).render()
    )
    replies = PROMPT_FOR_MUSL if profile == "musl" else PROMPT
    replies = WAITED_FOR if waits else replies
    answers = {}
    for full in dict.fromkeys((*candidates(name, conf), *candidates(name, conf, "busybox"))):
        a, aaaa = chance.choices(list(replies), list(replies.values()), k=2)
        answers[f"{full} A"] = a
        answers[f"{full} AAAA"] = a if chance.random() < 0.5 else aaaa
    return Case(profile, name + "." * (chance.random() < 0.1), conf, answers)


def search_list(chance: random.Random, profile: str, waits: bool) -> tuple[str, ...]:
    count = chance.choice((0, 1, 2, 2, 3, 3) if waits else range(6))
    domains = [".".join(chance.choices(LABELS, k=chance.randint(1, 4))) for _ in range(count)]
    # A root: musl before 1.2.4 and busybox make no query of it that a server understands.
    if profile in ("glibc", "go") and chance.random() < 0.08:
        domains.insert(chance.randint(0, count), ".")
    if chance.random() < 0.05:
        domains += [f"{'long' * 12}.{n}" for n in range(3 + chance.randint(0, 3))]
    return tuple(domains)


def cases(seed: object, profile: str, count: int) -> list[Case]:
    """Return cases, those that wait first: they last longest."""
    chance = random.Random(f"{seed} {profile}")
    waiting = count * SHARE_OF_WAITS[profile]
    return [drawn(chance, profile, n < waiting) for n in range(count)]


def predicted(case: Case) -> Walk:
    answers = {tuple(key.split()): reply for key, reply in case.answers.items()}
    return search_walk(case.name, case.conf, profile=case.profile, answers=answers)


def by_row(queries: list[tuple[str, str]]) -> list[tuple[str, Counter[str]]]:
    """Return each name that is asked, with the number of queries for each type, in order."""
    rows = itertools.groupby(queries, key=lambda query: query[1].lower())
    return [(name, Counter(kind for kind, _ in row)) for name, row in rows]


def in_turn(queries: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], Counter]:
    """Return each query once, in order, and how often each was sent."""
    return list(dict.fromkeys(queries)), Counter(queries)


def shape(case: Case, queries: list[tuple[str, str]]) -> tuple[object, ...]:
    """Return what of the queries is certain."""
    if case.profile == "busybox":
        return in_turn(queries)
    one_by_one = case.profile in ("glibc", "go") and ONE_BY_ONE.intersection(case.conf.options)
    return by_row(queries), in_turn(queries) if one_by_one else None


def parting(case: Case, seen: Seen) -> str:
    """Return where the model and the real resolver part; nothing when they do not."""
    walk = predicted(case)
    expected = shape(case, [(q.rdtype, q.name) for q in walk.questions for _ in range(q.sent)])
    observed = shape(case, [(kind, name) for kind, name, _ in seen.queries])
    found = any(address in seen.output for address in ADDRESSES)
    if expected == observed and walk.found == found:
        return ""
    return (
        f"{case.profile} {case.name}\n{case.conf!r}\nanswers {dict(case.answers)}\n"
        f"predicted {walk.found} {expected}\nobserved  {found} {observed}\n"
    )


def assert_alike(networks: Networks, asked: list[Case]) -> list[Seen]:
    """Compare, and return what was seen.

    A lookup that the busy computer answered late is made anew, whatever came of it.
    """
    seen: dict[int, Seen] = {}
    for _ in range(ROUNDS):
        left = [n for n in range(len(asked)) if n not in seen]
        made = zip(left, networks.look_up([asked[n] for n in left]), strict=True)
        seen |= {n: one for n, one in made if one.longest < LATE}
    assert len(seen) == len(asked), "the computer is too busy to tell"
    partings = [text for n, one in seen.items() if (text := parting(asked[n], one))]
    assert not partings, f"{len(partings)} of {len(asked)} part:\n" + "\n".join(partings[:5])
    return [seen[n] for n in range(len(asked))]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_query_is_as_predicted(networks, profile):
    assert_alike(networks, cases("quick", profile, COUNT))


@pytest.mark.parametrize("profile", PROFILES)
def test_each_resolver_meets_every_reply_often_and_lost_ones_along_a_list(profile):
    walks = [predicted(case) for case in cases("quick", profile, COUNT)]
    replies = [{question.reply for question in walk.questions} for walk in walks]
    met = Counter(itertools.chain.from_iterable(replies))
    assert {reply: met[reply] for reply in Reply if met[reply] < OFTEN} == {}
    long = [met for walk, met in zip(walks, replies, strict=True) if len(walk) > 1]
    assert len(long) >= LONG
    assert sum(Reply.TIMEOUT in met for met in long) >= LOST_IN_A_LIST


@pytest.mark.parametrize("profile", PROFILES)
def test_no_reply_adds_a_question_to_those_that_nxdomain_leads_to(profile):
    # `coredns.look_up` asks the cluster's DNS these alone.
    for case in cases("quick", profile, COUNT):
        every = search_walk(case.name, case.conf, profile=profile).questions
        asked = {(one.name, one.rdtype) for one in predicted(case).questions}
        assert asked <= {(one.name, one.rdtype) for one in every}, case


def test_glibc_asks_otherwise_once_it_has_lost_an_aaaa(networks):
    # Rare at random: the first loss is asked for again, one type after the other; the second from
    # a fresh socket, and from then on no more than once.
    conf = ResolvConf.parse("search b c d\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    lost = {f"{full} AAAA": "TIMEOUT" for full in ("a.b", "a.c", "a.d")}
    case = Case("glibc", "a", conf, lost)
    (seen,) = assert_alike(networks, [case])
    assert len(seen.queries) > 8


LONG_LABEL = "x" * 64
# 243 characters; with one of ten more it is as long as a name may be.
LONG_NAME = ".".join(["y" * 60] * 4)
NAMES = (
    *("a..b", "..", ".", "a.b..", ".a", "a..", "redis..svc.cluster.local"),
    *(LONG_LABEL, f"{LONG_LABEL}.q", f"{LONG_LABEL}.q.r.", "n" * 63, f"{'n' * 50}.{'m' * 10}"),
    *(LONG_NAME, f"{LONG_NAME}.zzzzz", *(f"{LONG_NAME}.{'z' * n}" for n in (9, 10, 11))),
    *(f"{LONG_NAME}.{'z' * 9}.", f"{LONG_NAME}.{'z' * 10}."),
    *("é", "é.x", "ünï.", "É.x", "straße", "한국.example", "日本", "a.é.b.c.d.e", "💩"),
    *("10.0.0.1", "10.1", "1", "0x7f.1", "127.0.0.1.", "1.2.3.4.5", "2001:db8::7", "::1"),
    *("a_b", "*.b", "a@b", "a.-b", "a-.b", "A.B", "x.invalid"),
)


def domain(length):
    """Return a domain of so many characters."""
    return ".".join(["d" * 49] * 3 + ["e" * (length - 150)])


FAIRLY_LONG = 50
LISTS = (
    ("a.b", "c.d"),
    ("a.b", domain(192), "c.d"),
    (domain(192), "a.b"),
    (domain(189), "a.b"),
    ("abcdef.g", "a.b"),
    ("a..b", "c.d"),
    (LONG_LABEL, "c.d"),
)


@pytest.fixture
def musl_of_this_computer(monkeypatch):
    """The model of musl as it was before 1.2.4, where this computer has such a one.

    A name that no query can hold ended its lookups, unless its buffer had no room for the name.
    """
    if musl_version() >= (1, 2, 4):
        return

    def unfit(full):
        return Verdict.GO_ON if len(full) > profiles._MUSL_LINE else Verdict.END

    ask = profiles._in_turn(profiles._judge_musl, unfit, profiles._MUSL_ATTEMPTS)
    monkeypatch.setitem(PROFILES, "musl", replace(PROFILES["musl"], ask=ask))


@pytest.mark.usefixtures("musl_of_this_computer")
@pytest.mark.parametrize("profile", PROFILES)
def test_what_no_query_can_hold_is_left_out_by_each_resolver_in_its_own_way(networks, profile):
    # Lists with a long domain in them are for long names alone.
    asked = [
        Case(profile, name, ResolvConf((SERVER,), search, ndots, (f"ndots:{ndots}", *PATIENT)), {})
        for name in NAMES
        for search in (LISTS if len(name) >= FAIRLY_LONG else LISTS[:1])
        for ndots in ((1, 5) if search == LISTS[0] else (5,))
    ]
    seen = assert_alike(networks, asked)
    silent = {case.name for case, one in zip(asked, seen, strict=True) if not one.queries}
    assert {"a..b", LONG_LABEL} <= silent
    assert ("." in silent) == (profile == "musl")


def test_an_answer_for_an_address_is_its_name(networks):
    conf = ResolvConf(("127.0.0.1",), ("a.b",), 5, ("ndots:5", *PATIENT))
    reverse = "1.0.0.10.in-addr.arpa"
    (seen,) = networks.look_up([Case("busybox", "10.0.0.1", conf, {f"{reverse} PTR": "NODATA"})])
    assert seen.queries == (("PTR", reverse, "udp"),)


@pytest.mark.parametrize(("reply", "found"), [("answer", {"PTR"}), ("NODATA", set())])
def test_what_busybox_prints_of_an_addresss_name_is_read(networks, reply, found):
    conf, reverse = ResolvConf((SERVER,), (), 5, PATIENT), "1.0.0.10.in-addr.arpa"
    (seen,) = networks.look_up([Case("busybox", "10.0.0.1", conf, {f"{reverse} PTR": reply})])
    done = Exec((), seen.output, "", seen.code)
    assert program_of("busybox").found(done) == {(reverse, rdtype) for rdtype in found}


@pytest.mark.soak
@pytest.mark.parametrize("profile", PROFILES)
def test_many_more(networks, profile):
    seed = os.environ.get("SOAK_SEED", time.time_ns() % 10**6)
    print(f"SOAK_SEED={seed}")
    assert_alike(networks, cases(seed, profile, SOAK_COUNT))
