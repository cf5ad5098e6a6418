"""The checkpoint of 04b_annotations: annotations that the controller reads, and what they do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from eksnet import loadbalancer
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    failed,
    not_started,
    not_yet,
    passed,
)
from eksnet.checkpoints.definitions.lab_ingress import (
    ADDRESS,
    INGRESS,
    NAMESPACE,
    address,
    find_ingress,
)

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "04b_annotations"
_SCHEME = "internet-facing"


def read(cluster: Cluster) -> Observation:
    """Whether the controller reads all annotations of the Ingress."""
    ingress = find_ingress(cluster)
    expected = "annotations in which lint finds nothing"
    if ingress is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", expected, "apply it")
    found = [one for one in loadbalancer.lint(_annotated(ingress)) if one.severity == "error"]
    if found:
        return failed(found[0].seen, expected, found[0].fix)
    return passed("lint finds nothing in its annotations")


def _annotated(ingress: Resource) -> str:
    """Return an Ingress with the annotations of another, and the simplest rest."""
    metadata = {
        "name": INGRESS,
        "namespace": NAMESPACE,
        "annotations": ingress["metadata"].get("annotations") or {},
    }
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    return json.dumps(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": metadata,
            "spec": {"ingressClassName": "alb", "defaultBackend": backend},
        }
    )


def scheme(cluster: Cluster) -> Observation:
    """Whether the load balancer is what the annotations were meant to say."""
    expected = f"a load balancer that is {_SCHEME}"
    if find_ingress(cluster) is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", expected, "apply it")
    found = loadbalancer.load_balancer(cluster, INGRESS, NAMESPACE)["Scheme"]
    if found != _SCHEME:
        return not_yet(f"it is {found}", expected, "correct the annotation and apply it again")
    return passed(f"it is {found}")


CHECKPOINTS = (
    Definition(
        id="annotations-01",
        notebook=NOTEBOOK,
        title="Annotations that are read",
        criteria=(
            Criterion("annotations-01.lint", "The controller reads all of them", 1, read),
            Criterion(
                "annotations-01.address",
                "The Ingress has a load balancer",
                1,
                address,
                needs=("annotations-01.lint",),
                wait=ADDRESS,
            ),
            Criterion(
                "annotations-01.scheme",
                f"The load balancer is {_SCHEME}",
                1,
                scheme,
                needs=("annotations-01.address",),
                wait=ADDRESS,
            ),
        ),
        hints=(
            "Look at the annotations of the Ingress `web` in `app-ns`.",
            'Compare each key with `loadbalancer.annotations.search("scheme")`.',
            "Take the misspelt key off and set `alb.ingress.kubernetes.io/scheme`.",
        ),
        solution="""\
# None takes an annotation off:
prefix = "alb.ingress.kubernetes.io"
right = {f"{prefix}/schema": None, f"{prefix}/scheme": "internet-facing"}
cluster.patch("ingress", "web", {"metadata": {"annotations": right}}, "app-ns")
""",
    ),
)
