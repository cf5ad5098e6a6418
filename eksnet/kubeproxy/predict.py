"""From Services and EndpointSlices to the rules of a node."""

from __future__ import annotations

from collections.abc import Iterable

from eksnet.kubeproxy import iptables, nftables
from eksnet.kubeproxy.ruleset import Ruleset
from eksnet.kubeproxy.services import Object, served
from eksnet.kubeproxy.settings import Node, Settings

_MODES = {"iptables": iptables.predict, "nftables": nftables.predict}


def predict(
    services: Iterable[Object],
    slices: Iterable[Object],
    node: Node,
    settings: Settings | None = None,
) -> Ruleset:
    """Return the IPv4 rules that kube-proxy 1.35.4 writes on a node.

    Args:
        services: Objects of kind Service, as `cluster.list("services", all_namespaces=True)`
            returns them.
        slices: Objects of kind EndpointSlice.
        node: The node: which endpoints are local depends on it.
        settings: kube-proxy's configuration; upstream's defaults, mode iptables, when None.

    Raises:
        EksnetError: A Service has no ClusterIP yet.
    """
    chosen = settings or Settings()
    return _MODES[chosen.mode](served(services, slices, node), node, chosen)
