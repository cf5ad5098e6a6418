"""A repository of Helm charts, as https://aws.github.io/eks-charts is one: index and charts."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

from eksnet.sandbox.aws.published import Document, Documents

# The last part of the real repository's URL.
PATH = "/eks-charts"
INDEX = "index.yaml"
_CHART = "application/gzip"


def documents(directory: Path) -> Documents:
    """Return a repository's documents by their paths.

    Args:
        directory: Where the packed charts are.
    """
    files = sorted(directory.glob("*.tgz"))
    found = {f"{PATH}/{file.name}": Document(_CHART, file.read_bytes) for file in files}
    # JSON is YAML too, and needs no package to be written.
    listed = Document("application/yaml", lambda: json.dumps(index(files)).encode())
    return {**found, f"{PATH}/{INDEX}": listed}


def index(files: list[Path]) -> dict[str, Any]:
    """Return the index of a repository with these charts, next to it.

    Args:
        files: The packed charts.
    """
    entries: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        about = metadata(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        entry = {**about, "urls": [file.name], "digest": digest}
        entries.setdefault(about["name"], []).append(entry)
    return {"apiVersion": "v1", "entries": entries}


def metadata(file: Path) -> dict[str, Any]:
    """Return what a packed chart says of itself."""
    import yaml

    with tarfile.open(file) as archive:
        (name,) = [one for one in archive.getnames() if one.split("/")[1:] == ["Chart.yaml"]]
        content = archive.extractfile(name)
        assert content is not None
        about: dict[str, Any] = yaml.safe_load(content)
    return about
