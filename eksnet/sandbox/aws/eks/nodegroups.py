"""The operations for the cluster's one managed node group, which can be read and not changed."""

from __future__ import annotations

from datetime import datetime

from eksnet import versions
from eksnet.sandbox.aws.eks import resources
from eksnet.sandbox.aws.eks.model import EksError
from eksnet.sandbox.aws.eks.service import Answer, Operations, Parameters, page
from eksnet.sandbox.aws.settings import ClusterFacts
from eksnet.sandbox.vpc import INSTANCE_TYPE, NODE_GROUP


class NodeGroups:
    """Answers what is asked about the sandbox's nodes."""

    def __init__(self, facts: ClusterFacts) -> None:
        """Prepare to answer.

        Args:
            facts: The cluster.
        """
        self._facts = facts

    @property
    def operations(self) -> Operations:
        """What it answers, by the names of the operations."""
        return {"ListNodegroups": self.list, "DescribeNodegroup": self.describe}

    def list(self, parameters: Parameters) -> Answer:
        """Answer ListNodegroups."""
        return page("nodegroups", [NODE_GROUP], parameters)

    def describe(self, parameters: Parameters) -> Answer:
        """Answer DescribeNodegroup."""
        facts, name = self._facts, parameters["nodegroupName"]
        if name != NODE_GROUP:
            raise EksError(
                "ResourceNotFoundException",
                f"No node group found for name: {name}.",
                clusterName=facts.name,
                nodegroupName=name,
            )
        created = datetime.fromisoformat(facts.created)
        own = f"eks-{name}-{resources.node_group_id(facts)}"
        nodes = len(facts.node_subnet_ids)
        group = {
            "nodegroupName": name,
            "nodegroupArn": resources.node_group_arn(facts),
            "clusterName": facts.name,
            "version": facts.version,
            "releaseVersion": f"{versions.KUBERNETES.removeprefix('v')}-{created:%Y%m%d}",
            "createdAt": created,
            "modifiedAt": created,
            "status": "ACTIVE",
            "capacityType": "ON_DEMAND",
            "scalingConfig": {"minSize": nodes, "maxSize": nodes, "desiredSize": nodes},
            "instanceTypes": [INSTANCE_TYPE],
            "subnets": list(facts.node_subnet_ids),
            "amiType": "AL2023_x86_64_STANDARD",
            "nodeRole": facts.node_role,
            "labels": {},
            # EKS names the Auto Scaling group after the node group and its id.
            "resources": {"autoScalingGroups": [{"name": own}]},
            "diskSize": 20,
            "health": {"issues": []},
            "updateConfig": {"maxUnavailable": 1},
            "tags": {},
        }
        return {"nodegroup": group}
