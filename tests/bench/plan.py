"""How long `eksnet plan` takes, by `kubectl apply --dry-run=server` of the same file.

Each round runs one right after the other, so that both see the same computer. Both are whole
commands, and both ask the API server with its webhooks: the controller is installed. Then the same
for 200 Ingresses in 20 groups, by the plan of one.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import own_sandbox

import eksnet
from eksnet.loadbalancer import install_controller
from eksnet.sandbox import lifecycle

LIMITS = {"plan / kubectl apply --dry-run=server": 2.0, "200 Ingresses / one": 10.0}
PLAN = [sys.executable, "-m", "eksnet.cli", "plan"]
APP = """
apiVersion: v1
kind: Namespace
metadata: {name: bench}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: bench}
spec:
  type: NodePort
  ports: [{port: 80}]
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web-%(number)d
  namespace: bench
  annotations:
    alb.ingress.kubernetes.io/group.name: group-%(group)d
spec:
  ingressClassName: alb
  rules:
    - host: web-%(number)d.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
"""


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with own_sandbox.started() as home:
        rows = measured(home, rounds)
    for row in rows:
        print("kubectl {:.2f}  plan {:.2f}  200 Ingresses {:.2f}".format(*row))
    found = dict(
        zip(
            LIMITS,
            (
                statistics.median(one / kubectl for kubectl, one, _ in rows),
                statistics.median(many / one for _, one, many in rows),
            ),
            strict=True,
        )
    )
    for name, ratio in found.items():
        print(f"{name}: {ratio:.2f} (at most {LIMITS[name]:.0f})")
    return int(any(ratio > LIMITS[name] for name, ratio in found.items()))


def measured(home: Path, rounds: int) -> list[tuple[float, float, float]]:
    cluster = eksnet.connect()
    cluster.apply(APP)
    install_controller(cluster)
    one, many = home / "one.yaml", home / "many.yaml"
    one.write_text(INGRESS % {"number": 0, "group": 0})
    texts = (INGRESS % {"number": number, "group": number % 20} for number in range(200))
    many.write_text("---".join(texts))
    program, kubeconfig = lifecycle.kubectl()
    apply = [str(program), f"--kubeconfig={kubeconfig}", "apply", "--dry-run=server", "-f"]
    return [
        (
            seconds([*apply, str(one)], "created (server dry run)"),
            seconds([*PLAN, str(one)], "Ingress group group-0: bench/web-0"),
            seconds([*PLAN, str(many)], "Ingress group group-19: bench/web-119"),
        )
        for _ in range(rounds)
    ]


def seconds(command: list[str], said: str) -> float:
    """Return how long a command took, which has to say something."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout, done.stdout + done.stderr
    return took


if __name__ == "__main__":
    sys.exit(main())
