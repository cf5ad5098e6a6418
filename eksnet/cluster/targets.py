"""Which cluster a notebook works on: `sandbox`, `context:NAME` or `eks:NAME[@REGION]`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from eksnet.errors import EksnetError

VARIABLE = "EKSNET_TARGET"
FORMS = "`sandbox`, `context:NAME` or `eks:NAME[@REGION]`"


@dataclass(frozen=True)
class Target:
    """A named cluster that has not been looked at yet.

    Attributes:
        kind: What leads to it: the sandbox, a context of a kubeconfig, or the AWS API.
        name: Its name there.
        region: The AWS region, if one was said.
    """

    kind: Literal["sandbox", "context", "eks"]
    name: str
    region: str = ""

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        if self.kind == "sandbox":
            return "sandbox"
        return f"{self.kind}:{self.name}" + (f"@{self.region}" if self.region else "")


def chosen(target: str | None) -> Target:
    """Return the target of the argument, else of EKSNET_TARGET, else the sandbox."""
    return parse(target or os.environ.get(VARIABLE, "") or "sandbox")


def parse(text: str) -> Target:
    """Read a target's name.

    Raises:
        EksnetError: It has none of the three forms.
    """
    kind, _, name = text.strip().partition(":")
    if kind == "sandbox" and not name:
        return Target("sandbox", "sandbox")
    if kind == "context" and name:
        return Target("context", name)
    if kind == "eks" and name:
        cluster, _, region = name.partition("@")
        if cluster:
            return Target("eks", cluster, region)
    raise EksnetError(f"there is no target {text!r}", FORMS, f"set {VARIABLE}, or eksnet.connect()")
