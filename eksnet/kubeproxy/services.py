"""Services and EndpointSlices as kube-proxy reads them: ports, and endpoints for each client.

IPv4 only. Source: k8s.io/kubernetes v1.35.4, pkg/proxy: serviceport.go, endpointslicecache.go and
topology.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from eksnet import inputs
from eksnet.endpoints import endpoint_is_ready
from eksnet.errors import EksnetError
from eksnet.kubeproxy import names
from eksnet.kubeproxy.settings import Node

Object = Mapping[str, Any]
Key = tuple[str, str, str, str]

_STICKY_SECONDS = 10800
_OTHER_PROXY = "service.kubernetes.io/service-proxy-name"
_HEADLESS = "service.kubernetes.io/headless"
_NOT_OURS = {_OTHER_PROXY, _HEADLESS}
_SERVICE = "kubernetes.io/service-name"


@dataclass(frozen=True)
class ServicePort:
    """One port of a Service.

    Attributes:
        namespace: The Service's namespace.
        service: The Service's name.
        port_name: The port's name; empty when it has none.
        protocol: tcp, udp or sctp.
        cluster_ip: The ClusterIP.
        port: The port on the ClusterIP, external and load balancer addresses.
        node_port: The port on nodes; 0 for none.
        external_ips: spec.externalIPs.
        load_balancer_ips: Ingress addresses of the status that are not in mode Proxy.
        source_ranges: loadBalancerSourceRanges, empty when everybody may come.
        sticky_seconds: How long a client keeps its endpoint; 0 without session affinity.
        internal_local: Whether internalTrafficPolicy is Local.
        external_local: Whether externalTrafficPolicy is Local.
        health_check_node_port: Where a load balancer asks for local endpoints; 0 for nowhere.
    """

    namespace: str
    service: str
    port_name: str
    protocol: str
    cluster_ip: str
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    sticky_seconds: int = 0
    internal_local: bool = False
    external_local: bool = False
    health_check_node_port: int = 0

    @property
    def name(self) -> str:
        """namespace/service:port, as rules' comments have it; no colon without a port's name."""
        port = f":{self.port_name}" if self.port_name else ""
        return f"{self.namespace}/{self.service}{port}"

    @property
    def path(self) -> str:
        """namespace/service/protocol/port, as the chains of nftables are called."""
        return f"{self.namespace}/{self.service}/{self.protocol}/{self.port_name}"

    @property
    def key(self) -> Key:
        """What an EndpointSlice's port has to agree with."""
        return (self.namespace, self.service, self.port_name, self.protocol)

    @property
    def is_external(self) -> bool:
        """Whether it can be reached by anything but its ClusterIP."""
        return bool(self.node_port or self.external_ips or self.load_balancer_ips)

    @property
    def uses_cluster(self) -> bool:
        """Whether some packets may go to any endpoint: from a pod, even external Local ones."""
        return not self.internal_local or self.is_external

    @property
    def uses_local(self) -> bool:
        """Whether some packets may go to this node's endpoints alone."""
        return self.internal_local or (self.external_local and self.is_external)

    @property
    def has_firewall(self) -> bool:
        """Whether load balancer addresses let only some sources in."""
        return bool(self.load_balancer_ips and self.source_ranges)

    def allowed_sources(self, node: Node) -> tuple[str, ...]:
        """Return the networks that may use the load balancer's addresses.

        A node that may come itself sends with the load balancer's address as its source, so that
        address is let in as well.
        """
        own = ipaddress.ip_address(node.address)
        if any(own in ipaddress.ip_network(cidr) for cidr in self.source_ranges):
            return (*self.source_ranges, *(f"{ip}/32" for ip in self.load_balancer_ips))
        return self.source_ranges


@dataclass(frozen=True)
class Endpoint:
    """One address behind a port of a Service.

    Attributes:
        ip: The pod's address.
        port: The pod's port.
        is_local: Whether it is on the node whose rules are meant.
        ready: Ready and not terminating (or publishNotReadyAddresses).
        serving: Ready, terminating or not.
        terminating: Whether the pod is being deleted.
        zones: Zones that are hinted to use it.
        nodes: Nodes that are hinted to use it.
    """

    ip: str
    port: int
    is_local: bool = False
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zones: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    address: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", f"{self.ip}:{self.port}")

    @property
    def is_serving_terminating(self) -> bool:
        """Whether it still serves while its pod terminates: used when no endpoint is ready."""
        return self.serving and self.terminating


@dataclass(frozen=True)
class Served:
    """A Service's port and the endpoints that this node sends its packets to.

    Attributes:
        port: The port.
        cluster: Endpoints for traffic policy Cluster.
        local: Endpoints for traffic policy Local.
        reachable: Every endpoint that is in one of the two.
        has_endpoints: Whether anybody serves it, on whatever node.
        known: How many endpoints its EndpointSlices name, ready or not.
    """

    port: ServicePort
    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()
    reachable: tuple[Endpoint, ...] = ()
    has_endpoints: bool = False
    known: int = 0

    @property
    def internal(self) -> bool:
        """Whether packets to the ClusterIP find an endpoint on this node's terms."""
        return self.has_endpoints and (bool(self.local) or not self.port.internal_local)

    @property
    def external(self) -> bool:
        """Whether packets from outside find an endpoint on this node's terms."""
        return self.has_endpoints and (bool(self.local) or not self.port.external_local)


def served(services: Iterable[Object], slices: Iterable[Object], node: Node) -> list[Served]:
    """Return every port that kube-proxy on a node writes rules for, with its endpoints.

    Args:
        services: Objects of kind Service.
        slices: Objects of kind EndpointSlice.
        node: The node.

    Raises:
        EksnetError: A Service has no ClusterIP yet.
    """
    endpoints = _endpoints(slices, node)
    return [
        _categorized(port, endpoints.get(port.key, ()), node)
        for service in services
        for port in service_ports(service)
    ]


def service_ports(service: Object) -> Iterator[ServicePort]:
    """Yield a Service's ports; none for headless and ExternalName ones: they have no rules.

    kube-proxy asks the API server for no Service, and no EndpointSlice, that says by its label that
    it is headless or another proxy's; whatever its ClusterIP.

    Raises:
        EksnetError: The Service has no ClusterIP yet, or is not as the API server returns it.
    """
    with inputs.well_formed("the Service", service):
        yield from _ports(service)


def _ports(service: Object) -> Iterator[ServicePort]:
    spec, metadata = service["spec"], service["metadata"]
    kind = spec.get("type", "ClusterIP")
    address = _cluster_ip(spec)
    if address in ("None", None) or kind == "ExternalName":
        return
    if _NOT_OURS & (metadata.get("labels") or {}).keys():
        return
    if not address:
        raise EksnetError(
            f"the Service {metadata['name']} has no clusterIP yet",
            "an object as the API server returns it, or one with spec.clusterIP",
            'cluster.get("service/NAME")',
        )
    external = kind in ("NodePort", "LoadBalancer") or bool(spec.get("externalIPs"))
    external_local = external and spec.get("externalTrafficPolicy") == "Local"
    has_health_check = external_local and kind == "LoadBalancer"
    for port in spec.get("ports") or ():
        yield ServicePort(
            namespace=metadata.get("namespace", "default"),
            service=metadata["name"],
            port_name=port.get("name") or "",
            protocol=(port.get("protocol") or "TCP").lower(),
            cluster_ip=inputs.ipv4(address, "the clusterIP"),
            port=inputs.port(port["port"]),
            node_port=inputs.port(port.get("nodePort") or 0, "the nodePort"),
            external_ips=tuple(_ipv4(spec.get("externalIPs"))),
            load_balancer_ips=tuple(_ipv4(_ingress_ips(service))),
            source_ranges=_source_ranges(spec),
            sticky_seconds=_sticky_seconds(spec),
            internal_local=spec.get("internalTrafficPolicy") == "Local",
            external_local=external_local,
            health_check_node_port=has_health_check
            * inputs.port(spec.get("healthCheckNodePort") or 0, "the healthCheckNodePort"),
        )


def _cluster_ip(spec: Object) -> str | None:
    """Return the IPv4 ClusterIP; None for a Service of IPv6 alone."""
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP", "")]
    return next((address for address in addresses if ":" not in address), None)


def _ipv4(addresses: Iterable[str] | None) -> Iterator[str]:
    return (address for address in addresses or () if address and ":" not in address)


def _ingress_ips(service: Object) -> Iterator[str]:
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    for ingress in balancer.get("ingress") or ():
        # A load balancer in mode Proxy delivers to nodes itself: its address is none of theirs.
        if ingress.get("ipMode", "VIP") == "VIP":
            yield ingress.get("ip", "")


def _source_ranges(spec: Object) -> tuple[str, ...]:
    texts = _ipv4(spec.get("loadBalancerSourceRanges"))
    ranges = [ipaddress.ip_network(text.strip(), strict=False) for text in texts]
    if any(network.prefixlen == 0 for network in ranges):
        return ()
    return tuple(map(str, ranges))


def _sticky_seconds(spec: Object) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = spec.get("sessionAffinityConfig") or {}
    return int((config.get("clientIP") or {}).get("timeoutSeconds") or _STICKY_SECONDS)


def _endpoints(slices: Iterable[Object], node: Node) -> dict[Key, tuple[Endpoint, ...]]:
    """Return the endpoints of each Service's port, in the order of their texts, each once."""
    found: dict[Key, dict[str, Endpoint]] = {}
    for one in slices:
        with inputs.well_formed("the EndpointSlice", one):
            for key, endpoint in _endpoints_of(one, node):
                known = found.setdefault(key, {})
                if endpoint.address not in known or endpoint.is_local:
                    known[endpoint.address] = endpoint
    return {key: tuple(known[a] for a in sorted(known)) for key, known in found.items()}


def _endpoints_of(one: Object, node: Node) -> Iterator[tuple[Key, Endpoint]]:
    """Yield the endpoints of a slice, each with the port of a Service that it serves."""
    labels = one["metadata"].get("labels") or {}
    if one.get("addressType", "IPv4") != "IPv4" or labels.keys() & _NOT_OURS:
        return
    namespace, service = one["metadata"].get("namespace", "default"), labels.get(_SERVICE, "")
    for port in one.get("ports") or ():
        if not port.get("port"):
            continue
        number = inputs.port(port["port"])
        protocol = (port.get("protocol") or "TCP").lower()
        for raw in one.get("endpoints") or ():
            yield (
                (namespace, service, port.get("name") or "", protocol),
                _endpoint(raw, number, node),
            )


def _endpoint(raw: Object, port: int, node: Node) -> Endpoint:
    conditions, hints = raw.get("conditions") or {}, raw.get("hints") or {}
    return Endpoint(
        ip=inputs.ipv4(raw["addresses"][0], "the endpoint's address"),
        port=port,
        is_local=raw.get("nodeName") == node.name,
        ready=endpoint_is_ready(raw),
        serving=conditions.get("serving") is not False,
        terminating=conditions.get("terminating") is True,
        zones=frozenset(one["name"] for one in hints.get("forZones") or ()),
        nodes=frozenset(one["name"] for one in hints.get("forNodes") or ()),
    )


def _categorized(port: ServicePort, endpoints: tuple[Endpoint, ...], node: Node) -> Served:
    """Say which endpoints serve which traffic policy.

    Ready endpoints come first; without any, those that still serve while they terminate. Hints
    (traffic distribution) narrow traffic policy Cluster, when every ready endpoint has one and one
    of them is for this node or its zone.
    """
    cluster = _for_cluster(endpoints, node) if port.uses_cluster else ()
    local = tuple(e for e in endpoints if e.is_local) if port.uses_local else ()
    local = _ready(local) or _serving_terminating(local)
    # A port that looks at local endpoints alone still knows that others serve elsewhere.
    anywhere = _ready(endpoints) or _serving_terminating(endpoints)
    reachable = {e.address: e for e in (*cluster, *local)}
    return Served(
        port=port,
        cluster=cluster,
        local=local,
        reachable=tuple(reachable[address] for address in sorted(reachable)),
        has_endpoints=bool(anywhere),
        known=len(endpoints),
    )


def _for_cluster(endpoints: tuple[Endpoint, ...], node: Node) -> tuple[Endpoint, ...]:
    ready = _ready(endpoints)
    return tuple(filter(_hinted(ready, node), ready)) or _serving_terminating(endpoints)


def _hinted(ready: tuple[Endpoint, ...], node: Node) -> Callable[[Endpoint], bool]:
    """Return the test of hints that counts: same node, else same zone, else none."""

    def for_node(endpoint: Endpoint) -> bool:
        return node.name in endpoint.nodes

    def for_zone(endpoint: Endpoint) -> bool:
        return node.zone in endpoint.zones

    if all(e.nodes for e in ready) and any(map(for_node, ready)):
        return for_node
    if all(e.zones for e in ready) and any(map(for_zone, ready)):
        return for_zone
    return lambda endpoint: True


def _ready(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    return tuple(e for e in endpoints if e.ready)


def _serving_terminating(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    return tuple(e for e in endpoints if e.is_serving_terminating)


def chain_names(port: ServicePort, mode: str) -> frozenset[str]:
    """Return the names that the chains of a Service's port may have in a mode."""
    if mode == "iptables":
        part = names.iptables_port(port.name, port.protocol)
        return frozenset(f"KUBE-{kind}-{part}" for kind in ("SVC", "SVL", "EXT", "FW"))
    part = names.nftables_port(port.namespace, port.service, port.protocol, port.port_name)
    return frozenset(f"{kind}-{part}" for kind in ("service", "local", "external", "firewall"))
