"""The kube-proxy model beside the real programs: ratios in one run, for 5,000 Services.

Each has 3 endpoints. The real kube-proxy's first full sync is for the computer's root alone: the
root of a user namespace may not hand the kernel so many rules at once.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from eksnet import kubeproxy
from eksnet.sandbox import build, preflight

sys.path.insert(0, str(Path(__file__).parents[1] / "kubeproxy"))
import kubeproxy_kernel as kernel

SERVICES, ENDPOINTS = 5000, 3
NODE = kubeproxy.Node("bench", ("10.0.128.10",))
SYNC = Path(__file__).with_name("sync.py")
# When the inner process ends, and it does when `unshare` is killed, the kernel ends all the others.
INSIDE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
DEADLINE = 480.0
PARSING, MODEL = "parsing a dump / iptables-restore --test", "the model / the first full sync"
LIMITS = {PARSING: 3.0, MODEL: 1.0}


def main() -> int:
    services, slices = kubeproxy.example(SERVICES, ENDPOINTS)
    text = kernel.iptables_text(kubeproxy.predict(services, slices, NODE))
    print(f"a dump of {len(text.splitlines())} lines")
    found = {PARSING: parsing(text)}
    if is_root():
        found[MODEL] = model_by_sync()
    else:
        print(f"{MODEL}: skipped, it needs root (and not that of a user namespace)")
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
    return statistics.median(ratios)


def is_root() -> bool:
    """Tell whether this is the computer's root, and not only the root of a user namespace."""
    all_users = ["0", "0", "4294967295"]
    return os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split() == all_users


def model_by_sync() -> float:
    """Return the model's time as a multiple of the real kube-proxy's first full sync."""
    environment = {**os.environ, "PATH": preflight.search_path()}
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as data:
        program = [sys.executable, str(SYNC), str(build.program("kube").parent), data]
        command = [*INSIDE, *program, str(SERVICES), str(ENDPOINTS)]
        said = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, check=True, timeout=DEADLINE
        ).stdout
    found = json.loads(said)
    print("first full sync {sync:.2f} s, model {model:.2f} s, {rules} rules".format(**found))
    return found["model"] / found["sync"]


if __name__ == "__main__":
    raise SystemExit(main())
