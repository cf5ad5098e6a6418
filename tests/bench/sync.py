"""The real kube-proxy's first full sync of many Services, and the model of the same objects.

Run by `kubeproxy.py` inside namespaces of its own: `sync.py PROGRAMS DATA SERVICES ENDPOINTS`
prints both times and the number of rules as JSON. An API server without controllers is enough,
since the EndpointSlices are made here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bare import control_plane

from eksnet import kubeproxy
from eksnet.sandbox import pki
from eksnet.sandbox.api import Api
from eksnet.sandbox.vpc import plan

AT_ONCE = 4
DEADLINE = 180.0
NODE = kubeproxy.Node("bench", ("10.0.128.10",))
SERVICES = "/api/v1{}/services"
SLICES = "/apis/discovery.k8s.io/v1{}/endpointslices"
CONFIGURATION = """
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: {kubeconfig}}}
conntrack: {{maxPerCore: 0, min: 0}}
"""
# kube-proxy counts a full sync at its end, and begins none before it has been handed every Service
# and EndpointSlice of its first list. IPv6 has a sync of its own, next to empty.
FULL_SYNC = re.compile(
    r'^kubeproxy_sync_full_proxy_rules_duration_seconds_(sum|count){ip_family="IPv4"} (\S+)$', re.M
)


def main() -> None:
    programs, data = map(Path, sys.argv[1:3])
    services, slices = kubeproxy.example(*map(int, sys.argv[3:]))
    keys = data / "pki"
    keys.mkdir()
    pki.ensure(keys, plan())
    with control_plane(programs, keys, data / "etcd"):
        fill(keys, services, slices)
        with kube_proxy(programs, keys, data) as process:
            sync = first_full_sync(process)
        objects = listed(keys, SERVICES), listed(keys, SLICES)
        model = statistics.median(predicting(*objects) for _ in range(3))
        print(json.dumps({"sync": sync, "model": model, "rules": written(*objects)}))


def client(keys: Path) -> Api:
    return Api(keys, str(plan().api_server))


def fill(keys: Path, services: list[dict], slices: list[dict]) -> None:
    """Create a Node, a namespace and what is to be in it, on several connections."""
    # Without a Node that has an address, kube-proxy waits half a minute for one.
    addresses = [{"type": "InternalIP", "address": NODE.addresses[0]}]
    node = {"metadata": {"name": NODE.name}, "status": {"addresses": addresses}}
    namespace = {"metadata": {"name": "many"}}
    create(keys, [("/api/v1/nodes", node), ("/api/v1/namespaces", namespace)])
    inside = "/namespaces/many"
    work = [(SERVICES.format(inside), one) for one in services]
    work += [(SLICES.format(inside), one) for one in slices]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        parts = [work[number::AT_ONCE] for number in range(AT_ONCE)]
        list(pool.map(create, [keys] * AT_ONCE, parts))


def create(keys: Path, objects: Iterable[tuple[str, dict]]) -> None:
    """Post objects to their paths one after the other, on one connection."""
    api = client(keys)
    for path, one in objects:
        status, answer = api.request("POST", path, one)
        assert status == 201, answer


def listed(keys: Path, path: str) -> list[dict]:
    """Return what all namespaces hold: what was created, and the Service kubernetes."""
    status, answer = client(keys).request("GET", path.format(""))
    assert status == 200, answer
    return answer["items"]


@contextlib.contextmanager
def kube_proxy(programs: Path, keys: Path, data: Path) -> Iterator[subprocess.Popen]:
    """Run the real kube-proxy in this network namespace."""
    kubeconfig, config, log = (data / name for name in ("kubeconfig", "config.yaml", "log"))
    server = f"https://{plan().api_server}"
    kubeconfig.write_text(pki.kubeconfig(keys, "supervisor", server))
    config.write_text(CONFIGURATION.format(kubeconfig=kubeconfig))
    program = [f"{programs}/kube", "kube-proxy", f"--config={config}"]
    command = [*program, f"--hostname-override={NODE.name}"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield process
    except AssertionError as error:
        error.add_note(log.read_text()[-2000:])
        raise
    finally:
        process.kill()
        process.wait()


def first_full_sync(process: subprocess.Popen) -> float:
    """Return how long kube-proxy's first full sync took by its own metrics, in seconds."""
    deadline = time.monotonic() + DEADLINE
    while not (found := dict(FULL_SYNC.findall(metrics()))):
        assert process.poll() is None, "kube-proxy ended"
        assert time.monotonic() < deadline, "kube-proxy has not synced"
        time.sleep(0.2)
    assert found["count"] == "1", f"{found['count']} full syncs instead of one"
    return float(found["sum"])


def metrics() -> str:
    """Return kube-proxy's metrics; nothing before it answers."""
    connection = http.client.HTTPConnection("127.0.0.1", 10249, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    return ""


def predicting(services: list[dict], slices: list[dict]) -> float:
    """Return how long the model takes for these objects, in seconds."""
    began = time.perf_counter()
    kubeproxy.predict(services, slices, NODE)
    return time.perf_counter() - began


def written(services: list[dict], slices: list[dict]) -> int:
    """Return how many rules the kernel holds, which have to be just those of the model."""
    saved = subprocess.run(
        ["iptables-save"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    predicted = kubeproxy.predict(services, slices, NODE)
    found = kubeproxy.differences(predicted, kubeproxy.parse_dump(saved))
    assert not found, repr(found)[:2000]
    return saved.count("\n-A ")


if __name__ == "__main__":
    main()
