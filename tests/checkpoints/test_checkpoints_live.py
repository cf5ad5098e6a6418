"""Checkpoints on a live sandbox: what only the real CoreDNS, kubelet and API server can say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import eksnet
from eksnet import coredns, kubeproxy
from eksnet.checkpoints import State, definitions, evidence
from eksnet.cluster import Cluster, connect_read_only
from eksnet.coredns.configuration import configuration_hash
from eksnet.sandbox import lifecycle
from eksnet.sandbox.lifecycle import Sandbox

pytestmark = pytest.mark.sandbox

P, F, N, C = State.PASS, State.FAIL, State.NOT_STARTED, State.CANNOT_CHECK
HOSTS = "hosts {\n    10.43.0.1 myapp.local\n    fallthrough\n}\n"
WRONG_ORDER = "hosts {\n    fallthrough\n    10.43.0.1 myapp.local\n}\n"
COREDNS = ("deployment/coredns", "kube-system")


def edit(cluster: Cluster, corefile: str) -> None:
    # As with kubectl: nobody checks it.
    cluster.edit_configmap("coredns", "Corefile", corefile, "kube-system", unchecked=True)


@pytest.fixture
def untouched(cluster: Cluster) -> Iterator[str]:
    """The Corefile, put back at the end."""
    corefile = cluster.get("configmap/coredns", namespace="kube-system")["data"]["Corefile"]
    yield corefile
    edit(cluster, corefile)
    before = coredns.running_configurations(cluster)
    if set(before.values()) != {configuration_hash(corefile)}:
        restart(cluster)


def restart(cluster: Cluster) -> None:
    before = coredns.running_configurations(cluster)
    cluster.rollout_restart(*COREDNS)
    cluster.rollout_status(*COREDNS)
    coredns.wait_for_restart(cluster, before)


def states(result: Any) -> list[State]:
    return [outcome.state for outcome in result.outcomes]


def seen(result: Any, number: int) -> str:
    return str(result.outcomes[number].observation.observed)


def test_the_identity_outlives_a_reset(cluster: Cluster) -> None:
    before = evidence.bind(connect_read_only())
    eksnet.checkpoint("dns-01").check()
    lifecycle.reset()
    assert evidence.bind(connect_read_only()) == before
    tried = [one.checkpoint for one in evidence.read(before.path).attempts]
    assert "dns-01" in tried


def test_a_cluster_that_nobody_has_touched(cluster: Cluster) -> None:
    # Other tests may have begun lessons on it, and ended a clean-up.
    (cluster.directory / "run.json").unlink(missing_ok=True)
    results = {one.id: eksnet.checkpoint(one.id).check("hosts", "x") for one in definitions.every()}
    # What a reset brought back is as it was backed up, if ever it was.
    assert results.pop("hosts-06").state in (N, P)
    assert {name: result.state for name, result in results.items()} == dict.fromkeys(results, N)


def test_the_lab_from_wrong_to_right_and_back(cluster: Cluster, untouched: str) -> None:
    # Two wrong ways: CoreDNS would refuse the first and never ask the second for the name.
    edit(cluster, coredns.add_plugin(untouched, WRONG_ORDER))
    result = eksnet.checkpoint("hosts-01").check()
    assert states(result) == [F, P, F, N]
    assert seen(result, 2) == "an entry is after fallthrough"
    edit(cluster, f"{untouched}example.org:53 {{\n{HOSTS}}}\n")
    result = eksnet.checkpoint("hosts-01").check()
    assert states(result) == [F, F, N, N]
    assert seen(result, 1) == "the block hosts is in the server block example.org:53"

    # The right one, before and after the pods run it.
    edit(cluster, untouched)
    cluster.backup("coredns", "kube-system")
    edit(cluster, coredns.add_plugin(untouched, HOSTS))
    result = eksnet.checkpoint("hosts-01").check(wait=False)
    assert states(result) == [P, P, P, F]
    before = coredns.running_configurations(cluster)
    cluster.rollout_restart(*COREDNS)
    assert eksnet.checkpoint("hosts-01").require().points == 6
    coredns.wait_for_restart(cluster, before)
    answer = cluster.run("busybox:1.36", "nslookup myapp.local")
    assert eksnet.checkpoint("hosts-02").require("hosts", answer).state is P
    assert eksnet.checkpoint("hosts-02").check("forward", answer).state is F

    # A restart is no reload.
    names = "10.43.0.1 myapp.local www.myapp.local"
    edit(cluster, coredns.add_plugin(untouched, HOSTS.replace("10.43.0.1 myapp.local", names)))
    restart(cluster)
    result = eksnet.checkpoint("hosts-03").check()
    assert states(result) == [P, F]
    assert seen(result, 1) == "2 of 2 CoreDNS pods started with this Corefile"

    # And back.
    assert states(eksnet.checkpoint("hosts-06").check()) == [N, N]
    cluster.restore("coredns", "kube-system")
    assert states(eksnet.checkpoint("hosts-06").check(wait=False)) == [P, F]
    restart(cluster)
    assert eksnet.checkpoint("hosts-06").require().points == 2
    assert eksnet.progress("05").points == 6 + 1 + 1 + 2


@pytest.mark.parametrize(
    ("fault", "name", "reason"),
    [
        ("A", "trouble-01", "the Deployment coredns asks for 0 pods"),
        ("B", "trouble-02", "it selects k8s-app=kube-dsn"),
        ("C", "trouble-03", "CoreDNS refuses it, line"),
        ("D", "trouble-04", "it has no port 53 for UDP"),
    ],
)
def test_a_fault_of_the_dns_is_found_and_repaired(
    fault: str, name: str, reason: str, cluster: Cluster, untouched: str
) -> None:
    coredns.inject_fault(cluster, fault)
    try:
        mended(name, reason)
    finally:
        coredns.revert_faults(cluster)


def mended(name: str, reason: str) -> None:
    """Check a fault that is there, do what the solution says, and require it."""
    checkpoint = eksnet.checkpoint(name)
    result = checkpoint.check(wait=False)
    assert result.state is F, repr(result)
    assert reason in seen(result, states(result).index(F))
    exec(checkpoint.solution(reveal=True).text, {"eksnet": eksnet})
    assert checkpoint.require().state is P


WEB = """
{{apiVersion: v1, kind: Pod, metadata: {{name: web-{letter}, namespace: shop,
  labels: {{app: web, pod: web-{letter}}}}},
 spec: {{nodeName: {node}, terminationGracePeriodSeconds: 0,
  containers: [{{name: web, image: "busybox:1.36", ports: [{{name: http, containerPort: 8080}}],
   command: [sh, -c, "exec httpd -f -p 8080 -h /tmp"]}}]}}}}
"""
SERVICE = """
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop},
 spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}}
"""


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[None]:
    """The Service and the pods of 03c_service_faults, which its faults need."""
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    first, second = [node.name for node in cluster.list("nodes")][:2]
    for letter, node in {"a": first, "b": second, "c": second}.items():
        cluster.apply(WEB.format(letter=letter, node=node))
    cluster.apply(SERVICE)
    for letter in "abc":
        cluster.wait(f"pod/web-{letter}", namespace="shop")
    yield
    cluster.delete("namespace", "shop")


@pytest.mark.parametrize(
    ("fault", "name", "reason"),
    [
        ("A", "proxy-03", "its selector is app: wbe"),
        ("B", "proxy-04", "3 addresses are Ready, but the Service finds no port there"),
        ("C", "proxy-05", "the policy is Local, and on 1 of 2 nodes front has no endpoint"),
        ("D", "proxy-06", "the mode is iptable"),
    ],
)
def test_a_fault_of_kube_proxy_is_found_and_repaired(
    fault: str, name: str, reason: str, cluster: Cluster, shop: None
) -> None:
    assert eksnet.checkpoint("proxy-01").require().state is P
    kubeproxy.inject_fault(cluster, fault)
    try:
        mended(name, reason)
    finally:
        kubeproxy.revert_faults(cluster)


def test_the_rules_that_a_node_has_are_those_that_are_counted(cluster: Cluster, shop: None) -> None:
    rules = kubeproxy.wait_for_rules(cluster, kubeproxy.read_node(cluster))
    found = rules.about(cluster.get("service/web", namespace="shop"))
    assert eksnet.checkpoint("proxy-02").require(10, found).state is P
    assert eksnet.checkpoint("proxy-02").check(9, found).state is F


@pytest.fixture
def nobody(
    cluster: Cluster, live_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A target whose token may read nothing."""
    manifest = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: nobody}}"
    cluster.apply(manifest)
    path = "/api/v1/namespaces/default/serviceaccounts/nobody/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = cluster._client.send("POST", path, asked).body["status"]["token"]
    config = yaml.safe_load(live_sandbox.kubeconfig.read_text())
    config["users"] = [{"name": "nobody", "user": {"token": token}}]
    place = {"cluster": config["clusters"][0]["name"], "user": "nobody"}
    config["contexts"] = [{"name": "nobody", "context": place}]
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(file))
    yield "context:nobody"
    cluster.delete_manifest(manifest)


def test_a_token_that_may_read_nothing_is_no_failure(nobody: str) -> None:
    for definition in definitions.every():
        result = eksnet.checkpoint(definition.id, nobody).check("x")
        assert set(states(result)) == {C}, repr(result)
        assert "forbidden" in seen(result, 0)


@pytest.mark.parametrize("name", ["corefile-01", "corefile-03"])
def test_what_a_check_runs_dry_reads_the_cluster(cluster: Cluster, name: str) -> None:
    solution = eksnet.checkpoint(name).solution(reveal=True).text
    assert ".check(prediction, corefile)" in solution
    exec(solution.replace(".check(", ".require("), {"eksnet": eksnet, "cluster": cluster})
