"""A shell in a pod, and a pod for it that is gone when the shell is, whatever ended it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eksnet import interrupts
from eksnet.errors import EksnetError
from eksnet.sandbox import lifecycle
from eksnet.sandbox.api import SHELL

# Who holds the other end of its standard input may be ended by anything, a closed terminal or
# SIGKILL; then there is nothing more to read.
_KEEPER = """
trap '' PIPE
kubectl=$1 namespace=$2 pod=$3 label=$4
"$kubectl" run "$pod" -n "$namespace" --labels="$label" --image=busybox --restart=Never \
    --command -- sleep infinity >/dev/null &&
"$kubectl" wait "pod/$pod" -n "$namespace" --for=condition=Ready --timeout=60s >/dev/null &&
echo ready
read -r _
"$kubectl" delete pod "$pod" -n "$namespace" --ignore-not-found --now --wait=false >/dev/null 2>&1
"""
_ASKED_WITHIN = 30.0


def open_shell(pod: str = "", namespace: str = "default", name: str | None = None) -> int:
    """Open a shell in a pod and return its exit code.

    Args:
        pod: The pod; without one a busybox pod is made, and deleted again.
        namespace: Its namespace.
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.

    Raises:
        EksnetError: There is no terminal, the sandbox is down, or the pod does not start.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise EksnetError(
            "a shell needs a terminal, but the input or output of this command is not a terminal",
            "eksnet shell in a terminal",
            f"`eksnet kubectl exec -n {namespace} {pod or 'POD'} -- COMMAND` runs one command",
        )
    program, kubeconfig = lifecycle.kubectl(name)
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    if pod:
        return _execute(program, namespace, pod, environment)
    with _pod(program, namespace, environment) as fresh:
        return _execute(program, namespace, fresh, environment)


def _execute(program: Path, namespace: str, pod: str, environment: dict[str, str]) -> int:
    command = [str(program), "exec", "-it", "-n", namespace, pod, "--", "sh"]
    return subprocess.call(command, env=environment)


@contextmanager
def _pod(program: Path, namespace: str, environment: dict[str, str]) -> Iterator[str]:
    """Make a pod that goes when this process leaves the block or ends."""
    pod = f"shell-{os.getpid()}"
    with interrupts.held():
        keeper = subprocess.Popen(
            ["sh", "-c", _KEEPER, "sh", program, namespace, pod, SHELL],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # Not of this terminal: what ends this process does not end it.
            start_new_session=True, env=environment,
        )  # fmt: skip
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    assert keeper.stderr is not None
    try:
        if keeper.stdout.readline() != "ready\n":
            keeper.stdin.close()
            raise EksnetError(
                keeper.stderr.read().strip() or f"the pod {pod} did not start",
                f"a pod in the namespace {namespace}",
                "`eksnet status` shows the state of the cluster",
            )
        yield pod
    finally:
        keeper.stdin.close()
        # Later than this it is not waited for; it goes on all the same.
        with suppress(subprocess.TimeoutExpired):
            keeper.wait(_ASKED_WITHIN)
