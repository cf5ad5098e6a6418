"""What kube-proxy has to know besides Services: its own configuration, and its node."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eksnet import inputs
from eksnet.errors import EksnetError

MODES = ("iptables", "nftables")
# What kube-proxy itself starts with on Linux; ipvs is not modelled here.
KNOWN_MODES = (*MODES, "ipvs")
PRIMARY = "primary"
_LAST_BIT = 31
_KIND = "KubeProxyConfiguration"
_CONFIGURATION = f"a {_KIND}"
# All fields that one can have, whether rules depend on them or not.
_FIELDS = {
    "apiVersion",
    "bindAddress",
    "bindAddressHardFail",
    "clientConnection",
    "clusterCIDR",
    "configSyncPeriod",
    "conntrack",
    "detectLocal",
    "detectLocalMode",
    "enableProfiling",
    "featureGates",
    "healthzBindAddress",
    "hostnameOverride",
    "iptables",
    "ipvs",
    "kind",
    "logging",
    "metricsBindAddress",
    "mode",
    "nftables",
    "nodePortAddresses",
    "oomScoreAdj",
    "portRange",
    "showHiddenMetricsForVersion",
    "windowsRunAsService",
    "winkernel",
}
KEYS = ("config", "config.conf")
"""Under which key of its ConfigMap it is: on EKS and the sandbox, and with kubeadm and kind."""
_MODE_HINT = "set `mode: iptables` or `mode: nftables` in the ConfigMap kube-proxy-config"


@dataclass(frozen=True)
class Node:
    """The node whose rules are meant.

    Attributes:
        name: Its name, as in an endpoint's nodeName.
        addresses: Its IPv4 addresses, the InternalIP first.
        zone: Its label topology.kubernetes.io/zone; endpoints with hints are chosen by it.
    """

    name: str
    addresses: tuple[str, ...]
    zone: str = ""

    def __post_init__(self) -> None:
        for address in self.addresses:
            inputs.ipv4(address, "the node's address")

    @classmethod
    def from_object(cls, node: Mapping[str, Any]) -> Node:
        """Return the node of an object of kind Node.

        Args:
            node: The node, as the API server returns it.

        Raises:
            EksnetError: It is not as the API server returns it.
        """
        with inputs.well_formed("the node", node):
            found = node["status"].get("addresses") or ()
            addresses = [one["address"] for one in found if one["type"] == "InternalIP"]
            labels = node["metadata"].get("labels") or {}
            zone = labels.get("topology.kubernetes.io/zone", "")
            return cls(node["metadata"]["name"], tuple(a for a in addresses if ":" not in a), zone)

    @property
    def address(self) -> str:
        """Its own IPv4 address; without one kube-proxy takes the loopback address for it."""
        return self.addresses[0] if self.addresses else "127.0.0.1"

    def owns(self, address: str) -> bool:
        """Tell whether an address is one of the node's own; 127.0.0.0/8 always is.

        Args:
            address: An IP address.
        """
        return address in self.addresses or address.startswith("127.")


@dataclass(frozen=True)
class Settings:
    """The part of KubeProxyConfiguration that shapes rules, with upstream's defaults.

    Attributes:
        mode: iptables or nftables.
        masquerade_all: Whether every packet to a ClusterIP gets the node's address as its source.
        cluster_cidr: The pods' network. With it, only packets from elsewhere are masqueraded; EKS
            leaves it empty, since the VPC routes pods' addresses.
        masquerade_bit: Which bit of a packet's mark asks for masquerading.
        node_port_addresses: Networks of the node's addresses that serve NodePorts, or the one word
            primary: the node's InternalIP. Empty means every address in mode iptables, and primary
            in mode nftables.
        localhost_node_ports: Whether 127.0.0.1 serves NodePorts; mode iptables only.
        service_cidrs: The Services' networks; mode nftables drops what no Service owns there.
        nfacct: Whether the kernel counts through nfacct, which adds a match to two rules.
        tcp_be_liberal: Whether connection tracking takes TCP packets outside of their window for
            valid: then mode iptables drops no invalid ones.
    """

    mode: str = "iptables"
    masquerade_all: bool = False
    cluster_cidr: str = ""
    masquerade_bit: int = 14
    node_port_addresses: tuple[str, ...] = ()
    localhost_node_ports: bool = True
    service_cidrs: tuple[str, ...] = ()
    nfacct: bool = True
    # Seldom set: what every learner sees of the settings stays one line.
    tcp_be_liberal: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise EksnetError(
                f"kube-proxy has no mode {self.mode!r} here",
                "iptables or nftables; ipvs is deprecated since 1.35, userspace was removed in "
                "1.26",
                _MODE_HINT,
            )
        inputs.count(self.masquerade_bit, "masqueradeBit", 0, _LAST_BIT)
        if self.cluster_cidr:
            inputs.network(self.cluster_cidr, "clusterCIDR")
        if self.node_port_addresses != (PRIMARY,):
            for one in self.node_port_addresses:
                inputs.network(one, "a network of nodePortAddresses")
        for one in self.service_cidrs:
            inputs.network(one, "a network of Services")

    @property
    def mark(self) -> int:
        """The mark that asks for masquerading: 0x4000, unless configured otherwise."""
        return 1 << self.masquerade_bit

    def serving(self, node: Node) -> tuple[str, ...] | None:
        """Return the node's addresses that serve NodePorts; None stands for all of them.

        Args:
            node: The node that kube-proxy runs on.
        """
        said = self.node_port_addresses or ((PRIMARY,) if self.mode == "nftables" else ())
        if said == (PRIMARY,):
            # A node without an IPv4 address has no primary one, and then every address serves.
            return node.addresses[:1] or None
        wanted = [ipaddress.ip_network(cidr) for cidr in said if ":" not in cidr]
        if not wanted or any(network.prefixlen == 0 for network in wanted):
            return None
        # Mode nftables never serves NodePorts on the loopback address.
        own = (*node.addresses, *(("127.0.0.1",) if self.mode == "iptables" else ()))
        return tuple(
            address
            for address in own
            if any(ipaddress.ip_address(address) in network for network in wanted)
        )


def parse_settings(
    config: str | Mapping[str, Any], service_cidrs: tuple[str, ...] = ()
) -> Settings:
    """Return the settings in a KubeProxyConfiguration, as the ConfigMap holds it.

    Args:
        config: The YAML text; or a ConfigMap that holds it, as text or as an object.
        service_cidrs: The Services' networks; they are objects of the cluster, not configuration.

    Raises:
        EksnetError: It is no KubeProxyConfiguration, or its mode or way to detect pods is not known
            here.
    """
    fields = _fields(config)
    mode = _mode(fields)
    with inputs.well_formed("the configuration", fields, _CONFIGURATION, _MODE_HINT):
        return _settings(fields, mode, service_cidrs)


def _settings(fields: Mapping[str, Any], mode: str, service_cidrs: tuple[str, ...]) -> Settings:
    iptables = inputs.mapping(fields.get("iptables"), "iptables")
    section = inputs.mapping(fields.get(mode) if mode in MODES else None, mode)
    ways = fields.get("detectLocalMode") or "ClusterCIDR"
    if ways != "ClusterCIDR":
        raise EksnetError(
            f"detectLocalMode is {ways}", "ClusterCIDR: other values are not modelled"
        )
    local = iptables.get("localhostNodePorts")
    cidrs = str(fields.get("clusterCIDR") or "").split(",")
    conntrack = inputs.mapping(fields.get("conntrack"), "conntrack")
    bit = section.get("masqueradeBit")
    return Settings(
        mode=mode,
        masquerade_all=bool(section.get("masqueradeAll")),
        cluster_cidr=next((cidr.strip() for cidr in cidrs if ":" not in cidr), ""),
        masquerade_bit=14 if bit is None else int(bit),
        node_port_addresses=tuple(fields.get("nodePortAddresses") or ()),
        localhost_node_ports=local is not False,
        service_cidrs=service_cidrs,
        tcp_be_liberal=bool(conntrack.get("tcpBeLiberal")),
    )


def parse_mode(config: str | Mapping[str, Any]) -> str:
    """Return the mode in a KubeProxyConfiguration; iptables when it is blank, as kube-proxy does.

    Raises:
        EksnetError: It is no KubeProxyConfiguration.
    """
    return _mode(_fields(config))


def check_configuration(config: str) -> None:
    """Let a configuration pass that a kube-proxy can start with, as far as its mode goes.

    Raises:
        EksnetError: The text is no YAML mapping, is of another kind, or names no mode.
    """
    found = inputs.yaml(config, "the configuration", _CONFIGURATION)
    # The ConfigMap around it, which `parse_settings` takes too, is nothing to start with.
    kind = found.get("kind") if isinstance(found, Mapping) else None
    if kind != _KIND:
        raise EksnetError(f"its kind is {inputs.shown(kind)}", _KIND)
    mode = _mode(found)
    if mode not in KNOWN_MODES:
        raise EksnetError(
            f"kube-proxy has no mode {mode!r} and would exit at its start",
            f"one of {', '.join(KNOWN_MODES)}",
            _MODE_HINT,
        )


def _mode(fields: Mapping[str, Any]) -> str:
    return str(fields.get("mode") or "iptables")


def _fields(config: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a KubeProxyConfiguration, also out of the ConfigMap that holds it."""
    what = "the configuration"
    fields = inputs.yaml(config, what, _CONFIGURATION) if isinstance(config, str) else config
    if not isinstance(fields, Mapping) or not fields:
        raise EksnetError("the configuration has no fields", _CONFIGURATION)
    # In a list the API server leaves the kind of an object out.
    if fields.get("kind") == "ConfigMap" or ("kind" not in fields and "data" in fields):
        return _fields(_in_configmap(inputs.mapping(fields.get("data"), "the ConfigMap's data")))
    if fields.get("kind", _KIND) != _KIND:
        raise EksnetError(f"the configuration is a {inputs.shown(fields['kind'])}", _CONFIGURATION)
    if not _FIELDS.intersection(fields):
        said = f"the configuration has the fields {', '.join(map(str, fields))}"
        raise EksnetError(said, f"{_CONFIGURATION}: with fields such as mode and clusterCIDR")
    return fields


def _in_configmap(data: Mapping[str, Any]) -> str:
    """Return what a ConfigMap holds where kube-proxy's configuration is kept."""
    key = next((key for key in KEYS if key in data), "")
    if not key:
        said = f"the ConfigMap has {', '.join(map(str, data)) or 'no keys'}"
        raise EksnetError(said, f"{_CONFIGURATION} under one of {', '.join(KEYS)}")
    return inputs.text(data[key], f"the ConfigMap's {key}")
