"""What every cluster pays: etcd and kube-apiserver alone, from nothing to /readyz.

Run by `start.py` inside namespaces of its own: `bare.py PROGRAMS PKI DATA` prints the seconds.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from eksnet.sandbox import components
from eksnet.sandbox.api import Api
from eksnet.sandbox.vpc import plan

DEADLINE = 60.0


def main() -> None:
    programs, pki, data = map(Path, sys.argv[1:])
    began = time.monotonic()
    with control_plane(programs, pki, data):
        print(time.monotonic() - began)


@contextlib.contextmanager
def control_plane(programs: Path, pki: Path, data: Path) -> Iterator[None]:
    """Run etcd and kube-apiserver in this network namespace; they are ready inside the block."""
    vpc = plan()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{vpc.api_server}/32", "dev", "lo"], check=True)
    api = Api(pki, str(vpc.api_server))
    texts = data.with_name("texts")
    started = [
        subprocess.Popen(
            outside(component, texts),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **component.environment},
        )
        for component in (
            components.etcd(programs, data),
            components.api_server(programs, pki, vpc),
        )
    ]
    try:
        deadline = time.monotonic() + DEADLINE
        while problems := api.not_ready():
            assert time.monotonic() < deadline, problems
            time.sleep(0.02)
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def outside(component: components.Component, texts: Path) -> list[str]:
    """Return a component's command with the computer's paths instead of those in its root.

    Args:
        component: The component.
        texts: Where the files go whose texts the component is given.
    """
    root = component.root
    places = {**root.shown, **root.copied, **root.owned}
    files = {name: texts / component.name / name.removeprefix("/") for name in root.texts}
    # A text can name the file of another one.
    places |= files
    for name, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(moved(root.texts[name], places))
    return [moved(word, places) for word in component.command]


def moved(text: str, places: Mapping[str, Path]) -> str:
    """Return a text in which paths inside a root are those outside."""
    for inside in sorted(places, key=len, reverse=True):
        text = text.replace(inside, str(places[inside]))
    return text


if __name__ == "__main__":
    main()
