"""What holds against a pod that means ill: the computer's files, devices and switches."""

import os
import re
import subprocess
from pathlib import Path

import attack
import faults
import pytest

from eksnet.kubeproxy.observe import kube_proxies
from eksnet.sandbox import launching, lifecycle

pytestmark = pytest.mark.sandbox

BUSYBOX, DEBIAN = "busybox:1.36", "debian:12"
DEFAULT = "00000000a80425fb"
NONE = "0000000000000000"
CAPABILITIES = ("sh", "-c", "awk '/^Cap/ {print $2}' /proc/self/status | xargs")
# All namespaces of a node but that of its control groups, which it shares with the computer.
INTO_THE_NODE = ("nsenter", "-t", "1", "--mount", "--uts", "--ipc", "--net", "--pid", "sh", "-c")


def pod(image, command, security=None, **spec):
    """Return a pod's specification with one container."""
    main = {"name": "main", "image": image, "command": list(command)}
    if security is not None:
        main["securityContext"] = security
    if spec.get("volumes"):
        main["volumeMounts"] = [{"name": "host", "mountPath": "/host"}]
    return {"containers": [main], **spec}


def privileged(command):
    """Return what `kubectl debug node --profile=sysadmin` makes."""
    host = [{"name": "host", "hostPath": {"path": "/"}}]
    all_of_it = {"hostPID": True, "hostNetwork": True, "hostIPC": True, "volumes": host}
    return pod(DEBIAN, command, {"privileged": True}, **all_of_it)


ATTACKS = {
    "a plain pod": pod(BUSYBOX, ("sh", "-c", attack.SCRIPT)),
    "a pod with the computer's programs": pod(DEBIAN, ("sh", "-c", attack.SCRIPT)),
    "a pod that may mount": pod(
        DEBIAN, ("sh", "-c", attack.SCRIPT), {"capabilities": {"add": ["ALL"]}}
    ),
    "a privileged pod with the node's files": privileged(("sh", "-c", attack.SCRIPT)),
    "a privileged pod that goes into the node": privileged((*INTO_THE_NODE, attack.SCRIPT)),
}


@pytest.mark.parametrize("who", ATTACKS)
def test_nothing_of_the_computer_can_be_changed(cluster, who):
    run = cluster.run(BUSYBOX, "true", spec=ATTACKS[who])
    assert attack.found(run.output) == attack.HELD, run.output


def test_a_user_namespace_inside_a_pod_changes_nothing(cluster):
    command = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", attack.SCRIPT)
    run = cluster.run(BUSYBOX, "true", spec=pod(DEBIAN, command))
    assert attack.found(run.output) == attack.HELD, run.output


@pytest.mark.parametrize("profile", ["general", "sysadmin"])
def test_a_debug_pod_of_a_node_changes_nothing(cluster, profile):
    program, kubeconfig = lifecycle.kubectl()
    node = cluster.list("nodes")[0].name
    said = subprocess.run(
        [program, "--kubeconfig", kubeconfig, "debug", f"node/{node}", f"--image={DEBIAN}",
         f"--profile={profile}", "--", "sh", "-c", attack.SCRIPT],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    name = re.findall(r"node-debugger-\S+", said.stdout + said.stderr)[0]
    cluster.wait("pod", name, "jsonpath={.status.phase}=Succeeded")
    output = cluster.logs(name)
    cluster.delete("pod", name)
    assert attack.found(output) == attack.HELD, output


@pytest.mark.skipif(not launching.node_ids().startswith("0 65536"), reason="no ids to spare")
def test_root_of_a_node_is_nobody_on_the_computer(live_sandbox):
    assert os.stat(f"/proc/{faults.node_process('node1')}").st_uid == launching._NODE_IDS


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ({}, DEFAULT),
        ({"capabilities": {"drop": ["ALL"]}}, NONE),
        ({"capabilities": {"drop": ["NET_RAW"]}}, "00000000a80405fb"),
        ({"capabilities": {"add": ["NET_ADMIN"]}}, "00000000a80435fb"),
        ({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}, "0000000000001000"),
        ({"allowPrivilegeEscalation": False}, DEFAULT),
    ],
)
def test_a_container_has_the_capabilities_that_it_asks_for(cluster, security, expected):
    run = cluster.run(BUSYBOX, "true", spec=pod(BUSYBOX, CAPABILITIES, security))
    assert run.output.split() == [NONE, expected, expected, expected, NONE]


def test_a_privileged_container_has_all(cluster):
    everything = f"{(1 << int(Path('/proc/sys/kernel/cap_last_cap').read_text()) + 1) - 1:016x}"
    run = cluster.run(BUSYBOX, "true", spec=privileged(CAPABILITIES))
    assert run.output.split() == [NONE, everything, everything, everything, NONE]


def test_exec_gives_no_more_than_the_container_has(cluster):
    spec = pod(BUSYBOX, ("sleep", "infinity"), {"capabilities": {"drop": ["ALL"]}})
    meta = {"name": "bare"}
    spec["terminationGracePeriodSeconds"] = 0
    cluster.apply(str({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}))
    cluster.wait("pod/bare")
    assert cluster.exec("bare", CAPABILITIES).stdout.split() == [NONE] * 5
    cluster.delete("pod/bare")


ROUTE = ("ip", "route", "add", "192.0.2.0/24", "dev", "lo")


@pytest.mark.parametrize("change", [ROUTE, ("iptables", "-t", "nat", "-N", "MINE")])
def test_a_pods_network_is_changed_by_net_admin_alone(cluster, change):
    plain = cluster.run(BUSYBOX, "true", spec=pod(DEBIAN, change))
    assert plain.exit_code != 0
    assert "permitted" in plain.output or "ermission denied" in plain.output
    admin = {"capabilities": {"add": ["NET_ADMIN"]}}
    assert cluster.run(BUSYBOX, "true", spec=pod(DEBIAN, change, admin)).exit_code == 0


def test_kube_proxy_may_write_its_nodes_rules(cluster):
    name = kube_proxies(cluster)[0].name
    rules = cluster.exec(name, ("iptables", "-t", "nat", "-S", "KUBE-SERVICES"), "kube-system")
    assert rules.exit_code == 0
    assert "10.100.0.10/32" in rules.stdout


def test_a_plain_pod_may_ping(cluster):
    assert cluster.run(BUSYBOX, ("ping", "-c", "1", "10.0.0.2")).exit_code == 0
