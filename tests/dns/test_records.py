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
