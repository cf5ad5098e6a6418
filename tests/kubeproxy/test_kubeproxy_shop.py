"""The shop of notebook 03 on a live sandbox: real requests in both modes, and its four faults."""

import json
import time

import pytest

from eksnet import kubeproxy
from eksnet.cluster import faults

pytestmark = pytest.mark.sandbox

SHOP = "shop"
WEB, DOOR_IP, DOOR_PORT = "10.100.7.7", "203.0.113.80", 30123
PORT = {"name": "http", "port": 80, "targetPort": "http"}
# A page that says who serves it, and a program that says who asks.
SERVE = """
mkdir -p /tmp/cgi-bin
hostname > /tmp/index.html
echo '#!/bin/sh' > /tmp/cgi-bin/who
echo 'echo; echo $(hostname) $REMOTE_ADDR' >> /tmp/cgi-bin/who
chmod +x /tmp/cgi-bin/who
exec httpd -f -p 0.0.0.0:8080 -h /tmp
"""
TIMED_OUT = 143


def pod(name, node, command, **labels):
    main = {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", command]}
    main["ports"] = [{"name": "http", "containerPort": 8080}]
    spec = {"nodeName": node.name, "terminationGracePeriodSeconds": 0, "containers": [main]}
    return made("Pod", name, spec, **labels)


def made(kind, name, spec, **labels):
    metadata = {"name": name, "namespace": SHOP, "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def nodes(cluster):
    return [kubeproxy.Node.from_object(one) for one in cluster.list("nodes")]


@pytest.fixture(scope="module")
def shop(cluster, nodes):
    """Three pods on two nodes, a client, the Service web and one with a door on every node."""
    first, second = nodes
    pods = [
        pod(name, node, SERVE, app="web", pod=name)
        for name, node in (("web-a", first), ("web-b", second), ("web-c", second))
    ]
    pods.append(pod("client", first, "sleep infinity"))
    door = {
        "type": "NodePort",
        "externalTrafficPolicy": "Local",
        "externalIPs": [DOOR_IP],
        "selector": {"pod": "web-a"},
        "ports": [{**PORT, "nodePort": DOOR_PORT}],
    }
    web = {"clusterIP": WEB, "selector": {"app": "web"}, "ports": [PORT]}
    services = [made("Service", "web", web), made("Service", "door", door)]
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    cluster.apply("\n---\n".join(map(json.dumps, pods + services)))
    for one in pods:
        cluster.wait(f"pod/{one['metadata']['name']}", namespace=SHOP)
    for name in ("web", "door"):
        cluster.wait(f"service/{name}", condition="EndpointsReady", namespace=SHOP)
    yield
    cluster.delete(f"namespace/{SHOP}")


@pytest.fixture(scope="module", params=["nftables", "iptables"])
def rules(request, cluster, nodes, shop):
    """Both nodes' rules, in one mode and then in the other; the last is the one it began with."""
    kubeproxy.switch_mode(cluster, request.param)
    return [kubeproxy.wait_for_rules(cluster, node) for node in nodes]


def address_of(cluster, name):
    return cluster.get(f"pod/{name}", namespace=SHOP)["status"]["podIP"]


def asked(cluster, place, page="", patience=3):
    return cluster.exec("client", f"timeout {patience} wget -qO- http://{place}/{page}", SHOP)


def who(cluster, place):
    """Return who answers, and the address from which it is asked."""
    return asked(cluster, place, "cgi-bin/who", patience=20).stdout.split()


def test_a_pod_that_reaches_itself_is_asked_by_its_node(cluster, nodes, rules):
    own, node = address_of(cluster, "web-a"), nodes[0]
    until_itself = f"until wget -qO- http://{WEB}/cgi-bin/who | grep web-a; do :; done"
    answer = cluster.exec("web-a", ["sh", "-c", until_itself], SHOP).stdout
    assert answer.split() == ["web-a", node.addresses[0]]
    walk = kubeproxy.packet_walks(rules[0], kubeproxy.Packet(own, WEB, 80), node).to(own)
    entries = kubeproxy.read_connections(cluster, node)
    found = [e.masked for e in entries if e.original.source == own and e.backend == walk.backend]
    assert walk.is_masqueraded
    assert walk.connection.masked in found
    assert {entry.reply.destination for entry in found} == {node.addresses[0]}


def test_local_answers_where_a_pod_is_and_keeps_the_source(cluster, nodes, rules):
    client = address_of(cluster, "client")
    for node, own, verdict in zip(nodes, rules, ("accepted", "dropped"), strict=True):
        place = f"{node.addresses[0]}:{DOOR_PORT}"
        (walk,) = kubeproxy.packet_walks(
            own, kubeproxy.Packet(client, node.addresses[0], DOOR_PORT), node
        )
        assert (walk.verdict, walk.is_masqueraded) == (verdict, False)
        if verdict == "accepted":
            assert who(cluster, place) == ["web-a", client]
        else:
            assert asked(cluster, place).exit_code == TIMED_OUT
    assert who(cluster, DOOR_IP) == ["web-a", client]


def test_cluster_answers_on_every_node_and_puts_the_node_in_the_sources_place(
    cluster, nodes, rules
):
    cluster.patch("service", "door", {"spec": {"externalTrafficPolicy": "Cluster"}}, SHOP)
    try:
        for node in nodes:
            packet = kubeproxy.Packet(address_of(cluster, "client"), node.addresses[0], DOOR_PORT)
            (walk,) = kubeproxy.packet_walks(kubeproxy.wait_for_rules(cluster, node), packet, node)
            answer = who(cluster, f"{node.addresses[0]}:{DOOR_PORT}")
            assert answer == ["web-a", node.addresses[0]]
            assert walk.final.source == node.addresses[0]
    finally:
        cluster.patch("service", "door", {"spec": {"externalTrafficPolicy": "Local"}}, SHOP)


# The faults, in the mode that the module began with: nothing above this line runs after them.


@pytest.fixture
def sound(cluster, nodes, shop):
    """The shop without faults, before and after."""
    for node in nodes:
        kubeproxy.wait_for_rules(cluster, node)
    yield
    kubeproxy.revert_faults(cluster)


def soon(look):
    """Wait until kube-proxy has followed what was put back."""
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def refuses(cluster):
    return "Connection refused" in asked(cluster, WEB).stderr


def answers(cluster, place):
    return asked(cluster, place).stdout.startswith("web-")


@pytest.mark.parametrize(
    ("name", "said"), [("A", "app"), ("B", "targetPort")], ids=["selector", "target-port"]
)
def test_nobody_stands_behind_the_service(cluster, nodes, sound, name, said):
    assert answers(cluster, WEB)
    service = cluster.get("service/web", namespace=SHOP)
    assert "refuses every connection" in repr(kubeproxy.inject_fault(cluster, name))
    soon(lambda: refuses(cluster))
    for node in nodes:
        rules = kubeproxy.wait_for_rules(cluster, node).about(service)
        assert [line.text.partition(" -j ")[2].split()[0] for line in rules] == ["REJECT"]
    broken = cluster.get("service/web", namespace=SHOP)["spec"]
    assert broken["selector"] != {"app": "web"} if said == "app" else (
        broken["ports"][0][said] != "http"
    )  # fmt: skip
    assert kubeproxy.revert_faults(cluster) == (name,)
    soon(lambda: answers(cluster, WEB))
    assert cluster.get("service/web", namespace=SHOP)["spec"] == service["spec"]


def test_one_node_answers_and_the_other_times_out(cluster, nodes, sound):
    first, second = (f"{node.addresses[0]}:30081" for node in nodes)
    for _ in range(2):  # a cell may be run again
        kubeproxy.inject_fault(cluster, "C")
    soon(lambda: answers(cluster, first))
    soon(lambda: asked(cluster, second).exit_code == TIMED_OUT)
    assert answers(cluster, first)
    assert kubeproxy.revert_faults(cluster) == ("C",)
    for place in (first, second):
        soon(lambda place=place: answers(cluster, place))


def test_a_kube_proxy_with_a_bad_mode_leaves_its_node_as_it_was(cluster, nodes, sound):
    kubeproxy.inject_fault(cluster, "D")
    assert 'Invalid value: "iptable"' in kubeproxy.last_words(cluster)
    late = cluster.get("service/late", namespace=SHOP)
    # No kube-proxy runs there that could be asked, so a pod of one's own reads.
    read = [kubeproxy.read_rules(cluster, node, through="debug pod") for node in nodes]
    assert sorted(len(rules.about(late)) for rules in read) == [0, 10]
    # What was there before goes on working, on that node too.
    assert answers(cluster, WEB)
    assert kubeproxy.revert_faults(cluster) == ("D",)
    assert not faults.was_injected(cluster, "proxy-D")
    for node in nodes:
        assert len(kubeproxy.wait_for_rules(cluster, node).about(late)) == 10
    assert answers(cluster, late["spec"]["clusterIP"])
