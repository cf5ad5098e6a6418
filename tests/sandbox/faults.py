"""What can happen to a sandbox, done on purpose, and how to see that it goes on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from hostside import arguments, members, namespace_of, programs, state

from eksnet.cluster import Cluster
from eksnet.cluster.pods import not_terminating
from eksnet.errors import EksnetError
from eksnet.sandbox import lifecycle, paths
from eksnet.sandbox.holder import _ends, children, recorded
from eksnet.sandbox.vpc import plan

COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "vpc-resolver",
    "aws",
    "coredns",
    "kubelet",
    "runtime",
    "kube-proxy",
)
# What the kubelets start again, by its pods' label.
_PODS = {"coredns": "kube-dns", "kube-proxy": "kube-proxy"}
LOOKUP = "nslookup -type=a kubernetes.default.svc.cluster.local"
_DEADLINE = 120.0


def holder() -> int:
    """Return the process outside that holds the suite's sandbox."""
    found = recorded(paths.paths())
    assert found is not None, "the sandbox is down"
    return found


def inside() -> str:
    """Return the user namespace of the suite's sandbox."""
    return namespace_of(children(holder())[0])


def component_pids(name: str) -> list[int]:
    """Return the pids on the host of a component, on whatever nodes it runs."""
    found = [pid for pid in programs(inside()) if _component(arguments(pid)) == name]
    # A lesson may have a CoreDNS of its own in a pod of its own.
    return [pid for pid in found if name != "coredns" or _hostname(pid).startswith("coredns-")]


def _hostname(pid: int) -> str:
    """Return the name of the node or of the pod that a process is in; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/root/etc/hostname").read_text().rstrip("\n")
    except OSError:
        return ""


def component_pid(name: str, chance: random.Random | None = None) -> int:
    """Return one of a component's pids on the host: the only one, or one by chance."""
    found = component_pids(name)
    assert found, f"{name} does not run"
    return (chance or random.Random(0)).choice(found)


def _component(words: list[str]) -> str:
    """Return what a process is to us, by its command line."""
    program, *rest = [*words, "", ""]
    name = Path(program).name
    if name == "coredns" and rest[1].endswith("/vpc-resolver.Corefile"):
        return "vpc-resolver"
    if "eksnet.sandbox.aws.server" in words:
        return "aws"
    # The runtime's program is its containers' shims, too.
    return rest[0] if name in ("kube", "exe") else name


def node_process(short: str) -> int:
    """Return the pid on the host of a node's process 1."""
    name = next(node.name for node in plan().nodes if node.short == short)
    supervisor = children(holder())[0]
    for pid in children(supervisor):
        if arguments(pid)[:2] == ["sh", "-c"] and _hostname(pid) == name:
            return pid
    raise AssertionError(f"{short} does not run")


def kill(pid: int) -> None:
    """End a process without a word, and wait until it is gone."""
    descriptor = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        assert _ends(descriptor, 20)
    finally:
        os.close(descriptor)


def suspend() -> list[int]:
    """Stop every process of the sandbox, as a closed laptop does; return them."""
    stopped: list[int] = []
    # What runs still may begin something or end while the list is made.
    while new := [pid for pid in (holder(), *members(inside())) if pid not in stopped]:
        for pid in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        stopped += new
    until("none runs", lambda: not {"R", "S"} & {state(pid) for pid in stopped})
    return stopped


def resume(stopped: list[int]) -> None:
    """Let the processes go on."""
    for pid in reversed(stopped):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def restarts(name: str) -> int:
    """Return how often the supervisor started a component again."""
    return lifecycle.status().components[name].restarts


def all_restarts(name: str, cluster: Cluster) -> int:
    """Return how often a component was started again, on all nodes, by whoever does that."""
    if name in _PODS:
        pods = cluster.list("pods", "kube-system", selector=f"k8s-app={_PODS[name]}")
        # With one that is being taken away, its count would be gone as well.
        containers = [
            c for pod in not_terminating(pods) for c in pod["status"]["containerStatuses"]
        ]
        return sum(container["restartCount"] for container in containers)
    components = lifecycle.status().components
    return sum(restarts(one) for one in components if one in (name, f"{name}-{one[-5:]}"))


def until(what: str, holds: Callable[[], bool]) -> None:
    """Look until something holds."""
    deadline = time.monotonic() + _DEADLINE
    while not holds():
        assert time.monotonic() < deadline, f"after {_DEADLINE:.0f} s still waiting: {what}"
        time.sleep(0.1)


def assert_goes_on(cluster: Cluster) -> None:
    """See that the cluster is whole and that a pod resolves a name."""
    until("the sandbox is ready", lambda: lifecycle.status().phase == "ready")
    said: list[str] = []

    def resolves() -> bool:
        try:
            said.append(cluster.run("busybox:1.36", LOOKUP, timeout=60).output)
        except EksnetError as error:
            # What was asked in the middle of a fault may fail; what is asked after it may not.
            said.append(str(error))
        return "Address: 10.100.0.1" in said[-1]

    until("a pod resolves a name", resolves)
