"""What the API server accepts and the kubelet reads, beside the models: records and resolv.conf."""

import contextlib
import json

import pytest

from eksnet import coredns, dns
from eksnet.errors import EksnetError

pytestmark = pytest.mark.sandbox

PLACE = "dns-objects"
OF = "{kubernetes.io/service-name: twin}"
OBJECTS = f"""
{{apiVersion: v1, kind: Namespace, metadata: {{name: {PLACE}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: twin, namespace: {PLACE}}}
spec: {{clusterIP: None, selector: null, ports: [{{name: sql, port: 5432}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: twin-4, namespace: {PLACE}, labels: {OF}}}
addressType: IPv4
ports: [{{name: sql, port: 5432}}, {{name: other, port: 80}}]
endpoints:
- {{addresses: [10.9.0.1], hostname: db-0, conditions: null}}
- {{addresses: [10.9.0.2], hostname: db-1, conditions: {{ready: null}}}}
- {{addresses: [10.9.0.3], conditions: {{ready: false}}}}
- {{addresses: [10.9.0.4]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: twin-6, namespace: {PLACE}, labels: {OF}}}
addressType: IPv6
ports: [{{name: sql, port: 5432}}, {{name: open, port: null}}]
endpoints:
- {{addresses: ["fd00::1"], hostname: db-0}}
- {{addresses: ["fd00::2"], hostname: db-1}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: twin-bare, namespace: {PLACE}, labels: {OF}}}
addressType: IPv4
ports: null
endpoints: [{{addresses: [10.9.0.5], hostname: db-5}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: named-1, namespace: {PLACE}, labels: {{kubernetes.io/service-name: named}}}}
addressType: FQDN
ports: [{{name: sql, port: 5432}}]
endpoints: [{{addresses: [db.example.com]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: named, namespace: {PLACE}}}
spec: {{clusterIP: None, ports: [{{name: sql, port: 5432}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: away, namespace: {PLACE}}}
spec: {{type: ExternalName, externalName: shop.example.com, ports: null}}
---
apiVersion: v1
kind: Service
metadata: {{name: address, namespace: {PLACE}}}
spec: {{type: ExternalName, externalName: 10.9.0.9}}
"""


@pytest.fixture(scope="module")
def objects(cluster):
    cluster.apply(OBJECTS)
    found = [*cluster.list("services", PLACE), *cluster.list("endpointslices", PLACE)]
    yield [
        {"kind": kind, **one}
        for one in found
        for kind in ["EndpointSlice" if "endpoints" in one else "Service"]
    ]
    cluster.delete("namespace", PLACE)


def test_coredns_has_each_record_once_and_no_other(cluster, objects):
    found = dns.records(*objects)
    assert len(set(found)) == len(found)
    table = coredns.confirm(cluster, found.items)
    assert [row for row in table.rows if row[-1] != "O"] == []
    name = f"twin.{PLACE}.svc.cluster.local"
    assert [one.value for one in found if one.name == f"_sql._tcp.{name}"] == [
        f"0 20 5432 {host}.{name}" for host in ("db-0", "db-1", "10-9-0-4")
    ]
    none = (f"_open._tcp.{name}", f"address.{PLACE}.svc.cluster.local")
    assert not {one.name for one in found}.intersection(none)
    srv, address = (coredns.ask(cluster, f"{one}.", rdtype=rdtype)[0]
                    for one, rdtype in zip(none, ("SRV", "A"), strict=True))  # fmt: skip
    assert (srv.rdata, address.rdata) == ((), ())


# The kubelet reads its node's file anew for each pod.
FILES = (
    "search .\nnameserver 10.0.0.2\n",
    "nameserver 10.0.0.2\nsearch a.example. b.example. a.example c.example..\n",
    "nameserver 10.0.0.2\ndomain corp.example\n",
    "\tnameserver 10.0.0.2 # home\n  search a.example\n   options ndots:2 rotate\n",
    "nameserver 10.0.0.2\nsearch a.example\nsearch\noptions ndots:2 edns0\noptions ndots:3\n",
    "nameserver 10.0.0.2\nsearch a.example # b.example\n ;search c.example\n#search d.example\n",
    "nameserver 10.0.0.2\u00a0\nsearch\u00a0a.example\u2003b.example\n",
    "".join(f"nameserver 10.0.0.{n}\n" for n in range(2, 7)),
)


@pytest.fixture(scope="module")
def node(cluster):
    """A node whose resolv.conf can be written; it is put back at the end."""
    name = cluster.list("nodes")[0].name
    mount = {"name": "etc", "mountPath": "/node-etc"}
    main = {
        "name": "main",
        "image": "debian:12",
        "command": ["sleep", "infinity"],
        "securityContext": {"privileged": True},
        "volumeMounts": [mount],
    }
    spec = {
        "nodeName": name,
        "terminationGracePeriodSeconds": 0,
        "containers": [main],
        "volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}],
    }
    metadata = {"name": "resolv-conf", "namespace": "default"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    cluster.apply(json.dumps(pod))
    cluster.wait("pod", "resolv-conf", namespace="default")

    def write(text):
        command = ["sh", "-c", 'printf %s "$0" > /node-etc/resolv.conf', text]
        assert cluster.exec("resolv-conf", command, "default").exit_code == 0

    before = cluster.exec("resolv-conf", ["cat", "/node-etc/resolv.conf"], "default").stdout
    yield name, write
    write(before)
    cluster.delete("pod/resolv-conf", namespace="default")


def read_in_a_pod(cluster, node, policy):
    spec = {"nodeName": node, "dnsPolicy": policy}
    run = cluster.run("debian:12", ["cat", "/etc/resolv.conf"], "default", spec=spec)
    return dns.ResolvConf.parse(run.output)


@pytest.mark.parametrize("file", FILES)
def test_a_nodes_file_is_read_as_the_kubelet_reads_it(cluster, node, file):
    name, write = node
    write(file)
    for policy in ("Default", "ClusterFirst"):
        real = read_in_a_pod(cluster, name, policy)
        model = dns.pod_resolv_conf("default", policy=policy, node=file)
        assert (real.nameservers, real.search, real.ndots, sorted(real.options)) == (
            model.nameservers, model.search, model.ndots, sorted(model.options),
        )  # fmt: skip


def test_a_nameserver_without_an_address_stops_every_pod(cluster, node):
    name, write = node
    write("nameserver\nsearch a.example\n")
    with pytest.raises(EksnetError, match="a nameserver of the node's"):
        dns.pod_resolv_conf("default", node="nameserver\nsearch a.example\n")
    with contextlib.suppress(EksnetError):
        cluster.run("debian:12", "true", "default", spec={"nodeName": name}, timeout=5)
        pytest.fail("the kubelet started a pod")
