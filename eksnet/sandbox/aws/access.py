"""How the learner's side reaches the AWS side of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eksnet.errors import EksnetError
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.aws.settings import CLUSTER
from eksnet.sandbox.launching import known_port
from eksnet.sandbox.vpc import plan


@dataclass(frozen=True)
class Access:
    """Where the AWS services of a sandbox are, and who may ask them.

    Attributes:
        keys: The file of the learner's keys.
        endpoint: The URL that stands for every AWS service.
        region: The region.
        cluster: The name of the EKS cluster.
    """

    keys: Path
    endpoint: str
    region: str
    cluster: str


def access(name: str | None = None) -> Access:
    """Return how to reach the AWS services of a sandbox that is up.

    Args:
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.

    Raises:
        EksnetError: It was not started yet.
    """
    paths = sandbox_paths.paths(name)
    port = known_port(paths, "aws")
    if not port:
        raise EksnetError(
            f"the sandbox {paths.state.name} was started without AWS services",
            "a sandbox that this version of eksnet started",
            "`eksnet down`, then `eksnet up`",
        )
    return Access(paths.aws_keys, f"http://127.0.0.1:{port}", plan().region, CLUSTER)
