"""The sandbox's VPC: every address it uses, handed out in a fixed order.

The plan is that of a small EKS VPC: a public and a private subnet per zone, a node in each private
one, pods on secondary addresses of their node's network interface, the VPC resolver at the VPC's
base + 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

# How long the prefix of a subnet is.
_SUBNET = 20
# Addresses of documentation (RFC 5737), which nobody has: those that the VPC has on the internet,
# the NAT gateway's among them, and the one host of the internet, with its way to the VPC.
PUBLIC = IPv4Network("203.0.113.0/24")
NAT_GATEWAY = PUBLIC[10]
INTERNET, INTERNET_GATEWAY = IPv4Interface("198.51.100.10/24"), IPv4Interface("198.51.100.1/24")
# What the nodes are, and the managed node group that they are of.
INSTANCE_TYPE, NODE_GROUP = "m5.large", "workbook"


@dataclass(frozen=True)
class Node:
    """One worker node: where it lives and which addresses are its own.

    Attributes:
        name: The Kubernetes node name, as EKS derives it from the private address.
        short: The node's short name on this computer (`node1`): links, logs, directories.
        zone: The availability zone.
        address: The node's address with the prefix length of its subnet.
        pods: The block of secondary addresses from which pods are served.
        instance_id: The EC2 instance id.
    """

    name: str
    short: str
    zone: str
    address: IPv4Interface
    pods: IPv4Network
    instance_id: str

    @property
    def gateway(self) -> IPv4Address:
        """The router's address in the node's subnet: its base + 1."""
        return self.address.network[1]

    @property
    def provider_id(self) -> str:
        """The `spec.providerID` that EKS gives the node."""
        return f"aws:///{self.zone}/{self.instance_id}"


@dataclass(frozen=True)
class Vpc:
    """The address plan of one sandbox.

    Attributes:
        region: The AWS region.
        network: The VPC's CIDR block.
        services: The CIDR block of ClusterIPs.
        nodes: The worker nodes, in the order in which they start.
    """

    region: str
    network: IPv4Network
    services: IPv4Network
    nodes: tuple[Node, ...]

    @property
    def subnets(self) -> tuple[tuple[str, str, IPv4Network], ...]:
        """Kind, zone and block of each subnet: the public ones first, each kind by zone."""
        blocks = self.network.subnets(new_prefix=_SUBNET)
        public = [("public", node.zone, next(blocks)) for node in self.nodes]
        private = [("private", node.zone, node.address.network) for node in self.nodes]
        return (*public, *private)

    @property
    def resolver(self) -> IPv4Address:
        """The VPC resolver: the VPC's base + 2."""
        return self.network[2]

    @property
    def api_server(self) -> IPv4Address:
        """The address at which nodes and pods reach the API server."""
        return self.network[10]

    @property
    def aws(self) -> IPv4Address:
        """The address at which nodes and pods reach the AWS services."""
        return self.network[11]

    @property
    def cluster_dns(self) -> IPv4Address:
        """The ClusterIP of kube-dns: the service network's base + 10."""
        return self.services[10]

    @property
    def kubernetes_service(self) -> IPv4Address:
        """The ClusterIP of the Service `kubernetes`: the service network's base + 1."""
        return self.services[1]

    @property
    def balancers_domain(self) -> str:
        """The domain of the names of Application Load Balancers."""
        return f"{self.region}.elb.amazonaws.com"

    @property
    def network_balancers_domain(self) -> str:
        """The domain of the names of Network Load Balancers."""
        return f"elb.{self.region}.amazonaws.com"

    @property
    def search_domain(self) -> str:
        """The domain that the VPC's DHCP options give an instance to search."""
        return internal_domain(self.region)


def internal_domain(region: str) -> str:
    """Return the domain of instance names in a region.

    us-east-1 is older than the scheme with the region in it.
    """
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def plan(region: str = "ap-northeast-2") -> Vpc:
    """Return the address plan of a sandbox in a region."""
    subnets = (("a", "10.0.128.10/20"), ("c", "10.0.144.10/20"))
    nodes = tuple(
        _node(region, number, zone, IPv4Interface(address))
        for number, (zone, address) in enumerate(subnets, start=1)
    )
    return Vpc(region, IPv4Network("10.0.0.0/16"), IPv4Network("10.100.0.0/16"), nodes)


def _node(region: str, number: int, zone: str, address: IPv4Interface) -> Node:
    dashed = str(address.ip).replace(".", "-")
    return Node(
        name=f"ip-{dashed}.{internal_domain(region)}",
        short=f"node{number}",
        zone=f"{region}{zone}",
        address=address,
        # The second /24 of the subnet, so that a pod's address never meets a node's.
        pods=list(address.network.subnets(new_prefix=24))[1],
        instance_id=f"i-{number:017x}",
    )
