"""Which release of CoreDNS brought which plugin and option, and the order of plugins by release.

Reads a clone of CoreDNS' repository with its tags, and writes two tables of `data/`:
`uv run python tests/data/plugin_releases.py CLONE`. An option counts from the first release on in
whose source its plugin names it.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from eksnet import data
from eksnet.coredns.setups import SETUPS

FIRST = (1, 8, 0)
# Where the release after the pinned one knows more: found by comparing the two.
LATER = {
    "cache": ("prefer_positive", "serve_stale_policy"),
    "dnstap": ("tls",),
    "file": ("reload_by_mtime",),
    "forward": ("doh_method", "next_on_nodata", "read_timeout", "resolver", "source_address"),
    "hosts": ("fallthrough_unsupported",),
    "https3": ("max_connections",),
    "kubernetes": ("zonal",),
    "local": ("localhost_prefix", "off", "on"),
    "secondary": ("catalog", "fallthrough"),
    "transfer": ("source",),
}
DIRECTORIES = {"prometheus": "metrics", "on": ""}


class Clone:
    """A clone of CoreDNS' repository."""

    def __init__(self, path: Path) -> None:
        self._path = path
        tags = re.findall(r"^v(1)\.(\d+)\.(\d+)$", self._git("tag"), re.MULTILINE)
        found = sorted(tuple(map(int, one)) for one in tags)
        self.releases = [".".join(map(str, one)) for one in found if one >= FIRST]

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self._path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def order(self, release: str) -> list[str]:
        """Return the plugins of a release, in the order in which they are asked."""
        text = self._git("show", f"v{release}:plugin.cfg")
        return re.findall(r"^(\w+):", text, re.MULTILINE)

    def names(self, release: str, plugin: str, option: str) -> bool:
        """Tell whether a plugin's source has an option in quotes."""
        directory = f"plugin/{DIRECTORIES.get(plugin, plugin)}"
        where = [f"v{release}", "--", directory, f":(exclude){directory}/*_test.go"]
        return bool(self._git("grep", "--fixed-strings", "-l", f'"{option}"', *where))


def since(clone: Clone) -> Iterator[tuple[str, str, str]]:
    """Yield plugins and options with the first release that has them."""
    orders = {release: clone.order(release) for release in clone.releases}
    for plugin in sorted({name for order in orders.values() for name in order}):
        having = [release for release in clone.releases if plugin in orders[release]]
        yield plugin, "", having[0]
        setup = SETUPS.get(plugin)
        options = {*((setup and setup.options) or ()), *LATER.get(plugin, ())} - {""}
        for option in sorted(options):
            first = next((one for one in having if clone.names(one, plugin, option)), "")
            assert first, f"no release has {plugin} {option}"
            yield plugin, option, first


def epochs(clone: Clone) -> Iterator[tuple[str, str, int]]:
    """Yield the order of each release that moved a plugin."""
    before: list[str] = []
    for release in clone.releases:
        order = clone.order(release)
        both = [name for name in order if name in before]
        if both != [name for name in before if name in order] or not before:
            for place, name in enumerate(order, start=1):
                yield release, name, place
        before = order


def write(name: str, header: list[str], rows: Iterator[tuple[object, ...]]) -> None:
    with (data.directory() / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


if __name__ == "__main__":
    clone = Clone(Path(sys.argv[1]))
    write("coredns_releases", ["plugin", "option", "since"], since(clone))
    write("coredns_plugin_moves", ["release", "plugin", "order"], epochs(clone))
