"""How many rules Services take, by their number, and how many of them a first packet meets."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eksnet import inputs
from eksnet.kubeproxy.packet import Packet
from eksnet.kubeproxy.predict import predict
from eksnet.kubeproxy.ruleset import Ruleset
from eksnet.kubeproxy.settings import Node, Settings
from eksnet.kubeproxy.walk import packet_walk
from eksnet.listing import Listing

_NODE = Node("node", ("10.0.128.10",))
_CLIENT = "10.0.129.200"
MOST_SERVICES, _MOST_ENDPOINTS = 60_000, 5000
_FIRST_CLUSTER_IP = ipaddress.IPv4Address("10.100.16.0")
_FIRST_POD = ipaddress.IPv4Address("10.64.0.0")

Counts = tuple[int, int]


@dataclass(frozen=True)
class RuleCounts:
    """The rules for a number of Services.

    Attributes:
        mode: iptables or nftables.
        services: How many Services.
        endpoints: How many endpoints each of them has.
        rules: How many rules kube-proxy writes, in all tables.
        elements: How many elements of sets and maps; 0 in mode iptables.
        met: How many rules the first packet to the last Service meets on its way.
    """

    mode: str
    services: int
    endpoints: int
    rules: int
    elements: int
    met: int


def predict_rule_counts(
    sizes: Iterable[int], endpoints: int = 3, settings: Settings | None = None
) -> Listing[RuleCounts]:
    """Predict how many rules so many Services take.

    In mode iptables, N Services of type ClusterIP with e ≥ 1 endpoints each have 5 + 4 + N (1 + 3e)
    rules in the tables nat and filter, and the packet to the last of them meets the rule of each.
    In mode nftables they have N (1 + 2e) rules more than none, and one look into a map finds each.

    Args:
        sizes: Numbers of Services.
        endpoints: Endpoints of each; at least 1.
        settings: kube-proxy's configuration; mode iptables when None.

    Raises:
        EksnetError: A number is too small or too large; see `example`.
    """
    chosen = settings or Settings()
    return Listing.of(
        (_counted(number, endpoints, chosen) for number in sizes),
        {
            "mode": lambda one: one.mode,
            "services": lambda one: one.services,
            "rules": lambda one: one.rules,
            "elements": lambda one: one.elements,
            "rules met": lambda one: one.met,
        },
    )


def _counted(services: int, endpoints: int, settings: Settings) -> RuleCounts:
    objects, slices = example(services, endpoints)
    rules = predict(objects, slices, _NODE, settings)
    met = 0
    if objects:
        packet = Packet(_CLIENT, objects[-1]["spec"]["clusterIP"], 80)
        met = len(packet_walk(rules, packet, _NODE))
    return RuleCounts(settings.mode, services, endpoints, *counts(rules), met)


def counts(rules: Ruleset) -> Counts:
    """Return how many rules of its own kube-proxy has, and how many elements of sets and maps."""
    held = [*rules.maps.values(), *(one.elements for one in rules.sets.values())]
    return sum(rules_per_table(rules).values()), sum(map(len, held))


def rules_per_table(rules: Ruleset) -> dict[str, int]:
    """Return how many rules of its own kube-proxy has in each table of a ruleset.

    Without the jumps from built-in chains: so kube-proxy itself counts in its metric
    `kubeproxy_sync_proxy_rules_iptables_total`.

    Args:
        rules: The rules.
    """
    counts: dict[str, int] = {}
    for chain in rules.owned().chains.values():
        if not chain.hook:
            counts[chain.table] = counts.get(chain.table, 0) + len(chain.rules)
    return counts


def example(
    services: int, endpoints: int, namespace: str = "many"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return Services of type ClusterIP and their EndpointSlices, with addresses of nobody.

    Args:
        services: How many; up to 60,000 fit into 10.100.16.0 and above.
        endpoints: Endpoints of each, up to 5,000.
        namespace: Their namespace.

    Raises:
        EksnetError: So many do not fit.
    """
    inputs.count(services, "the number of Services", 0, MOST_SERVICES)
    inputs.count(endpoints, "the number of endpoints", 0, _MOST_ENDPOINTS)
    inputs.namespace(namespace)
    numbers = range(services)
    return (
        [_service(number, namespace) for number in numbers],
        [_slice(number, endpoints, namespace) for number in numbers],
    )


def _service(number: int, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"svc-{number}", "namespace": namespace},
        "spec": {
            "clusterIP": str(_FIRST_CLUSTER_IP + number),
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    }


def _slice(number: int, endpoints: int, namespace: str) -> dict[str, Any]:
    first = _FIRST_POD + number * endpoints
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"svc-{number}",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": f"svc-{number}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [str(first + at)]} for at in range(endpoints)],
    }
