"""The API server as EKS sees it: server-side apply, deletion, and how far a roll-out is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from eksnet.sandbox import simulation
from eksnet.sandbox.api import APPLY, EKS, Api, object_path
from eksnet.sandbox.aws.eks.autoscaler import MANAGER, Size
from eksnet.sandbox.aws.eks.ownership import ApplyError, Object

_WORKLOADS = ("Deployment", "DaemonSet")
_COREDNS = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "coredns", "namespace": "kube-system"},
}
_CLOCK = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": simulation.CLOCK, "namespace": simulation.CLOCK_NAMESPACE},
}


class Cluster:
    """Requests of EKS to the API server, each over a connection of its own.

    The connection of `Api` belongs to one thread, and each request of the front has another one.
    """

    def __init__(self, pki: Path, address: str) -> None:
        """Prepare to talk to `https://ADDRESS:443` with the certificate `eks`."""
        self._pki = pki
        self._address = address

    def _api(self) -> Api:
        return Api(self._pki, self._address, user="eks")

    def apply(self, one: Object, force: bool, dry_run: bool) -> tuple[int, Any]:
        """Send one server-side apply as the manager `eks`.

        Args:
            one: The object.
            force: Whether to take over the fields that others own.
            dry_run: Whether to only try.

        Returns:
            The HTTP status and the decoded answer.
        """
        options = f"fieldManager={EKS}&force={str(force).lower()}"
        options += "&dryRun=All" if dry_run else ""
        path = f"{object_path(one)}?{options}"
        return self._api().request("PATCH", path, one, content_type=APPLY)

    def delete(self, one: Object) -> None:
        """Delete an object; one that is not there is no mistake.

        Raises:
            ApplyError: The API server refused.
        """
        status, answer = self._api().request("DELETE", object_path(one))
        if status not in (200, 202, 404):
            raise ApplyError(status, str(answer))

    def pod_addresses(self) -> dict[str, tuple[str, ...]] | None:
        """Return the addresses of pods by their node's name; None when nobody answers.

        Pods in the network of their node have no address of their own.
        """
        # From the API server's memory: what it has told its watchers is there, too.
        status, answer = self._api().request("GET", "/api/v1/pods?resourceVersion=0")
        if status != 200:
            return None
        found: dict[str, list[str]] = {}
        for pod in answer["items"]:
            spec, address = pod["spec"], pod["status"].get("podIP")
            ended = pod["status"].get("phase") in ("Succeeded", "Failed")
            if address and not ended and not spec.get("hostNetwork"):
                found.setdefault(spec["nodeName"], []).append(address)
        return {node: tuple(sorted(addresses)) for node, addresses in found.items()}

    def annotations(self, namespace: str, account: str) -> dict[str, str] | None:
        """Return the annotations of a service account; None when nothing is known of it."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}"
        status, answer = self._api().request("GET", path)
        if status != 200:
            return None
        found: dict[str, str] = answer["metadata"].get("annotations") or {}
        return found

    # What the autoscaler asks and sets, in its thread.

    @cached_property
    def _watched(self) -> Api:
        """A connection that stays: the autoscaler alone asks, and asks often."""
        return self._api()

    def size(self) -> Size:
        """Return the number of nodes and of their cores; each node counts, whatever its state."""
        nodes = self._read("/api/v1/nodes")["items"]
        capacities = [(node.get("status") or {}).get("capacity") or {} for node in nodes]
        cores = sum(simulation.cores_of(str(one.get("cpu", "0"))) for one in capacities)
        return Size(len(nodes), math.ceil(cores))

    def replicas(self) -> int:
        """Return the replicas that the Deployment coredns is to have."""
        return int(self._read(object_path(_COREDNS))["spec"]["replicas"])

    def scale(self, replicas: int) -> None:
        """Set the replicas of the Deployment coredns as the autoscaler's own field.

        Raises:
            ApplyError: The API server refused.
        """
        path = f"{object_path(_COREDNS)}?fieldManager={MANAGER}&force=true"
        body = {**_COREDNS, "spec": {"replicas": replicas}}
        status, answer = self._api().request("PATCH", path, body, content_type=APPLY)
        if status not in (200, 201):
            raise ApplyError(status, str(answer))

    def clock_factor(self) -> float:
        """Return how many times as fast as a real clock the autoscaler's runs; mostly 1.

        Raises:
            ApplyError: Nothing is known of it.
        """
        status, answer = self._watched.request("GET", object_path(_CLOCK))
        if status == 404:
            return 1.0
        if status != 200:
            raise ApplyError(status, str(answer))
        written = str((answer.get("data") or {}).get(simulation.FACTOR, ""))
        is_one = written.isdecimal() and int(written) <= simulation.FASTEST
        return float(written) if is_one else 1.0

    def _read(self, path: str) -> Any:
        status, answer = self._watched.request("GET", path)
        if status != 200:
            raise ApplyError(status, str(answer))
        return answer

    def replicas_missing(self, objects: Sequence[Object]) -> str:
        """Return what the workloads among objects still wait for; empty when all are rolled out."""
        for one in objects:
            if one["kind"] in _WORKLOADS:
                status, answer = self._api().request("GET", object_path(one))
                if status != 200:
                    return f"{one['kind']} {one['metadata']['name']} cannot be read"
                if waits := _not_rolled_out(answer):
                    return f"{one['kind']} {one['metadata']['name']}: {waits}"
        return ""


def _not_rolled_out(workload: Object) -> str:
    """Return what a workload waits for, by the rules of `kubectl rollout status`."""
    status, metadata = workload.get("status", {}), workload["metadata"]
    if status.get("observedGeneration", 0) < metadata["generation"]:
        return "its change was not seen yet"
    wanted = workload["spec"].get("replicas", status.get("desiredNumberScheduled", 0))
    updated = status.get("updatedReplicas", status.get("updatedNumberScheduled", 0))
    total = status.get("replicas", updated)
    available = status.get("availableReplicas", status.get("numberAvailable", 0))
    if updated < wanted or total > updated or available < wanted:
        return f"{available} of {wanted} pods available, {updated} of them new"
    return ""
