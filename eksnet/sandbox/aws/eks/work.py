"""What EKS does after its answer: apply an add-on, wait for the roll-out, undo a failed one."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from eksnet.sandbox.aws.eks import autoscaler, ownership
from eksnet.sandbox.aws.eks.ownership import ApplyError, Conflict, Object
from eksnet.sandbox.aws.eks.records import NO_MODE, Addon, Issue, Records, Store, Wanted

# How long a roll-out may take before it is undone. EKS's own limit is not documented: a guess,
# short enough for a lesson.
ROLL_LIMIT = 90.0
# How long the API server may be away before work fails: it starts beside this process.
REACH_LIMIT = 90.0
_POLL = 0.3
_FAILED = {"CREATING": "CREATE_FAILED", "UPDATING": "UPDATE_FAILED", "DELETING": "DELETE_FAILED"}
# EKS's words for an add-on whose pods are missing ("Troubleshoot Amazon EKS add-ons").
TOO_FEW = "The add-on is unhealthy because it doesn't have the desired number of replicas."

Render = Callable[[str, Wanted], list[Object]]


class Cluster(Protocol):
    """What the work needs of the cluster's API server."""

    def apply(self, one: Object, force: bool, dry_run: bool) -> tuple[int, Any]:
        """Send one server-side apply as the manager `eks`."""

    def delete(self, one: Object) -> None:
        """Delete an object; one that is not there is no mistake."""

    def replicas_missing(self, objects: Sequence[Object]) -> str:
        """Return what the workloads among objects still wait for; empty when all are rolled out."""


class FailedError(Exception):
    """Work for an add-on that ended without success.

    Attributes:
        issue: Why.
    """

    def __init__(self, issue: Issue) -> None:
        """Keep what the records are to say."""
        super().__init__(issue.message)
        self.issue = issue


class Worker:
    """Does what the records say is waiting, one add-on at a time; begins again after a crash."""

    def __init__(self, store: Store, cluster: Cluster, render: Render) -> None:
        """Prepare; nothing is done before `run` or `work_once`."""
        self._store = store
        self._cluster = cluster
        self._render = render
        self._woken = threading.Event()

    def wake(self) -> None:
        """Say that something waits."""
        self._woken.set()

    def run(self) -> None:
        """Work whenever something waits; never return."""
        while True:
            self._woken.clear()
            self.work_once()
            self._woken.wait()

    def work_once(self) -> None:
        """Do what waits now."""
        for addon in list(self._store.settled.addons.values()):
            if addon.waits:
                self._work(addon)

    def _work(self, addon: Addon) -> None:
        try:
            if addon.status == "DELETING":
                self._delete(addon)
                return
            self._apply(addon)
        except FailedError as failure:
            self._finish(addon, _FAILED[addon.status], (failure.issue,), addon.applied)
        else:
            self._finish(addon, "ACTIVE", (), addon.wanted)

    def _apply(self, addon: Addon) -> None:
        objects = self._render(addon.name, addon.wanted)
        before = self._render(addon.name, addon.applied) if addon.applied else []

        def change() -> None:
            self._put(addon, objects)
            for gone in _only_in(before, objects):
                self._cluster.delete(gone)

        _reaching(change)
        waits = self._wait(objects)
        if waits:
            self._undo(addon, before)
            raise FailedError(Issue("InsufficientNumberOfReplicas", f"{TOO_FEW} ({waits})"))

    def _put(self, addon: Addon, objects: list[Object]) -> None:
        """Apply an add-on's objects as its mode says.

        The autoscaler is EKS's own: that it owns the replicas is no conflict. While it is asked
        for, it decides on them; afterwards they are the add-on's again.
        """
        force = addon.mode == "OVERWRITE"
        found = [] if force else ownership.conflicts(self._cluster.apply, objects)
        ours = [one for one in found if f'"{autoscaler.MANAGER}"' in one.manager]
        objects = _settled(addon, objects, [one for one in found if one not in ours])
        if ours and autoscaler.asked_for(addon.name, addon.wanted):
            objects = ownership.without(objects, ours)
        ownership.put(self._cluster.apply, objects, force=force or bool(ours))

    def _undo(self, addon: Addon, before: list[Object]) -> None:
        """Apply what was there before; what cannot be applied now stays as it is.

        Only who may overwrite what others own at the update may do so here: what they changed was
        never the update's, so it is not undone with it.
        """
        force = addon.mode == "OVERWRITE"

        def change() -> None:
            found = [] if force else ownership.conflicts(self._cluster.apply, before)
            ownership.put(self._cluster.apply, ownership.without(before, found), force=force)

        _reaching(change)

    def _wait(self, objects: list[Object]) -> str:
        """Wait for the roll-out; return what it still waits for at the limit."""
        until = time.monotonic() + ROLL_LIMIT
        while waits := self._cluster.replicas_missing(objects):
            if time.monotonic() > until:
                return waits
            time.sleep(_POLL)
        return ""

    def _delete(self, addon: Addon) -> None:
        objects = self._render(addon.name, addon.applied or addon.wanted)

        def change() -> None:
            for one in reversed(objects):
                self._cluster.delete(one)

        if not addon.preserve:
            _reaching(change)
        with self._store.changing() as draft:
            draft[0] = draft[0].without_addon(addon.name)

    def _finish(
        self, addon: Addon, status: str, issues: tuple[Issue, ...], applied: Wanted | None
    ) -> None:
        done = dataclasses.replace(
            addon,
            status=status,
            issues=issues,
            applied=applied,
            # What failed was undone: what the add-on is, is what was applied last.
            wanted=applied or addon.wanted,
            mode=NO_MODE,
            update="",
            modified=datetime.now(UTC),
        )
        with self._store.changing() as draft:
            draft[0] = _ended(draft[0], addon.update, issues).with_addon(done)


def _reaching(change: Callable[[], None]) -> None:
    """Make a change; begin it again as long as nothing answers, until the limit.

    Args:
        change: Makes it; begun again, it goes on with what is left to do.

    Raises:
        FailedError: The API server refused it, or never answered.
    """
    until = time.monotonic() + REACH_LIMIT
    while True:
        try:
            change()
        except ApplyError as error:
            if error.status or time.monotonic() > until:
                raise FailedError(_issue_of(error)) from None
        else:
            return
        time.sleep(_POLL)


def _ended(records: Records, update_id: str, errors: tuple[Issue, ...]) -> Records:
    """Return records in which an update has ended; an add-on that is created has none."""
    if not update_id:
        return records
    update = records.updates[update_id]
    status = "Failed" if errors else "Successful"
    return records.with_update(dataclasses.replace(update, status=status, errors=errors))


def _settled(addon: Addon, objects: list[Object], found: list[Conflict]) -> list[Object]:
    """Return what to apply where others own fields.

    When an add-on is created, PRESERVE is as NONE: only OVERWRITE changes what is self-managed
    (API reference, CreateAddon, resolveConflicts).

    Raises:
        FailedError: The conflicts stop the work.
    """
    if not found:
        return objects
    if addon.status == "UPDATING" and addon.mode == "PRESERVE":
        return ownership.without(objects, found)
    raise FailedError(Issue("ConfigurationConflict", ownership.describe(found)))


def _only_in(before: list[Object], objects: list[Object]) -> list[Object]:
    kept = set(map(ownership.key_of, objects))
    return [one for one in before if ownership.key_of(one) not in kept]


def _issue_of(error: ApplyError) -> Issue:
    codes = {0: "ClusterUnreachable", 403: "AccessDenied", 409: "ConfigurationConflict"}
    return Issue(codes.get(error.status, "AdmissionRequestDenied"), str(error))
