"""How the learner's side reaches the cluster and the AWS side of a sandbox."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from eksnet.errors import EksnetError
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.aws.settings import CLUSTER
from eksnet.sandbox.paths import Paths, known_port
from eksnet.sandbox.vpc import plan

CONTEXT = "sandbox"


@dataclass(frozen=True)
class Access:
    """Where the API server and the AWS services of a sandbox are, and who may ask them.

    Attributes:
        keys: The file of the learner's keys.
        endpoint: The URL that stands for every AWS service.
        region: The region.
        cluster: The name of the EKS cluster.
        api_server: The API server's URL.
        authority: The file of the cluster's certificate authority.
    """

    keys: Path
    endpoint: str
    region: str
    cluster: str
    api_server: str
    authority: Path

    @property
    def authority_data(self) -> str:
        """The certificate authority as a kubeconfig and `describe_cluster` have it: base64."""
        return base64.b64encode(self.authority.read_bytes()).decode()

    def kubeconfig(self) -> str:
        """Return a kubeconfig whose tokens a program makes, as `aws eks update-kubeconfig` does.

        The program is ours, because the AWS CLI may be missing.
        """
        # Isolated: nothing of the directory or the environment that it is started in counts.
        program = ["-I", "-m", "eksnet.aws.get_token"]
        told = {
            "--keys": str(self.keys), "--endpoint": self.endpoint, "--region": self.region,
            "--cluster-name": self.cluster,
        }  # fmt: skip
        user = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": sys.executable,
                "args": [*program, *(word for pair in told.items() for word in pair)],
                "interactiveMode": "Never",
            }
        }
        cluster = {
            "server": self.api_server,
            "certificate-authority-data": self.authority_data,
        }
        context = {"cluster": CONTEXT, "user": "learner"}
        configuration = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": cluster}],
            "users": [{"name": "learner", "user": user}],
            "contexts": [{"name": CONTEXT, "context": context}],
            "current-context": CONTEXT,
        }
        # JSON is YAML too, and needs no package to be written.
        return json.dumps(configuration, indent=1)


def access(name: str | None = None) -> Access:
    """Return how to reach a sandbox that is up.

    Args:
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.

    Raises:
        EksnetError: It was not started yet.
    """
    paths = sandbox_paths.paths(name)
    if not known_port(paths, "aws"):
        raise EksnetError(
            f"the sandbox {paths.state.name} was started without AWS services",
            "a sandbox that this version of eksnet started",
            "`eksnet down`, then `eksnet up`",
        )
    return access_of(paths)


def access_of(paths: Paths) -> Access:
    """Return how to reach a sandbox whose ports are known."""
    return Access(
        paths.aws_keys,
        f"http://127.0.0.1:{known_port(paths, 'aws')}",
        plan().region,
        CLUSTER,
        f"https://127.0.0.1:{known_port(paths, 'api')}",
        paths.identity / "ca.crt",
    )
