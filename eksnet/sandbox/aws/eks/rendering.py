"""From an add-on's configuration values to the objects that EKS applies; pure.

What each value changes is documented only by its name: `describe-addon-configuration` gives a
schema without descriptions. Where it can mean one thing alone it does that here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Object = dict[str, Any]
_REGISTRY = "602401143452.dkr.ecr.{region}.amazonaws.com"
# The image of an add-on's first container, in EKS's registry.
_IMAGES = {
    "coredns": "eks/coredns", "kube-proxy": "eks/kube-proxy", "vpc-cni": "amazon-k8s-cni",
}  # fmt: skip


def of_version(name: str, manifests: Iterable[Object], region: str, version: str) -> list[Object]:
    """Return the objects of an add-on in a version.

    Args:
        name: The add-on.
        manifests: What EKS installs of it.
        region: The region whose registry the image comes from.
        version: The add-on's version.
    """
    objects = copy.deepcopy(list(manifests))
    workload = next(one for one in objects if one["kind"] in ("Deployment", "DaemonSet"))
    container = workload["spec"]["template"]["spec"]["containers"][0]
    container["image"] = f"{_REGISTRY.format(region=region)}/{_IMAGES[name]}:{version}"
    return objects


def coredns(
    manifests: Iterable[Object], region: str, version: str, values: Mapping[str, Any]
) -> list[Object]:
    """Return the objects of the add-on coredns.

    Args:
        manifests: CoreDNS as EKS installs it.
        region: The region whose registry the image comes from.
        version: The add-on's version.
        values: Configuration values that fit the schema.
    """
    objects = {one["kind"]: one for one in of_version("coredns", manifests, region, version)}
    for name, value in values.items():
        if name in _CHANGES:
            _CHANGES[name](objects, value)
    return list(objects.values())


def _replicas(objects: dict[str, Object], value: int) -> None:
    objects["Deployment"]["spec"]["replicas"] = value


def _autoscaling(objects: dict[str, Object], value: Mapping[str, Any]) -> None:
    """Begin with the minimum; the autoscaler goes on from there.

    An update first sets the replicas back, also where the autoscaler had raised them: AWS's
    containers-roadmap, issue 2540.
    """
    if value["enabled"]:
        objects["Deployment"]["spec"]["replicas"] = value.get("minReplicas", 2)


def _corefile(objects: dict[str, Object], value: str) -> None:
    objects["ConfigMap"]["data"]["Corefile"] = value


def _compute_type(objects: dict[str, Object], value: str) -> None:
    if value.lower() == "fargate":
        metadata = objects["Deployment"]["spec"]["template"]["metadata"]
        metadata.setdefault("annotations", {})["eks.amazonaws.com/compute-type"] = "fargate"


def _budget(objects: dict[str, Object], value: Mapping[str, Any]) -> None:
    if not value.get("enabled", True):
        del objects["PodDisruptionBudget"]
        return
    spec = objects["PodDisruptionBudget"]["spec"]
    limits = {name: value[name] for name in ("maxUnavailable", "minAvailable") if name in value}
    if limits:
        del spec["maxUnavailable"]
        spec.update(limits)


def _resources(objects: dict[str, Object], value: Mapping[str, Any]) -> None:
    objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]["resources"] = dict(value)


def _in_metadata(field: str) -> Callable[[dict[str, Object], Mapping[str, str]], None]:
    def change(objects: dict[str, Object], value: Mapping[str, str]) -> None:
        metadata = objects["Deployment"]["spec"]["template"]["metadata"]
        metadata[field] = {**metadata.get(field, {}), **value}

    return change


def _in_pod(field: str) -> Callable[[dict[str, Object], Any], None]:
    def change(objects: dict[str, Object], value: Any) -> None:
        objects["Deployment"]["spec"]["template"]["spec"][field] = value

    return change


_CHANGES: Mapping[str, Callable[[dict[str, Object], Any], None]] = {
    "replicaCount": _replicas,
    "autoScaling": _autoscaling,
    "corefile": _corefile,
    "computeType": _compute_type,
    "podDisruptionBudget": _budget,
    "resources": _resources,
    "podAnnotations": _in_metadata("annotations"),
    "podLabels": _in_metadata("labels"),
    "affinity": _in_pod("affinity"),
    "nodeSelector": _in_pod("nodeSelector"),
    "tolerations": _in_pod("tolerations"),
    "topologySpreadConstraints": _in_pod("topologySpreadConstraints"),
}
