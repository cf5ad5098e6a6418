"""What is in the account of a fresh sandbox: what `eksctl create cluster` would have left there.

Made through moto's own functions at each start of the process, always the same, before the journal.
Ids count from 1 for each kind, so that they can be told beforehand (`settings.py`) and compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any

import moto.ec2.utils
from moto.ec2.models.elastic_network_interfaces import NetworkInterface

from eksnet.sandbox.aws import keys, repeatable
from eksnet.sandbox.aws.emulator import Emulator
from eksnet.sandbox.aws.keys import Keys
from eksnet.sandbox.aws.settings import NAT_HOST, ClusterFacts, Settings
from eksnet.sandbox.vpc import INSTANCE_TYPE, NAT_GATEWAY, NODE_GROUP, Node, Vpc, plan

_MANAGED = "arn:aws:iam::aws:policy/"
_POLICIES = {
    "cluster": ("AmazonEKSClusterPolicy",),
    "node": (
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonEC2ContainerRegistryPullOnly",
    ),
}
_SERVICES = {"cluster": "eks.amazonaws.com", "node": "ec2.amazonaws.com"}


def create(emulator: Emulator, settings: Settings, learner: Keys) -> None:
    """Fill an account in which nothing is.

    Args:
        emulator: The account.
        settings: What the process is told.
        learner: The learner's access key.
    """
    facts, vpc = settings.cluster, plan(settings.cluster.region)
    created = datetime.fromisoformat(facts.created).astimezone(UTC).replace(tzinfo=None)
    with repeatable.repeatable(created, seed=0):
        _create_identities(emulator.backend("iam"), facts, learner)
        ec2 = emulator.backend("ec2")
        _delete_default_vpc(ec2)
        with _numbered():
            subnets = _create_network(ec2, facts, vpc)
            group = _create_cluster_group(ec2, facts)
            _create_control_plane(ec2, facts, vpc, subnets, group)
            for node in vpc.nodes:
                _run_node(ec2, facts, node, subnets["private", node.zone], group)


def place_pods(emulator: Emulator, addresses: Mapping[str, Sequence[str]]) -> None:
    """Have the secondary addresses of the nodes' network interfaces be their pods'.

    Args:
        emulator: The account.
        addresses: The pods' addresses by their node's name.
    """
    ec2 = emulator.backend("ec2")
    running = {instance.id: instance for instance in ec2.all_instances()}
    for node in plan(ec2.region_name).nodes:
        if node.instance_id in running:
            interface: NetworkInterface = running[node.instance_id].nics[0]
            primary = [one for one in interface.private_ip_addresses if one["Primary"]]
            pods = addresses.get(node.name, ())
            interface.private_ip_addresses = [
                *primary, *({"Primary": False, "PrivateIpAddress": one} for one in pods)
            ]  # fmt: skip


@contextmanager
def _numbered() -> Iterator[None]:
    """Have the ids of EC2 count from 1, each kind for itself."""
    counts: Counter[str] = Counter()

    def number(prefix: str = "", size: int = 17) -> str:
        counts[prefix] += 1
        return f"{prefix}-{counts[prefix]:0{size}x}"

    before = moto.ec2.utils.random_id
    moto.ec2.utils.random_id = number
    try:
        yield
    finally:
        moto.ec2.utils.random_id = before


# IAM.


def _create_identities(iam: Any, facts: ClusterFacts, learner: Keys) -> None:
    user = iam.create_user(facts.region, keys.USER, tags=[])
    user.id = keys.user_id(learner)
    iam.attach_user_policy(f"{_MANAGED}AdministratorAccess", keys.USER)
    key = iam.create_access_key(keys.USER)
    del iam.access_keys[key.access_key_id]
    key.access_key_id, key.secret_access_key = learner.access_key, learner.secret
    iam.access_keys[key.access_key_id] = key
    for kind, service in _SERVICES.items():
        name = f"{facts.name}-{kind}"
        iam.create_role(name, _trust(service), "/", None, "", [], "3600")
        for policy in _POLICIES[kind]:
            iam.attach_role_policy(f"{_MANAGED}{policy}", name)
    iam.create_instance_profile(f"{facts.name}-node", "/", [f"{facts.name}-node"])


def _trust(service: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# EC2.


def _delete_default_vpc(ec2: Any) -> None:
    """Delete what moto gives an account beforehand: the only VPC here is the cluster's."""
    for subnet in ec2.describe_subnets():
        ec2.delete_subnet(subnet.id)
    for vpc in ec2.describe_vpcs():
        ec2.delete_vpc(vpc.id)
    for kept in (ec2.route_tables, ec2.network_acls, ec2.groups, ec2.tags):
        kept.clear()


def _create_network(ec2: Any, facts: ClusterFacts, vpc: Vpc) -> dict[tuple[str, str], Any]:
    """Create the VPC with its subnets and routes; return the subnets by kind and zone."""
    made = ec2.create_vpc(str(vpc.network), tags=_listed(_name(facts, "VPC")))
    made.enable_dns_hostnames = True
    _let_members_in(ec2, facts, ec2.get_default_security_group(made.id))
    gateway = ec2.create_internet_gateway(tags=_listed(_name(facts, "InternetGateway")))
    ec2.attach_internet_gateway(gateway.id, made.id)
    subnets = {
        (kind, zone): _create_subnet(ec2, facts, made.id, kind, zone, block)
        for kind, zone, block in vpc.subnets
    }
    first_public = subnets["public", vpc.nodes[0].zone]
    nat = _create_nat_gateway(ec2, facts, first_public, vpc)
    public = _create_route_table(ec2, facts, made.id, "Public")
    ec2.create_route(public.id, "0.0.0.0/0", gateway_id=gateway.id)
    private = _create_route_table(ec2, facts, made.id, "Private")
    ec2.create_route(private.id, "0.0.0.0/0", nat_gateway_id=nat.id)
    for (kind, _), subnet in subnets.items():
        table = public if kind == "public" else private
        ec2.associate_route_table(table.id, subnet_id=subnet.id)
    return subnets


def _create_subnet(
    ec2: Any, facts: ClusterFacts, vpc_id: str, kind: str, zone: str, block: IPv4Network
) -> Any:
    role = "elb" if kind == "public" else "internal-elb"
    short = zone.removeprefix(facts.region).upper()
    tags = _name(facts, f"Subnet{kind.capitalize()}{short}") | {f"kubernetes.io/role/{role}": "1"}
    made = ec2.create_subnet(vpc_id, str(block), availability_zone=zone, tags={"subnet": tags})
    made.map_public_ip_on_launch = kind == "public"
    made.default_for_az = False
    return made


def _create_nat_gateway(ec2: Any, facts: ClusterFacts, subnet: Any, vpc: Vpc) -> Any:
    address = ec2.allocate_address("vpc", tags=_name(facts, "NATIP"))
    address.public_ip = str(NAT_GATEWAY)
    made = ec2.create_nat_gateway(subnet.id, address.allocation_id, tags=_name(facts, "NATGateway"))
    _move(made._eni, str(vpc.network[NAT_HOST]))
    made.private_ip = made._eni.private_ip_address
    made._eni._group_set = []
    made._eni.status, made._eni.requester_managed = "in-use", True
    made._eni.interface_type = "nat_gateway"
    made._eni.description = f"Interface for NAT Gateway {made.id}"
    for one in made.address_set:
        one["privateIp"] = made.private_ip
    return made


def _create_route_table(ec2: Any, facts: ClusterFacts, vpc_id: str, kind: str) -> Any:
    return ec2.create_route_table(vpc_id, tags=_listed(_name(facts, f"{kind}RouteTable")))


def _create_cluster_group(ec2: Any, facts: ClusterFacts) -> Any:
    """Create the cluster security group as EKS does: everything among its members."""
    name = f"eks-cluster-sg-{facts.name}-1"
    made = ec2.create_security_group(
        name,
        "EKS created security group applied to ENI that is attached to EKS Control Plane master "
        "nodes, as well as any managed workloads.",
        vpc_id=facts.vpc_id,
        tags={"Name": name, "aws:eks:cluster-name": facts.name, **_owned(facts)},
    )
    _let_members_in(ec2, facts, made)
    return made


def _let_members_in(ec2: Any, facts: ClusterFacts, group: Any) -> None:
    """Have a security group let everything in from its own members."""
    members = [{"GroupId": group.id, "UserId": facts.account}]
    ec2.authorize_security_group_ingress(group.id, "-1", None, None, [], {}, members)


def _create_control_plane(
    ec2: Any, facts: ClusterFacts, vpc: Vpc, subnets: Mapping[tuple[str, str], Any], group: Any
) -> None:
    """Create the interface through which the VPC reaches the API server."""
    made = ec2.create_network_interface(
        subnets["public", vpc.nodes[0].zone],
        str(vpc.api_server),
        group_ids=[group.id],
        description=f"Amazon EKS {facts.name}",
        tags={},
    )
    made.status, made.requester_managed = "in-use", True


def _run_node(ec2: Any, facts: ClusterFacts, node: Node, subnet: Any, group: Any) -> None:
    profile = f"arn:aws:iam::{facts.account}:instance-profile/{facts.name}-node"
    tags = {
        "Name": f"{facts.name}-node",
        "eks:cluster-name": facts.name,
        "eks:nodegroup-name": NODE_GROUP,
        **_owned(facts),
    }
    (instance,) = ec2.run_instances(
        f"ami-{1:017x}",
        1,
        None,
        [],
        security_group_ids=[group.id],
        subnet_id=subnet.id,
        private_ip=str(node.address.ip),
        instance_type=INSTANCE_TYPE,
        is_instance_type_default=False,
        region_name=facts.region,
        iam_instance_profile={"Arn": profile, "Id": profile},
        associate_public_ip=False,
        tags={"instance": tags, "volume": tags},
    ).instances
    assert instance.id == node.instance_id, "the plan's ids count as these do"
    (interface,) = instance.nics.values()
    interface.private_dns_name = node.name
    interface.add_tags(
        {
            "cluster.k8s.amazonaws.com/name": facts.name,
            "node.k8s.amazonaws.com/instance_id": instance.id,
        }
    )


def _move(interface: NetworkInterface, address: str) -> None:
    interface.private_ip_address = address
    interface.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]


def _name(facts: ClusterFacts, what: str) -> dict[str, str]:
    return {"Name": f"{facts.name}/{what}"}


def _owned(facts: ClusterFacts) -> dict[str, str]:
    return {f"kubernetes.io/cluster/{facts.name}": "owned"}


def _listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
