"""eksnet: the helper package of the EKS networking workbook.

`eksnet.connect()` returns the cluster that all notebooks use. Importing the package costs nothing:
the clients of Kubernetes and AWS are loaded when they are first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eksnet import data
from eksnet.errors import EksnetError

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

__all__ = ["EksnetError", "connect", "data"]


def connect(target: str | None = None, *, changes: str | None = None) -> Cluster:
    """Connect to a cluster; see `eksnet.cluster.connect`."""
    from eksnet import cluster

    return cluster.connect(target, changes=changes)
