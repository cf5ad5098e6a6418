"""Delete what the course made, in the order in which it can go, and audit what is left.

The order is that of the course document: TargetGroupBindings, load balancers made by hand,
Ingresses and Services, the controller with its identities, and then what is in the cluster. Each
step looks at what is there now and deletes until nothing of it is: so a clean-up that was
interrupted goes on where it stopped, and what its steps find is what the audit finds.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.aws import leftovers
from eksnet.aws.leftovers import Account, Kind, Leftover
from eksnet.aws.tags import LESSON, RUN, SELECTOR
from eksnet.cluster import contents, faults, simulated
from eksnet.cluster.contents import MANAGED_BY
from eksnet.display import Shown, prose
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.loadbalancer import controller
from eksnet.loadbalancer.in_account import delete_kinds

if TYPE_CHECKING:
    import pandas as pd

    from eksnet.cluster import Cluster, Resource

_TIMEOUT = 300.0
_HELPERS = f"{MANAGED_BY}=eksnet"
# The kinds of what helpers make for a moment, wherever the learner is.
_SHORT_LIVED = ("pods", "configmaps")
_CONTROLLER = "the AWS Load Balancer Controller"


@dataclass(frozen=True, repr=False)
class Audit(Shown):
    """What of the course is left, in the account and in the cluster.

    Attributes:
        left: What is left, in the order in which it can be deleted.
        remark: What was not looked at, and why; empty when all was.
        run: The learner's own run; empty when none has begun.
    """

    left: tuple[Leftover, ...]
    remark: str = ""
    run: str = ""

    @property
    def clean(self) -> bool:
        """Whether nothing is left."""
        return not self.left

    @property
    def headline(self) -> str:
        """The whole in one sentence."""
        if self.clean:
            return "nothing of the course is left"
        return f"{len(self.left)} {'thing is' if len(self.left) == 1 else 'things are'} left"

    def listing(self) -> Listing[Leftover]:
        """Return a row for each thing that is left."""
        return Listing.of(
            self.left,
            {
                "what": lambda one: one.what,
                "name": lambda one: one.name,
                "whose": lambda one: one.whose,
                "run": self._run,
            },
        )

    def _run(self, one: Leftover) -> str:
        """Return the run that has made something, as a reader knows it."""
        return "yours" if one.run and one.run == self.run else one.run or "unknown"

    def _lines(self) -> list[str]:
        return [self.headline, *([self.remark] if self.remark else [])]

    def _text(self, *, colours: bool) -> str:
        table = [] if self.clean else [self.listing()._text(colours=colours)]
        return "\n".join([*table, *self._lines()])

    def _repr_html_(self) -> str:
        table = "" if self.clean else self.listing()._repr_html_()
        return table + "".join(f"<p>{prose(line)}</p>" for line in self._lines())

    def to_frame(self) -> pd.DataFrame:
        """Return a row of text for each thing that is left."""
        return self.listing().to_frame()

    def to_json(self) -> dict[str, Any]:
        """Return it for a program."""
        names = ("what", "name", "whose", "run", "id")
        left = [{name: asdict(one)[name] for name in names} for one in self.left]
        return {"clean": self.clean, "left": left, "remark": self.remark, "run": self.run}


def left_over(cluster: Cluster) -> Audit:
    """Look for what the course has made and is still there; nothing is changed.

    Args:
        cluster: The cluster.

    Raises:
        EksnetError: The cluster or its AWS account does not let itself be looked at.
    """
    work = _Work.of(cluster)
    left = (*work.managed(), *work.in_account(), *work.inside())
    return Audit(left, work.remark, cluster.current_run.id)


def clean_up(cluster: Cluster, timeout: float = _TIMEOUT) -> Audit:
    """Delete what the course has made, step by step, with a line for each; then look once more.

    Args:
        cluster: The cluster.
        timeout: How long to wait for each kind of thing to be gone, in seconds.

    Raises:
        EksnetError: Something cannot be deleted, or is not gone in time; run again, it goes on.
    """
    inputs.seconds(timeout)
    work = _Work.of(cluster, timeout)
    if names := _reverted(cluster):
        print(f"reverted the faults {', '.join(names)}")
    for number, (title, step) in enumerate(STEPS, 1):
        done = list(step(work))
        print(f"{number}. {title}: {_summary(done)}")
    left = left_over(cluster)
    if left.clean:
        cluster.end_run()
    return left


def _summary(done: Sequence[str]) -> str:
    """Return what a step has deleted: each thing once, in its order."""
    return f"deleted {', '.join(dict.fromkeys(done))}" if done else "nothing to delete"


@dataclass(frozen=True)
class _Work:
    """A cluster that is cleaned up, or looked at.

    Attributes:
        cluster: The cluster.
        account: Its account; None where none is known, and no lesson has made anything there.
        foreign: Whether its controller was installed by somebody else.
        timeout: How long to wait for each kind of thing, in seconds.
    """

    cluster: Cluster
    account: Account | None
    foreign: bool
    timeout: float = _TIMEOUT

    @classmethod
    def of(cls, cluster: Cluster, timeout: float = _TIMEOUT) -> _Work:
        """Return the work on a cluster."""
        foreign, account = controller.is_foreign(cluster), None
        if cluster.account is not None:
            account = Account(cluster.aws, cluster.eks_name, controlled=not foreign)
        return cls(cluster, account, foreign, timeout)

    @property
    def remark(self) -> str:
        """What is not looked at, and why."""
        if self.account is None:
            return f"no AWS account is known for {self.cluster.target}: only the cluster counts"
        if self.foreign:
            return f"{_CONTROLLER} is not the course's: what it has made is its owner's"
        return ""

    def in_account(self) -> Iterator[Leftover]:
        """Yield what is in the account, in the order in which it is deleted."""
        if self.account is not None:
            look = self.account.remembering()
            for kind in leftovers.KINDS:
                yield from kind.find(look)

    # What is in the cluster.

    def objects(self, *kinds: str) -> list[Resource]:
        """Return what the controller has to delete something for; of another's, the course's."""
        found = [one for one in controller.managed(self.cluster) if one.kind in kinds]
        if not self.foreign:
            return found
        own = {one.name for one in self._namespaces()}
        return [one for one in found if one.namespace in own]

    def bindings(self) -> list[Resource]:
        """Return the bindings that were made by hand."""
        found = self.objects(controller.BINDING)
        return [one for one in found if not controller.is_from_ingress_or_service(one)]

    def managed(self) -> Iterator[Leftover]:
        """Yield what waits for the controller, in the order in which it is deleted."""
        for fault in faults.injected(self.cluster):
            place = f"{fault.place.kind} {fault.place.namespace}/{fault.place.name}"
            yield Leftover("fault", f"{fault.name} in {place}", faults.RECORD)
        for one in (*self.bindings(), *self.objects("Ingress", "Service")):
            whose = "the controller's finalizer"
            yield Leftover(one.kind, f"{one.namespace}/{one.name}", whose, run=_run(one))

    def inside(self) -> Iterator[Leftover]:
        """Yield the rest of what is in the cluster."""
        if not self.foreign:
            for part in controller.parts_in_cluster(self.cluster):
                yield Leftover("part of the controller", part, _CONTROLLER)
        for one in self.marked():
            yield Leftover(one.kind, one.name, _labels(one), run=_run(one))
        for one in self.short_lived():
            yield Leftover(one.kind, f"{one.namespace}/{one.name}", _HELPERS, run=_run(one))
        if self.cluster.target.kind == "sandbox":
            for name in simulated.left(self.cluster):
                yield Leftover("simulated node", name, _HELPERS)
            if simulated.clock_factor(self.cluster) != 1:
                yield Leftover("clock", "the autoscaler's", _HELPERS)

    def marked(self) -> list[Resource]:
        """Return what is outside of namespaces with the labels of the course or of a helper."""
        found = [*self.cluster.marked(), *self.cluster.marked(_HELPERS)]
        once = {one["metadata"]["uid"]: one for one in found}
        order = list(contents.MARKED)
        return sorted(once.values(), key=lambda one: (order.index(one.kind), one.name))

    def _namespaces(self) -> Iterator[Resource]:
        yield from self.cluster.list("namespaces", selector=SELECTOR)

    def short_lived(self) -> Iterator[Resource]:
        """Yield what helpers make for a moment, in namespaces that stay."""
        own = {one.name for one in self.marked() if one.kind == "Namespace"}
        for kind in _SHORT_LIVED:
            for one in self.cluster.list(kind, selector=_HELPERS, all_namespaces=True):
                if one.namespace not in own:
                    yield one

    # The deletions.

    def delete_objects(self, objects: Sequence[Resource]) -> Iterator[str]:
        """Delete what waits for the controller, which is installed again if it is missing."""
        if objects and self.foreign and (why := controller.why_not_ready(self.cluster)):
            raise EksnetError(
                f"{_CONTROLLER} cannot delete what it has made: {why}",
                "the controller of this cluster, ready; it was not installed by the course",
                "ask its owner, then run eksnet cleanup again",
            )
        with contextlib.redirect_stdout(io.StringIO()):
            controller.delete_managed(self.cluster, objects, self.timeout)
        made = [one for one in objects if controller.is_from_ingress_or_service(one)]
        if made:
            yield _of_the_controller(len(made), controller.BINDING, f"{controller.BINDING}s")
        yield from (f"{one.kind} {one.namespace}/{one.name}" for one in objects if one not in made)

    def delete_kinds(
        self, kinds: Iterable[Kind], picks: Callable[[Leftover], bool]
    ) -> Iterator[str]:
        """Delete things in the account, kind by kind, until none is there."""
        if self.account is None:
            return
        for kind in kinds:
            done = delete_kinds(self.account, [kind], picks, self.timeout)
            if made := sum(one.by_controller for one in done):
                yield _of_the_controller(made, kind.name, kind.plural)
            yield from (f"{kind.name} {one.name}" for one in done if not one.by_controller)


def _of_the_controller(count: int, one: str, several: str) -> str:
    """Count what the controller has made: the digests in its names tell a reader nothing."""
    return f"{count} {one if count == 1 else several} of the controller"


def _reverted(cluster: Cluster) -> list[str]:
    """Revert the faults that were injected: one may keep the controller from deleting anything."""
    found = faults.injected(cluster)
    for one in found:
        faults.revert(cluster, one)
    return [one.name for one in found]


# The steps.


def _bindings(work: _Work) -> Iterator[str]:
    yield from work.delete_objects(work.bindings())


def _by_hand(work: _Work) -> Iterator[str]:
    yield from work.delete_kinds(leftovers.LOAD_BALANCING, lambda one: not one.by_controller)


def _ingresses(work: _Work) -> Iterator[str]:
    yield from work.delete_objects(work.objects("Ingress", "Service"))
    # Bindings of these have gone with them; and in AWS only what nobody watches any more is left.
    yield from work.delete_objects(work.objects(controller.BINDING))
    if not work.foreign:
        yield from work.delete_kinds(leftovers.LOAD_BALANCING, lambda one: one.by_controller)


def _controller(work: _Work) -> Iterator[str]:
    if not work.foreign:
        with contextlib.redirect_stdout(io.StringIO()):
            parts = controller.uninstall_chart(work.cluster)
        yield from parts
    yield from work.delete_kinds((*leftovers.NETWORK, *leftovers.IDENTITIES), lambda _: True)


def _in_cluster(work: _Work) -> Iterator[str]:
    cluster = work.cluster
    if cluster.target.kind == "sandbox":
        with contextlib.redirect_stdout(io.StringIO()):
            if simulated.left(cluster):
                simulated.end_fleet(cluster)
                yield "simulated nodes"
            if simulated.clock_factor(cluster) != 1:
                simulated.end_clock(cluster)
                yield "the autoscaler's clock"
    for one in (*work.short_lived(), *work.marked()):
        cluster.delete(one.kind, one.name, one.namespace or None, timeout=work.timeout)
        yield f"{one.kind} {one.name}"


STEPS: tuple[tuple[str, Callable[[_Work], Iterable[str]]], ...] = (
    ("TargetGroupBindings", _bindings),
    ("load balancers made by hand", _by_hand),
    ("Ingresses and Services with load balancers", _ingresses),
    ("the controller, security groups and identities", _controller),
    ("the rest in the cluster", _in_cluster),
)


def _labels(one: Resource) -> str:
    labels = one["metadata"].get("labels") or {}
    if MANAGED_BY in labels:
        return _HELPERS
    lesson = f", {LESSON}={labels[LESSON]}" if LESSON in labels else ""
    return f"{SELECTOR}{lesson}"


def _run(one: Resource) -> str:
    return str((one["metadata"].get("labels") or {}).get(RUN, ""))
