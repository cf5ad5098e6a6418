"""Where a sandbox keeps what it owns, on the learner's computer."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from eksnet.errors import EksnetError

DEFAULT_NAME = "sandbox"


@dataclass(frozen=True)
class Paths:
    """The files and directories of one sandbox, all below `state`."""

    state: Path

    @property
    def version(self) -> Path:
        """Which layout and Kubernetes version the state belongs to."""
        return self.state / "version"

    @property
    def identity(self) -> Path:
        """What outlives a reset: certificates, keys, the cluster's identity."""
        return self.state / "identity"

    @property
    def authority(self) -> Path:
        """The certificate of the cluster's authority."""
        return self.identity / "ca.crt"

    @property
    def cluster(self) -> Path:
        """What a reset throws away: etcd's data and the nodes' disks."""
        return self.state / "cluster"

    @property
    def etcd(self) -> Path:
        """The cluster's store."""
        return self.cluster / "etcd"

    @property
    def seed(self) -> Path:
        """What a fresh cluster begins as; see `eksnet.sandbox.seed`."""
        return self.state / "seed"

    @property
    def trash(self) -> Path:
        """What is being deleted: one part of the state at a time."""
        return self.state / "trash"

    @property
    def aws_keys(self) -> Path:
        """The learner's keys for the AWS services of the sandbox, readable by nobody else."""
        return self.identity / "aws.json"

    @property
    def aws(self) -> Path:
        """What the AWS services remember; fresh after a reset."""
        return self.cluster / "aws"

    @property
    def load_balancers(self) -> Path:
        """The desired state of load balancers and security groups; fresh after a reset."""
        return self.cluster / "load-balancers"

    @property
    def observed(self) -> Path:
        """What the load balancers observe, and their names' zone; fresh at each start."""
        return self.run / "load-balancers"

    @property
    def internet(self) -> Path:
        """Where the supervisor has the network namespace that stands for the internet mounted."""
        return self.run / "internet"

    @property
    def internet_names(self) -> Path:
        """The files by which a program on the internet finds addresses, in place of those of /etc.

        Such as `resolv.conf`.
        """
        return self.run / "internet-names"

    @property
    def certificates_ca(self) -> Path:
        """Who signs the certificates of ACM, trusted by nobody who does not ask for it."""
        return self.identity / "certificates-ca.crt"

    @property
    def bytecode(self) -> Path:
        """What the AWS services' Python has compiled, for its next start; kept over a reset."""
        return self.state / "bytecode"

    @property
    def run(self) -> Path:
        """What one start leaves for the next command: specification, status, locks."""
        return self.state / "run"

    @property
    def logs(self) -> Path:
        """One log file per component."""
        return self.state / "logs"

    @property
    def kubeconfig(self) -> Path:
        """How the learner's clients reach and open the cluster; written anew at each start."""
        return self.state / "kubeconfig"

    @property
    def own_kubeconfig(self) -> Path:
        """The kubeconfig for what `aws eks update-kubeconfig` and the learner add."""
        return self.state / "own.kubeconfig"

    @property
    def helm(self) -> Path:
        """Helm's home for this sandbox: repositories and caches, kept over a reset."""
        return self.state / "helm"

    @property
    def specification(self) -> Path:
        """What the supervisor is told to start."""
        return self.run / "specification.json"

    @property
    def status(self) -> Path:
        """What the supervisor says of itself, replaced whole at each change."""
        return self.run / "status.json"

    @property
    def start_lock(self) -> Path:
        """Held while a sandbox is being started or stopped."""
        return self.run / "start.lock"

    @property
    def alive_lock(self) -> Path:
        """Held by the sandbox's own processes for as long as they live."""
        return self.run / "alive.lock"

    @property
    def lent(self) -> Path:
        """The socket of whoever lends a sandbox to a confined process; only that one has it."""
        return self.run / "lent"

    @property
    def pid(self) -> Path:
        """The process that holds the namespace, with its start time."""
        return self.run / "pid"

    def node(self, short: str) -> Path:
        """Return the directory that holds a node's disk."""
        return self.cluster / "nodes" / short

    def stage(self, name: str) -> Path:
        """Return the empty directory over which the root of a node or a component is built."""
        return self.run / "roots" / name

    def port(self, name: str) -> Path:
        """Return the file that says at which port something listened last."""
        return self.run / f"{name}-port"

    def log(self, component: str) -> Path:
        """Return the log file of a component."""
        return self.logs / f"{component}.log"


def paths(name: str | None = None) -> Paths:
    """Return the paths of a named sandbox.

    Args:
        name: The sandbox's name; else `EKSNET_SANDBOX`, else `sandbox`.

    Raises:
        EksnetError: The name could not be a directory of its own.
    """
    if name is None:
        name = os.environ.get("EKSNET_SANDBOX") or DEFAULT_NAME
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise EksnetError(
            f"{name!r} is not a valid sandbox name",
            "up to 31 lower-case letters, digits and dashes",
            "choose another name with --sandbox or EKSNET_SANDBOX",
        )
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Paths(Path(base) / "eksnet" / name)


def known_port(paths: Paths, name: str) -> int:
    """Return the port of 127.0.0.1 at which something listened last; 0 before it ever did.

    Args:
        paths: The sandbox's paths.
        name: What listens: `api` is the API server, `aws` the AWS services.
    """
    try:
        return int(paths.port(name).read_text())
    except FileNotFoundError:
        return 0


def write_private(path: Path, text: str | bytes) -> None:
    """Replace a file in one step, readable only by its owner from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)
    draft.replace(path)


def size(directory: Path) -> int:
    """Return how much room the files below a directory take, in bytes; holes take none."""
    found = 0
    for place, names, files in os.walk(directory):
        for name in (*names, *files):
            with contextlib.suppress(OSError):
                found += os.lstat(os.path.join(place, name)).st_blocks * 512
    return found
