"""The checkpoints of 04b_annotations: annotations that the controller reads, and what they do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eksnet import loadbalancer
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
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
from eksnet.loadbalancer.catalogues import INGRESS as PREFIX
from eksnet.loadbalancer.catalogues import matching

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

NOTEBOOK = "04b_annotations"
_SCHEME = "internet-facing"
OLDER = "2.7"
KEYS = ("schema", "target-type", "multi-cluster-target-group")


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


def older(cluster: Cluster, _: Any) -> Any:
    """Which annotations of the Ingress the older controller reads."""
    ingress = find_ingress(cluster)
    expected = f"the Ingress {INGRESS} with the annotations {', '.join(KEYS)}"
    if ingress is None:
        return not_started(f"there is no Ingress {INGRESS} in {NAMESPACE}", expected, "apply it")
    found = ingress["metadata"].get("annotations") or {}
    missing = [key for key in KEYS if PREFIX + key not in found]
    if missing:
        return not_started(f"it has no annotation {missing[0]}", expected, "apply the manifest")
    return {key: "yes" if matching(PREFIX + key, OLDER) else "no" for key in KEYS}


CHECKPOINTS = (
    Definition(
        id="annotations-01",
        notebook=NOTEBOOK,
        title="An older controller",
        criteria=(
            Prediction(
                "annotations-01.older",
                "What you predicted of each annotation",
                1,
                f"Which annotations of the Ingress does a controller of version {OLDER} read?",
                "prediction = {" + ", ".join(f'"{key}": ""' for key in KEYS) + "}",
                older,
            ),
        ),
        hints=(
            "Look at the list of version 2.7, which the course document links to.",
            "Compare it with that of 3.3: which of the three keys came later?",
            '`loadbalancer.annotations.find("multi-cluster-target-group")` says since when',
        ),
        solution="""\
prediction = {"schema": "no", "target-type": "yes", "multi-cluster-target-group": "no"}
""",
    ),
    Definition(
        id="annotations-02",
        notebook=NOTEBOOK,
        title="Annotations that are read",
        criteria=(
            Criterion("annotations-02.lint", "The controller reads all of them", 1, read),
            Criterion(
                "annotations-02.address",
                "The Ingress has a load balancer",
                1,
                address,
                needs=("annotations-02.lint",),
                wait=ADDRESS,
            ),
            Criterion(
                "annotations-02.scheme",
                f"The load balancer is {_SCHEME}",
                1,
                scheme,
                needs=("annotations-02.address",),
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
