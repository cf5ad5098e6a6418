"""The operations on the sandbox's one cluster, which can be described and not changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from eksnet import versions
from eksnet.sandbox.aws.eks.model import EksError
from eksnet.sandbox.aws.eks.service import Answer, Operations, Parameters, page
from eksnet.sandbox.aws.settings import ClusterFacts, issuer
from eksnet.sandbox.vpc import NODE_GROUP

_CALENDAR = Path(__file__).with_name("cluster_versions.json")
# Months from a version's release to the end of its standard support, and of its extended support.
_STANDARD, _EXTENDED = 14, 12
# Which platform version a cluster of today has was found nowhere: a guess.
PLATFORM = "eks.1"


class Clusters:
    """Answers what is asked about the cluster itself."""

    def __init__(
        self, facts: ClusterFacts, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Prepare to answer.

        Args:
            facts: The cluster.
            now: Tells the time.
        """
        self._facts = facts
        self._now = now

    @property
    def operations(self) -> Operations:
        """What it answers, by the names of the operations."""
        return {
            "ListClusters": self.list,
            "DescribeCluster": self.describe,
            "DescribeClusterVersions": self.versions,
            "DeleteCluster": self.delete,
        }

    def list(self, parameters: Parameters) -> Answer:
        """Answer ListClusters."""
        return page("clusters", [self._facts.name], parameters)

    def describe(self, _: Parameters) -> Answer:
        """Answer DescribeCluster."""
        facts = self._facts
        cluster = {
            "name": facts.name,
            "arn": facts.arn("cluster"),
            "createdAt": datetime.fromisoformat(facts.created),
            "version": facts.version,
            "endpoint": facts.endpoint,
            "certificateAuthority": {"data": facts.ca},
            "status": "ACTIVE",
            "roleArn": facts.cluster_role,
            "resourcesVpcConfig": {
                "subnetIds": list(facts.subnet_ids),
                "securityGroupIds": [],
                "clusterSecurityGroupId": facts.security_group_id,
                "vpcId": facts.vpc_id,
                "endpointPublicAccess": True,
                "endpointPrivateAccess": True,
                "publicAccessCidrs": ["127.0.0.1/32"],
            },
            "kubernetesNetworkConfig": {
                "serviceIpv4Cidr": facts.services,
                "ipFamily": "ipv4",
            },
            "identity": {"oidc": {"issuer": issuer(facts.region)}},
            "accessConfig": {
                "authenticationMode": "API",
                "bootstrapClusterCreatorAdminPermissions": True,
            },
            "platformVersion": PLATFORM,
            "tags": {},
        }
        return {"cluster": cluster}

    def delete(self, _: Parameters) -> Answer:
        """Refuse DeleteCluster: the node group, which cannot be deleted here, has to go first.

        Raises:
            EksError: Always.
        """
        raise EksError(
            "ResourceInUseException",
            "Cluster has nodegroups attached",
            clusterName=self._facts.name,
            nodegroupName=NODE_GROUP,
        )

    def versions(self, parameters: Parameters) -> Answer:
        """Answer DescribeClusterVersions."""
        wanted = parameters.get("clusterVersions")
        status = parameters.get("versionStatus") or _as_status(parameters.get("status", ""))
        found = [
            one
            for one in self._versions()
            if (wanted is None or one["clusterVersion"] in wanted)
            and status in ("", one["versionStatus"])
            and (one["defaultVersion"] or not parameters.get("defaultOnly"))
            and parameters.get("clusterType", "eks") == one["clusterType"]
        ]
        return page("clusterVersions", found, parameters)

    def _versions(self) -> Iterator[Answer]:
        calendar = json.loads(_CALENDAR.read_text())["standard_support_ends"]
        for name, day in calendar.items():
            ends = datetime.fromisoformat(day).replace(tzinfo=UTC)
            own = name == self._facts.version
            extended = self._now() >= ends
            status = "EXTENDED_SUPPORT" if extended else "STANDARD_SUPPORT"
            yield {
                "clusterVersion": name,
                "clusterType": "eks",
                "defaultPlatformVersion": PLATFORM,
                "defaultVersion": own,
                "releaseDate": _later(ends, -_STANDARD),
                "endOfStandardSupportDate": ends,
                "endOfExtendedSupportDate": _later(ends, _EXTENDED),
                "status": status.lower().replace("_", "-"),
                "versionStatus": status,
                # Of the others the sandbox has no program.
                **(
                    {"kubernetesPatchVersion": versions.KUBERNETES.removeprefix("v")} if own else {}
                ),
            }


def _as_status(text: str) -> str:
    """Return the present form of a status that the API has in two forms."""
    return text.upper().replace("-", "_")


def _later(moment: datetime, months: int) -> datetime:
    """Return the same day some months later."""
    years, month = divmod(moment.month - 1 + months, 12)
    return moment.replace(year=moment.year + years, month=month + 1)
