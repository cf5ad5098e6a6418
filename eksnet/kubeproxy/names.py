"""The names of kube-proxy's chains: a hash keeps them short and one of a kind.

Source: k8s.io/kubernetes v1.35.4, pkg/proxy/iptables/proxier.go and pkg/proxy/nftables/proxier.go.
"""

from __future__ import annotations

import base64
import hashlib

# The longest name that nftables takes is 256; kube-proxy keeps 16 of it for the prefix.
_NFT_LONGEST = 240


def digest(text: str) -> str:
    """Return base32 of a text's SHA-256; kube-proxy uses its first 16 or 8 characters."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()


def iptables_port(name: str, protocol: str) -> str:
    """Return the part of KUBE-SVC-…, -SVL-, -EXT- and -FW- that belongs to a Service's port.

    Args:
        name: namespace/service:port, without the colon when the port has no name.
        protocol: tcp, udp or sctp.
    """
    return digest(name + protocol)[:16]


def iptables_endpoint(name: str, protocol: str, address: str) -> str:
    """Return the chain of one endpoint, KUBE-SEP-…; its address is IP:PORT."""
    return "KUBE-SEP-" + digest(name + protocol + address)[:16]


def nftables_port(namespace: str, service: str, protocol: str, port: str) -> str:
    """Return the part of service-…, local-…, external-… and firewall-… for a Service's port."""
    return _hashed(f"{namespace}/{service}/{protocol}/{port}")


def nftables_endpoint(port_path: str, address: str) -> str:
    """Return the part of endpoint-… and affinity-… for one endpoint.

    Args:
        port_path: namespace/service/protocol/port.
        address: IP:PORT.
    """
    ip, _, port = address.rpartition(":")
    return _hashed(f"{port_path}__{ip}/{port}")


def _hashed(path: str) -> str:
    name = f"{digest(path)[:8]}-{path}"
    return name if len(name) <= _NFT_LONGEST else name[: _NFT_LONGEST - 3] + "..."
