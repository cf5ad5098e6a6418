"""How long a sandbox takes, as ratios in one run, and what it weighs at rest.

Each round measures a bare etcd + kube-apiserver right before the sandbox, so that both see the
same computer. Needs the engine's programs.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from eksnet import connect
from eksnet.sandbox import build, holder, lifecycle, paths

sys.path.insert(0, str(Path(__file__).parents[1]))
import hostside

TICKS = os.sysconf("SC_CLK_TCK")
BARE = Path(__file__).with_name("bare.py")
REST, IDLE = 30.0, 60.0
LIMITS = {
    "first nslookup / bare": 2.0,
    "reset / up": 1.2,
    "memory at rest, MiB": 1024,
    "idle, % of a processor": 12,
}


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as home:
        os.environ |= {"XDG_STATE_HOME": home, "EKSNET_SANDBOX": "bench"}
        first = seconds(first_nslookup)
        try:
            rows = [measure(Path(home)) for _ in range(rounds)]
            time.sleep(REST)
            weight = memory()
            idle = percent_when_idle()
            again = seconds(lifecycle.up)
        finally:
            lifecycle.down()
    for row in rows:
        print("  ".join(f"{name} {value:.2f}" for name, value in row.items()))
    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    found = {
        "first nslookup / bare": middle["first nslookup"] / middle["bare"],
        "reset / up": middle["reset"] / middle["up"],
        "memory at rest, MiB": weight,
        "idle, % of a processor": idle,
    }
    print(f"the very first start, which makes the seed: {first / middle['bare']:.2f} x bare")
    print(f"up when it is up: {again:.3f} s")
    for name, value in found.items():
        print(f"{name}: {value:.2f} (at most {LIMITS[name]})")
    return int(any(value > LIMITS[name] for name, value in found.items()))


def measure(home: Path) -> dict[str, float]:
    """Return the seconds of one round; each begins with nothing running."""
    lifecycle.down()
    bare_seconds = bare(home)
    lookup = seconds(first_nslookup)
    lifecycle.down()
    up = seconds(lifecycle.up)
    reset = seconds(lifecycle.reset)
    return {"bare": bare_seconds, "first nslookup": lookup, "up": up, "reset": reset}


def bare(home: Path) -> float:
    own = paths.paths()
    with tempfile.TemporaryDirectory(dir=home) as data:
        command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, str(BARE)]
        words = [*command, str(build.program("kube").parent), str(own.identity), f"{data}/etcd"]
        said = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(said.stdout)


def first_nslookup() -> None:
    """From nothing running to the first right answer in a pod."""
    lifecycle.up()
    run = connect().run("busybox:1.36", "nslookup -type=a kubernetes.default.svc.cluster.local")
    assert "Address: 10.100.0.1" in run.output, run.output


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def memory() -> float:
    """Return the proportional set size of all the sandbox's processes, in MiB."""
    lines = [line for text in proc_files("smaps_rollup") for line in text.splitlines()]
    sizes = [line.split()[1] for line in lines if "Pss:" in line]
    return sum(map(int, sizes)) / 1024


def percent_when_idle() -> float:
    """Return what all the sandbox's processes compute in a minute, in percent of a processor."""
    before = computed()
    time.sleep(IDLE)
    return 100 * (computed() - before) / IDLE


def computed() -> float:
    """Return the seconds that the sandbox's processes, and those that ended below them, ran."""
    # The name may hold anything, spaces too; behind it come utime, stime, cutime and cstime.
    texts = [text.rpartition(")")[2] for text in proc_files("stat")]
    return sum(int(ticks) for text in texts for ticks in text.split()[11:15]) / TICKS


def proc_files(name: str) -> list[str]:
    """Return the text of a file of /proc for each of the sandbox's processes."""
    held_by = holder.recorded(paths.paths())
    assert held_by is not None
    inside = hostside.namespace_of(holder.children(held_by)[0])
    texts = []
    for pid in hostside.members(inside):
        with contextlib.suppress(OSError):  # it ended meanwhile
            texts.append(Path(f"/proc/{pid}/{name}").read_text())
    return texts


if __name__ == "__main__":
    sys.exit(main())
