"""Programs of kube-proxy that share the cluster's API server and nothing else with its nodes.

Each runs in a pod of its own network namespace, which bears the address of the node that it says
it is on, and so has to be on another one. Several modes and configurations can be seen at once, and
no node's rules change.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import yaml

from eksnet.cluster import Cluster
from eksnet.kubeproxy import (
    Node,
    Ruleset,
    Settings,
    differences,
    parse_dump,
    parse_settings,
    predict,
)

SYSTEM = "kube-system"
DEADLINE = 60.0
NFT = ["nft", "-j", "list", "ruleset"]
_ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True)
class Proxy:
    """A kube-proxy, the node that it says it is on, and its configuration."""

    cluster: Cluster
    name: str
    node: Node
    settings: Settings

    def dump(self) -> str:
        command = ["iptables-save"] if self.settings.mode == "iptables" else NFT
        return self.cluster.exec(self.name, command, SYSTEM).stdout

    def observed(self) -> Ruleset:
        return parse_dump(self.dump())

    def predicted(self) -> Ruleset:
        services = self.cluster.list("services", all_namespaces=True)
        slices = self.cluster.list("endpointslices", all_namespaces=True)
        return predict(services, slices, self.node, self.settings)

    def agrees(self) -> None:
        """Wait until it has written what is predicted; what differs is the failure's message."""
        deadline = time.monotonic() + DEADLINE
        while found := differences(self.predicted(), self.observed()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} on {self.node.name}:\n{found!r}")


def start(cluster: Cluster, name: str, node: Node, **changes) -> Proxy:
    """Start a kube-proxy whose configuration is the cluster's own, but for some fields."""
    system = cluster.get("configmap/kube-proxy-config", namespace=SYSTEM)
    config = yaml.safe_dump({**yaml.safe_load(system["data"]["config"]), **changes})
    daemon = cluster.get("daemonset/kube-proxy", namespace=SYSTEM)
    image = daemon["spec"]["template"]["spec"]["containers"][0]["image"]
    metadata = {"name": name, "namespace": SYSTEM}
    address = f"ip address add {node.addresses[0]}/32 dev lo"
    program = f"exec kube-proxy --config=/config/config --hostname-override={node.name}"
    container = {
        "name": "main",
        "image": image,
        "command": ["sh", "-c", f"{address} && {program}"],
        "securityContext": {"privileged": True},
        # It calls itself healthy once it has written its rules.
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 10256}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "config", "mountPath": "/config"},
            {"name": "kubeconfig", "mountPath": "/var/lib/kube-proxy"},
        ],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "serviceAccountName": "kube-proxy",
            "nodeName": next(one.name for one in cluster.list("nodes") if one.name != node.name),
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [
                {"name": "config", "configMap": {"name": name}},
                {"name": "kubeconfig", "configMap": {"name": "kube-proxy"}},
            ],
        },
    }
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    cluster.apply(json.dumps({**kind, "metadata": metadata, "data": {"config": config}}))
    cluster.apply(json.dumps(pod))
    cidrs = cluster.list("servicecidrs")[0]["spec"]["cidrs"]
    # The whole object: the real program decides whether its configuration is found in it.
    whole = cluster.get(f"configmap/{name}", namespace=SYSTEM)
    return Proxy(cluster, name, node, parse_settings(whole, tuple(cidrs)))


def tell_the_zone(cluster: Cluster, node: Node) -> None:
    """Take a node's zone away and give it back, so that each kube-proxy hears of it.

    kube-proxy 1.35 may miss it at its start: it asks to be told of its node before it says who in
    it wants to know (`NewNodeTopologyConfig`, then `RegisterEventHandler`), and what comes between
    the two is kept and told to nobody until the label changes.
    """
    for zone in (None, node.zone):
        cluster.patch("node", node.name, {"metadata": {"labels": {_ZONE: zone}}})


def stop(proxy: Proxy) -> None:
    proxy.cluster.delete(f"pod/{proxy.name}", namespace=SYSTEM)
    proxy.cluster.delete(f"configmap/{proxy.name}", namespace=SYSTEM)
