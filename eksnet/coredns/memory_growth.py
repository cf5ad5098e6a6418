"""How much memory a real CoreDNS takes for growing numbers of records, measured on a cluster.

The CoreDNS is one of the course's own, in a namespace of its own, fresh for each measurement: a
process keeps what it once had. Its records are headless Services without a selector, each with an
EndpointSlice of 100 addresses. Nobody else reads these: kube-proxy passes headless Services by.

What is read are the process's own metrics. `process_resident_memory_bytes` is what the kernel
counts: the program's file, as far as it was read, and Go's memory. Go's is its heap, and what it
has not given back to the kernel yet. Before each reading the process is made to collect its
garbage (the plugin `pprof`), and read until two readings are near each other: what is left is what
the records need, and less than the most that CoreDNS takes while it reads them.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.cluster.contents import is_ours
from eksnet.cluster.countdown import until
from eksnet.coredns.installed import BASH_IMAGE
from eksnet.coredns.memory import Measured
from eksnet.coredns.transport import command, queries_for, read_answers
from eksnet.coredns.witness import start_server
from eksnet.errors import EksnetError
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

RECORDS = "eksnet-records"
"""The namespace of the Services; it is deleted at the end, and not waited for."""
ADDRESSES = 100
MOST_ADDRESSES = 100_000
# What the published measurements add: the buffers of 30,000 queries a second, and a full cache.
BUFFERS_MB, CACHE_MB = 5, 30
RESIDENT, OF_GO = "resident here", "Go's here"
_SERVER, _READER = "coredns", "reader"
_SENDERS = 4
_FIRST = ipaddress.IPv4Address("10.64.0.1")
_LABELS = {"app.kubernetes.io/managed-by": "eksnet"}
# kube-proxy does not even read what has this label, as EndpointSlices of headless Services have it.
_HEADLESS = {"service.kubernetes.io/headless": ""}
_RESIDENT = "process_resident_memory_bytes"
_HEAP = "go_memstats_heap_inuse_bytes"
_FROM_KERNEL, _GIVEN_BACK = "go_memstats_sys_bytes", "go_memstats_heap_released_bytes"
# Bash reads HTTP by itself: first the profile, which collects garbage, then the metrics.
_READ = """
get() { exec 3<>"/dev/tcp/$1/$2"; printf 'GET %s HTTP/1.0\\r\\n\\r\\n' "$3" >&3; cat <&3; }
get "$1" 6053 '/debug/pprof/heap?gc=1' >/dev/null
get "$1" 9153 /metrics
"""
_NEAR_MB, _READINGS = 0.5, 8


@dataclass(frozen=True)
class Taken:
    """What CoreDNS took with so many records.

    Attributes:
        addresses: The addresses behind all Services together; each stands for a pod.
        services: The Services.
        resident_mb: The process's resident memory, in MB of 10^6 bytes.
        go_mb: Go's memory in it; nearly all of the rest is the program's file.
        heap_mb: What Go's heap has in use of that.
    """

    addresses: int
    services: int
    resident_mb: float
    go_mb: float
    heap_mb: float

    @property
    def objects(self) -> int:
        """Addresses and Services together: what the formula counts as pods and Services."""
        return self.addresses + self.services


@dataclass(frozen=True, repr=False)
class Growth(Listing[Taken]):
    """The measurements, by number of addresses."""

    @property
    def points(self) -> tuple[Measured, ...]:
        """Resident memory as the published points have it: with buffers and a full cache."""
        return tuple(_with_cache(RESIDENT, one, one.resident_mb) for one in self)

    @property
    def points_of_go(self) -> tuple[Measured, ...]:
        """Go's memory alone, with buffers and a full cache."""
        return tuple(_with_cache(OF_GO, one, one.go_mb) for one in self)


def _with_cache(name: str, one: Taken, mb: float) -> Measured:
    return Measured(name, one.objects, mb + BUFFERS_MB + CACHE_MB)


def measure_memory(
    cluster: Cluster,
    corefile: str,
    sizes: Iterable[int],
    *,
    namespace: str = "eksnet-memory",
    account: str = "coredns",
    timeout: float = 60,
) -> Growth:
    """Start a CoreDNS, give the cluster more and more records, and read its memory each time.

    The Services come into the namespace `eksnet-records`, which is deleted at the end.

    Args:
        cluster: The cluster.
        corefile: The Corefile, with the plugins `ready`, `kubernetes`, `prometheus :9153` and
            `pprof :6053`.
        sizes: Numbers of addresses, multiples of 100.
        namespace: The namespace in which this CoreDNS runs; it has to be there.
        account: The ServiceAccount that it runs with, which may read Services and EndpointSlices.
        timeout: How long to wait for each number, in seconds.

    Raises:
        EksnetError: A number is out of range, CoreDNS does not start, or it does not learn of the
            records in time.
    """
    inputs.seconds(timeout)
    wanted = sorted({_checked(size) for size in sizes})
    inputs.count(len(wanted), "the number of sizes", 1, 20)
    _delete_own(cluster)
    try:
        cluster.apply(json.dumps(_namespace()))
        server = _Server(cluster, corefile, namespace, account, timeout)
        found = [server.with_addresses(size) for size in wanted]
    finally:
        # Its Services go by themselves; the namespace controller lets five seconds pass first.
        cluster.delete("namespace", RECORDS, wait=False)
    return _shown(tuple(found))


def _delete_own(cluster: Cluster) -> None:
    """Delete what a measurement that was interrupted has left: it would be there before."""
    found = cluster.find("namespace", RECORDS)
    if found is not None and not is_ours(dict(found)):
        raise EksnetError(
            f"there is a namespace {RECORDS} that is not of the course; nothing was changed",
            "a name that nobody else uses",
            f"look what is in it: eksnet kubectl -n {RECORDS} get all",
        )
    cluster.delete("namespace", RECORDS)


def _checked(size: int) -> int:
    inputs.count(size, "the number of addresses", 0, MOST_ADDRESSES)
    if size % ADDRESSES:
        raise EksnetError(
            f"the number of addresses is {size}", f"a multiple of {ADDRESSES}: 0, 10000, 20000"
        )
    return size


def _shown(found: tuple[Taken, ...]) -> Growth:
    rows = tuple(
        (f"{one.addresses:,}", f"{one.services:,}", f"{one.heap_mb:.1f}", f"{one.go_mb:.1f}",
         f"{one.resident_mb:.1f}")
        for one in found
    )  # fmt: skip
    return Growth(("addresses", "Services", "heap MB", "Go's MB", "resident MB"), rows, found)


class _Server:
    """A fresh CoreDNS, a pod that reads its metrics, and the records that it knows."""

    def __init__(
        self, cluster: Cluster, corefile: str, namespace: str, account: str, timeout: float
    ) -> None:
        self._cluster, self._namespace, self._timeout = cluster, namespace, timeout
        self._services = 0
        cluster.delete("pod", _SERVER, namespace)
        cluster.apply(_reader(namespace))
        self._address = start_server(
            cluster, _SERVER, corefile, namespace, serviceAccountName=account
        )
        with contextlib.redirect_stdout(io.StringIO()):
            cluster.wait("pod", _READER, namespace=namespace)

    def with_addresses(self, addresses: int) -> Taken:
        """Add Services until there are so many addresses, and read the memory."""
        services = addresses // ADDRESSES
        added = range(self._services, services)
        with ThreadPoolExecutor(_SENDERS) as pool:
            list(pool.map(lambda number: self._cluster.apply(service(number)), added))
        self._services = services
        if services:
            self._await_known(services - 1)
        return self._settled(addresses)

    def _await_known(self, number: int) -> None:
        """Wait until CoreDNS answers for a Service; it hears of them in their order."""
        name = f"{_name(number)}.{RECORDS}.svc.cluster.local"
        queries = queries_for([name], "A", f"{self._address}/53")

        def is_known() -> bool:
            output = self._exec(command(queries))
            return read_answers(queries, output)[0].found

        if not until(f"CoreDNS to know {name}", is_known, self._timeout):
            raise EksnetError(
                f"after {self._timeout:g} s CoreDNS does not know {name}",
                "the address of a Service in a namespace that CoreDNS watches",
                f"eksnet kubectl -n {self._namespace} logs {_SERVER}",
            )

    def _settled(self, addresses: int) -> Taken:
        """Read the memory until two readings are near each other; the last one counts."""
        last = self._read(addresses)
        for _ in range(_READINGS):
            before, last = last, self._read(addresses)
            if abs(last.resident_mb - before.resident_mb) < _NEAR_MB:
                break
        return last

    def _read(self, addresses: int) -> Taken:
        read = self._exec(["bash", "-c", _READ, "read", self._address])
        go = _megabytes(read, _FROM_KERNEL) - _megabytes(read, _GIVEN_BACK)
        resident, heap = _megabytes(read, _RESIDENT), _megabytes(read, _HEAP)
        return Taken(addresses, self._services, resident, go, heap)

    def _exec(self, words: list[str]) -> str:
        return self._cluster.exec(_READER, words, self._namespace).stdout


def _megabytes(text: str, name: str) -> float:
    """Return a metric's value, in MB, in the text that Prometheus would read.

    Raises:
        EksnetError: It is not there.
    """
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    if found is None:
        raise EksnetError(
            f"CoreDNS's metrics have no {name}",
            "its metrics on port 9153, with those of the process",
            "the Corefile needs the lines `prometheus :9153` and `pprof :6053`",
        )
    return float(found[1]) / 1e6


def _namespace() -> dict[str, Any]:
    metadata = {"name": RECORDS, "labels": _LABELS}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _reader(namespace: str) -> str:
    container = {"name": "main", "image": BASH_IMAGE, "command": ["sleep", "infinity"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    metadata = {"name": _READER, "namespace": namespace}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def _name(number: int) -> str:
    return f"service-{number + 1:04d}"


def service(number: int) -> str:
    """Return a headless Service without a selector, and its EndpointSlice of 100 addresses.

    Each address is that of a pod on a node, as the EndpointSlice of real pods has it.

    Args:
        number: Which one, from 0.
    """
    name = _name(number)
    metadata = {"name": name, "namespace": RECORDS, "labels": _LABELS}
    ports = [{"name": "http", "port": 80}]
    headless = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"clusterIP": "None", "ports": ports},
    }
    labels = {**_LABELS, **_HEADLESS, "kubernetes.io/service-name": name}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": labels},
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [_endpoint(name, number, pod) for pod in range(ADDRESSES)],
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [headless, endpoints]})


def _endpoint(service_name: str, number: int, pod: int) -> dict[str, Any]:
    target = {"kind": "Pod", "namespace": RECORDS, "name": f"{service_name}-{pod:03d}"}
    return {
        "addresses": [str(_FIRST + number * ADDRESSES + pod)],
        "conditions": {"ready": True},
        "nodeName": f"ip-10-64-0-{pod}.ap-northeast-2.compute.internal",
        "targetRef": target,
    }
