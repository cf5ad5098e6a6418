"""How long the AWS Load Balancer Controller takes to install, and what all weighs with it at rest.

Each round rolls out two pods of a plain Deployment right before, so that both see the same
computer. The chart has its own values: two replicas, and a readiness probe that waits for ten
seconds. At rest an Ingress has its load balancer, with two healthy targets.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import eksnet
from eksnet import loadbalancer
from eksnet.cluster import Cluster
from eksnet.loadbalancer import controller, install_controller

sys.path.insert(0, str(Path(__file__).parent))
import own_sandbox
from start import REST, memory, percent_when_idle, seconds

# The chart's readiness probe: initialDelaySeconds.
DELAY = 10.0
LIMITS = {
    "(helm install to Available, less 10 s) / rollout of two pods": 2.0,
    "memory at rest, MiB": 1.4 * 1024,
    "idle, % of a processor": 15,
}
NAMESPACE = "bench"
PODS = f"""
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
      - {{name: web, image: agnhost, args: [netexec, --http-port=8080]}}
"""
INGRESS = f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {NAMESPACE}}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: {NAMESPACE}
  annotations:
    alb.ingress.kubernetes.io/scheme: internet-facing
    alb.ingress.kubernetes.io/target-type: ip
spec:
  ingressClassName: alb
  defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}
"""


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with own_sandbox.started():
        cluster = eksnet.connect()
        # The role and its policy are there before: they are no part of what is measured.
        install_controller(cluster)
        rows = [(roll_out(cluster), *install(cluster)) for _ in range(rounds)]
        serve(cluster)
        time.sleep(REST)
        weight, idle = memory(), percent_when_idle()
    for rollout, helm, ready in rows:
        print(
            f"rollout of two pods {rollout:.2f}  helm install to Available {helm + ready:.2f}: "
            f"{helm:.2f} until helm is done, {ready:.2f} after it"
        )
    ratio = statistics.median((helm + ready - DELAY) / rollout for rollout, helm, ready in rows)
    found = dict(zip(LIMITS, (ratio, weight, idle), strict=True))
    for name, value in found.items():
        print(f"{name}: {value:.2f} (at most {LIMITS[name]:g})")
    return int(any(value > LIMITS[name] for name, value in found.items()))


def roll_out(cluster: Cluster) -> float:
    """Return how long two pods take that have nothing to wait for."""
    cluster.delete("deployment/web", namespace=NAMESPACE)

    def work() -> None:
        cluster.apply(PODS)
        cluster.rollout_status("deployment/web", NAMESPACE)

    return seconds(work)


def install(cluster: Cluster) -> tuple[float, float]:
    """Return how long `helm install` takes, and how long then until the Deployment is Available."""
    cluster.helm(f"uninstall {controller.NAME} -n {controller.NAMESPACE} --wait")
    command = controller.helm_command(cluster)

    def wait() -> None:
        cluster.wait("deployment", controller.NAME, "Available", controller.NAMESPACE, timeout=180)

    return seconds(lambda: cluster.helm(command)), seconds(wait)


def serve(cluster: Cluster) -> None:
    """Make a load balancer, and wait until it has healthy targets."""
    controller.wait_until_ready(cluster)
    cluster.apply(INGRESS)
    cluster.wait("ingress/web", condition=loadbalancer.provisioned, namespace=NAMESPACE)
    loadbalancer.wait_for_targets(cluster, "web", NAMESPACE, count=2)


if __name__ == "__main__":
    sys.exit(main())
