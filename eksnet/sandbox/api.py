"""The supervisor's own small client of the API server.

Inside the namespace only the standard library and, late, PyYAML are loaded: the official client
takes longer to import than the cluster takes to answer.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import Template
from typing import Any

from eksnet import versions
from eksnet.errors import UnreachableError
from eksnet.sandbox.simulation import FLEET

# The field manager that EKS applies as, and what makes a request a server-side apply.
EKS, APPLY = "eks", "application/apply-patch+yaml"
# The label of pods that `eksnet shell` makes.
SHELL = "app.kubernetes.io/managed-by=eksnet-shell"
# The Deployments and DaemonSets of the manifests.
WORKLOADS = ("coredns", "kube-proxy")
_PLURALS = {
    "Node": "nodes",
    "ServiceAccount": "serviceaccounts",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "Service": "services",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Deployment": "deployments",
    "DaemonSet": "daemonsets",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}

# All nodes but those that a lesson makes up: these run no pod.
NODES = f"/api/v1/nodes?labelSelector=!{FLEET}"
# What the node controller says of a node that was not Ready; other taints are the learner's.
_NOT_YET = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

Labels = dict[str, str]


class Api:
    """Requests to the API server with the supervisor's certificate.

    What reads several objects raises `UnreachableError` when one request fails: no answer is not
    the answer that there are none.
    """

    def __init__(self, pki: Path, address: str, user: str = "supervisor") -> None:
        """Prepare to talk to `https://ADDRESS:443`; nothing is sent yet.

        Args:
            pki: The directory of the certificates.
            address: The API server's address, or address and port.
            user: Whose certificate to show, by the name of its file.
        """
        self._address = address
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / f"{user}.crt", pki / f"{user}.key")
        self._connection: http.client.HTTPSConnection | None = None

    def request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        """Send one request.

        Args:
            method: The HTTP method.
            path: The path, with the query.
            body: What to send as JSON.
            content_type: What the body counts as: JSON is YAML, too.

        Returns:
            The HTTP status and the decoded JSON body (text, when it is not JSON). Status 0 means
            that nothing answered.
        """
        headers = {"Accept": "application/json", "Content-Type": content_type}
        try:
            connection = self._connection or self._connect()
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            # The next request begins anew: one connection never serves two API servers.
            self._disconnect()
            return 0, str(error)
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def _connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(self._address, timeout=5, context=self._context)
        # A handshake for each look would cost the API server more than the answers.
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def not_answering(self) -> list[str]:
        """Return why the API server does not answer from its store yet; nothing when it does.

        It answers some time before it says that it is ready.
        """
        return self._unless(200, "/api/v1/nodes?limit=1")

    def not_ready(self) -> list[str]:
        """Return why the API server does not say that it is ready; nothing when it does."""
        return self._unless(200, "/readyz")

    def _unless(self, wanted: int, path: str) -> list[str]:
        status, answer = self.request("GET", path)
        return [] if status == wanted else [f"API server: {status or 'no answer'}, {answer}"]

    def absent(self, manifests: Iterable[dict[str, Any]]) -> list[str]:
        """Return which objects do not exist, one line each; changes nothing."""
        return [
            f"{manifest['kind']} {manifest['metadata']['name']} is missing"
            for manifest in manifests
            if not self._exists(object_path(manifest))
        ]

    def _exists(self, path: str) -> bool:
        status, answer = self.request("GET", path)
        if status not in (200, 404):
            raise UnreachableError(f"API server: {status or 'no answer'}, {answer}")
        return status == 200

    def create_missing(self, manifests: Iterable[dict[str, Any]], manager: str = EKS) -> list[str]:
        """Create the objects that do not exist; what exists stays as it is.

        Args:
            manifests: The objects.
            manager: The field manager that owns what it made, until somebody changes it.

        Returns:
            What could not be created yet, one line each; empty when all is there.
        """
        problems = []
        for manifest in manifests:
            # Ask first: a Service that exists refuses its twin for its address, not for its name.
            if self.request("GET", object_path(manifest))[0] == 200:
                continue
            path = f"{object_path(manifest)}?fieldManager={manager}"
            status, answer = self.request("PATCH", path, manifest, content_type=APPLY)
            if status not in (200, 201):
                reason = answer.get("message") if isinstance(answer, dict) else answer
                problems.append(f"{manifest['kind']} {manifest['metadata']['name']}: {reason}")
        return problems

    def delete_shells(self, since: str) -> list[str]:
        """Delete the pods of shells that are over: with a sandbox, what was executed in it ends.

        Their commands could not do that, for the API server ended with the sandbox too.

        Args:
            since: When this start began, as RFC 3339 in UTC; what is younger has its shell.

        Returns:
            Which could not be deleted, one line each.
        """
        problems = []
        for pod in self._items(f"/api/v1/pods?labelSelector={SHELL}"):
            metadata = pod["metadata"]
            if metadata["creationTimestamp"] >= since:
                continue
            place = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            # At once: no kubelet could tell when its containers have ended, and they have.
            status, answer = self.request("DELETE", f"{place}?gracePeriodSeconds=0")
            if status not in (200, 404):
                problems.append(f"pod {metadata['name']}: {status or 'no answer'}, {answer}")
        return problems

    def pods_unbound(self, wanted: int) -> list[str]:
        """Return one line while fewer of kube-system's pods than wanted have their node."""
        pods = self._items("/api/v1/namespaces/kube-system/pods")
        bound = sum("nodeName" in pod["spec"] for pod in pods)
        return [f"{bound} of {wanted} pods are bound to a node"] if bound < wanted else []

    def nodes_not_ready(self, wanted: int, since: str) -> list[str]:
        """Return one line while fewer nodes than wanted are Ready; nothing after that.

        Args:
            wanted: How many nodes there are.
            since: As in `pods_not_ready`: only what a kubelet has said since then counts.
        """
        ready = sum(_takes_pods(node, since) for node in self._items(NODES))
        return [f"{ready} of {wanted} nodes Ready"] if ready < wanted else []

    def nodes_not_reporting(self, wanted: int, since: str) -> list[str]:
        """Return one line while fewer nodes than wanted have reported; nothing after that.

        Args:
            wanted: How many nodes there are.
            since: As in `pods_not_ready`. A node has reported when its kubelet has said anything
                since then, also that it is not Ready.
        """
        reported = sum(_has_reported(node, since) for node in self._items(NODES))
        return [f"{reported} of {wanted} nodes report"] if reported < wanted else []

    def pods_not_ready(self, since: str) -> list[str]:
        """Return what kube-system still waits for, one line each; empty when it is whole.

        Args:
            since: When this start began, as RFC 3339 in UTC. State that outlived a `down` says
                Ready of containers that are long gone: only those started since then count.
        """
        pods = self._items("/api/v1/namespaces/kube-system/pods")
        return [
            f"{name}: {ready} of {wanted} pods Ready"
            for name, labels, wanted in self._workloads()
            if (ready := sum(_serves(pod, labels, since) for pod in pods)) < wanted
        ]

    def _workloads(self) -> Iterator[tuple[str, Labels, int]]:
        """Yield the cluster's own workloads; what a learner puts beside them holds up no start."""
        nodes = len(self._items(NODES))
        for kind in ("daemonsets", "deployments"):
            for item in self._items(f"/apis/apps/v1/namespaces/kube-system/{kind}"):
                name, spec = item["metadata"]["name"], item["spec"]
                if name in WORKLOADS:
                    yield name, spec["selector"]["matchLabels"], spec.get("replicas", nodes)

    def _items(self, path: str) -> list[dict[str, Any]]:
        status, answer = self.request("GET", path)
        if status != 200:
            raise UnreachableError(f"API server: {status or 'no answer'}, {answer}")
        items: list[dict[str, Any]] = answer["items"]
        return items


def documents(
    manifests: Path, pattern: str = "*.yaml", authority: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a directory of YAML files, in the order of the files' names.

    `${kubernetes}` and `${coredns}` in them are the versions of the engine.

    Args:
        manifests: The directory.
        pattern: Which of its files.
        authority: The file of the cluster's certificate authority, for `${authority}`; without it
            that stays, which does where only names count.
    """
    # Later than the start's first moments, which belong to the API server.
    import yaml

    values = {"authority": base64.b64encode(authority.read_bytes()).decode()} if authority else {}
    for file in sorted(manifests.glob(pattern)):
        text = Template(versions.complete(file.read_text())).safe_substitute(values)
        yield from yaml.load_all(text, yaml.CSafeLoader)


def collection_path(manifest: dict[str, Any]) -> str:
    """Return the API path to which an object of this kind is posted."""
    version = manifest["apiVersion"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = manifest["metadata"].get("namespace")
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{scope}/{_PLURALS[manifest['kind']]}"


def object_path(manifest: dict[str, Any]) -> str:
    """Return the API path of an object."""
    return f"{collection_path(manifest)}/{manifest['metadata']['name']}"


def _serves(pod: dict[str, Any], labels: Labels, since: str) -> bool:
    """Tell whether a pod with these labels is Ready with containers of this start."""
    containers = pod["status"].get("containerStatuses", [])
    started = [c["state"].get("running", {}).get("startedAt", "") for c in containers]
    return (
        labels.items() <= pod["metadata"].get("labels", {}).items()
        # One that is being taken away stays Ready to its end.
        and "deletionTimestamp" not in pod["metadata"]
        and _is_ready(pod)
        and all(moment >= since for moment in started)
    )


def _takes_pods(node: dict[str, Any], since: str) -> bool:
    """Tell whether a node is Ready and its taint, which goes a moment later, is gone too."""
    taints = {taint["key"] for taint in node["spec"].get("taints", [])}
    return _is_ready(node, since) and taints.isdisjoint(_NOT_YET)


def _has_reported(node: dict[str, Any], since: str) -> bool:
    return any(_is_since(c, since) for c in node["status"].get("conditions", []))


def _is_ready(thing: dict[str, Any], since: str = "") -> bool:
    conditions = thing["status"].get("conditions", [])
    return any(
        c["type"] == "Ready" and c["status"] == "True" and _is_since(c, since) for c in conditions
    )


def _is_since(condition: dict[str, Any], since: str) -> bool:
    return (condition.get("lastHeartbeatTime") or "") >= since
