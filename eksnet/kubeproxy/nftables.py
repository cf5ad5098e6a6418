"""The rules of mode nftables, as `nft list` prints what kube-proxy 1.35 writes.

Source: k8s.io/kubernetes v1.35.4, pkg/proxy/nftables/proxier.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from eksnet.kubeproxy import names
from eksnet.kubeproxy.ruleset import Chain, Name, NamedSet, Ruleset
from eksnet.kubeproxy.services import Endpoint, Served, ServicePort
from eksnet.kubeproxy.settings import Node, Settings

TABLE = "kube-proxy"

_BASE = (
    Chain(TABLE, "filter-prerouting-pre-dnat", (), "prerouting", "filter", -110, "accept"),
    Chain(TABLE, "filter-output-pre-dnat", (), "output", "filter", -110, "accept"),
    Chain(TABLE, "filter-input", (), "input", "filter", 0, "accept"),
    Chain(TABLE, "filter-forward", (), "forward", "filter", 0, "accept"),
    Chain(TABLE, "filter-output", (), "output", "filter", 0, "accept"),
    Chain(TABLE, "nat-prerouting", (), "prerouting", "nat", -100, "accept"),
    Chain(TABLE, "nat-output", (), "output", "nat", -100, "accept"),
    Chain(TABLE, "nat-postrouting", (), "postrouting", "nat", 100, "accept"),
)
_KEY = "ip daddr . meta l4proto . th dport vmap"
_MAPS = (
    "no-endpoint-services",
    "no-endpoint-nodeports",
    "firewall-ips",
    "service-ips",
    "service-nodeports",
)


def predict(ports: list[Served], node: Node, settings: Settings) -> Ruleset:
    """Return the rules, sets and maps that kube-proxy writes for Services' ports."""
    return _Writer(node, settings).write(ports)


class _Writer:
    """Collects rules by chain, elements by set and map."""

    def __init__(self, node: Node, settings: Settings) -> None:
        self._node = node
        self._settings = settings
        self._serving = settings.serving(node)
        self._found: dict[str, list[str]] = {}
        self._sets: dict[Name, NamedSet] = {}
        self._maps: dict[str, dict[str, str]] = {name: {} for name in _MAPS}

    def write(self, ports: list[Served]) -> Ruleset:
        self._fixed_chains()
        for one in ports:
            self._destinations(one)
            self._service_chains(one)
            self._endpoint_chains(one)
        cluster_ips = {one.port.cluster_ip for one in ports}
        self._sets[TABLE, "cluster-ips"] = NamedSet(in_order(cluster_ips))
        if self._serving is not None:
            self._sets[TABLE, "nodeport-ips"] = NamedSet(in_order(self._serving))
        base = {chain.name: chain for chain in _BASE}
        chains = {
            (TABLE, name): Chain(**{**vars(base.get(name, Chain(TABLE, name))), "rules": (*rules,)})
            for name, rules in self._found.items()
        }
        maps = {(TABLE, name): elements for name, elements in self._maps.items()}
        return Ruleset("nftables", chains, self._sets, maps)

    def _add(self, chain: str, *rules: str) -> None:
        self._found.setdefault(chain, []).extend(rules)

    # What is there without any Service.

    def _fixed_chains(self) -> None:
        mark, add = f"0x{self._settings.mark:08x}", self._add
        nodeports = (
            "fib daddr type local ip daddr != 127.0.0.0/8"
            if self._serving is None
            else "ip daddr @nodeport-ips"
        )
        checked = nodeports.removeprefix("fib daddr type local ")
        ports = "meta l4proto . th dport vmap"
        new = "ct state new jump"
        add("filter-prerouting-pre-dnat", f"{new} firewall-check")
        add("filter-output-pre-dnat", f"{new} firewall-check")
        add("filter-input", f"{new} nodeport-endpoints-check", f"{new} service-endpoints-check")
        add("filter-forward", f"{new} service-endpoints-check", f"{new} cluster-ips-check")
        add("filter-output", f"{new} service-endpoints-check", f"{new} cluster-ips-check")
        add("nat-prerouting", "jump services")
        add("nat-output", "jump services")
        add("nat-postrouting", "jump masquerading")
        add("nodeport-endpoints-check", f"{checked} {ports} @no-endpoint-nodeports")
        add("service-endpoints-check", f"{_KEY} @no-endpoint-services")
        add("firewall-check", f"{_KEY} @firewall-ips")
        add("services", f"{_KEY} @service-ips", f"{nodeports} {ports} @service-nodeports")
        add(
            "masquerading",
            f"meta mark & {mark} == 0x00000000 return",
            f"meta mark set meta mark ^ {mark}",
            "masquerade fully-random",
        )
        invalid = 'reject comment "Reject traffic to invalid ports of ClusterIPs"'
        add("cluster-ips-check", f"ip daddr @cluster-ips {invalid}")
        if cidrs := self._settings.service_cidrs:
            unowned = 'drop comment "Drop traffic to unallocated ClusterIPs"'
            add("cluster-ips-check", f"ip daddr {anonymous(cidrs)} {unowned}")
        add("mark-for-masquerade", f"meta mark set meta mark | {mark}")
        add("reject-chain", "reject")

    # What each address of a Service's port leads to.

    def _destinations(self, one: Served) -> None:
        port, chains = one.port, _Chains(one.port)
        # REJECT with no endpoint anywhere; a drop where another node could serve.
        refusal = "drop" if one.has_endpoints else "goto reject-chain"
        served, refused = self._maps["service-ips"], self._maps["no-endpoint-services"]
        if one.internal:
            served[_key(port, port.cluster_ip)] = f"goto {chains.internal}"
        else:
            refused[_key(port, port.cluster_ip)] = refusal
        for ip in (*port.external_ips, *port.load_balancer_ips):
            if one.has_endpoints:
                served[_key(port, ip)] = f"goto {chains.external}"
            if not one.external:
                refused[_key(port, ip)] = refusal
        if port.has_firewall:
            for ip in port.load_balancer_ips:
                self._maps["firewall-ips"][_key(port, ip)] = f"goto {chains.firewall}"
        if port.node_port:
            self._node_port(one, f"goto {chains.external}", refusal)

    def _node_port(self, one: Served, target: str, refusal: str) -> None:
        key = f"{one.port.protocol} . {one.port.node_port}"
        if one.has_endpoints:
            self._maps["service-nodeports"][key] = target
        if not one.external:
            self._maps["no-endpoint-nodeports"][key] = refusal

    # The chains of a Service's port.

    def _service_chains(self, one: Served) -> None:
        port, chains = one.port, _Chains(one.port)
        if one.internal:
            self._masquerade_strangers(port, chains.internal)
        if one.has_endpoints and port.is_external:
            self._external_chain(one, chains)
        if port.has_firewall:
            sources = (source.removesuffix("/32") for source in port.allowed_sources(self._node))
            self._add(chains.firewall, f"ip saddr != {anonymous(sources)} drop")
        self._policy_chain(port, chains.cluster, one.cluster)
        self._policy_chain(port, chains.local, one.local)

    def _masquerade_strangers(self, port: ServicePort, chain: str) -> None:
        """Masquerade what does not come from a pod: the answer has to come back this way."""
        cidr = self._settings.cluster_cidr
        if not cidr and not self._settings.masquerade_all:
            return
        who = "" if self._settings.masquerade_all else f"ip saddr != {cidr} "
        self._add(chain, f"ip daddr {port.cluster_ip} {who}jump mark-for-masquerade")

    def _external_chain(self, one: Served, chains: _Chains) -> None:
        if not one.port.external_local:
            self._add(chains.external, "jump mark-for-masquerade")
        else:
            # What starts inside the cluster may go to any endpoint, as if it came back in.
            if cidr := self._settings.cluster_cidr:
                note = 'comment "short-circuit pod traffic"'
                self._add(chains.external, f"ip saddr {cidr} goto {chains.cluster} {note}")
            own = "fib saddr type local"
            self._add(
                chains.external,
                f'{own} jump mark-for-masquerade comment "masquerade local traffic"',
                f'{own} goto {chains.cluster} comment "short-circuit local traffic"',
            )
        if one.external:
            target = chains.local if one.port.external_local else chains.cluster
            self._add(chains.external, f"goto {target}")

    def _policy_chain(self, port: ServicePort, chain: str, endpoints: tuple[Endpoint, ...]) -> None:
        if not endpoints:
            return
        parts = [names.nftables_endpoint(port.path, e.address) for e in endpoints]
        if port.sticky_seconds:
            self._add(chain, *(f"ip saddr @affinity-{p} goto endpoint-{p}" for p in parts))
        branches = ", ".join(f"{n} : goto endpoint-{part}" for n, part in enumerate(parts))
        self._add(chain, f"numgen random mod {len(parts)} vmap {{ {branches} }}")

    def _endpoint_chains(self, one: Served) -> None:
        port = one.port
        for endpoint in one.reachable:
            part = names.nftables_endpoint(port.path, endpoint.address)
            chain = f"endpoint-{part}"
            # A pod that is sent back to itself must see another source than its own.
            self._add(chain, f"ip saddr {endpoint.ip} jump mark-for-masquerade")
            if port.sticky_seconds:
                self._sets[TABLE, f"affinity-{part}"] = NamedSet((), port.sticky_seconds)
                self._add(chain, f"update @affinity-{part} {{ ip saddr }}")
            self._add(chain, f"meta l4proto {port.protocol} dnat to {endpoint.address}")


class _Chains:
    """The names of a port's chains."""

    def __init__(self, port: ServicePort) -> None:
        part = names.nftables_port(port.namespace, port.service, port.protocol, port.port_name)
        self.cluster, self.local = f"service-{part}", f"local-{part}"
        self.external, self.firewall = f"external-{part}", f"firewall-{part}"
        self.internal = self.local if port.internal_local else self.cluster


def _key(port: ServicePort, ip: str) -> str:
    return f"{ip} . {port.protocol} . {port.port}"


def in_order(addresses: Iterable[str]) -> tuple[str, ...]:
    """Return addresses and networks in the order of their numbers, as nft lists them."""
    return tuple(sorted(set(addresses), key=lambda text: ipaddress.ip_network(text)))


def anonymous(addresses: Iterable[str]) -> str:
    """Return a set without a name, as nft prints it: a single element stands alone.

    Where one of several is a network, nft joins those that overlap or touch (nftables 1.0.6).
    """
    ordered = in_order(addresses)
    if len(ordered) == 1:
        return ordered[0]
    networks = [IPv4Network(text) for text in ordered]
    hosts = all(network.num_addresses == 1 for network in networks)
    return f"{{ {', '.join(ordered if hosts else _joined(networks))} }}"


def _joined(networks: Iterable[IPv4Network]) -> Iterator[str]:
    """Yield networks, which are in order, as ranges that neither overlap nor touch."""
    spans: list[list[IPv4Address]] = []
    for network in networks:
        if spans and int(network[0]) <= int(spans[-1][1]) + 1:
            spans[-1][1] = max(spans[-1][1], network[-1])
        else:
            spans.append([network[0], network[-1]])
    return (_span(first, last) for first, last in spans)


def _span(first: IPv4Address, last: IPv4Address) -> str:
    network, *others = ipaddress.summarize_address_range(first, last)
    return f"{first}-{last}" if others else str(network).removesuffix("/32")
