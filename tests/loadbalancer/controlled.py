"""A cluster with the controller in it, for tests: what it makes, and what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import yaml

from eksnet.cluster import Cluster, Condition
from eksnet.cluster.kinds import EVENT
from eksnet.cluster.waiting import Watched, until
from eksnet.loadbalancer import install_controller, uninstall_controller

NAMESPACE = "plan"
APP = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - name: web
          image: agnhost:2.53
          args: [netexec, --http-port=8080]
          ports: [{{containerPort: 8080, name: http}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports: [{{port: 80, name: http, targetPort: 8080}}, {{port: 8443, name: admin, targetPort: http}}]
---
apiVersion: v1
kind: Service
metadata: {{name: inside, namespace: {NAMESPACE}}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""
PREFIX = "alb.ingress.kubernetes.io/"
SERVICE = "service.beta.kubernetes.io/aws-load-balancer-"
_DEADLINE = 120


@contextlib.contextmanager
def controller_on(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with the controller and an application, and then without both."""
    install_controller(cluster)
    cluster.apply(APP)
    cluster.rollout_status("deployment/web", NAMESPACE)
    yield cluster
    cluster.delete("namespace", NAMESPACE, timeout=300)
    # Its webhook would see each Service of the tests after these, and IAM has one role of its name.
    uninstall_controller(cluster)


def ingress(
    name: str,
    annotations: dict[str, str] | None = None,
    rules: list[dict[str, Any]] | None = None,
    *,
    ingress_class: str = "alb",
    service: str = "web",
    port: int | str = 80,
    namespace: str = NAMESPACE,
) -> dict[str, Any]:
    """Return an Ingress; annotations without their prefix."""
    chosen = {"number": port} if isinstance(port, int) else {"name": port}
    backend = {"service": {"name": service, "port": chosen}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {f"{PREFIX}{key}": value for key, value in (annotations or {}).items()},
        },
        "spec": {
            "ingressClassName": ingress_class,
            "rules": rules or [{"http": {"paths": [path]}}],
        },
    }


def balancer(
    name: str,
    annotations: dict[str, str] | None = None,
    ports: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a Service of type LoadBalancer; annotations without their prefix."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": {SERVICE + key: value for key, value in (annotations or {}).items()},
        },
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": "web"},
            "ports": ports or [{"port": 80, "targetPort": 8080}],
            **spec,
        },
    }


def text(*objects: dict[str, Any]) -> str:
    """Return objects as a manifest."""
    return "---\n".join(yaml.safe_dump(one) for one in objects)


def event(cluster: Cluster, kind: str, name: str, reasons: tuple[str, ...]) -> tuple[str, str]:
    """Wait until the controller says something of an object; return the reason and the message."""
    selector = f"involvedObject.kind={kind},involvedObject.name={name}"
    what = Watched(EVENT, NAMESPACE, f"{kind.lower()}/{name}", {"fieldSelector": selector})
    said = Condition(" or ".join(reasons), lambda one: one["reason"] in reasons)
    found = until(cluster._client, what, said, _DEADLINE)
    last = [one for one in found if one["reason"] in reasons][-1]
    return last["reason"], last["message"]


def wait_for_address(cluster: Cluster, kind: str, name: str) -> None:
    """Wait until the controller has made an object's load balancer, and says where it is."""

    def has_one(found: dict[str, Any]) -> bool:
        return bool(found.get("status", {}).get("loadBalancer", {}).get("ingress"))

    cluster.wait(kind, name, Condition("given an address", has_one), NAMESPACE, _DEADLINE)
