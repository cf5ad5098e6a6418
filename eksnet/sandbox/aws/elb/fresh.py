"""What the data plane is told of an account in which nobody has changed anything; light.

`desired` says the same of moto's state, but moto takes a second to load, and a cluster's start does
not wait for it. A test holds the two together.
"""

from __future__ import annotations

from typing import Any

from eksnet.sandbox.aws.settings import NAT_HOST, ClusterFacts
from eksnet.sandbox.vpc import plan


def desired(facts: ClusterFacts) -> dict[str, Any]:
    """Return what is wanted of the data plane: no load balancer yet.

    Args:
        facts: What is known of the cluster and its account.
    """
    vpc = plan(facts.region)
    own = (facts.security_group_id,)
    interfaces = [
        ("nat", vpc.network[NAT_HOST], ()),
        ("control_plane", vpc.api_server, own),
        *(("instance", node.address.ip, own) for node in vpc.nodes),
    ]
    return {
        "region": facts.region,
        "load_balancers": [],
        "target_groups": [],
        "interfaces": [
            {
                "id": f"eni-{number:017x}",
                "addresses": [str(address)],
                "groups": list(groups),
                "kind": kind,
            }
            for number, (kind, address, groups) in enumerate(interfaces, start=1)
        ],
        # The VPC's own one, and that of the cluster.
        "security_groups": [_among_members(f"sg-{1:017x}"), _among_members(*own)],
    }


def _among_members(group: str) -> dict[str, Any]:
    """Return a security group that lets everything in from its members, and everything out."""
    everything: dict[str, Any] = {"protocol": "-1", "from": None, "to": None, "prefix_lists": []}
    return {
        "id": group,
        "ingress": [{**everything, "cidrs": [], "groups": [group]}],
        "egress": [{**everything, "cidrs": ["0.0.0.0/0"], "groups": []}],
    }
