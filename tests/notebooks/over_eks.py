"""The sandbox as a learner's own EKS cluster: the variables of it, and notebooks as it prints them.

What the target says of itself is all that differs, beside what a learner has to say there: which
way a node's rules are read, and that `begin` may install the controller.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_output

from eksnet.course import catalogue, support
from eksnet.course.lessons import LESSONS
from eksnet.sandbox import build, environment
from eksnet.sandbox.aws.settings import ACCOUNT

NAME, REGION = "workbook", "ap-northeast-2"
TARGET = f"eks:{NAME}@{REGION}"
CALLER = f"arn:aws:iam::{ACCOUNT}:user/learner"
_THROUGH = 'through = ""  # the sandbox needs none'
_ASKED = """try:
    {source}
except eksnet.EksnetError as error:
    print(error.expected)
    print(error.seen.partition(", and this is ")[2])
"""
# How an error names the cluster.
_SPEAKS = "the API server of sandbox says"
# Cells that do something else where nodes cannot be simulated, and say so.
_COMPUTED = {"02d_coredns_autoscaling": ("up", "up-compare", "up-pods", "clock", "down")}


def variables(programs: Path, name: str | None = None) -> dict[str, str | None]:
    """Return the variables of a learner whose AWS is the sandbox's; None takes one away.

    Args:
        programs: A directory for the programs that a learner has: Helm.
        name: The sandbox's name.
    """
    programs.mkdir(exist_ok=True)
    (programs / "helm").symlink_to(build.program("helm"))
    return {
        **environment.variables(os.environ, name),
        # No kubeconfig leads there.
        "KUBECONFIG": str(programs / "none"),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "EKSNET_TARGET": TARGET,
        "EKSNET_CHANGES": NAME,
    }


def connected(endpoint: str, addons: str = "none", caller: str = CALLER) -> str:
    """Return what connecting prints once."""
    return (
        f"{NAME} in {REGION}, account {ACCOUNT}, as {caller}\n"
        f"Kubernetes 1.35, platform version eks.1, EKS Auto Mode off; add-ons: {addons}\n"
        f"AWS_ENDPOINT_URL: {endpoint} was asked, not AWS\n"
    )


def expected(notebook: str, said: str) -> Any:
    """Return a notebook as it is on the target, with the outputs that it has to have there.

    Args:
        notebook: Its name.
        said: What connecting prints.
    """
    found = nbformat.read(catalogue.find(notebook), as_version=4)
    skipped = support.row(notebook).skipped("eks")
    ids = [cell.id for cell in found.cells]
    if skipped:
        at = ids.index(skipped[0].cell)
        found.cells[at:] = [_refused(found.cells[at])]
    for cell in found.cells:
        if cell.id in _COMPUTED.get(notebook, ()):
            cell.metadata["tags"] = ["nbval-ignore-output"]
        cell.source = cell.source.replace(_THROUGH, 'through = "kube-proxy"')
        for output in cell.get("outputs", ()):
            if "text" in output:
                output.text = output.text.replace(_SPEAKS, f"the API server of {TARGET} says")
    (connect,) = [cell for cell in found.cells if "eksnet.connect()" in cell.source]
    connect.outputs.insert(0, new_output("stream", name="stdout", text=said))
    if any(one.controller for one in LESSONS if one.notebook == notebook):
        connect.source = connect.source.replace(f'"{notebook}")', f'"{notebook}", restore=True)')
    return found


def _refused(cell: Any) -> Any:
    """Return the cell with which a section begins, as one that prints how it is refused."""
    source = next(line for line in cell.source.splitlines() if "(cluster" in line)
    said = new_output("stream", name="stdout", text=f"the sandbox\n{TARGET}\n")
    return new_code_cell(
        _ASKED.format(source=source), id=cell.id, execution_count=1, outputs=[said]
    )
