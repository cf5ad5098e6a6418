"""Which version of kube-proxy may run beside which kubelet and API server.

Source: the version skew policy of Kubernetes, https://kubernetes.io/releases/version-skew-policy/,
section kube-proxy: not newer than the API server; up to three minor versions older than it (two
before 1.25); up to three minor versions older or newer than the kubelet beside it (two before
1.25).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from eksnet import inputs, versions
from eksnet.errors import EksnetError
from eksnet.listing import Listing


@dataclass(frozen=True)
class Skew:
    """One rule of the policy and whether it is kept.

    Attributes:
        rule: The rule.
        seen: The two versions that it is about.
        kept: Whether it is kept.
    """

    rule: str
    seen: str
    kept: bool


@dataclass(frozen=True, repr=False)
class Skews(Listing[Skew]):
    """The rules of the policy, one after the other."""

    @property
    def allowed(self) -> bool:
        """Whether all of them are kept."""
        return all(one.kept for one in self.items)


def version_skew(kube_proxy: str, kubelet: str, api_server: str) -> Skews:
    """Judge a kube-proxy by the version skew policy.

    Args:
        kube_proxy: kube-proxy's version, such as v1.35.4-eksbuild.1.
        kubelet: The version of the kubelet on the same node.
        api_server: The API server's version.

    Raises:
        EksnetError: A text is no version.
    """
    proxy, node, server = minor(kube_proxy), minor(kubelet), minor(api_server)
    most = 3 if proxy >= 25 else 2
    against_server = f"kube-proxy 1.{proxy}, API server 1.{server}"
    against_kubelet = f"kube-proxy 1.{proxy}, kubelet 1.{node}"
    found = (
        Skew(
            "not newer than the API server",
            against_server,
            proxy <= server,
        ),
        Skew(
            f"at most {most} minor versions older than the API server",
            against_server,
            server - proxy <= most,
        ),
        Skew(
            f"at most {most} minor versions older or newer than the kubelet",
            against_kubelet,
            abs(node - proxy) <= most,
        ),
    )
    return Skews.of(
        found,
        {
            "rule": lambda one: one.rule,
            "versions": lambda one: one.seen,
            "kept": lambda one: "O" if one.kept else "X",
        },
    )


def minor(version: str) -> int:
    """Return the minor version: 35 for v1.35.4-eksbuild.1.

    Raises:
        EksnetError: The text is no version of Kubernetes 1.
    """
    found = re.match(r"v?1\.([0-9]{1,4})(?!\d)", version.strip())
    if not found:
        raise EksnetError(
            f"{inputs.shown(version)} is not a version", f"a version such as {versions.KUBERNETES}"
        )
    return int(found[1])
