from dataclasses import replace

import dns.name
import dns.resolver
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eksnet.dns import (
    PROFILES,
    Reply,
    ResolvConf,
    autopath,
    candidates,
    compare,
    first_difference,
    given_answers,
    pod_resolv_conf,
    remedies,
    search_walk,
)
from eksnet.dns import marks as dns_marks
from eksnet.dns.walk import walk
from eksnet.errors import EksnetError

OPS = pod_resolv_conf("ops-ns")
LABEL = st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=7).map(".".join)


def marks(walk):
    return [(query.name, query.mark) for query in walk]


def test_the_documents_first_example():
    assert marks(search_walk("my-service", OPS)) == [
        ("my-service.ops-ns.svc.cluster.local", "X"),
        ("my-service.svc.cluster.local", "X"),
        ("my-service.cluster.local", "X"),
        ("my-service.ap-northeast-2.compute.internal", "X"),
        ("my-service", "X"),
    ]


def test_the_documents_second_example():
    walk = search_walk("my-service.app-ns", OPS, {"my-service.app-ns.svc.cluster.local"})
    assert marks(walk) == [
        ("my-service.app-ns.ops-ns.svc.cluster.local", "X"),
        ("my-service.app-ns.svc.cluster.local", "O"),
    ]
    assert walk.query_count == 4


@pytest.mark.parametrize(
    ("profile", "name", "first", "count"),
    [
        ("glibc", "a.b.c.d.e.f", "a.b.c.d.e.f", 5),
        ("musl", "a.b.c.d.e.f", "a.b.c.d.e.f", 1),
        ("go", "a.b.c.d.e.f", "a.b.c.d.e.f", 5),
        ("busybox", "my-service.app-ns", "my-service.app-ns", 1),
        ("busybox", "my-service", "my-service.ops-ns.svc.cluster.local", 4),
    ],
)
def test_where_resolvers_differ(profile, name, first, count):
    asked = candidates(name, OPS, profile)
    assert (asked[0], len(asked)) == (first, count)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_final_dot_asks_once(profile):
    assert candidates("example.com.", OPS, profile) == ("example.com",)


def test_an_unknown_profile_is_named():
    with pytest.raises(EksnetError, match="windows"):
        candidates("a", OPS, "windows")


SEARCH = st.lists(st.lists(LABEL, min_size=1, max_size=3).map(".".join), max_size=4)
NDOTS = st.integers(0, 8)


def dnspythons(name, search, ndots):
    """Return the names that dnspython tries: its own rules, not ours."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.search = [dns.name.from_text(domain) for domain in search]
    resolver.ndots = ndots
    wanted = dns.name.from_text(name, origin=None)
    return tuple(str(full).rstrip(".") for full in resolver._get_qnames_to_try(wanted, True))


@given(NAME, SEARCH, NDOTS, st.sampled_from(["glibc", "go"]), st.booleans())
def test_glibcs_and_gos_order_is_dnspythons(name, search, ndots, profile, final_dot):
    name += "." * final_dot
    conf = ResolvConf(search=tuple(search), ndots=ndots)
    assert candidates(name, conf, profile) == dnspythons(name, search, ndots)


@given(NAME, SEARCH, NDOTS)
def test_musls_order_is_dnspythons_up_to_a_name_as_it_is(name, search, ndots):
    theirs = dnspythons(name, search, ndots)
    # dnspython goes on to the list after a name with dots enough; musl does not.
    ours = theirs[:1] if name.count(".") >= ndots else theirs
    assert candidates(name, ResolvConf(search=tuple(search), ndots=ndots), "musl") == ours


@given(NAME, SEARCH, NDOTS)
def test_busyboxs_order_is_dnspythons_without_ndots(name, search, ndots):
    conf = ResolvConf(search=tuple(search), ndots=ndots)
    asked = candidates(name, conf, "busybox")
    if "." in name or not search:
        assert asked == (name,)
    else:
        assert (*asked, name) == dnspythons(name, search, 1)


def test_where_dnspython_parts_from_glibc():
    # A root in the list: glibc asks the name as it is in that place, and then not again at the end.
    assert dnspythons("a", ["b", ".", "c"], 1) == ("a.b", "a", "a.c", "a")
    assert candidates("a", ResolvConf(search=("b", ".", "c"))) == ("a.b", "a", "a.c")
    assert candidates("a", ResolvConf(search=("b", ".", "c")), "go") == ("a.b", "a.c", "a")


@given(NAME, st.data())
def test_a_walk_ends_at_its_first_answer(name, data):
    asked = candidates(name, OPS)
    exists = data.draw(st.sets(st.sampled_from(asked)))
    walk = search_walk(name, OPS, exists)
    assert [q.answered for q in walk][:-1] == [False] * (len(walk) - 1)
    assert walk[-1].answered == bool(exists)
    assert walk.names == asked[: len(walk)]


FIRST, SECOND = "a.ops-ns.svc.cluster.local", "a.svc.cluster.local"


@pytest.mark.parametrize(
    ("reply", "goes_on"),
    [
        ("NXDOMAIN", {"glibc", "musl", "go", "busybox"}),
        ("NODATA", {"glibc", "go", "busybox"}),
        ("SERVFAIL", {"glibc", "go", "busybox"}),
        ("REFUSED", {"go", "busybox"}),
        ("TIMEOUT", {"go", "busybox"}),
        ("answer", {"busybox"}),
    ],
)
def test_who_goes_on_to_the_second_name(reply, goes_on):
    walks = {
        profile: search_walk("a", OPS, profile=profile, answers={FIRST: reply})
        for profile in PROFILES
    }
    assert {profile for profile, walk in walks.items() if SECOND in walk.names} == goes_on
    assert {profile for profile, walk in walks.items() if walk.found} == (
        set(PROFILES) if reply == "answer" else set()
    )
    # glibc alone tries the name as it is once more when it leaves the list.
    assert ("a" in walks["glibc"].names) == (reply != "answer")
    assert ("a" in walks["musl"].names) == (reply == "NXDOMAIN")


@pytest.mark.parametrize(
    ("profile", "answers", "mark", "why"),
    [
        ("glibc", {FIRST: "answer"}, "O", f"the answer for {FIRST} has an address"),
        ("glibc", {FIRST: "REFUSED"}, "REFUSED",
         f"after REFUSED for {FIRST} glibc skips the rest of the list"),
        ("glibc", {(FIRST, "A"): "TIMEOUT", (FIRST, "AAAA"): "answer"}, "A TIMEOUT, AAAA O",
         f"after TIMEOUT for {FIRST} glibc skips the rest of the list"),
        ("musl", {(FIRST, "A"): "answer", (FIRST, "AAAA"): "SERVFAIL"}, "A O, AAAA SERVFAIL",
         f"musl stops after SERVFAIL for {FIRST}"),
        ("musl", {FIRST: "NODATA"}, "NODATA", f"musl stops after NODATA for {FIRST}"),
        ("go", {(FIRST, "A"): "NODATA"}, "A NODATA, AAAA X", "no name is left to query"),
        ("busybox", {}, "X", "busybox nslookup queries all names, whatever the answers are"),
    ],
)  # fmt: skip
def test_the_mark_and_the_reason(profile, answers, mark, why):
    walk = search_walk("a", OPS, profile=profile, answers=answers)
    assert (walk[0].name, walk[0].mark, walk.why) == (FIRST, mark, why)
    assert walk.rows[0] == ("1", FIRST, mark)


def test_a_root_in_the_list_is_not_the_name_tried_first():
    # Seen by the conformance suite at random: after a refusal in that place glibc stops.
    conf = ResolvConf(search=(".", "b"), ndots=5)
    assert search_walk("a", conf, answers={"a": "REFUSED"}).names == ("a",)
    dotted = ResolvConf(search=("b",), ndots=0)
    assert search_walk("a", dotted, answers={"a": "REFUSED"}).names == ("a", "a.b")


def test_the_other_reasons():
    assert search_walk("a.", OPS).why == "final dot: the name is complete, no domain is appended"
    assert search_walk("a.b", OPS.with_option("ndots", "1"), profile="musl").why == (
        "musl queries this name without the search list"
    )


def test_every_mark_is_explained():
    explained = {mark for mark, _ in dns_marks().rows}
    assert explained == {reply.mark for reply in Reply}


@pytest.mark.parametrize("name", ["", "a b", "a\\b", "a\n", "-a"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(EksnetError, match="name"):
        search_walk(name, OPS)


def test_a_name_is_known_however_it_is_written():
    reply = given_answers({"A.Example."}, {("B.example", "AAAA"): "SERVFAIL"})
    assert [reply("a.example", kind) for kind in ("A", "AAAA")] == [Reply.ANSWER, Reply.NODATA]
    assert [reply("b.EXAMPLE.", kind) for kind in ("A", "AAAA")] == [Reply.NXDOMAIN, Reply.SERVFAIL]


@pytest.mark.parametrize(
    ("name", "full", "profile"),
    [
        ("é", r"\195\169.app-ns", "musl"),
        ("É", r"\195\137.app-ns", "busybox"),
        ("é", "xn--9ca.app-ns", "glibc"),
        ("a@b", r"a\@b.app-ns", "busybox"),
        (".", ".", "go"),
    ],
)
def test_a_name_that_is_no_hosts_may_have_an_answer_too(name, full, profile):
    conf = ResolvConf(search=("app-ns",))
    assert search_walk(name, conf, profile=profile, answers={full: "answer"}).found
    assert search_walk(name, conf, {full}, profile).found
    assert not search_walk(name, conf, profile=profile).found


def test_an_answer_may_be_a_function():
    walk = search_walk("a", OPS, answers=lambda name, kind: Reply.NODATA)
    assert {query.mark for query in walk} == {"NODATA"}


@given(NAME, st.data())
def test_autopath_makes_one_row_of_every_walk_that_finds(name, data):
    short = name.count(".") < OPS.ndots
    exists = data.draw(st.sets(st.sampled_from(candidates(name, OPS)), min_size=1))
    replies = autopath(OPS, given_answers(exists))
    assert len(search_walk(name, OPS, answers=replies)) == 1 or not short


def test_autopath_saves_nothing_where_nothing_is_found():
    walk = search_walk("a", OPS, answers=autopath(OPS, given_answers()))
    assert walk.names == candidates("a", OPS)
    nowhere = ResolvConf(("10.100.0.10",))
    assert search_walk("a", nowhere, answers=autopath(nowhere, given_answers({"a"}))).found


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=40)
@given(name=NAME, search=SEARCH, ndots=NDOTS, data=st.data())
def test_a_walk_asks_its_candidates_and_counts_its_queries(profile, name, search, ndots, data):
    conf = ResolvConf(search=tuple(search), ndots=ndots)
    asked = candidates(name, conf, profile)
    replies = data.draw(
        st.dictionaries(
            st.tuples(st.sampled_from(asked), st.sampled_from(["A", "AAAA"])),
            st.sampled_from(list(Reply)),
        )
    )
    walk = search_walk(name, conf, profile=profile, answers=replies)
    assert set(walk.names) <= set(asked)
    assert walk.query_count >= len(walk.questions) >= len(walk) >= 1
    assert walk.why


def test_the_four_resolvers_side_by_side():
    table = compare("my-service.app-ns", OPS, {"my-service.app-ns.svc.cluster.local"})
    assert [(row[0], row[1], row[3]) for row in table.rows] == [
        ("glibc", "2", "yes"), ("musl", "2", "yes"), ("go", "2", "yes"), ("busybox", "1", "no"),
    ]  # fmt: skip
    assert [walk.names for walk in table] == [
        search_walk("my-service.app-ns", OPS, {"my-service.app-ns.svc.cluster.local"}, p).names
        for p in PROFILES
    ]


def test_what_saves_queries_can_cost_the_answer():
    table = remedies("my-service.app-ns", OPS, {"my-service.app-ns.svc.cluster.local"}, "musl")
    found = {row[0]: row[-1] for row in table.rows}
    # With ndots:1 musl never goes along the list, and a final dot is an absolute name to all.
    assert found == {
        "ndots:5": "yes", "ndots:2": "yes", "ndots:1": "no", "a final dot": "no",
        "autopath": "yes", "NodeLocal DNSCache": "yes",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "conf", "to_coredns"),
    [
        # Three names under cluster.local for A and AAAA; the region's and the bare one go past it.
        ("example.com", OPS, "6, and 4 to the VPC; then cached"),
        ("example.com", pod_resolv_conf("a", domain="corp"), "6, and 4 to the VPC; then cached"),
        ("kubernetes.default.svc.cluster.local.", OPS, "2, then cached"),
        ("10.0.100.10.in-addr.arpa.", OPS, "2, then cached"),
        ("example.com.", OPS, "0, and 2 to the VPC; then cached"),
        ("notcluster.local.", OPS, "0, and 2 to the VPC; then cached"),
    ],
)
def test_a_cache_on_the_node_asks_coredns_for_the_clusters_names_alone(name, conf, to_coredns):
    conf = ResolvConf(conf.nameservers, (), 0) if name.endswith(".") else conf
    cells = {row[0]: row[3] for row in remedies(name, conf).rows}
    assert cells["NodeLocal DNSCache"] == to_coredns


def test_ndots_2_saves_queries_for_names_with_two_dots_and_loses_no_service():
    names = {"api.example.com": 1, "example.com": 5, "my-service.app-ns": 2}
    found = set(names) | {"my-service.app-ns.svc.cluster.local"}
    for name, count in names.items():
        table = remedies(name, OPS, found, "musl")
        row = next(row for row in table.rows if row[0] == "ndots:2")
        assert (row[1], row[-1]) == (str(count), "yes")


def test_a_domain_twice_shares_busyboxs_resends():
    conf = ResolvConf(search=("a", "b", "c", "d", "b"))
    fails = {("n.a", "AAAA"): "SERVFAIL", ("n.b", "AAAA"): "SERVFAIL"}
    walk = search_walk("n", conf, profile="busybox", answers=fails)
    # Ten questions, and two resends for each of them in all.
    assert walk.query_count == 10 + 20


def rows_of(*rows):
    return walk([(name, mark == "O") for name, mark in (row.split() for row in rows)])


@pytest.mark.parametrize(
    ("observed", "in_turn", "at_once"),
    [
        (("K.a X", "K.b O", "K X"), 0, 0),
        (("k.A X", "k.b O", "k X"), 0, 0),
        (("k.a X", "k X", "k.b O"), 2, 0),
        (("k.a X", "k.b X", "k X"), 2, 2),
        (("k.a X", "k.b O"), 3, 3),
        (("k.a X", "k.b O", "k X", "k X"), 4, 4),
        ((), 1, 1),
    ],
)
def test_where_an_observation_is_not_as_predicted(observed, in_turn, at_once):
    predicted = rows_of("K.a X", "K.b O", "K X")
    assert first_difference(predicted, rows_of(*observed)) == in_turn
    assert first_difference(replace(predicted, in_turn=False), rows_of(*observed)) == at_once


def test_busybox_alone_sends_all_names_at_once():
    walks = {profile: search_walk("a", OPS, profile=profile) for profile in PROFILES}
    assert {profile for profile, walk in walks.items() if not walk.in_turn} == {"busybox"}
