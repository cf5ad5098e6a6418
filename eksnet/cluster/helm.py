"""Helm on the connected cluster: the same words on every target."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eksnet.cluster import credentials
from eksnet.cluster.access import Access
from eksnet.cluster.pods import Command, Exec, words
from eksnet.errors import EksnetError

# What changes nothing in a cluster, by Helm's first word; `repo` changes files of Helm's own.
_READS = (
    "completion", "env", "get", "help", "history", "lint", "list", "ls", "repo", "search", "show",
    "status", "template", "verify", "version",
)  # fmt: skip
_PROGRAM = "helm"


@dataclass(frozen=True)
class Helm:
    """Which Helm is called, and how it finds the cluster.

    Attributes:
        program: The program.
        variables: Variables of its environment, beside the learner's own; None takes one away.
        arguments: What comes before the command.
    """

    program: Path
    variables: Mapping[str, str | None] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


def of_context(context: str) -> Helm:
    """Return the learner's own Helm on a context of the learner's kubeconfig.

    Raises:
        EksnetError: There is no Helm on the path.
    """
    return Helm(_own(), arguments=("--kube-context", context))


def of_access(access: Access) -> Helm:
    """Return the learner's own Helm on a cluster that no kubeconfig names, with a token of now.

    Args:
        access: How the cluster is reached.

    Raises:
        EksnetError: There is no Helm on the path.
    """
    return Helm(_own(), {"KUBECONFIG": credentials.kept("kubeconfig", access.kubeconfig())})


def _own() -> Path:
    """Return the learner's own Helm."""
    found = shutil.which(_PROGRAM)
    if found is None:
        raise EksnetError(
            "there is no helm on the path",
            "Helm 3, which the EKS user guide has installed too",
            "install it from https://helm.sh/docs/intro/install/",
        )
    return Path(found)


def run(helm: Helm, command: Command, guard: Callable[[], None], timeout: float) -> Exec:
    """Run a command of Helm; see `Cluster.helm`."""
    argv = words(command)
    if argv[0] == _PROGRAM:
        raise EksnetError(
            f"the command begins with {_PROGRAM}: {shlex.join(argv)}",
            "what follows that word",
            f"cluster.helm({shlex.join(argv[1:])!r})",
        )
    if argv[0] not in _READS:
        guard()
    environment = {**os.environ, **helm.variables}
    try:
        done = subprocess.run(
            [helm.program, *helm.arguments, *argv], capture_output=True, text=True, check=False,
            timeout=timeout, stdin=subprocess.DEVNULL,
            env={name: value for name, value in environment.items() if value is not None},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise EksnetError(
            f"helm {argv[0]} still runs after {timeout:.0f} s, and was ended",
            "a command that ends by then",
            f'cluster.helm("status NAME -n NAMESPACE") shows how far it is; timeout={timeout:.0f} '
            "can be raised",
        ) from None
    result = Exec((_PROGRAM, *argv), done.stdout, done.stderr, done.returncode)
    if done.returncode:
        raise EksnetError(
            f"helm {argv[0]} failed: {done.stderr.strip().removeprefix('Error: ')}",
            "a command that Helm can do",
        )
    return result
