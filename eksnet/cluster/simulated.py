"""What only the sandbox can make up for a lesson: more nodes than there are, and a faster clock.

A simulated node is an object with a lease: it counts, and runs nothing. Its lease is kept by a
thread of the learner's kernel; once that has ended, the node becomes NotReady, as a real one
would. All of it is labelled, so that `end_fleet` and the next lesson find it.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.cluster.contents import MANAGED_BY
from eksnet.cluster.faults import require_sandbox
from eksnet.errors import EksnetError
from eksnet.sandbox import simulation
from eksnet.sandbox.simulation import CLOCK, CLOCK_NAMESPACE, FACTOR, FASTEST, FLEET

if TYPE_CHECKING:
    from eksnet.cluster.cluster import Cluster
    from eksnet.cluster.objects import Resource

MOST_NODES, MOST_CORES = 100, 448
LEASES = "kube-node-lease"
_OURS = f"{FLEET}=node"
# A kubelet's own: it renews its lease every ten seconds, and is given up after forty more.
_RENEWAL, _LEASE_SECONDS = 10.0, 40
_SENDERS = 4
_Json = dict[str, Any]


def start_fleet(cluster: Cluster, nodes: int, cores: int) -> int:
    """Simulate nodes beside the sandbox's own; return how many there are simulated.

    They take no pods: of Deployments because of their taint, of kube-proxy's DaemonSet because of
    their compute type. Run again, it changes what differs.

    Args:
        cluster: The cluster; only the sandbox.
        nodes: How many nodes there are to be in all.
        cores: The processor cores of each simulated one.

    Raises:
        EksnetError: It is not the sandbox, or a number is out of range.
    """
    require_sandbox(cluster, "simulated nodes would mislead whoever counts a cluster's nodes")
    there = {one.name: one for one in fleet(cluster)}
    own = len(cluster.list("nodes")) - len(there)
    inputs.count(nodes, "the number of nodes", own, MOST_NODES)
    inputs.count(cores, "the number of cores", 1, MOST_CORES)
    names = [f"simulated-{number:03d}" for number in range(1, nodes - own + 1)]
    stays = {name for name in names if name in there and cores_of(there[name]) == cores}
    _delete(cluster, there.keys() - stays)
    _in_parallel(lambda name: _create(cluster, name, cores), [n for n in names if n not in stays])
    _keep(cluster, names)
    return len(names)


def end_fleet(cluster: Cluster) -> int:
    """Delete the simulated nodes and their leases; return how many there were.

    By the autoscaler's clock they go all at once: it stands still meanwhile.

    Args:
        cluster: The cluster; only the sandbox has any.
    """
    _keep(cluster, ())
    names = left(cluster)
    if names:
        with _clock_standing(cluster):
            _delete(cluster, names)
    return len(names)


@contextlib.contextmanager
def _clock_standing(cluster: Cluster) -> Iterator[None]:
    factor = clock_factor(cluster)
    _set_clock(cluster, 0)
    try:
        yield
    finally:
        # One that stands already was left so by a kernel that has ended.
        if factor > 1:
            _set_clock(cluster, factor)
        else:
            end_clock(cluster)


def left(cluster: Cluster) -> list[str]:
    """Return the names of the simulated nodes, also of those that have nothing but a lease.

    Args:
        cluster: The cluster.
    """
    leases = cluster.list("leases", LEASES, selector=_OURS)
    return sorted({one.name for one in (*fleet(cluster), *leases)})


def fleet(cluster: Cluster) -> list[Resource]:
    """Return the simulated nodes.

    Args:
        cluster: The cluster.
    """
    return list(cluster.list("nodes", selector=_OURS))


def cores_of(node: Resource) -> int:
    """Return the processor cores that a node has."""
    capacity = (node.get("status") or {}).get("capacity") or {}
    return math.ceil(simulation.cores_of(str(capacity.get("cpu", "0"))))


def _create(cluster: Cluster, name: str, cores: int) -> None:
    now = datetime.now(UTC)
    objects = [_node(name, cores, now), _lease(name, now)]
    everything = {"apiVersion": "v1", "kind": "List", "items": objects}
    # A lease may be left of a fleet whose kernel has ended, and was renewed since it was made.
    cluster.apply(json.dumps(everything), force=True, mark=False)


def _node(name: str, cores: int, now: datetime) -> _Json:
    """Return a node that counts and takes no pod.

    Its status is what a kubelet would report at its registration; later, an apply leaves it.
    """
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": "True", "reason": "Simulated"}
    room = {"cpu": str(cores), "memory": f"{4 * cores}Gi", "pods": "110"}
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        # The DaemonSet kube-proxy passes such nodes by.
        "eks.amazonaws.com/compute-type": "auto",
        FLEET: "node",
        MANAGED_BY: "eksnet",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [{"key": FLEET, "effect": "NoSchedule"}]},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{**ready, "lastHeartbeatTime": moment, "lastTransitionTime": moment}],
        },
    }


def _lease(name: str, now: datetime) -> _Json:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": LEASES, "labels": {FLEET: "node"}},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": _micro(now),
        },
    }


def _delete(cluster: Cluster, names: Iterable[str]) -> None:
    def delete(name: str) -> None:
        cluster.delete("lease", name, LEASES, wait=False)
        cluster.delete("node", name, wait=False)

    _in_parallel(delete, list(names))


def _in_parallel(do: Callable[[str], object], names: Sequence[str]) -> None:
    with ThreadPoolExecutor(_SENDERS) as pool:
        list(pool.map(do, names))


# The leases of each cluster's fleet are kept by one thread of this process.
_keepers: dict[str, threading.Event] = {}


def _keep(cluster: Cluster, names: Sequence[str]) -> None:
    """Keep the leases of these nodes from now on, and of no others."""
    key = cluster.identity.key
    if ended := _keepers.pop(key, None):
        ended.set()
    if names:
        ended = _keepers[key] = threading.Event()
        # A daemon thread: it ends with the kernel, and the nodes with it.
        threading.Thread(target=_renew, args=(cluster, names, ended), daemon=True).start()


def _renew(cluster: Cluster, names: Sequence[str], ended: threading.Event) -> None:
    while not ended.wait(_RENEWAL):
        for name in names:
            if ended.is_set():
                return
            renewed = {"spec": {"renewTime": _micro(datetime.now(UTC))}}
            # What cannot be renewed now may be in ten seconds: a kubelet goes on, too.
            with contextlib.suppress(EksnetError):
                cluster.patch("lease", name, renewed, LEASES)


def _micro(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# The clock of EKS's autoscaler.


def start_clock(cluster: Cluster, factor: int) -> None:
    """Make the clock of the sandbox's CoreDNS autoscaler run so many times as fast.

    Args:
        cluster: The cluster; only the sandbox.
        factor: How many times as fast, 1 to 120.

    Raises:
        EksnetError: It is not the sandbox, or no such factor.
    """
    require_sandbox(cluster, "nobody can make EKS's own clock run faster")
    inputs.count(factor, "the clock's factor", 1, FASTEST)
    _set_clock(cluster, factor)


def _set_clock(cluster: Cluster, factor: int) -> None:
    metadata = {"name": CLOCK, "namespace": CLOCK_NAMESPACE}
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    cluster.apply(json.dumps({**configmap, "data": {FACTOR: str(factor)}}), force=True)


def end_clock(cluster: Cluster) -> None:
    """Let the clock run as clocks do; one that does so is no mistake.

    Args:
        cluster: The cluster.
    """
    cluster.delete("configmap", CLOCK, CLOCK_NAMESPACE)


def clock_factor(cluster: Cluster) -> int:
    """Return how many times as fast as a real clock the sandbox's autoscaler's runs."""
    found = cluster.find("configmap", CLOCK, CLOCK_NAMESPACE)
    data = (found.get("data") or {}) if found is not None else {}
    return int(data.get(FACTOR, 1))
