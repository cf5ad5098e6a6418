"""The cluster room: connect, apply, wait, run a pod, exec, logs, events, backup and restore.

Knows Kubernetes, and no chapter of the course. The official client is loaded by `connect`, not by
importing this package.
"""

from typing import TYPE_CHECKING

from eksnet import faces

if TYPE_CHECKING:
    from eksnet.cluster.backups import Backup, Restored
    from eksnet.cluster.client import ApiError
    from eksnet.cluster.cluster import Cluster
    from eksnet.cluster.conditions import Condition
    from eksnet.cluster.connecting import connect, connect_read_only
    from eksnet.cluster.edits import Edit
    from eksnet.cluster.guard import Identity
    from eksnet.cluster.objects import Applied, Event, Resource
    from eksnet.cluster.pods import Exec, PodRun
    from eksnet.cluster.targets import Target
    from eksnet.errors import DeadlineError
    from eksnet.listing import Listing

__all__ = [
    "ApiError",
    "Applied",
    "Backup",
    "Cluster",
    "Condition",
    "DeadlineError",
    "Edit",
    "Event",
    "Exec",
    "Identity",
    "Listing",
    "PodRun",
    "Resource",
    "Restored",
    "Target",
    "connect",
    "connect_read_only",
]

__getattr__, __dir__ = faces.of(__name__)
