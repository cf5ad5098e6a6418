"""Helm on a sandbox: a home of its own, in which the repository `eks` is known already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eksnet.sandbox import build
from eksnet.sandbox.aws import charts
from eksnet.sandbox.paths import Paths, known_port, write_private

REPOSITORY = "eks"
# What would lead Helm to another cluster, or have it keep its releases elsewhere.
GONE = (
    "HELM_DRIVER", "HELM_KUBEAPISERVER", "HELM_KUBECAFILE", "HELM_KUBECONTEXT", "HELM_KUBETOKEN",
    "HELM_NAMESPACE", "HELM_PLUGINS",
)  # fmt: skip


def variables(paths: Paths) -> dict[str, str]:
    """Return the variables by which Helm has the sandbox's home, and set that home up.

    Never the learner's own: what `helm repo add` and `helm repo remove` change stays inside.

    Args:
        paths: The sandbox's paths.
    """
    home = paths.helm
    found = {
        "HELM_CACHE_HOME": home / "cache",
        "HELM_CONFIG_HOME": home / "config",
        "HELM_DATA_HOME": home / "data",
        "HELM_REGISTRY_CONFIG": home / "config" / "registry" / "config.json",
        "HELM_REPOSITORY_CACHE": home / "cache" / "repository",
        "HELM_REPOSITORY_CONFIG": home / "config" / "repositories.yaml",
    }
    _know_repository(found["HELM_REPOSITORY_CONFIG"], repository_url(paths))
    _keep_index(found["HELM_REPOSITORY_CACHE"] / f"{REPOSITORY}-index.yaml")
    return {name: str(path) for name, path in found.items()}


def repository_url(paths: Paths) -> str:
    """Return the URL of the chart repository that the sandbox's AWS services have beside them."""
    return f"http://127.0.0.1:{known_port(paths, 'aws')}{charts.PATH}"


def _know_repository(file: Path, url: str) -> None:
    """Have the repository among those that Helm knows; the learner's own stay."""
    import yaml

    known: dict[str, Any] = yaml.safe_load(file.read_text()) or {} if file.exists() else {}
    others = [one for one in known.get("repositories") or () if one.get("name") != REPOSITORY]
    wanted = [{"name": REPOSITORY, "url": url}, *others]
    if known.get("repositories") != wanted:
        write_private(file, yaml.safe_dump({**known, "apiVersion": "", "repositories": wanted}))


def _keep_index(file: Path) -> None:
    """Have the repository's index, as after `helm repo update`; none before there is a chart."""
    chart = build.engine().shelf.path(build.CONTROLLER_CHART.name)
    if not chart.exists():
        return
    text = json.dumps(charts.index([chart]))
    if not file.exists() or file.read_text() != text:
        write_private(file, text)
