"""The kube-proxy model beside the real one: 5,000 Services, 3 endpoints each, ratios in one run.

With `--sync` the real kube-proxy runs in a network namespace of its own, with the sandbox's API
server, until its first full sync. That is for the computer's root, who alone may hand the kernel so
many rules at once, and to apply the 10,000 objects takes longer than four minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eksnet import connect, kubeproxy, sandbox
from eksnet.sandbox import build, lifecycle

sys.path.insert(0, str(Path(__file__).parents[1] / "kubeproxy"))
import kubeproxy_kernel as kernel

SERVICES, ENDPOINTS = 5000, 3
AT_ONCE = 4
NODE = kubeproxy.Node("bench", ("10.0.128.10",))
SYNCED = re.compile(r'"SyncProxyRules complete".* elapsed="([0-9.]+)(ms|s)"')
DEADLINE = 300.0
LIMITS = {"parsing a dump / iptables-restore --test": 3.0, "the model / the first full sync": 1.0}
CONFIGURATION = """
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: {kubeconfig}}}
conntrack: {{maxPerCore: 0, min: 0}}
"""
# Passes on what comes to a port of this namespace to a socket in the file system.
RELAY = """
import socket, subprocess, sys, threading
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
def serve(here):
    there = socket.socket(socket.AF_UNIX)
    there.connect(sys.argv[2])
    threading.Thread(target=pump, args=(here, there), daemon=True).start()
    pump(there, here)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def accept():
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
sys.exit(subprocess.run(sys.argv[3:]).returncode)
"""


def main() -> int:
    services, slices = kubeproxy.example(SERVICES, ENDPOINTS)
    began = time.perf_counter()
    rules = kubeproxy.predict(services, slices, NODE)
    model = time.perf_counter() - began
    text = kernel.iptables_text(rules)
    found = {"parsing a dump / iptables-restore --test": parsing(text)}
    print(f"a dump of {len(text.splitlines())} lines; the model took {model:.2f} s")
    if "--sync" in sys.argv:
        sync = first_sync(services + slices)
        print(f"the real kube-proxy's first full sync took {sync:.2f} s")
        found["the model / the first full sync"] = model / sync
    for name, value in found.items():
        print(f"{name}: {value:.2f} (at most {LIMITS[name]})")
    return int(any(value > LIMITS[name] for name, value in found.items()))


def parsing(text: str) -> float:
    """Return the time to parse a dump as a multiple of what iptables takes to check it."""
    ratios = []
    for _ in range(3):
        began = time.perf_counter()
        kernel.check_iptables(text)
        checked = time.perf_counter()
        kubeproxy.parse_dump(text)
        ratios.append((time.perf_counter() - checked) / (checked - began))
    return sorted(ratios)[1]


def first_sync(objects: list[dict]) -> float:
    """Return how long the real kube-proxy took for its first full sync of these, in seconds."""
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as home:
        os.environ |= {"XDG_STATE_HOME": home, "EKSNET_SANDBOX": "bench"}
        status = sandbox.up()
        try:
            fill(objects)
            return real(Path(home), Path(status.kubeconfig))
        finally:
            sandbox.down()


def fill(objects: list[dict]) -> None:
    """Apply the objects, several at a time; the nodes' own kube-proxies are sent away before."""
    cluster = connect()
    nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"bench": "nowhere"}}}}}
    cluster.patch("daemonset", "kube-proxy", nowhere, "kube-system")
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: many}}")

    connections = [connect() for _ in range(AT_ONCE)]

    def apply(number: int) -> None:
        mine = objects[number::AT_ONCE]
        for at in range(0, len(mine), 250):
            part = map(json.dumps, mine[at : at + 250])
            connections[number].apply("\n---\n".join(part))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(apply, range(AT_ONCE)))


def real(home: Path, kubeconfig: Path) -> float:
    """Run a kube-proxy in a network namespace of its own until it has synced once."""
    port = int(re.search(r"127\.0\.0\.1:(\d+)", kubeconfig.read_text())[1])
    config, log = home / "config.yaml", home / "log"
    config.write_text(CONFIGURATION.format(kubeconfig=kubeconfig))
    program = [str(build.program("kube")), "kube-proxy", f"--config={config}",
               f"--hostname-override={NODE.name}", "--v=2"]  # fmt: skip
    with door(home / "door", port), log.open("w") as file:
        relay = [sys.executable, "-c", RELAY, str(port), str(home / "door"), *program]
        process = subprocess.Popen(
            ["unshare", "--net", "--kill-child", *relay],
            stdout=file, stderr=file, env={**os.environ, "PATH": lifecycle.search_path()},
        )  # fmt: skip
        try:
            deadline = time.monotonic() + DEADLINE
            while not (done := SYNCED.search(log.read_text())):
                assert process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.2)
        finally:
            process.terminate()
            process.wait()
    return float(done[1]) * (0.001 if done[2] == "ms" else 1)


@contextlib.contextmanager
def door(path: Path, port: int) -> Iterator[None]:
    """Pass on what comes to a socket in the file system to a port of this computer."""

    def pump(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = server.accept()
                other = socket.create_connection(("127.0.0.1", port))
                for pair in ((one, other), (other, one)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        threading.Thread(target=accept, daemon=True).start()
        yield


if __name__ == "__main__":
    raise SystemExit(main())
