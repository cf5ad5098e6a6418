import dns.name
import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet.dns import PROFILES, ResolvConf, candidates, pod_resolv_conf, search_walk
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
    assert walk.packets == 4


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


@given(NAME, st.lists(LABEL, max_size=4), st.integers(0, 6))
def test_glibc_order_is_dnspythons(name, search, ndots):
    resolver = dns.resolver.Resolver(configure=False)
    resolver.search = [dns.name.from_text(domain) for domain in search]
    resolver.ndots = ndots
    relative = dns.name.from_text(name, origin=None)
    theirs = [str(q).rstrip(".") for q in resolver._get_qnames_to_try(relative, True)]
    assert list(candidates(name, ResolvConf(search=tuple(search), ndots=ndots))) == theirs


@given(NAME, st.data())
def test_a_walk_ends_at_its_first_answer(name, data):
    asked = candidates(name, OPS)
    exists = data.draw(st.sets(st.sampled_from(asked)))
    walk = search_walk(name, OPS, exists)
    assert [q.answered for q in walk][:-1] == [False] * (len(walk) - 1)
    assert walk[-1].answered == bool(exists)
    assert walk.names == asked[: len(walk)]
