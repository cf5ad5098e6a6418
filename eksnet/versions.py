"""The versions that the course is built on, as the engine's `go.mod` pins them.

No other file that code reads writes one: texts with `${kubernetes}` are completed by `complete`.
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

ENGINE = Path(__file__).parent / "sandbox" / "engine"
# A commit without a tag that Go knows says in its comment which release it is.
_PIN = re.compile(r"^(?:require|\t)\s*(\S+) (v\S+)(?: // (?:indirect; )?(v\S+))?", re.M)
_PINS = {
    module: release or version
    for module, version, release in _PIN.findall((ENGINE / "go.mod").read_text())
}

KUBERNETES = _PINS["k8s.io/kubernetes"]
ETCD = _PINS["go.etcd.io/etcd/server/v3"]
COREDNS = _PINS["github.com/coredns/coredns"]
HELM = _PINS["helm.sh/helm/v3"]
CONTROLLER = _PINS["sigs.k8s.io/aws-load-balancer-controller"]

# Of Kubernetes, as in 1.35.
MAJOR, MINOR = KUBERNETES.removeprefix("v").split(".")[:2]

_NAMES = {
    "kubernetes": KUBERNETES,
    "coredns": COREDNS,
    "controller": CONTROLLER,
}


def complete(text: str) -> str:
    """Return a text with versions in the place of their names.

    Args:
        text: The text, with `${kubernetes}`, `${coredns}` or `${controller}` for a version without
            its `v`. Everything else in it stays, other uses of `$` too.

    Examples:
        >>> complete("$(NODE_NAME) coredns:v${coredns}") == f"$(NODE_NAME) coredns:{COREDNS}"
        True
    """
    numbers = {name: version.removeprefix("v") for name, version in _NAMES.items()}
    return Template(text).safe_substitute(numbers)
