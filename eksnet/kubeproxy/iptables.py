"""The rules of mode iptables, as `iptables-save` prints what kube-proxy 1.35 writes.

Source: k8s.io/kubernetes v1.35.4, pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from functools import cache

from eksnet.kubeproxy import names
from eksnet.kubeproxy.ruleset import Chain, Name, Ruleset
from eksnet.kubeproxy.services import Endpoint, Served, ServicePort
from eksnet.kubeproxy.settings import Node, Settings

# With more endpoints than this, kube-proxy leaves out the comments that repeat for each endpoint.
LARGE = 1000

HOOKS: dict[Name, tuple[str, int]] = {
    ("raw", "PREROUTING"): ("prerouting", -300),
    ("raw", "OUTPUT"): ("output", -300),
    ("mangle", "PREROUTING"): ("prerouting", -150),
    ("mangle", "INPUT"): ("input", -150),
    ("mangle", "FORWARD"): ("forward", -150),
    ("mangle", "OUTPUT"): ("output", -150),
    ("mangle", "POSTROUTING"): ("postrouting", -150),
    ("nat", "PREROUTING"): ("prerouting", -100),
    ("nat", "OUTPUT"): ("output", -100),
    ("nat", "INPUT"): ("input", 100),
    ("nat", "POSTROUTING"): ("postrouting", 100),
    ("filter", "INPUT"): ("input", 0),
    ("filter", "FORWARD"): ("forward", 0),
    ("filter", "OUTPUT"): ("output", 0),
    ("security", "INPUT"): ("input", 50),
    ("security", "FORWARD"): ("forward", 50),
    ("security", "OUTPUT"): ("output", 50),
}
"""Where packets enter the built-in chains: the hook, and the priority among those at it."""

_NEW = "-m conntrack --ctstate NEW "
_REJECT = "REJECT --reject-with icmp-port-unreachable"
_LOCALHOST_COUNTER = "-m nfacct --nfacct-name localhost_nps_accepted_pkts "
_INVALID_COUNTER = "-m nfacct --nfacct-name ct_state_invalid_dropped_pkts "


def base_chain(table: str, name: str, rules: tuple[str, ...], policy: str = "accept") -> Chain:
    """Return a built-in chain."""
    hook, priority = HOOKS[table, name]
    kind = "nat" if table == "nat" else "filter"
    return Chain(table, name, rules, hook, kind, priority, policy)


def predict(ports: list[Served], node: Node, settings: Settings) -> Ruleset:
    """Return the rules that kube-proxy writes for Services' ports."""
    return _Writer(node, settings, sum(one.known for one in ports) > LARGE).write(ports)


class _Writer:
    """Collects rules by chain, in the order in which kube-proxy writes them."""

    def __init__(self, node: Node, settings: Settings, large: bool) -> None:
        self._node = node
        self._settings = settings
        self._mark = f"{settings.mark:#x}"
        self._large = large
        self._found: dict[Name, list[str]] = {}

    def write(self, ports: list[Served]) -> Ruleset:
        self._jumps()
        self._masquerading()
        self._forwarding()
        for one in ports:
            self._destinations(one)
            self._service_chains(one)
            self._endpoint_chains(one)
        self._nodeports_last()
        chains = {
            name: base_chain(*name, tuple(rules)) if name in HOOKS else Chain(*name, tuple(rules))
            for name, rules in self._found.items()
        }
        return Ruleset("iptables", chains)

    def _add(self, table: str, chain: str, rule: str) -> None:
        self._found.setdefault((table, chain), []).append(rule)

    # What is there without any Service.

    def _jumps(self) -> None:
        firewall = f"{_NEW}{comment('kubernetes load balancer firewall')}-j KUBE-PROXY-FIREWALL"
        portals = f"{_NEW}{comment('kubernetes service portals')}-j KUBE-SERVICES"
        external = (
            f"{_NEW}{comment('kubernetes externally-visible service portals')}"
            "-j KUBE-EXTERNAL-SERVICES"
        )
        health = f"{comment('kubernetes health check service ports')}-j KUBE-NODEPORTS"
        forward = f"{comment('kubernetes forwarding rules')}-j KUBE-FORWARD"
        for rule in (firewall, health, external, "-j KUBE-FIREWALL"):
            self._add("filter", "INPUT", rule)
        for rule in (firewall, forward, portals, external):
            self._add("filter", "FORWARD", rule)
        for rule in (firewall, portals, "-j KUBE-FIREWALL"):
            self._add("filter", "OUTPUT", rule)
        for chain in ("PREROUTING", "OUTPUT"):
            self._add("nat", chain, f"{comment('kubernetes service portals')}-j KUBE-SERVICES")
        postrouting = f"{comment('kubernetes postrouting rules')}-j KUBE-POSTROUTING"
        self._add("nat", "POSTROUTING", postrouting)

    def _masquerading(self) -> None:
        mark = self._mark
        snat = comment("kubernetes service traffic requiring SNAT")
        self._add("nat", "KUBE-POSTROUTING", f"-m mark ! --mark {mark}/{mark} -j RETURN")
        # Cleared, lest the packet is masqueraded again where it comes by a second time.
        self._add("nat", "KUBE-POSTROUTING", f"-j MARK --set-xmark {mark}/0x0")
        self._add("nat", "KUBE-POSTROUTING", f"{snat}-j MASQUERADE --random-fully")
        self._add("nat", "KUBE-MARK-MASQ", f"-j MARK --set-xmark {mark}/{mark}")

    def _forwarding(self) -> None:
        if self._serves_localhost:
            # NodePorts on 127.0.0.1 need route_localnet, which would let neighbours in as well.
            rule = (
                f"! -s 127.0.0.0/8 -d 127.0.0.0/8 {comment('block incoming localnet connections')}"
                "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
            )
            self._add("filter", "KUBE-FIREWALL", rule)
        counter = _INVALID_COUNTER if self._settings.nfacct else ""
        marked = f"{comment('kubernetes forwarding rules')}-m mark --mark {self._mark}/{self._mark}"
        known = f"{comment('kubernetes forwarding conntrack rule')}-m conntrack"
        if not self._settings.tcp_be_liberal:
            invalid = f"-m conntrack --ctstate INVALID {counter}-j DROP"
            self._add("filter", "KUBE-FORWARD", invalid)
        for rule in (
            f"{marked} -j ACCEPT",
            f"{known} --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ):
            self._add("filter", "KUBE-FORWARD", rule)

    @property
    def _serves_localhost(self) -> bool:
        serving = self._settings.serving(self._node)
        anywhere = serving is None or "127.0.0.1" in serving
        return self._settings.localhost_node_ports and anywhere

    def _nodeports_last(self) -> None:
        note = comment(
            "kubernetes service nodeports; NOTE: this must be the last rule in this chain"
        )
        serving = self._settings.serving(self._node)
        if serving is None:
            elsewhere = "" if self._serves_localhost else "! -d 127.0.0.0/8 "
            rule = f"{elsewhere}{note}-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
            self._add("nat", "KUBE-SERVICES", rule)
            return
        for address in serving:
            if not address.startswith("127.") or self._serves_localhost:
                self._add("nat", "KUBE-SERVICES", f"-d {address}/32 {note}-j KUBE-NODEPORTS")

    # What each address of a Service's port leads to.

    def _destinations(self, one: Served) -> None:
        port, chains = one.port, _chains(one.port)
        ways = [("cluster IP", port.cluster_ip, chains.internal(one), one.internal)]
        ways += [("external IP", ip, chains.ext, one.external) for ip in port.external_ips]
        gate = chains.fw if port.has_firewall else chains.ext
        ways += [("loadbalancer IP", ip, gate, one.external) for ip in port.load_balancer_ips]
        for what, ip, chain, is_served in ways:
            outside = what != "cluster IP"
            if one.has_endpoints and (outside or is_served):
                rule = f"{_to(port, ip)}{comment(f'{port.name} {what}')}{_dport(port)}-j {chain}"
                self._add("nat", "KUBE-SERVICES", rule)
            if not is_served:
                refuse = f"{_to(port, ip)}{_refusal(one)}"
                place = "KUBE-EXTERNAL-SERVICES" if outside else "KUBE-SERVICES"
                self._add("filter", place, refuse.format(where=_dport(port)))
        if port.has_firewall and one.has_endpoints:
            for ip in port.load_balancer_ips:
                why = comment(f"{port.name} traffic not accepted by {chains.fw}")
                rule = f"{_to(port, ip)}{why}{_dport(port)}-j DROP"
                self._add("filter", "KUBE-PROXY-FIREWALL", rule)
        if port.node_port:
            self._node_port(one, chains.ext)
        if port.health_check_node_port:
            why = comment(f"{port.name} health check node port")
            rule = f"-p tcp {why}-m tcp --dport {port.health_check_node_port} -j ACCEPT"
            self._add("filter", "KUBE-NODEPORTS", rule)

    def _node_port(self, one: Served, chain: str) -> None:
        port = one.port
        where = f"-m {port.protocol} --dport {port.node_port} "
        if one.has_endpoints:
            head = f"-p {port.protocol} {comment(port.name)}{where}"
            if self._serves_localhost and self._settings.nfacct:
                rule = f"-d 127.0.0.0/8 {head}{_LOCALHOST_COUNTER}-j {chain}"
                self._add("nat", "KUBE-NODEPORTS", rule)
            self._add("nat", "KUBE-NODEPORTS", f"{head}-j {chain}")
        if not one.external:
            refuse = f"-p {port.protocol} {_refusal(one)}"
            local = f"-m addrtype --dst-type LOCAL {where}"
            self._add("filter", "KUBE-EXTERNAL-SERVICES", refuse.format(where=local))

    # The chains of a Service's port.

    def _service_chains(self, one: Served) -> None:
        port, chains = one.port, _chains(one.port)
        if one.internal:
            self._masquerade_strangers(port, chains.internal(one))
        if one.has_endpoints and port.is_external:
            self._external_chain(one, chains)
        if one.has_endpoints and port.has_firewall:
            self._firewall_chain(port, chains)
        self._policy_chain(port, chains.svc, one.cluster)
        self._policy_chain(port, chains.svl, one.local)

    def _masquerade_strangers(self, port: ServicePort, chain: str) -> None:
        """Masquerade what does not come from a pod: the answer has to come back this way."""
        cidr = self._settings.cluster_cidr
        if not cidr and not self._settings.masquerade_all:
            return
        who = "" if self._settings.masquerade_all else f"! -s {cidr} "
        why = comment(f"{port.name} cluster IP")
        rule = f"{who}{_to(port, port.cluster_ip)}{why}{_dport(port)}-j KUBE-MARK-MASQ"
        self._add("nat", chain, rule)

    def _external_chain(self, one: Served, chains: _Chains) -> None:
        name, add = one.port.name, self._add
        if not one.port.external_local:
            why = comment(f"masquerade traffic for {name} external destinations")
            add("nat", chains.ext, f"{why}-j KUBE-MARK-MASQ")
        else:
            # What starts inside the cluster may go to any endpoint, as if it came back in.
            if cidr := self._settings.cluster_cidr:
                why = comment(f"pod traffic for {name} external destinations")
                add("nat", chains.ext, f"-s {cidr} {why}-j {chains.svc}")
            own = "-m addrtype --src-type LOCAL"
            why = comment(f"masquerade LOCAL traffic for {name} external destinations")
            add("nat", chains.ext, f"{why}{own} -j KUBE-MARK-MASQ")
            why = comment(f"route LOCAL traffic for {name} external destinations")
            add("nat", chains.ext, f"{why}{own} -j {chains.svc}")
        if one.external:
            target = chains.svl if one.port.external_local else chains.svc
            add("nat", chains.ext, f"-j {target}")

    def _firewall_chain(self, port: ServicePort, chains: _Chains) -> None:
        why = comment(f"{port.name} loadbalancer IP")
        for source in port.allowed_sources(self._node):
            self._add("nat", chains.fw, f"-s {source} {why}-j {chains.ext}")
        rest = comment(f"other traffic to {port.name} will be dropped by KUBE-PROXY-FIREWALL")
        self._add("nat", chains.fw, rest.rstrip())

    def _policy_chain(self, port: ServicePort, chain: str, endpoints: tuple[Endpoint, ...]) -> None:
        seps = [
            (e, names.iptables_endpoint(port.name, port.protocol, e.address)) for e in endpoints
        ]
        if port.sticky_seconds:
            for endpoint, sep in seps:
                recent = f"-m recent --rcheck --seconds {port.sticky_seconds} --reap --name {sep}"
                recent += " --mask 255.255.255.255 --rsource"
                self._add("nat", chain, f"{self._way(port, endpoint)}{recent} -j {sep}")
        for left, (endpoint, sep) in zip(range(len(seps), 0, -1), seps, strict=True):
            chance = f"-m statistic --mode random --probability {probability(left)} "
            rule = f"{self._way(port, endpoint)}{chance if left > 1 else ''}-j {sep}"
            self._add("nat", chain, rule)

    def _way(self, port: ServicePort, endpoint: Endpoint) -> str:
        return "" if self._large else comment(f"{port.name} -> {endpoint.address}")

    def _endpoint_chains(self, one: Served) -> None:
        port = one.port
        why = "" if self._large else comment(port.name)
        for endpoint in one.reachable:
            sep = names.iptables_endpoint(port.name, port.protocol, endpoint.address)
            recent = f"-m recent --set --name {sep} --mask 255.255.255.255 --rsource "
            # A pod that is sent back to itself must see another source than its own.
            self._add("nat", sep, f"-s {endpoint.ip}/32 {why}-j KUBE-MARK-MASQ")
            dnat = f"-m {port.protocol} -j DNAT --to-destination {endpoint.address}"
            sticky = recent if port.sticky_seconds else ""
            self._add("nat", sep, f"-p {port.protocol} {why}{sticky}{dnat}")


class _Chains:
    """The names of a port's chains."""

    def __init__(self, port: ServicePort) -> None:
        part = names.iptables_port(port.name, port.protocol)
        self.svc, self.svl = f"KUBE-SVC-{part}", f"KUBE-SVL-{part}"
        self.ext, self.fw = f"KUBE-EXT-{part}", f"KUBE-FW-{part}"

    def internal(self, one: Served) -> str:
        return self.svl if one.port.internal_local else self.svc


def _chains(port: ServicePort) -> _Chains:
    return _Chains(port)


def comment(text: str) -> str:
    """Return the match that only carries a comment."""
    return f'-m comment --comment "{text}" '


@cache
def probability(left: int) -> str:
    """Return the chance of one endpoint among those that are left, as the kernel keeps it.

    kube-proxy writes 1/n with ten digits; the kernel keeps it in units of 2**-31, and iptables-save
    prints that with eleven digits: 1/3 becomes 0.33333333349.
    """
    return f"{round(float(f'{1 / left:.10f}') * 2**31) / 2**31:.11f}"


def _to(port: ServicePort, ip: str) -> str:
    return f"-d {ip}/32 -p {port.protocol} "


def _dport(port: ServicePort) -> str:
    return f"-m {port.protocol} --dport {port.port} "


def _refusal(one: Served) -> str:
    """Return the end of a rule that turns packets away: REJECT with no endpoint anywhere.

    With endpoints elsewhere it is DROP: a load balancer that tries this node should time out and
    try another one.
    """
    who = "local endpoints" if one.has_endpoints else "endpoints"
    target = "DROP" if one.has_endpoints else _REJECT
    return f"{comment(f'{one.port.name} has no {who}')}{{where}}-j {target}"
