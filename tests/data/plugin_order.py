"""The order of plugins in the CoreDNS that the engine pins: from its source into the table.

Run it where the pinned version has changed: `uv run python tests/data/plugin_order.py`.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
import gomodules

from eksnet import data

TABLE = data.directory() / "coredns_plugin_order.csv"


def compiled() -> list[str]:
    """Return the plugins in the order that is compiled into CoreDNS."""
    source = gomodules.directory("github.com/coredns/coredns") / "core/dnsserver/zdirectives.go"
    text = source.read_text()
    return re.findall(r'^\t"(\w+)",$', text, re.MULTILINE)


if __name__ == "__main__":
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["order", "plugin"])
        table.writerows(enumerate(compiled(), start=1))
    print(f"{TABLE} is that of the pinned CoreDNS")
