"""A class of made learners: evidence as the checks write it, packed as `eksnet submit` packs it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat

from eksnet.checkpoints import evidence
from eksnet.checkpoints.criteria import Definition, State
from eksnet.grading import packing

NONCE = "autumn-7"
# What solves the first checkpoint of 05, and what checks it: the sources of two cells.
SOLVED = """
import eksnet
from eksnet import coredns
cluster = eksnet.connect()
cluster.backup("coredns", "kube-system")
block = "hosts {\\n    10.43.0.1 myapp.local\\n    fallthrough\\n}\\n"
before = coredns.running_configurations(cluster)
cluster.edit_configmap(
    "coredns", "Corefile", lambda text: coredns.set_plugin(text, block), "kube-system"
)
cluster.rollout_restart("deployment/coredns", "kube-system")
cluster.rollout_status("deployment/coredns", "kube-system")
"""
CHECK = 'import eksnet\neksnet.checkpoint("hosts-01").check()'


def attempt(
    definition: Definition,
    states: State | Iterable[State] = State.PASS,
    at: str = "2026-11-30T10:00:00+00:00",
    cluster: str = "ca:ada",
    nonce: str = NONCE,
    **texts: str,
) -> dict[str, Any]:
    """Return a line of evidence as a check writes it."""
    given = [states] * len(definition.criteria) if isinstance(states, State) else list(states)
    said = {"observed": "what was seen", "expected": "what should be"} | texts
    return {
        "format": evidence.FORMAT,
        "checkpoint": definition.id,
        "at": at,
        "cluster": cluster,
        "nonce": nonce,
        "state": "PASS",
        "points": definition.points,
        "of": definition.points,
        "criteria": [
            {"id": one.id, "state": state, "of": one.points} | said
            for one, state in zip(definition.criteria, given, strict=True)
        ],
    }


def lines(records: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def archive(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def submission(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    """Write what `eksnet submit` writes for these attempts."""
    title = json.dumps({"format": packing.FORMAT}).encode()
    return archive(path, {packing.TITLE: title, "evidence/ca-ada.jsonl": lines(records)})


def notebook(*sources: str) -> bytes:
    """Return a notebook of these cells, which are named c0, c1 and so on."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for number, cell in enumerate(cells):
        cell.id = f"c{number}"
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells)).encode()


def hand_in(folder: Path, learner: str, content: bytes, stem: str = "05_lab_hosts") -> None:
    """Put a notebook into a class's folder, as `eksnet submit` packs it."""
    files = {"submission.json": b"{}", f"notebooks/{stem}.ipynb": content}
    archive(folder / "submissions" / f"{learner}.zip", files)
