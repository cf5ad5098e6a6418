"""The sandbox as a learner's own EKS cluster: the variables of it, and notebooks as it prints them.

What the target says of itself is all that differs, beside what a learner has to say there: which
way a node's rules are read, and that `begin` may install the controller.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import nbval_runs
import pytest
import sanitizing
from nbformat.v4 import new_code_cell, new_output

from eksnet.aws import rights as aws_rights
from eksnet.cluster import Cluster, connecting, guard, rights, targets
from eksnet.cluster.pods import not_terminating
from eksnet.course import catalogue, support
from eksnet.course.lessons import LESSONS
from eksnet.sandbox import build, environment
from eksnet.sandbox.aws.settings import ACCOUNT

NAME, REGION = "workbook", "ap-northeast-2"
TARGET = f"eks:{NAME}@{REGION}"
CALLER = f"arn:aws:iam::{ACCOUNT}:user/learner"
ADA = f"arn:aws:iam::{ACCOUNT}:user/ada"
MAY_DIFFER = "nbval-ignore-output"
_THROUGH = 'through = ""  # the sandbox needs none'
_ASKED = """try:
    {source}
except eksnet.EksnetError as error:
    print(error.expected)
    print(error.seen.partition(", and this is ")[2])
"""
# Of what nbval says, as much is shown.
_MOST = 20_000
# How an error names the cluster.
_SPEAKS = "the API server of sandbox says"
# Cells that do something else than on the sandbox: nodes cannot be simulated, or the rest of the
# notebook is left out, and it cleans up before.
_OTHERWISE = {
    "02d_coredns_autoscaling": ("up", "up-compare", "up-pods", "clock", "down"),
    "03c_service_faults": ("leave",),
    "08b_ingress_https_and_faults": ("leave-elsewhere",),
}


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


def administrator(sandbox: str) -> Cluster:
    """Return the cluster of a sandbox for somebody who may do everything, whatever is set."""
    return connecting._open_sandbox(targets.parse("sandbox"), sandbox, guard.allow_changes)


def those_there(cluster: Cluster) -> set[tuple[str, str]]:
    """Return what is outside of namespaces and of a kind that notebooks make, by kind and name."""
    return {
        (kind, one.name)
        for kind in ("namespaces", "clusterroles", "clusterrolebindings")
        for one in not_terminating(cluster.list(kind))
    }


def ada(admin: Cluster) -> dict[str, str]:
    """Make the learner ada, who has the course's rights and no others; return her variables.

    Args:
        admin: The cluster, for somebody who may do everything.
    """
    iam = admin.aws("iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    made = iam.create_policy(
        PolicyName="eksnet-learner", PolicyDocument=json.dumps(aws_rights.policy())
    )
    iam.attach_user_policy(UserName="ada", PolicyArn=made["Policy"]["Arn"])
    admin.aws("eks").create_access_entry(
        clusterName=NAME, principalArn=ADA, kubernetesGroups=[rights.GROUP]
    )
    # As by kubectl, without the label of what the course makes: a clean-up leaves it alone.
    admin.apply(rights.MANIFEST.read_text(), mark=False)
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def set_variables(patch: pytest.MonkeyPatch, wanted: Mapping[str, str | None]) -> None:
    """Set variables of this process; None takes one away."""
    for name, value in wanted.items():
        if value is None:
            patch.delenv(name, raising=False)
        else:
            patch.setenv(name, value)


def compare(notebook: str, directory: Path, caller: str = CALLER) -> None:
    """Run a notebook on the target under nbval; every output is the committed one.

    Args:
        notebook: Its name.
        directory: A directory for the notebook as it has to be there.
        caller: Who connects.
    """
    path = directory / f"{notebook}.ipynb"
    said = connected(os.environ["AWS_ENDPOINT_URL"], caller)
    nbformat.write(expected(notebook, said), path)
    rules = sanitizing.DIRECTORY / f"{notebook}.cfg"
    sanitize = ["--nbval-sanitize-with", rules] if rules.exists() else []
    # All that differs is worth more than the first of it: a run takes minutes.
    done = nbval_runs.run("--nbval-cell-timeout=300", "-q", *sanitize, path)
    assert done.returncode == 0, done.stdout[-_MOST:] + done.stderr[-2000:]


def connected(endpoint: str, caller: str) -> str:
    """Return what connecting prints once."""
    return (
        f"{NAME} in {REGION}, account {ACCOUNT}, as {caller}\n"
        f"Kubernetes 1.35, platform version eks.1, EKS Auto Mode off; add-ons: none\n"
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
        if cell.id in _OTHERWISE.get(notebook, ()):
            cell.metadata["tags"] = [MAY_DIFFER]
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
