"""The model against kube-proxy itself, in both modes: it decides who is right."""

import contextlib
import itertools
import json

import kubeproxy_real as real
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kubeproxy_strategies import HEADLESS, NAMESPACE, everything, shops

from eksnet.kubeproxy import Node

pytestmark = pytest.mark.sandbox

_NUMBERS = itertools.count()
INGRESS = "198.51.100"


@pytest.fixture(scope="module")
def proxies(cluster):
    """Four programs: each mode as EKS configures it, and each with much that differs from that."""
    here, there = map(Node.from_object, cluster.list("nodes"))
    own = f"{there.addresses[0]}/32"
    section = {"masqueradeAll": True, "masqueradeBit": 12}
    changed = {"clusterCIDR": "10.0.128.0/17", "nodePortAddresses": [own], "nftables": section}
    # It belongs to the network namespace, unlike the limits, which the cluster leaves alone too.
    conntrack = {"maxPerCore": 0, "min": 0, "tcpBeLiberal": True}
    liberal = {"iptables": {"masqueradeBit": 12}, "conntrack": conntrack}
    with contextlib.ExitStack() as ends:
        started = []
        for name, node, mode, changes in (
            ("plain-iptables", here, "iptables", {}),
            ("plain-nftables", here, "nftables", {}),
            ("other-iptables", there, "iptables", changed | liberal),
            ("other-nftables", there, "nftables", changed),
        ):
            started.append(real.start(cluster, name, node, mode=mode, **changes))
            ends.callback(real.stop, started[-1])
        for proxy in started:
            cluster.wait(f"pod/{proxy.name}", namespace=real.SYSTEM)
        for node in (here, there):
            real.tell_the_zone(cluster, node)
        yield started


@pytest.fixture(scope="module")
def place(cluster):
    cluster.apply(f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}")
    yield NAMESPACE
    cluster.delete(f"namespace/{NAMESPACE}")


def objects(shop, run):
    """Return the manifests of a set, each object with a name that no other set has."""
    for number, offer in enumerate(shop):
        spec, name = offer.spec, f"r{run}-{number}"
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": offer.labels},
            "spec": spec,
        }
        ports = [
            {"name": port.get("name", ""), "protocol": port["protocol"], "port": port["targetPort"]}
            for port in spec["ports"]
        ]
        labels = {"kubernetes.io/service-name": name, **offer.slice_labels}
        if spec.get("clusterIP") == "None":
            labels |= HEADLESS
        for at, group in enumerate(offer.groups):
            yield {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"{name}-{at}", "namespace": NAMESPACE, "labels": labels},
                "addressType": "IPv4",
                "ports": ports,
                "endpoints": group,
            }


def give_addresses(cluster, shop, run):
    """Say which addresses a cloud's load balancer got; nobody else does so here."""
    for number, offer in enumerate(shop):
        if offer.ingress:
            ingress = [
                {"ip": f"{INGRESS}.{100 * at + number}", "ipMode": mode}
                for at, mode in enumerate(offer.ingress)
            ]
            cluster._client.send(
                "PATCH",
                f"/api/v1/namespaces/{NAMESPACE}/services/r{run}-{number}/status",
                {"status": {"loadBalancer": {"ingress": ingress}}},
                content_type="application/merge-patch+json",
            )


def compare(cluster, proxies, shop):
    run = next(_NUMBERS)
    text = "\n---\n".join(map(json.dumps, objects(shop, run)))
    try:
        cluster.apply(text)
        give_addresses(cluster, shop, run)
        for proxy in proxies:
            proxy.agrees()
    finally:
        cluster.delete_manifest(text)


def places(proxies):
    nodes = [proxies[0].node, proxies[-1].node]
    return [node.name for node in nodes], [node.zone for node in nodes]


def random_shops(data, proxies):
    return data.draw(shops(*places(proxies)))


COMMON = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate, Phase.shrink],
}


def test_each_feature_at_once(cluster, place, proxies):
    compare(cluster, proxies, everything(*places(proxies)))


@settings(max_examples=20, derandomize=True, **COMMON)
@given(data=st.data())
def test_the_model_is_what_kube_proxy_writes(cluster, place, proxies, data):
    compare(cluster, proxies, random_shops(data, proxies))


@pytest.mark.soak
@settings(max_examples=200, **COMMON)
@given(data=st.data())
def test_the_model_is_what_kube_proxy_writes_200_times(cluster, place, proxies, data):
    compare(cluster, proxies, random_shops(data, proxies))
