"""Records from objects alone; `tests/coredns/test_dns_live.py` asks a cluster's DNS for them."""

import csv

import pytest

from eksnet import data
from eksnet.dns import dashed, records
from eksnet.errors import EksnetError


def service(name, **spec):
    metadata = {"name": name, "namespace": "my-namespace"}
    return {"kind": "Service", "metadata": metadata, "spec": spec}


def slice_of(name, *endpoints, ports=()):
    metadata = {"namespace": "my-namespace", "labels": {"kubernetes.io/service-name": name}}
    return {
        "kind": "EndpointSlice", "metadata": metadata, "endpoints": endpoints, "ports": ports,
    }  # fmt: skip


WEB = service(
    "my-svc", clusterIPs=["10.100.0.9"], ports=[{"name": "http", "port": 80}, {"port": 81}]
)
DB = service("my-db", clusterIPs=["None"], clusterIP="None")
DB_READY = {"addresses": ["172.17.0.4"], "hostname": "db-0", "conditions": {"ready": True}}
DB_SLICE = slice_of(
    "my-db",
    DB_READY,
    {"addresses": ["172.17.0.5"], "conditions": {"ready": False}},
    ports=[{"name": "sql", "port": 5432, "protocol": "TCP"}],
)
SHOP = service("my-shop", type="ExternalName", externalName="shop.example.com.")
POD = {
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "my-namespace"},
    "status": {"podIPs": [{"ip": "172.17.0.3"}, {"ip": "2001:db8::3"}]},
}


def plain(found):
    return [(record.name, record.rdtype, record.value) for record in found]


def test_the_table_has_every_kind_of_record_and_its_source():
    made = {(one.name, one.rdtype, one.source) for one in records(WEB, DB, DB_SLICE, SHOP, POD)}
    with open(data.directory() / "dns_records.csv") as file:
        table = list(csv.DictReader(file))
    told = {
        (row["example"], kind, row["source"])
        for row in table
        for kind in row["record type"].split("/")
        # The examples are of IPv4.
        if kind != "AAAA"
    }
    assert told == {row for row in made if row[1] != "AAAA"}


def test_a_headless_service_has_its_ready_endpoints():
    name = "my-db.my-namespace.svc.cluster.local"
    assert plain(records(DB_SLICE, DB)) == [
        (name, "A", "172.17.0.4"),
        (f"db-0.{name}", "A", "172.17.0.4"),
        (f"_sql._tcp.{name}", "SRV", f"0 100 5432 db-0.{name}"),
        ("4.0.17.172.in-addr.arpa", "PTR", f"db-0.{name}"),
    ]
    assert len(records(DB)) == 0


def test_an_endpoint_without_a_hostname_is_named_by_its_address():
    name = "my-db.my-namespace.svc.cluster.local"
    both = slice_of(
        "my-db", {"addresses": ["172.17.0.6"]}, DB_READY, ports=[{"name": "sql", "port": 1}]
    )
    of_another = slice_of("my-dc", {"addresses": ["172.17.0.7"]})
    found = plain(records(DB, both, of_another))
    assert (f"172-17-0-6.{name}", "A", "172.17.0.6") in found
    # Two share what is a hundred in all.
    assert [value for _, kind, value in found if kind == "SRV"] == [
        f"0 50 1 172-17-0-6.{name}",
        f"0 50 1 db-0.{name}",
    ]
    assert not any("172.17.0.7" in value for _, _, value in found)


def test_a_port_without_a_name_has_no_srv_record_and_protocols_have_their_own():
    udp = service(
        "dns", clusterIP="10.100.0.8", ports=[{"name": "d", "port": 53, "protocol": "UDP"}]
    )
    names = [name for name, kind, _ in plain(records(WEB, udp)) if kind == "SRV"]
    assert [name.split(".my-namespace")[0] for name in names] == [
        "_http._tcp.my-svc",
        "_d._udp.dns",
    ]


def test_ipv6():
    assert plain(records(POD))[1] == (
        "2001-db8--3.my-namespace.pod.cluster.local", "AAAA", "2001:db8::3",
    )  # fmt: skip
    assert dashed("2001:db8::") == "2001-db8--0"
    dual = service("s", clusterIPs=["10.100.0.7", "fd00::7"])
    assert [kind for _, kind, _ in plain(records(dual))] == ["A", "AAAA", "PTR", "PTR"]
    assert records(dual)[3].name.endswith(".0.0.d.f.ip6.arpa")


def test_another_domain():
    assert records(SHOP, domain="example.internal")[0].name == (
        "my-shop.my-namespace.svc.example.internal"
    )


def test_what_has_no_records():
    with pytest.raises(EksnetError, match="kind 'Node'"):
        records({"kind": "Node"})
    waiting = {"kind": "Pod", "metadata": {"name": "a", "namespace": "b"}, "status": {}}
    assert plain(records(waiting)) == []


@pytest.mark.parametrize(
    ("objects", "error"),
    [
        # A Service that the API server has not given an address yet.
        ([service("a", ports=[{"name": "http", "port": 80}])], "has no clusterIP yet"),
        ([service("a", clusterIP="", clusterIPs=None, ports=None)], "has no clusterIP yet"),
        ([DB, slice_of("my-db") | {"endpoints": None, "ports": None}], ""),
        ([service("a", type="ExternalName", externalName="10.9.0.9")], ""),
        ([{"kind": "Pod", "metadata": {"name": "a"}, "status": {"podIPs": None}}], ""),
        ([{"kind": "Pod", "metadata": {"name": "a"}, "status": None}], ""),
    ],
)  # fmt: skip
def test_what_the_api_server_accepts_has_no_record_or_says_why(objects, error):
    if not error:
        assert plain(records(*objects)) == []
        return
    with pytest.raises(EksnetError, match=error):
        records(*objects)


def test_an_object_without_a_namespace_is_one_of_default():
    both = [
        {"kind": "Service", "metadata": {"name": "a"}, "spec": {"clusterIP": "None"}},
        {
            "kind": "EndpointSlice",
            "metadata": {"labels": {"kubernetes.io/service-name": "a"}},
            "endpoints": [{"addresses": ["10.9.0.1"], "conditions": None, "hostname": None}],
            "ports": [{"name": None, "port": None, "protocol": None}],
        },
    ]
    assert [one[:2] for one in plain(records(*both))] == [
        ("a.default.svc.cluster.local", "A"),
        ("10-9-0-1.a.default.svc.cluster.local", "A"),
        ("1.0.9.10.in-addr.arpa", "PTR"),
    ]


def test_hosts_with_an_address_of_each_family_have_each_record_once():
    ports = [{"name": "sql", "port": 5432}]
    slices = [
        slice_of("my-db", *({"addresses": [f"{start}{n}"], "hostname": f"db-{n}"} for n in (0, 1)),
                 ports=ports)
        for start in ("10.9.0.", "fd00::")
    ]  # fmt: skip
    found = plain(records(DB, *slices))
    assert len(found) == len(set(found))
    # CoreDNS shares a hundred among the four addresses, and then leaves out what it has told.
    assert [value for _, rdtype, value in found if rdtype == "SRV"] == [
        f"0 25 5432 db-{n}.my-db.my-namespace.svc.cluster.local" for n in (0, 1)
    ]


def test_a_port_that_is_left_open_counts_and_has_no_record():
    one = {"addresses": ["10.9.0.1"], "hostname": "db-0"}
    slices = [slice_of("my-db", one, ports=[{"name": "sql", "port": port}]) for port in (None, 1)]
    assert [value for _, rdtype, value in plain(records(DB, *slices)) if rdtype == "SRV"] == [
        "0 50 1 db-0.my-db.my-namespace.svc.cluster.local"
    ]


def test_a_slice_of_names_makes_aliases():
    # The specification has no word of it; CoreDNS answers so.
    names = {**slice_of("my-db", {"addresses": ["db.example.com"]}), "addressType": "FQDN"}
    name = "my-db.my-namespace.svc.cluster.local"
    assert plain(records(DB, names)) == [
        (name, "CNAME", "db.example.com"), (f"db-example-com.{name}", "CNAME", "db.example.com"),
    ]  # fmt: skip
