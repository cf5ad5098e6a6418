"""How long a computer takes from a packed engine to the first right answer in a pod.

The cache and the state are new, as on a computer that has never had the course; the packages are
installed. Needs the engine's programs, which are packed first.
"""

from __future__ import annotations

import os
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
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as home:
        packed = packing.pack(build.engine(), Path(home)).path
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
            took = time.monotonic() - began
        finally:
            lifecycle.down()
    print(f"unpacking: {unpacked:.1f} s")
    print(f"from a packed engine to the first nslookup, s: {took:.1f} (at most {LIMIT:.0f})")
    return int(took > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
