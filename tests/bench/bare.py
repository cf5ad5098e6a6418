"""What every cluster pays: etcd and kube-apiserver alone, from nothing to /readyz.

Run by `start.py` inside namespaces of its own: `bare.py PROGRAMS PKI DATA` prints the seconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from eksnet.sandbox import components
from eksnet.sandbox.api import Api
from eksnet.sandbox.vpc import plan


def main() -> None:
    programs, pki, data = map(Path, sys.argv[1:])
    vpc = plan()
    address = ["ip", "address", "add", f"{vpc.api_server}/32", "dev", "lo"]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(address, check=True)
    api = Api(pki, str(vpc.api_server))
    began = time.monotonic()
    started = [
        subprocess.Popen(component.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for component in (
            components.etcd(programs, data),
            components.api_server(programs, pki, vpc),
        )
    ]
    while api.not_ready():
        time.sleep(0.02)
    print(time.monotonic() - began)
    for process in started:
        process.kill()


if __name__ == "__main__":
    main()
