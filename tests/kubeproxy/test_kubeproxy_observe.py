"""Reading a live node: through kube-proxy's own pod, through a debug pod, and not unasked."""

import dataclasses
import subprocess

import pytest

import eksnet
from eksnet import kubeproxy
from eksnet.cluster import guard
from eksnet.cluster.targets import Target
from eksnet.errors import EksnetError
from eksnet.kubeproxy import differences
from eksnet.sandbox import lifecycle

pytestmark = pytest.mark.sandbox
SYSTEM = "kube-system"


@pytest.fixture(scope="module")
def node(cluster):
    return kubeproxy.read_node(cluster)


def test_the_rules_of_a_node_are_those_that_are_predicted(cluster, node):
    rules = kubeproxy.wait_for_rules(cluster, node)
    assert not differences(kubeproxy.predict_node(cluster, node), rules)
    assert rules.chain("KUBE-SVC-TCOU7JCQXEZGVUNU")


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_whole_configmap_as_kubectl_prints_it_is_read(cluster, live_sandbox, form):
    program, kubeconfig = lifecycle.kubectl(live_sandbox.name)
    command = [program, f"--kubeconfig={kubeconfig}", "-n", SYSTEM, "get", "configmap", "-o", form]
    printed = {
        name: subprocess.run([*command, name], capture_output=True, text=True, check=True).stdout
        for name in ("kube-proxy-config", "coredns")
    }
    whole = cluster.get("configmap/kube-proxy-config", namespace=SYSTEM)
    found = kubeproxy.parse_settings(printed["kube-proxy-config"])
    assert found == kubeproxy.parse_settings(whole)
    assert found == kubeproxy.parse_settings(whole["data"]["config"])
    with pytest.raises(EksnetError, match="the ConfigMap has Corefile"):
        kubeproxy.parse_settings(printed["coredns"])


def test_both_ways_to_a_node_show_the_same(cluster, node):
    own = kubeproxy.wait_for_rules(cluster, node)
    assert not differences(own, kubeproxy.read_rules(cluster, node, through="debug pod"))
    assert not [pod for pod in cluster.list("pods", "kube-system") if pod.name.startswith("run-")]


def test_a_connection_is_tracked_as_the_walk_says(cluster, node):
    kubeproxy.wait_for_rules(cluster, node)
    # The address of a pod that has ended goes to the next one at once; its entries stay a while.
    before = {entry.original for entry in kubeproxy.read_connections(cluster, node)}
    probe = "nslookup -type=a kubernetes.default.svc.cluster.local; hostname -i"
    run = cluster.run("busybox:1.36", ["sh", "-c", probe], spec={"nodeName": node.name})
    source = run.output.split()[-1]
    entries = [
        entry
        for entry in kubeproxy.read_connections(cluster, node)
        if (entry.original.source, entry.original.port) == (source, 53)
        and entry.original not in before
    ]
    assert entries
    for entry in entries:
        sent = entry.original
        packet = kubeproxy.Packet(
            sent.source, sent.destination, sent.port, entry.protocol, sent.source_port
        )
        walk = kubeproxy.packet_walks(kubeproxy.read_rules(cluster, node), packet, node)
        expected = walk.to(entry.backend).connection
        assert (expected.original, expected.reply) == (entry.original, entry.reply)


@pytest.fixture
def elsewhere(cluster, monkeypatch):
    """The same cluster under the name that somebody's own has."""
    monkeypatch.setattr(cluster, "target", Target("context", "mine"))
    return cluster


def test_elsewhere_the_way_has_to_be_said(elsewhere, node):
    with pytest.raises(EksnetError, match="a command has to run on it") as error:
        kubeproxy.read_rules(elsewhere, node)
    assert 'through="debug pod"' in error.value.expected
    assert kubeproxy.read_rules(elsewhere, node, through="kube-proxy").chains


@pytest.fixture
def by_context(live_sandbox, cluster, monkeypatch):
    """The sandbox's cluster as a context of one's own kubeconfig; nothing was named yet."""
    monkeypatch.setenv("KUBECONFIG", str(live_sandbox.kubeconfig))
    monkeypatch.delenv("EKSNET_CHANGES", raising=False)
    monkeypatch.setattr(guard, "_named", set())
    return f"context:{live_sandbox.context}"


def pods_made(cluster):
    """Return the commands' pods that were ever made in kube-system, and those still there."""
    made = {one["involvedObject"]["name"] for one in cluster.list("events", "kube-system")}
    there = {pod.name for pod in cluster.list("pods", "kube-system")}
    return [{name for name in names if name.startswith("run-")} for names in (made, there)]


def test_elsewhere_a_debug_pod_is_made_only_where_the_cluster_was_named(cluster, node, by_context):
    own = kubeproxy.wait_for_rules(cluster, node)
    before, _ = pods_made(cluster)
    with pytest.raises(EksnetError, match=f"would change {by_context}, and its name was not given"):
        kubeproxy.read_rules(eksnet.connect(by_context), node, through="debug pod")
    assert pods_made(cluster) == [before, set()]
    named = eksnet.connect(by_context, changes=by_context.removeprefix("context:"))
    assert not differences(own, kubeproxy.read_rules(named, node, through="debug pod"))
    made, there = pods_made(cluster)
    assert made > before
    assert there == set()


def test_a_way_that_there_is_not(cluster, node):
    with pytest.raises(EksnetError, match="a command has to run on it"):
        kubeproxy.read_rules(cluster, node, through="guessing")


def test_the_mode_is_changed_on_the_sandbox_alone(elsewhere):
    before = elsewhere.get("configmap/kube-proxy-config", namespace="kube-system")["data"]
    with pytest.raises(EksnetError, match="this is context:mine"):
        kubeproxy.switch_mode(elsewhere, "nftables")
    assert elsewhere.get("configmap/kube-proxy-config", namespace="kube-system")["data"] == before


def test_a_node_without_kube_proxy(cluster, node):
    nobody = dataclasses.replace(node, name="fargate")
    with pytest.raises(EksnetError, match="no pod of kube-proxy runs on fargate"):
        kubeproxy.read_rules(cluster, nobody)


def test_what_never_comes_is_said(cluster, node):
    # In mode nftables the addresses that serve NodePorts are written down.
    wrong = dataclasses.replace(node, addresses=("10.9.9.9",))
    kubeproxy.switch_mode(cluster, "nftables")
    try:
        assert kubeproxy.read_rules(cluster, node).mode == "nftables"
        with pytest.raises(EksnetError, match=r"(?s)differ from the prediction in .*10\.9\.9\.9"):
            kubeproxy.wait_for_rules(cluster, wrong, timeout=0)
    finally:
        kubeproxy.switch_mode(cluster, "iptables")
    assert kubeproxy.read_rules(cluster, node).mode == "iptables"
