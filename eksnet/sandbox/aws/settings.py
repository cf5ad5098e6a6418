"""What the process of the AWS side is told; light, because the supervisor loads it too."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eksnet import versions
from eksnet.sandbox.vpc import Vpc

# An account that AWS's documentation uses for examples: it is nobody's.
ACCOUNT = "111122223333"
# The sandbox's one cluster in EKS.
CLUSTER = "workbook"
PORT = 80
# The NAT gateway's host number in the VPC.
NAT_HOST = 12
_ZONES = 2
_ISSUER_ID = f"{1:032X}"
# Where the API server alone asks who signed a token, and what access policies allow: of the control
# plane's own loopback, which no pod reaches. The port is aws-iam-authenticator's.
AUTHENTICATOR_ADDRESS, AUTHENTICATOR_PORT = "127.0.0.1", 21362
AUTHENTICATE, AUTHORIZE, MUTATE = "/authenticate", "/authorize", "/mutate"
# Paths inside the root of the process.
PKI, DATA, CHARTS = "/etc/kubernetes/pki", "/var/lib/aws", "/opt/charts"
# The public key of those who issue tokens for service accounts.
ISSUER_KEY = "service-account.pub"
# What is wanted of load balancers and security groups, and what was observed of them.
LOAD_BALANCERS, OBSERVED = "/var/lib/load-balancers", "/run/load-balancers"


def issuer(region: str) -> str:
    """Return who issues the tokens of service accounts, in the form of EKS's OIDC issuers."""
    return f"https://oidc.eks.{region}.amazonaws.com/id/{_ISSUER_ID}"


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

    @property
    def node_subnet_ids(self) -> tuple[str, ...]:
        """The subnets of the nodes: the private ones, one for each zone, which come last."""
        return self.subnet_ids[-_ZONES:]

    @property
    def node_role(self) -> str:
        """The ARN of the role of the cluster's nodes."""
        return f"arn:aws:iam::{self.account}:role/{self.name}-node"

    @property
    def cluster_role(self) -> str:
        """The ARN of the role that EKS itself has."""
        return f"arn:aws:iam::{self.account}:role/{self.name}-cluster"

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
        journal: The file in which every change of the account is.
        desired: The file from which the data plane of load balancers learns what is wanted.
        observed: The file in which it tells what it has seen.
        origins: The URLs for which a token may be signed.
        cluster: What EKS says of the cluster.
        charts: The directory with the Helm charts of its repository.
    """

    address: str
    port: int
    api_server: str
    pki: str
    keys: str
    records: str
    journal: str
    desired: str
    observed: str
    origins: tuple[str, ...]
    cluster: ClusterFacts
    charts: str = CHARTS

    def to_json(self) -> str:
        """Return the settings as the process reads them."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Return the settings that `to_json` wrote."""
        read: dict[str, Any] = json.loads(text)
        facts = {**read["cluster"], "subnet_ids": tuple(read["cluster"]["subnet_ids"])}
        origins = tuple(read["origins"])
        return cls(**{**read, "origins": origins, "cluster": ClusterFacts(**facts)})


def of_sandbox(vpc: Vpc, endpoint: str, outside: str, authority: Path) -> Settings:
    """Return the settings of a sandbox's AWS side.

    Args:
        vpc: The address plan.
        endpoint: The API server's URL on the learner's computer.
        outside: The URL of the AWS services there.
        authority: The file of the certificate authority; since it was made there is the cluster.
    """
    cluster = ClusterFacts(
        name=CLUSTER,
        account=ACCOUNT,
        region=vpc.region,
        version=f"{versions.MAJOR}.{versions.MINOR}",
        endpoint=endpoint,
        ca=base64.b64encode(authority.read_bytes()).decode(),
        services=str(vpc.services),
        vpc_id=_id("vpc", 1),
        subnet_ids=tuple(_id("subnet", number) for number in range(1, len(vpc.subnets) + 1)),
        # The first group is the VPC's own default one.
        security_group_id=_id("sg", 2),
        created=datetime.fromtimestamp(authority.stat().st_mtime, UTC).isoformat(),
    )
    return Settings(
        address=str(vpc.aws),
        port=PORT,
        api_server=str(vpc.api_server),
        pki=PKI,
        keys=f"{PKI}/aws.json",
        records=f"{DATA}/eks.json",
        journal=f"{DATA}/account.jsonl",
        desired=f"{LOAD_BALANCERS}/desired.json",
        observed=f"{OBSERVED}/observed.json",
        origins=(
            outside,
            f"http://{vpc.aws}",
            f"https://sts.{vpc.region}.amazonaws.com",
            "https://sts.amazonaws.com",
        ),
        cluster=cluster,
    )


def _id(prefix: str, number: int) -> str:
    """Return an id as `start_state` gives it: each kind counts from 1."""
    return f"{prefix}-{number:017x}"
