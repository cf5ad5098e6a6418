"""Checks of what a cluster has: versions, nodes, add-ons, admission webhooks, the controller."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from eksnet import versions
from eksnet.aws import refusals
from eksnet.cluster.client import ApiError
from eksnet.coredns.autoscaling import VALUE, fields_of
from eksnet.doctor.findings import Finding, cannot_tell, finding, ok
from eksnet.doctor.network import described
from eksnet.errors import RefusedError
from eksnet.kubeproxy.skew import minor, version_skew
from eksnet.loadbalancer import controller

if TYPE_CHECKING:
    from eksnet.cluster import Cluster, Resource

_SYSTEM = "kube-system"
_ADD_ONS = ("coredns", "kube-proxy", "vpc-cni")
# The oldest minor version that has all that lessons show: mode nftables of kube-proxy is stable.
_OLDEST = 33


# Versions and nodes.


def cluster_versions(cluster: Cluster) -> Iterator[Finding]:
    """Look at the versions of the API server, the nodes and kube-proxy.

    Args:
        cluster: The cluster.
    """
    server = minor(cluster.version)
    if server < _OLDEST:
        yield finding(
            f"the API server is Kubernetes {cluster.version}; the course was made with "
            f"{versions.KUBERNETES} and needs 1.{_OLDEST} or newer",
            f"upgrade one minor version after the other: {_upgrade(cluster, server)}",
        )
    else:
        yield ok(f"Kubernetes {cluster.version}; the course was made with {versions.KUBERNETES}")
    proxy = cluster.find("daemonset", "kube-proxy", _SYSTEM)
    if proxy is not None:
        yield from _skew(cluster, _tag(proxy))


def _upgrade(cluster: Cluster, server: int) -> str:
    return f"aws eks update-cluster-version --name NAME --kubernetes-version 1.{server + 1}"


def _skew(cluster: Cluster, proxy: str) -> Iterator[Finding]:
    kubelets = {one["status"]["nodeInfo"]["kubeletVersion"] for one in cluster.list("nodes")}
    kept = True
    for kubelet in sorted(kubelets):
        for rule in version_skew(proxy, kubelet, cluster.version):
            if not rule.kept:
                kept = False
                yield finding(
                    f"{rule.seen}: kube-proxy has to be {rule.rule}",
                    "update the add-on kube-proxy, or its image, to the cluster's minor version",
                )
    if kept:
        yield ok(f"kube-proxy {proxy} beside kubelets {', '.join(sorted(kubelets)) or '(none)'}")


def _tag(workload: Resource) -> str:
    """Return the tag of the image of a workload's first container."""
    image = str(workload["spec"]["template"]["spec"]["containers"][0]["image"])
    return image.partition("@")[0].rpartition(":")[2]


def nodes(cluster: Cluster) -> Iterator[Finding]:
    """Look whether there are nodes on which pods can start.

    Args:
        cluster: The cluster.
    """
    found = list(cluster.list("nodes"))
    ready = [one.name for one in found if _is_ready(one) and not one["spec"].get("unschedulable")]
    if len(ready) < len(found):
        away = ", ".join(sorted({one.name for one in found} - set(ready)))
        yield finding(
            f"of {len(found)} nodes {len(ready)} take pods; not so: {away}",
            f"kubectl describe node {away.partition(',')[0]}",
        )
    elif not ready:
        yield finding("the cluster has no nodes", "eksctl scale nodegroup --cluster NAME --nodes 2")
    else:
        zones = {one["metadata"].get("labels", {}).get(_ZONE, "") for one in found}
        yield ok(f"{len(ready)} nodes take pods, in {len(zones)} zones")


_ZONE = "topology.kubernetes.io/zone"


def _is_ready(node: Resource) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


# Add-ons.


def add_ons(cluster: Cluster) -> Iterator[Finding]:
    """Look at the state and the versions of the add-ons that the lessons are about.

    Args:
        cluster: The cluster.
    """
    eks, version = cluster.aws("eks"), str(described(cluster)["version"])
    for name in _ADD_ONS:
        found = _add_on(cluster, eks, name)
        if found is None:
            yield ok(f"{name} is self-managed")
            continue
        with refusals.in_words(eks, "EKS"):
            (offered,) = eks.describe_addon_versions(addonName=name, kubernetesVersion=version)[
                "addons"
            ] or ({"addonVersions": []},)
        yield judged(cluster.eks_name, version, found, offered["addonVersions"])


def judged(
    cluster: str, version: str, addon: Mapping[str, Any], offered: list[dict[str, Any]]
) -> Finding:
    """Return what is wrong with an add-on, if anything is.

    Args:
        cluster: The cluster's name.
        version: The cluster's Kubernetes version.
        addon: The add-on, as EKS describes it.
        offered: The versions of it that EKS offers for this version of Kubernetes.
    """
    name, present = addon["addonName"], addon["addonVersion"]
    of = f"--cluster-name {cluster} --addon-name {name}"
    if addon["status"] != "ACTIVE":
        issues = [f"{one['code']}: {one['message']}" for one in addon["health"]["issues"]]
        why = f" ({'; '.join(issues)})" if issues else ""
        return finding(f"{name} is {addon['status']}{why}", f"aws eks describe-addon {of}")
    known = [one["addonVersion"] for one in offered]
    if present in known:
        return ok(f"{name} {present}")
    default = next((one["addonVersion"] for one in offered if _is_default(one)), "VERSION")
    return finding(
        f"{name} is {present}, which EKS does not offer for Kubernetes {version}",
        f"aws eks update-addon {of} --addon-version {default} --resolve-conflicts PRESERVE",
    )


def _is_default(version: Mapping[str, Any]) -> bool:
    return any(one.get("defaultVersion") for one in version.get("compatibilities") or ())


def _add_on(cluster: Cluster, eks: Any, name: str) -> dict[str, Any] | None:
    with refusals.in_words(eks, "EKS"):
        try:
            found: dict[str, Any] = eks.describe_addon(
                clusterName=cluster.eks_name, addonName=name
            )["addon"]
        except eks.exceptions.ResourceNotFoundException:
            return None
    return found


def schema(cluster: Cluster) -> Iterator[Finding]:
    """Look whether the schema of the add-on coredns has the values that lessons set.

    Args:
        cluster: The cluster.
    """
    eks = cluster.aws("eks")
    found = _add_on(cluster, eks, "coredns")
    with refusals.in_words(eks, "EKS"):
        version = found["addonVersion"] if found else _default(eks, described(cluster)["version"])
        if not version:
            yield cannot_tell("EKS offers no version of the add-on coredns for this cluster")
            return
        said = eks.describe_addon_configuration(addonName="coredns", addonVersion=version)
    if fields_of(json.loads(said["configurationSchema"])):
        yield ok(f"coredns {version} takes the value {VALUE}")
    else:
        yield finding(
            f"the schema of coredns {version} has no value {VALUE}",
            "data/coredns_autoscaling.csv has the oldest version with it: aws eks update-addon "
            f"--cluster-name {cluster.eks_name} --addon-name coredns --addon-version VERSION",
        )


def _default(eks: Any, version: str) -> str:
    """Return the version of coredns that EKS installs by itself; empty when there is none."""
    found = eks.describe_addon_versions(addonName="coredns", kubernetesVersion=version)["addons"]
    offered = [one for addon in found for one in addon["addonVersions"]]
    return next((str(one["addonVersion"]) for one in offered if _is_default(one)), "")


# Admission.

_SAMPLES = {
    "Pod": """
apiVersion: v1
kind: Pod
metadata: {name: eksnet-doctor, namespace: default}
spec:
  containers: [{name: main, image: "busybox:1.36"}]
""",
    "Service": """
apiVersion: v1
kind: Service
metadata: {name: eksnet-doctor, namespace: default}
spec:
  ports: [{port: 80}]
""",
    "Ingress": """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: eksnet-doctor, namespace: default}
spec:
  defaultBackend: {service: {name: eksnet-doctor, port: {number: 80}}}
""",
}
_BEHIND = re.compile(r'no endpoints available for service "(?P<service>[^"]+)"')
_CALLED = re.compile(r'failed calling webhook "(?P<webhook>[^"]+)"')


def admission(cluster: Cluster) -> Iterator[Finding]:
    """Have the API server and all admission webhooks judge what lessons create, in dry runs.

    Args:
        cluster: The cluster.
    """
    taken = []
    for kind, manifest in _SAMPLES.items():
        try:
            cluster.try_create(manifest)
        except RefusedError as error:
            if "cannot create resource" in error.seen:
                yield cannot_tell(f"you may not create a {kind}: {error.seen}", error.next_step)
            else:
                yield finding(f"a new {kind} is refused: {error.seen}", _POLICY)
        except ApiError as error:
            yield finding(f"a new {kind} is refused: {error.seen}", unreachable(error.seen))
        else:
            taken.append(kind)
    if taken:
        yield ok(f"the webhooks let in a new {', '.join(taken)}")


_POLICY = (
    "have whoever wrote this policy exempt the namespaces of the lessons, or use another cluster"
)


def unreachable(said: str) -> str:
    """Return what to do about a webhook that does not answer.

    Args:
        said: What the API server says.
    """
    called = _CALLED.search(said)
    if called is None:
        return "fix what the API server names"
    webhook = called["webhook"]
    if behind := _BEHIND.search(said):
        service = behind["service"]
        return (
            f"start the pods behind the Service {service}; if what they belong to was removed, "
            f"delete the webhook configuration that has {webhook}: kubectl get "
            "validatingwebhookconfigurations,mutatingwebhookconfigurations"
        )
    return (
        f"let the control plane reach the webhook {webhook}: the nodes' security group has to "
        "allow its port (9443 for the AWS Load Balancer Controller) from the cluster security group"
    )


# The controller.


def load_balancer_controller(cluster: Cluster) -> Iterator[Finding]:
    """Look for an AWS Load Balancer Controller that is there already.

    Args:
        cluster: The cluster.
    """
    label = f"app.kubernetes.io/name={controller.NAME}"
    found = list(cluster.list("deployments", selector=label, all_namespaces=True))
    yield from (_installed(cluster, one) for one in found)
    if not found and controller.is_installed(cluster):
        yield finding(
            "kinds of the AWS Load Balancer Controller are there, and it is not",
            "07 installs it; or remove them: `loadbalancer.uninstall_controller(cluster)`",
        )
    elif not found:
        yield ok("not installed; 07_lab_install_controller installs it")


def _installed(cluster: Cluster, deployment: Resource) -> Finding:
    release = _tag(deployment)
    if not controller.is_ours(deployment):
        return finding(
            f"a controller {release} is in {deployment.namespace}, not installed by the course",
            "06, 08 and 09 use it as it is; do 07 on another cluster, or remove it first if nobody "
            "needs it",
        )
    if why := controller.why_not_ready(cluster):
        return finding(
            f"the controller {release} is not ready: {why}",
            f"kubectl -n {controller.NAMESPACE} describe deployment {controller.DEPLOYMENT}",
        )
    made = f"the course was made with {versions.CONTROLLER}"
    return ok(f"installed by the course, ready: {release}; {made}")
