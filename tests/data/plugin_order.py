"""The order of plugins in the CoreDNS that the engine pins: from its source into the table.

Run it where the pinned version has changed: `uv run python tests/data/plugin_order.py`.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
from pathlib import Path

from eksnet import data
from eksnet.sandbox.build import MODULE, engine_directory, toolchain

TABLE = data.directory() / "coredns_plugin_order.csv"


def compiled() -> list[str]:
    """Return the plugins in the order that is compiled into CoreDNS."""
    go = toolchain.find(engine_directory(), MODULE.go_directive)
    assert go is not None, "no Go: `eksnet engine build` installs one"
    said = subprocess.run(
        [go.path, "mod", "download", "-json", "github.com/coredns/coredns"],
        cwd=MODULE.source, env=toolchain.environment(engine_directory()), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    source = Path(json.loads(said.stdout)["Dir"], "core/dnsserver/zdirectives.go").read_text()
    return re.findall(r'^\t"(\w+)",$', source, re.MULTILINE)


if __name__ == "__main__":
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["order", "plugin"])
        table.writerows(enumerate(compiled(), start=1))
    print(f"{TABLE} is that of the pinned CoreDNS")
