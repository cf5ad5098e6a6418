"""How long a computer takes from a packed engine to the first right answer in a pod.

The cache and the state are new, as on a computer that has never had the course; the packages are
installed. Needs the engine's programs, which are packed first.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import start

from eksnet.sandbox import build, lifecycle
from eksnet.sandbox.build import packing

LIMIT = 20.0


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as home:
        packed = packing.pack(build.engine(), Path(home)).path
        # It was packed elsewhere: nothing of that is still to be written.
        os.sync()
        found = [measure(packed) for _ in range(rounds)]
    for unpacked, took in found:
        print(f"unpacked after {unpacked:.1f} s, the first nslookup after {took:.1f} s")
    middle = statistics.median(took for _, took in found)
    print(f"from a packed engine to the first nslookup, s: {middle:.1f} (at most {LIMIT:.0f})")
    return int(middle > LIMIT)


def measure(packed: Path) -> tuple[float, float]:
    """Return the seconds until it is unpacked, and until the first answer."""
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as home:
        os.environ |= {
            "XDG_CACHE_HOME": f"{home}/cache",
            "XDG_STATE_HOME": f"{home}/state",
            "EKSNET_SANDBOX": "bench",
            "EKSNET_TARGET": "sandbox",
        }
        began = time.monotonic()
        unpack = [sys.executable, "-m", "eksnet.cli", "engine", "unpack", str(packed)]
        subprocess.run(unpack, check=True, stdout=subprocess.DEVNULL)
        unpacked = time.monotonic() - began
        try:
            start.first_nslookup()
            return unpacked, time.monotonic() - began
        finally:
            lifecycle.down()


if __name__ == "__main__":
    sys.exit(main())
