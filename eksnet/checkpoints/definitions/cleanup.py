"""The checkpoints of 99_cleanup: an Ingress without its controller, and nothing left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eksnet.aws import leftovers
from eksnet.aws.leftovers import Account
from eksnet.aws.tags import SELECTOR
from eksnet.checkpoints.criteria import (
    Criterion,
    Definition,
    Observation,
    Prediction,
    failed,
    not_started,
    passed,
    then,
)
from eksnet.loadbalancer import controller

if TYPE_CHECKING:
    from eksnet.cluster import Cluster

NOTEBOOK = "99_cleanup"
_STUCK = ("Ingress", "load balancer")
_CLEAN = then("delete it", "eksnet.clean_up(cluster)")
_TRIAL = """\
observed = {"Ingress": "stays", "load balancer": "stays"}  # <WHAT YOU SAW>"""


def without_controller(cluster: Cluster, observed: Any) -> Any:
    """What became of an Ingress and its load balancer that were deleted without the controller."""
    # Who may not look at Ingresses has seen none.
    cluster.list("ingresses", all_namespaces=True)
    if not isinstance(observed, Mapping) or set(observed) != set(_STUCK):
        return not_started("no such deletion was observed yet", f"a dict of {_STUCK}", "")
    return dict(observed)


def _clean(cluster: Cluster, seen: str) -> Observation:
    """Return that nothing was found; a cluster in which nobody has cleaned up is no success."""
    if cluster.current_run.ended:
        return passed(seen)
    return not_started(
        f"{seen}, and no clean-up has ended since something was made",
        "a clean-up that has found nothing left",
        _CLEAN,
    )


def objects(cluster: Cluster) -> Observation:
    """Whether an object of the cluster waits for the controller."""
    waiting = list(controller.managed(cluster))
    expected = "no object with a finalizer of the controller"
    if waiting:
        kinds = ", ".join(sorted({one.kind for one in waiting}))
        return failed(f"{len(waiting)} have one: {kinds}", expected, _CLEAN)
    return _clean(cluster, "no object has a finalizer of the controller")


def removed(cluster: Cluster) -> Observation:
    """Whether the controller is removed from the cluster."""
    parts = controller.parts_in_cluster(cluster)
    if parts:
        return failed(f"there is {parts[0]}", "a cluster without the controller", _CLEAN)
    return _clean(cluster, "nothing of the controller is in the cluster")


def account(cluster: Cluster) -> Observation:
    """Whether something of the course is in the account."""
    # Whoever may not look into the cluster cannot be told about its account either.
    cluster.list("namespaces")
    looked = Account(cluster.aws, cluster.eks_name).remembering()
    found = {kind.name: len(kind.find(looked)) for kind in leftovers.KINDS}
    left = [f"{count} {name}" for name, count in found.items() if count]
    if left:
        return failed(f"there is left: {', '.join(left)}", "nothing with the course's tag", _CLEAN)
    return _clean(cluster, f"none of {len(found)} kinds of things is left")


def marked(cluster: Cluster) -> Observation:
    """Whether something with the course's label is in the cluster."""
    found = cluster.marked()
    if found:
        kinds = ", ".join(sorted({one.kind for one in found}))
        return failed(f"{len(found)} have it: {kinds}", f"no object with {SELECTOR}", _CLEAN)
    return _clean(cluster, f"no namespace or other object has the label {SELECTOR}")


CHECKPOINTS = (
    Definition(
        id="cleanup-01",
        notebook=NOTEBOOK,
        title="An Ingress without its controller",
        criteria=(
            Prediction(
                "cleanup-01.stuck",
                "What becomes of the Ingress and of its load balancer",
                2,
                "the controller is gone, and then an Ingress is deleted; does the Ingress go or "
                "stay, and does its load balancer?",
                'prediction = {"Ingress": "", "load balancer": ""}  # "goes" or "stays", for each',
                without_controller,
                takes="observed",
                gather=_TRIAL,
            ),
        ),
        hints=(
            "Look at the finalizers of the Ingress.",
            "Compare who has written the finalizer with who is still there to take it away.",
            "Nobody takes the finalizer away and nobody calls AWS: both stay. Change "
            "`prediction`, then check again.",
        ),
        solution=f"""\
prediction = {{"Ingress": "stays", "load balancer": "stays"}}
{_TRIAL}
eksnet.checkpoint("cleanup-01").check(prediction, observed)
""",
    ),
    Definition(
        id="cleanup-02",
        notebook=NOTEBOOK,
        title="Nothing is left",
        criteria=(
            Criterion("cleanup-02.objects", "No object waits for the controller", 1, objects),
            Criterion("cleanup-02.controller", "The controller is removed", 1, removed),
            Criterion("cleanup-02.account", "Nothing of the course is in the account", 2, account),
            Criterion("cleanup-02.cluster", "Nothing of the course is in the cluster", 1, marked),
        ),
        hints=(
            "Look at what the audit shows: `eksnet.left_over(cluster)`.",
            "Compare its rows with the steps of the clean-up: which one was left out?",
            "`eksnet.clean_up(cluster)` deletes what is left, in the right order.",
        ),
        solution="eksnet.clean_up(cluster)\n",
    ),
)  # fmt: skip
