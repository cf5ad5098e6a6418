from eksnet.coredns import LoggedQuery, observed_walk, read_queries

LOG = """\
.:53
[INFO] plugin/reload: Running configuration SHA512 = 5a1f
CoreDNS-1.12.4
[INFO] 10.0.129.12:38641 - 57054 "A IN my-service.app-ns.ops-ns.svc.cluster.local. udp 60 false 512" NXDOMAIN qr,aa,rd 153 0.0002s
[INFO] 10.0.129.12:38641 - 2 "AAAA IN my-service.app-ns.ops-ns.svc.cluster.local. udp 60 false 512" NXDOMAIN qr,aa,rd 153 0.0002s
[INFO] 10.0.129.12:38642 - 3 "AAAA IN my-service.app-ns.svc.cluster.local. udp 53 false 512" NOERROR qr,aa,rd 146 0.0001s
[INFO] 10.0.129.12:38642 - 4 "A IN my-service.app-ns.svc.cluster.local. udp 53 false 512" NOERROR qr,aa,rd 104 0.0001s
[ERROR] plugin/errors: 2 example.org. A: read udp 10.0.0.2:53: i/o timeout
"""  # noqa: E501


def test_queries_are_read_in_order():
    queries = read_queries(LOG)
    assert [query.kind for query in queries] == ["A", "AAAA", "AAAA", "A"]
    assert queries[0] == LoggedQuery(
        "10.0.129.12", "A", "my-service.app-ns.ops-ns.svc.cluster.local", "NXDOMAIN"
    )


def test_a_and_aaaa_are_one_row():
    assert observed_walk(read_queries(LOG)).rows == (
        ("1", "my-service.app-ns.ops-ns.svc.cluster.local", "X"),
        ("2", "my-service.app-ns.svc.cluster.local", "O"),
    )
