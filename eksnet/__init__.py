"""eksnet: the helper package of the EKS networking workbook.

`eksnet.connect()` returns the cluster that all notebooks use. Importing the package costs nothing:
the clients of Kubernetes and AWS are loaded when they are first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eksnet import data
from eksnet.errors import EksnetError, traceback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eksnet.checkpoints import Checkpoint, Progress
    from eksnet.cluster import Cluster
    from eksnet.course.begin import Beginning
    from eksnet.course.cleanup import Audit
    from eksnet.course.dryrun import DryRun
    from eksnet.listing import Listing

__all__ = [
    "EksnetError", "begin", "checkpoint", "clean_up", "compare", "connect", "data", "dry_run",
    "left_over", "progress", "traceback",
]  # fmt: skip


def connect(target: str | None = None, *, changes: str | None = None) -> Cluster:
    """Connect to a cluster; see `eksnet.cluster.connect`.

    Args:
        target: `sandbox`, `context:NAME` or `eks:NAME[@REGION]`; else what EKSNET_TARGET says, else
            the sandbox.
        changes: The name of a cluster that this notebook may change.
    """
    from eksnet import cluster
    from eksnet.course.checks import CHECKS

    found = cluster.connect(target, changes=changes)
    found.checks = CHECKS
    return found


def begin(cluster: Cluster, notebook: str, restore: bool | None = None) -> Beginning:
    """Put back what an earlier lesson left in a cluster; see `eksnet.course.begin`.

    Args:
        cluster: The cluster.
        notebook: The notebook, by the start of its name.
        restore: Whether to put back what differs; None asks where somebody can answer.
    """
    from eksnet.course.begin import begin

    return begin(cluster, notebook, restore)


def clean_up(cluster: Cluster, timeout: float = 300) -> Audit:
    """Delete what the course has made in a cluster and its account; see `eksnet.course.cleanup`.

    Args:
        cluster: The cluster.
        timeout: How long to wait for each kind of thing to be gone, in seconds.
    """
    from eksnet.course.cleanup import clean_up

    return clean_up(cluster, timeout)


def left_over(cluster: Cluster) -> Audit:
    """Return what the course has made and is still there; see `eksnet.course.cleanup`.

    Args:
        cluster: The cluster.
    """
    from eksnet.course.cleanup import left_over

    return left_over(cluster)


def checkpoint(name: str, target: str | None = None) -> Checkpoint:
    """Return a checkpoint of the course; see `eksnet.checkpoints.checkpoint`.

    Args:
        name: Its id, such as `hosts-01`.
        target: The cluster to look at, as `connect` takes it; else what was connected to
            last.
    """
    from eksnet import checkpoints

    return checkpoints.checkpoint(name, target, dry_run)


def compare(prediction: Any, observed: Any) -> Listing[bool | None]:
    """Return a prediction beside what was observed; see `eksnet.checkpoints.compare`.

    Args:
        prediction: What was predicted.
        observed: What was observed.
    """
    from eksnet import checkpoints

    return checkpoints.compare(prediction, observed)


def dry_run(
    corefile: str,
    *names: str,
    cluster: Cluster | None = None,
    environment: Mapping[str, str] | None = None,
) -> DryRun:
    """Start CoreDNS with a Corefile for a moment and ask it; see `eksnet.course.dryrun`.

    Args:
        corefile: The Corefile's text.
        names: What to ask: NAME, or NAME/TYPE.
        cluster: The cluster whose API the plugin `kubernetes` reads; None for none.
        environment: The variables of CoreDNS's process; None for none.
    """
    from eksnet.course.dryrun import dry_run

    return dry_run(corefile, *names, cluster=cluster, environment=environment)


def progress(notebook: str = "", target: str | None = None) -> Progress:
    """Return how far you are; see `eksnet.checkpoints.progress`.

    Args:
        notebook: A notebook, by the start of its name; the whole course when empty.
        target: As in `checkpoint`.
    """
    from eksnet import checkpoints

    return checkpoints.progress(notebook, target)
