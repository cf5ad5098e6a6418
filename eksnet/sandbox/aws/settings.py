"""What the process of the AWS side is told; light, because the supervisor loads it too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ClusterFacts:
    """What `describe_cluster` says of the cluster.

    Attributes:
        name: Its name.
        account: The AWS account's id.
        region: Its region.
        version: Its Kubernetes version, such as `1.35`.
        endpoint: The API server's URL on the learner's computer.
        ca: The certificate authority, base64 of PEM.
        services: The CIDR block of Services.
        vpc_id: The VPC's id.
        subnet_ids: The subnets' ids.
        security_group_id: The cluster security group's id.
        created: When it was created, as ISO 8601.
    """

    name: str
    account: str
    region: str
    version: str
    endpoint: str
    ca: str
    services: str
    vpc_id: str
    subnet_ids: tuple[str, ...]
    security_group_id: str
    created: str

    def arn(self, kind: str, *names: str) -> str:
        """Return the ARN of the cluster or of something that belongs to it."""
        path = "/".join((kind, self.name, *names))
        return f"arn:aws:eks:{self.region}:{self.account}:{path}"


@dataclass(frozen=True)
class Settings:
    """What the process is told; its paths are those inside its root.

    Attributes:
        address: The address at which it listens.
        port: The port at which it listens.
        api_server: The API server's address.
        pki: The directory of the certificates.
        keys: The file of the learner's keys.
        records: The file of EKS's records.
        cluster: What EKS says of the cluster.
    """

    address: str
    port: int
    api_server: str
    pki: str
    keys: str
    records: str
    cluster: ClusterFacts

    def to_json(self) -> str:
        """Return the settings as the process reads them."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Return the settings that `to_json` wrote."""
        read: dict[str, Any] = json.loads(text)
        facts = {**read["cluster"], "subnet_ids": tuple(read["cluster"]["subnet_ids"])}
        return cls(**{**read, "cluster": ClusterFacts(**facts)})
