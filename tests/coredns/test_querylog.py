import pytest

from eksnet.coredns import LoggedQuery, observed_walk, parse_query_log
from eksnet.coredns.configuration import errors, refusal

LOG = """\
.:53
[INFO] plugin/reload: Running configuration SHA512 = 5a1f
CoreDNS-1.14.3
[INFO] 10.0.129.12:38641 - 57054 "A IN my-service.app-ns.ops-ns.svc.cluster.local. udp 60 false 512" NXDOMAIN qr,aa,rd 153 0.0002s
[INFO] 10.0.129.12:38641 - 2 "AAAA IN my-service.app-ns.ops-ns.svc.cluster.local. udp 60 false 512" NXDOMAIN qr,aa,rd 153 0.0002s
[INFO] 10.0.129.12:38642 - 3 "AAAA IN my-service.app-ns.svc.cluster.local. udp 53 false 512" NOERROR qr,aa,rd 146 0.0001s
[INFO] 10.0.129.12:38642 - 4 "A IN my-service.app-ns.svc.cluster.local. udp 53 false 512" NOERROR qr,aa,rd 104 0.0001s
[INFO] 10.0.129.12:38643 - 5 "A IN timeout.app-ns.ops-ns.svc.cluster.local. udp 53 false 512" - - 0 0.0001s
[ERROR] plugin/errors: 2 example.org. A: read udp 10.0.0.2:53: i/o timeout
"""  # noqa: E501


def test_queries_are_read_in_order():
    queries = parse_query_log(LOG)
    assert [query.rdtype for query in queries] == ["A", "AAAA", "AAAA", "A", "A"]
    assert queries[0] == LoggedQuery(
        "10.0.129.12", "A", "my-service.app-ns.ops-ns.svc.cluster.local", "NXDOMAIN"
    )


def test_a_and_aaaa_are_one_row():
    assert observed_walk(parse_query_log(LOG)).rows == (
        ("1", "my-service.app-ns.ops-ns.svc.cluster.local", "X"),
        ("2", "my-service.app-ns.svc.cluster.local", "O"),
        ("3", "timeout.app-ns.ops-ns.svc.cluster.local", "SERVFAIL"),
    )


def logged(*rows):
    return [LoggedQuery("10.0.129.12", rdtype, name, rcode) for rdtype, name, rcode in rows]


@pytest.mark.parametrize(
    ("rcode", "mark"), [("SERVFAIL", "SERVFAIL"), ("REFUSED", "REFUSED"), ("NXDOMAIN", "X"),
                        ("FORMERR", "SERVFAIL"), ("NOERROR", "O"), ("-", "SERVFAIL")],
)  # fmt: skip
def test_each_code_has_its_own_mark(rcode, mark):
    walk = observed_walk(logged(("AAAA", "a", rcode), ("A", "a", rcode)))
    assert [(query.mark, query.answered) for query in walk] == [(mark, mark == "O")]
    assert [question.rdtype for question in walk.questions] == ["A", "AAAA"]


def test_what_the_lookup_found_tells_an_address_from_none():
    queries = logged(
        ("A", "a.svc", "NOERROR"), ("AAAA", "a.svc", "NOERROR"),
        ("AAAA", "a", "NOERROR"), ("A", "a", "NOERROR"),
    )  # fmt: skip
    assert [query.mark for query in observed_walk(queries)] == ["O", "O"]
    assert [query.mark for query in observed_walk(queries, [])] == ["NODATA", "NODATA"]
    found = observed_walk(queries, {"AAAA"})
    assert [query.mark for query in found] == ["NODATA", "O"]
    assert [str(one.reply) for one in found.questions] == ["NODATA", "NODATA", "NODATA", "answer"]


def test_a_query_that_is_sent_again_is_another_packet():
    walk = observed_walk(logged(*[("A", "a", "SERVFAIL")] * 2, ("AAAA", "a", "NOERROR")), [])
    assert (walk.rows, walk.query_count) == ((("1", "a", "A SERVFAIL, AAAA NODATA"),), 3)


def test_nothing_logged_is_no_walk():
    assert len(observed_walk([])) == 0
    assert observed_walk([], {"A"}).query_count == 0


STAMP = "2025-10-01T10:00:00.123456789Z "


@pytest.mark.parametrize(
    "prefix",
    [
        STAMP,
        "[pod/coredns-6d9f/coredns] ",
        f"[pod/coredns-6d9f/coredns] {STAMP}",
        "2019-06-03T12:00:00.123Z ",
        "coredns-6d9f coredns ",
        "coredns-6d9f_kube-system | ",
        "    ",
        "Oct 01 10:00:00 node-a coredns[12]: ",
    ],
)
def test_what_others_put_before_a_line_changes_nothing(prefix):
    # kubectl's --timestamps and --prefix, CoreDNS 1.5, stern, docker compose, a wiki, journald.
    log = "".join(f"{prefix}{line}\n" for line in LOG.splitlines())
    assert parse_query_log(log) == parse_query_log(LOG)
    assert len(parse_query_log(log)) == 5
    assert errors(log) == errors(LOG) == ("plugin/errors: i/o timeout",)
    for refused in (
        "/etc/coredns/Corefile:4 - Error during parsing: Unknown directive 'logg'",
        "plugin/health: /etc/coredns/Corefile:3 - Error during parsing: bad duration",
        "plugin/forward: not an IP address or file: nowhere",
        "[ERROR] Restart failed: plugin/forward: not an IP address or file: nowhere",
    ):
        assert refusal(f"{log}{prefix}{refused}\n") == refusal(f"{LOG}{refused}\n") != ""


@pytest.mark.parametrize(
    ("line", "query"),
    [
        ('[INFO] [2001:db8::1]:38641 - 5 "A IN a.b. udp 60 false 512" NOERROR qr 1 0.1s',
         ("2001:db8::1", "A", "a.b", "NOERROR")),
        ('[INFO] 10.0.0.1:38641 - 5 "TXT CH version.bind. udp 60 false 512" REFUSED qr 1 0.1s',
         ("10.0.0.1", "TXT", "version.bind", "REFUSED")),
        ('[INFO] 10.0.0.1:38641 - 5 "A IN a\\ b\\\\.c. tcp 60 false 512" NXDOMAIN qr 1 0.1s',
         ("10.0.0.1", "A", "a\\ b\\\\.c", "NXDOMAIN")),
        # A name cannot pass for a line of its own.
        ('[INFO] 10.0.0.1:1 - 5 "A IN x[INFO]\\ 6.6.6.6:1\\ -\\ 1\\ \\"a. udp 60 false 9" - - 0 0s',
         ("10.0.0.1", "A", 'x[INFO]\\ 6.6.6.6:1\\ -\\ 1\\ \\"a', "-")),
    ],
)  # fmt: skip
def test_rarer_queries_are_read_too(line, query):
    assert parse_query_log(line) == (LoggedQuery(*query),)


def test_busybox_says_for_which_name_it_found_an_address():
    # All names at once: neither the last one that came nor the order tells.
    queries = logged(
        ("AAAA", "a.svc", "NOERROR"), ("A", "a", "NXDOMAIN"), ("A", "a.default.svc", "NXDOMAIN"),
        ("A", "a.svc", "NOERROR"), ("AAAA", "a", "NXDOMAIN"),
    )  # fmt: skip
    found = observed_walk(queries, {("a.svc", "A")})
    assert found.found
    assert {row.name: row.mark for row in found} == {"a.svc": "O", "a": "X", "a.default.svc": "X"}
