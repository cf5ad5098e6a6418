"""A trial of a Corefile: a CoreDNS that nobody else asks, beside the program that asks it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import yaml

from eksnet import versions
from eksnet.cluster.pods import NeededError
from eksnet.coredns.configuration import refusal
from eksnet.coredns.editing import plugins
from eksnet.coredns.installed import BASH_IMAGE, IMAGE
from eksnet.coredns.transport import Answer, command, queries_for, read_answers
from eksnet.errors import EksnetError
from eksnet.listing import Listing

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

_SERVER = "127.0.0.1/53"
_TIMEOUT = 60


def try_corefile(
    cluster: Cluster, corefile: str, *names: str, rdtype: str = "A"
) -> Listing[Answer]:
    """Ask a fresh CoreDNS with this Corefile for names, as they are, one after the other.

    It runs in a pod of its own, so whatever the Corefile says, the cluster's DNS stays as it is.
    `forward . /etc/resolv.conf` reaches the cluster's DNS from there. The pod and the ConfigMap
    that brings the Corefile are taken away at the end.

    Args:
        cluster: The cluster.
        corefile: The Corefile, with a server block `.:53`.
        names: The names, asked in this order.
        rdtype: The record type.

    Raises:
        EksnetError: The Corefile is not whole, CoreDNS did not start with it, or a query got no
            answer within six seconds.
    """
    plugins(corefile)
    name = f"corefile-{secrets.token_hex(3)}"
    queries = queries_for(names, rdtype, _SERVER)
    try:
        cluster.apply(_configmap(name, corefile))
        run = cluster.run(
            BASH_IMAGE, command(queries), name=name, spec=_beside(name), timeout=_TIMEOUT
        )
    except NeededError as error:
        said = refusal(error.log) or error.log.rpartition("\n")[2] or "its log is empty"
        raise EksnetError(
            f"CoreDNS exited at its start: {said}",
            f"a Corefile that CoreDNS {versions.COREDNS.removeprefix('v')} takes",
            "fix the line of the Corefile that it names, and try again",
        ) from None
    finally:
        cluster.delete("configmap", name)
    return read_answers(queries, run.output)


def _configmap(name: str, corefile: str) -> str:
    metadata = {"name": name, "labels": {"app.kubernetes.io/managed-by": "eksnet"}}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    return yaml.safe_dump({**kind, "metadata": metadata, "data": {"Corefile": corefile}})


def _beside(configmap: str) -> dict[str, Any]:
    """Return the fields of a pod in which CoreDNS runs before and beside the main container."""
    coredns = {
        "name": "coredns",
        "image": IMAGE,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "corefile", "mountPath": "/etc/coredns"}],
        # A sidecar: the main container starts once this one answers.
        "restartPolicy": "Always",
        "startupProbe": {"tcpSocket": {"port": 53}, "periodSeconds": 1, "failureThreshold": 60},
    }
    volume = {"name": "corefile", "configMap": {"name": configmap}}
    return {"initContainers": [coredns], "volumes": [volume]}
