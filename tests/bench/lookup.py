"""How long `eksnet resolve --live` takes, by `kubectl run --rm -i` of the same lookup.

Each round runs one right after the other, so that both see the same computer. Both make a pod of
the same image that looks the same name up, and both are whole commands.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import own_sandbox

from eksnet.sandbox import lifecycle

LIMIT = 3.0
NAME = "kubernetes"
ADDRESS, FOUND = "10.100.0.1", "has an address"
RESOLVE = [sys.executable, "-m", "eksnet.cli", "resolve", NAME, "--from", "default", "--live"]
POD = ["--image=debian:12", "--restart=Never", "--rm", "-i", "--", "getent", "ahosts", NAME]


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with own_sandbox.started():
        program, kubeconfig = lifecycle.kubectl()
        kubectl = [str(program), f"--kubeconfig={kubeconfig}", "run"]
        rows = [
            (seconds([*kubectl, f"lookup-{number}", *POD], ADDRESS), seconds(RESOLVE, FOUND))
            for number in range(rounds)
        ]
    for by_kubectl, by_resolve in rows:
        print(f"kubectl run --rm -i {by_kubectl:.2f}  resolve --live {by_resolve:.2f}")
    ratio = statistics.median(resolve / kubectl for kubectl, resolve in rows)
    print(f"resolve --live / kubectl run --rm -i: {ratio:.2f} (at most {LIMIT})")
    return int(ratio > LIMIT)


def seconds(command: list[str], said: str) -> float:
    """Return how long a command took, which has to say something."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took = time.monotonic() - began
    assert said in done.stdout, done.stdout + done.stderr
    return took


if __name__ == "__main__":
    sys.exit(main())
