"""Begin a lesson: what an earlier one left in the cluster is found, said, and put back.

What a lesson expects is a row of `eksnet.course.lessons`. On the sandbox kube-system is compared
with what EKS installs, and the API server itself says what that would be (a dry run), so that
whatever was changed is found. On any other cluster only what lessons change is compared, with what
the last `begin` saw there; all else is its owners' business.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from eksnet.cluster import faults, simulated
from eksnet.cluster.contents import MANAGED_BY, is_ours
from eksnet.cluster.faults import Injected
from eksnet.cluster.files import write_whole
from eksnet.cluster.pods import not_terminating
from eksnet.cluster.rollout import ANNOTATION
from eksnet.coredns import addon
from eksnet.course import support
from eksnet.course.lessons import (
    COREFILE,
    LESSONS,
    PARTS,
    SYSTEM,
    Lesson,
    Part,
    differences,
    lesson,
    lessons_by_hand,
    lessons_that_change,
    lessons_that_simulate,
    lessons_with_addon,
    lessons_with_controller,
    lessons_with_faults_of,
    picked,
    with_fields,
)
from eksnet.course.readiness import wait_until_ready
from eksnet.display import Mark, Shown, Tone, prose
from eksnet.errors import ConflictError, EksnetError, NotFoundError, RefusedError
from eksnet.listing import Listing
from eksnet.loadbalancer import controller
from eksnet.loadbalancer.in_account import delete_in_account, left_in_account

if TYPE_CHECKING:
    import pandas as pd

    from eksnet.cluster import Cluster, Resource

Json = dict[str, Any]
Found = TypeVar("Found")

_STAYS = "stays"
_RECORD = "begun.json"
_BY_NAME = f"{MANAGED_BY}=eksnet"
# The kinds of what helpers make for a moment, wherever the learner is.
_SHORT_LIVED = ("pods", "configmaps")
_WITNESS = "eksnet-witness-"
# On a cluster that others use too, what is younger may still be in use.
_AGE = timedelta(minutes=10)
_CONFLICTS = 5
_ANNOTATIONS = "spec.template.metadata.annotations"


@dataclass(frozen=True)
class Left:
    """Something that is not as the lesson expects it.

    Attributes:
        what: What it is.
        by: The lesson that left it, as far as that is known; else empty.
        seen: How it differs.
        done: What became of it: empty while nothing has.
        needed: Whether the lesson needs it, and no earlier one left it so.
    """

    what: str
    by: str
    seen: str
    done: str = ""
    needed: bool = False
    _restore: Callable[[Cluster], str] = field(default=lambda _: "", repr=False, compare=False)
    _kept: tuple[Json, ...] = field(default=(), repr=False, compare=False)

    @property
    def stays(self) -> bool:
        """Whether it was left alone because somebody else's is in it."""
        return self.done.startswith(_STAYS)

    def restored(self, cluster: Cluster) -> Left:
        """Put it back, and return it with what became of it."""
        return replace(self, done=self._restore(cluster))


def _now(left: Left) -> str:
    """Return what became of something, as a verdict."""
    tone = Tone.GOOD if left.done and not left.stays else Tone.OPEN
    return Mark(left.done or "unchanged", tone)


@dataclass(frozen=True, repr=False)
class Beginning(Shown):
    """What `begin` found, and what it did about it.

    Attributes:
        notebook: The lesson.
        left: What was left, in the order in which it is put back.
        kept: The file that holds what was replaced or deleted; None when nothing was.
        ready: What the lesson needs beside the cluster's own state, and has.
    """

    notebook: str
    left: tuple[Left, ...]
    kept: Path | None = None
    ready: tuple[str, ...] = ()

    def _listing(self) -> Listing[Left]:
        return Listing.of(
            self.left,
            {
                "left": lambda one: one.what,
                "by": lambda one: one.by or "unknown",
                "seen": lambda one: one.seen,
                "now": _now,
            },
        )

    @property
    def headline(self) -> str:
        """The whole in one sentence."""
        if not self.left:
            return f"{self.notebook}: the cluster is in the state that this lesson expects"
        done = [one for one in self.left if one.done and not one.stays]
        if done or any(one.stays for one in self.left):
            return (
                f"{self.notebook}: the cluster is ready; {len(done)} of {len(self.left)} restored"
            )
        return (
            f"{self.notebook}: the cluster is not in the state that this lesson expects; "
            "nothing was changed"
        )

    def _lines(self) -> list[str]:
        return [
            self.headline,
            *self.ready,
            *([f"The replaced objects are saved in {self.kept}"] if self.kept else []),
        ]

    def _text(self, *, colours: bool) -> str:
        table = [self._listing()._text(colours=colours)] if self.left else []
        return "\n".join([*table, *self._lines()])

    def _repr_html_(self) -> str:
        table = self._listing()._repr_html_() if self.left else ""
        return table + "".join(f"<p>{prose(line)}</p>" for line in self._lines())

    def to_frame(self) -> pd.DataFrame:
        """Return a row of text for each thing that was left."""
        return self._listing().to_frame()


def begin(cluster: Cluster, notebook: str, restore: bool | None = None) -> Beginning:
    """Compare a cluster with what a lesson expects, and put back what an earlier one left.

    Args:
        cluster: The cluster.
        notebook: The lesson's notebook, such as `05_lab_hosts`.
        restore: Whether what was left is put back. None does so on the sandbox, and on any other
            cluster changes nothing and raises an error when there is something. True puts it back
            there too, if the cluster may be changed. False changes nothing and goes on.

    Raises:
        EksnetError: The lesson does not run on this kind of cluster, something was left and nothing
            is to be changed, it could not be put back, or the cluster does not get ready.
    """
    wanted = lesson(notebook)
    if restore not in (None, True, False):
        raise EksnetError(f"restore is {restore!r}; nothing was changed", "True, False or None")
    support.require(cluster, wanted.notebook)
    record = _Record.of(cluster)
    left = tuple(_look(cluster, wanted, record))
    is_sandbox = cluster.target.kind == "sandbox"
    if left and restore is None and not is_sandbox:
        raise _asks(cluster, notebook, left)
    kept: Path | None = None
    ready: tuple[str, ...] = ()
    if restore is not False:
        if left:
            left, kept = _put_back(cluster, wanted, record, left)
        if is_sandbox and wanted.addon:
            for manifest in _installed().values():
                cluster.hand_over(manifest, "eks")
        may_restart = is_sandbox or bool(restore and left)
        wait_until_ready(
            cluster,
            restarts=may_restart,
            changed=bool(left),
            corefile=any(one.what in (COREFILE, _ADDON) for one in left),
        )
        _refuse_rest(cluster, wanted, record, left)
        # The same words, whether this call has installed it or an earlier one.
        ready = (_CONTROLLER_READY,) if wanted.controller else ()
        left = tuple(one for one in left if not one.needed)
    record.write(cluster, wanted)
    cluster.begin_lesson(wanted.notebook)
    return Beginning(notebook, left, kept, ready)


def _asks(cluster: Cluster, notebook: str, left: Sequence[Left]) -> EksnetError:
    seen = "; ".join(
        f"{one.what} ({one.by}): {one.seen}" if one.by else f"{one.what}: {one.seen}"
        for one in left
    )
    call = f'eksnet.begin(cluster, "{notebook}", restore='
    return EksnetError(
        f"{cluster.target} is not in the state that {notebook} expects; nothing was changed: "
        f"{seen}",
        "the state at the start of the lesson",
        f"{call}True) restores it and saves the replaced objects in a file; {call}False) "
        f"continues without changes",
    )


def _put_back(
    cluster: Cluster, wanted: Lesson, record: _Record, left: Sequence[Left]
) -> tuple[tuple[Left, ...], Path | None]:
    kept = _keep(cluster, [one for some in left for one in some._kept])
    with contextlib.redirect_stdout(io.StringIO()):
        done = [one.restored(cluster) for one in left]
        # Only when nothing waits for the controller any more, it shows what it has left for good.
        done += [one.restored(cluster) for one in _in_account(cluster, wanted, record)]
    return tuple(done), kept


def _refuse_rest(cluster: Cluster, wanted: Lesson, record: _Record, before: Sequence[Left]) -> None:
    """Look once more after something was put back: whoever made it may have made it again."""
    stays = {one.what for one in before if one.stays}
    rest = [one for one in _look(cluster, wanted, record) if one.what not in stays]
    if before and rest:
        raise EksnetError(
            f"{rest[0].what} was restored, but still differs: {rest[0].seen}",
            "a cluster in the state that the lesson expects",
            "eksnet reset starts with a fresh cluster"
            if cluster.target.kind == "sandbox"
            else "find out who else changes the cluster, then run the cell again",
        )


# What is found, in the order in which it is put back.


def _look(cluster: Cluster, wanted: Lesson, record: _Record) -> Iterator[Left]:
    injected = faults.injected(cluster)
    yield from map(partial(_fault, cluster), injected)
    # First: a webhook of it that nobody answers refuses each Service that is put back.
    yield from _controller_left(cluster, wanted, record)
    yield from _addon(cluster, record)
    yield from _simulated(cluster, record)
    yield from _parts(cluster, record, injected)
    yield from _controller_missing(cluster, wanted)
    yield from _backup(cluster)
    yield from _namespaces(cluster, wanted, record)
    # After the bindings in there, which take their rules away with them.
    yield from _in_account(cluster, wanted, record)
    yield from _objects(cluster, wanted)
    yield from _short_lived(cluster)


def _fault(cluster: Cluster, fault: Injected) -> Left:
    def revert(cluster: Cluster) -> str:
        faults.revert(cluster, fault)
        return "reverted"

    place = fault.place
    found = _get(cluster, place.kind, place.name, place.namespace)
    return Left(
        f"the fault {fault.name} of chapter {fault.chapter}",
        ", ".join(lessons_with_faults_of(fault.chapter)),
        f"injected into {place.kind} {place.name} in {place.namespace}",
        _restore=revert,
        _kept=() if found is None else (found,),
    )


_ADDON = "the EKS add-on coredns"
_CONTROLLER = "the AWS Load Balancer Controller"
_CONTROLLER_READY = f"{_CONTROLLER} is ready"


def _controller_left(cluster: Cluster, wanted: Lesson, record: _Record) -> Iterator[Left]:
    """Find the controller where a lesson begins without it; elsewhere it is its owners' business.

    Its pods take addresses and its webhooks see every Service, so no lesson has the same outputs
    beside it.
    """
    if cluster.target.kind != "sandbox" or wanted.controller:
        return

    def remove(cluster: Cluster) -> str:
        controller.uninstall_controller(cluster)
        return "removed"

    # IAM is asked for the lesson that makes the role alone: it takes a while to be loaded.
    made = wanted.installs_controller and controller.has_identities(cluster)
    if made or controller.is_installed(cluster):
        by = record.which(lessons_with_controller())
        yield Left(_CONTROLLER, by, "it is installed, or a part of it", _restore=remove)


def _controller_missing(cluster: Cluster, wanted: Lesson) -> Iterator[Left]:
    """Find that the controller is missing, or cannot work, where a lesson needs it."""

    def install(cluster: Cluster) -> str:
        controller.install_controller(cluster)
        return "installed"

    if wanted.controller and (why := controller.what_is_wrong(cluster)):
        yield Left(_CONTROLLER, "", why, needed=True, _restore=install)


def _in_account(cluster: Cluster, wanted: Lesson, record: _Record) -> Iterator[Left]:
    """Find what was made in AWS and that nobody else takes away; not the controller's identities.

    Where others use the account too, it is told only to a lesson that makes such things, and what
    the controller has made is left to it.
    """
    sandbox = cluster.target.kind == "sandbox"
    if wanted.by_hand or (wanted.empty_account and sandbox):
        by = record.which(lessons_by_hand())
        yield from _made(cluster, "what was made in AWS by hand", by, by_controller=False)
    # As long as something in the cluster waits for the controller, it will delete that itself.
    if wanted.controller and sandbox and not any(controller.managed(cluster)):
        by = record.which(lessons_with_controller())
        yield from _made(cluster, f"what {_CONTROLLER} has left in AWS", by, by_controller=True)


def _made(cluster: Cluster, what: str, by: str, *, by_controller: bool) -> Iterator[Left]:
    def delete(cluster: Cluster) -> str:
        if by_controller:
            controller.delete_what_it_left(cluster)
        else:
            delete_in_account(cluster, by_controller=False)
        return "deleted"

    if found := left_in_account(cluster, by_controller=by_controller):
        seen = ", ".join(f"{one.what} {one.name}" for one in found)
        yield Left(what, by, seen, _restore=delete)


def _addon(cluster: Cluster, record: _Record) -> Iterator[Left]:
    """Find the add-on that a lesson makes on the sandbox; elsewhere it is its owners' business."""
    if cluster.target.kind != "sandbox":
        return
    found = addon.describe(cluster)[0]
    if found.status == "self-managed":
        return

    def remove(cluster: Cluster) -> str:
        addon.remove(cluster)
        return "ended"

    by = record.which(lessons_with_addon())
    yield Left(_ADDON, by, f"it is {found.status}", _restore=remove)


def _simulated(cluster: Cluster, record: _Record) -> Iterator[Left]:
    """Find the nodes and the clock that a lesson makes up; only the sandbox has them."""
    if cluster.target.kind != "sandbox":
        return

    def end_fleet(cluster: Cluster) -> str:
        simulated.end_fleet(cluster)
        return "deleted"

    def end_clock(cluster: Cluster) -> str:
        simulated.end_clock(cluster)
        return "ended"

    by = record.which(lessons_that_simulate())
    if nodes := simulated.left(cluster):
        yield Left("simulated nodes", by, f"{len(nodes)} nodes", _restore=end_fleet)
    if (factor := simulated.clock_factor(cluster)) != 1:
        seen = f"it runs {factor} times as fast"
        yield Left("the autoscaler's clock", by, seen, _restore=end_clock)


def _parts(cluster: Cluster, record: _Record, injected: Sequence[Injected]) -> Iterator[Left]:
    sandbox = cluster.target.kind == "sandbox"
    installed = _installed() if sandbox else {}
    for part in PARTS:
        manifest = installed.get((part.kind, part.name))

        def look(part: Part = part, manifest: Json | None = manifest) -> tuple[Any, Any]:
            current = _get(cluster, part.kind, part.name, SYSTEM)
            if manifest is None:
                return current, _recorded(cluster, record, part, current)
            return current, _would_be(cluster, manifest, current, part)

        current, expected = _on_newest(look)
        if expected is None:
            continue
        seen = _how_it_differs(current, expected)
        if seen:
            yield Left(
                part.title,
                _who_changed(part, record, injected),
                seen,
                _restore=_restoring(part, expected, manifest),
                _kept=() if current is None else (current,),
            )


def _on_newest(do: Callable[[], Found]) -> Found:
    """Do something with an object as it is now; once more when it was changed meanwhile.

    A controller writes the status of some of them at any time. As RetryOnConflict of client-go.
    """
    for _ in range(_CONFLICTS):
        try:
            return do()
        except ConflictError:
            continue
    return do()


def _how_it_differs(current: Json | None, expected: Json) -> str:
    if current is None:
        return "it is missing"
    found = picked(current, tuple(expected))
    return "; ".join(
        text for name, value in expected.items() for text in differences(found[name], value, name)
    )


def _who_changed(part: Part, record: _Record, injected: Sequence[Injected]) -> str:
    chapters = [
        one.chapter
        for one in injected
        if (one.place.kind, one.place.name) == (part.kind, part.name)
    ]
    if chapters:
        return ", ".join(lessons_with_faults_of(chapters[0]))
    return record.which(lessons_that_change(part.title))


def _restoring(part: Part, expected: Json, manifest: Json | None) -> Callable[[Cluster], str]:
    def restore(cluster: Cluster) -> str:
        # Read once more: a fault that was reverted meanwhile may have been all that was wrong.
        current = _get(cluster, part.kind, part.name, SYSTEM)
        if current is None:
            cluster.apply(json.dumps(manifest), mark=False)
            return "created"
        if picked(current, tuple(expected)) != expected:
            cluster.replace(with_fields(current, expected), unchecked=True)
        return "put back"

    return lambda cluster: _on_newest(lambda: restore(cluster))


def _would_be(cluster: Cluster, manifest: Json, current: Json | None, part: Part) -> Json:
    """Return the fields that the sandbox's installation gives an object, defaults included."""
    fields = picked(manifest, part.content)
    if current is None or not fields:
        return fields
    # A restart is no change: it leaves its time in the template.
    restarted = picked(current, (_ANNOTATIONS,))[_ANNOTATIONS] or {}
    if ANNOTATION in restarted:
        stamp = {ANNOTATION: restarted[ANNOTATION]}
        fields = with_fields(fields, {_ANNOTATIONS: stamp})
    wanted = cluster.replace(with_fields(current, fields), dry_run=True)
    return picked(wanted, part.content)


def _installed() -> dict[tuple[str, str], Json]:
    """Return the manifests of the sandbox's kube-system, by kind and name."""
    from eksnet.sandbox.api import documents
    from eksnet.sandbox.paths import paths
    from eksnet.sandbox.seed import MANIFESTS

    objects = documents(MANIFESTS, authority=paths().authority)
    return {(one["kind"].lower(), one["metadata"]["name"]): one for one in objects}


def _recorded(cluster: Cluster, record: _Record, part: Part, current: Json | None) -> Json | None:
    """Return the fields that a lesson expects on a cluster whose installation is not known.

    A backup that waits is older than any edit of a lesson's; else it is what the last `begin` saw.
    None when nothing is known, or there is nothing to put it into.
    """
    if current is None:
        return None
    expected = dict(record.parts.get(part.title) or {})
    if part.title == COREFILE and (saved := cluster.saved(part.name, SYSTEM)) is not None:
        expected = picked(saved, part.fields)
    if part.kind == "deployment":
        # How many pods there are may be an autoscaler's decision; none is nobody's.
        has_pods = picked(current, part.fields)["spec.replicas"] != 0
        before = expected.get("spec.replicas") or 2
        return None if has_pods else {"spec.replicas": before}
    return expected or None


def _backup(cluster: Cluster) -> Iterator[Left]:
    """Find a backup that would bring back another Corefile than the one to begin with."""
    saved = cluster.saved("coredns", SYSTEM)
    if saved is None:
        return
    sandbox = cluster.target.kind == "sandbox"
    current = _get(cluster, "configmap", "coredns", SYSTEM) or {}
    expected = _installed()["configmap", "coredns"] if sandbox else current
    if _data(saved) == _data(current) == _data(expected):
        return

    def archive_backup(cluster: Cluster) -> str:
        return f"set aside in {cluster.archive_backup('coredns', SYSTEM)}"

    yield Left(
        "a backup of ConfigMap coredns",
        ", ".join(lessons_that_change(COREFILE)),
        "it is not restored yet",
        _restore=archive_backup,
    )


def _namespaces(cluster: Cluster, wanted: Lesson, record: _Record) -> Iterator[Left]:
    for name in (*_there(cluster, wanted.namespaces), *_witnesses(cluster)):
        made = [dict(one) for one in cluster.objects_in(name)]
        foreign = [f"{one['kind']} {one['metadata']['name']}" for one in made if not is_ours(one)]
        others = f", {len(foreign)} not of the course: {', '.join(foreign)}" if foreign else ""
        makers = tuple(one.notebook for one in LESSONS if name in one.namespaces)
        yield Left(
            f"the namespace {name}",
            record.which(makers),
            f"{len(made)} {'object' if len(made) == 1 else 'objects'}{others}",
            _restore=_deleting(f"namespace/{name}", "", foreign),
            _kept=tuple(made),
        )


def _data(configmap: Mapping[str, Any]) -> Json:
    return dict(configmap.get("data") or {})


def _there(cluster: Cluster, names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if _get(cluster, "namespace", name, "") is not None)


def _witnesses(cluster: Cluster) -> Iterator[str]:
    """Yield the namespaces that a lookup has made for a moment and could not take away."""
    try:
        found = cluster.list("namespaces", selector=_BY_NAME)
    except (NotFoundError, RefusedError):
        return
    for one in not_terminating(found):
        unused = cluster.target.kind == "sandbox" or _is_old(one)
        if one.name.startswith(_WITNESS) and unused:
            yield one.name


def _deleting(what: str, namespace: str, foreign: Sequence[str] = ()) -> Callable[[Cluster], str]:
    def delete(cluster: Cluster) -> str:
        if foreign and cluster.target.kind != "sandbox":
            return f"{_STAYS}: delete it yourself when you no longer need {', '.join(foreign)}"
        cluster.delete(what, namespace=namespace or None)
        return "deleted"

    return delete


def _objects(cluster: Cluster, wanted: Lesson) -> Iterator[Left]:
    for what in wanted.objects:
        kind, _, name = what.partition("/")
        found = _get(cluster, kind, name, "")
        if found is not None:
            yield Left(
                f"the {found['kind']} {name}",
                wanted.notebook,
                "it exists",
                _restore=_deleting(what, ""),
                _kept=(found,),
            )


def _short_lived(cluster: Cluster) -> Iterator[Left]:
    """Find what a helper makes for a moment and its end would have taken away."""
    everywhere = cluster.target.kind == "sandbox"
    for kind in _SHORT_LIVED:
        for one in cluster.list(kind, selector=_BY_NAME, all_namespaces=everywhere):
            if one.namespace.startswith(_WITNESS) or not (everywhere or _is_old(one)):
                continue
            yield Left(
                f"the {one.kind} {one.name} in {one.namespace}",
                "",
                "a temporary object of an interrupted cell",
                _restore=_deleting(f"{one.kind.lower()}/{one.name}", one.namespace),
                _kept=(dict(one),),
            )


def _is_old(one: Resource) -> bool:
    made = datetime.fromisoformat(one["metadata"]["creationTimestamp"])
    return datetime.now(UTC) - made > _AGE


def _get(cluster: Cluster, kind: str, name: str, namespace: str) -> Json | None:
    """Return an object; None where there is none, or none that may be read."""
    try:
        return dict(cluster.get(kind, name, namespace or None))
    except (NotFoundError, RefusedError):
        return None


# What is remembered of a cluster, and what is kept of what is replaced.


@dataclass(frozen=True)
class _Record:
    """What the last `begin` on this cluster saw.

    Attributes:
        notebook: The lesson that was begun; empty when none was.
        parts: The fields of kube-system's objects that lessons change, by the part's title.
    """

    notebook: str = ""
    parts: Json = field(default_factory=dict)

    @classmethod
    def of(cls, cluster: Cluster) -> _Record:
        """Read it; a file that is none counts as none."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            found = json.loads((cluster.directory / _RECORD).read_text(encoding="utf-8"))
            return cls(str(found["notebook"]), dict(found["parts"]))
        return cls()

    def which(self, makers: Iterable[str]) -> str:
        """Return which of some lessons it was: the one that was begun last, if it is among them."""
        known = tuple(makers)
        return self.notebook if self.notebook in known else ", ".join(known)

    def write(self, cluster: Cluster, wanted: Lesson) -> None:
        """Remember the lesson that begins now, and how it finds the cluster."""
        parts = dict(self.parts)
        if cluster.target.kind != "sandbox":
            for part in PARTS:
                found = _get(cluster, part.kind, part.name, SYSTEM) if part.fields else None
                if found is not None:
                    parts[part.title] = picked(found, part.fields)
        text = json.dumps({"notebook": wanted.notebook, "parts": parts}, indent=1)
        write_whole(cluster.directory / _RECORD, text)


def _keep(cluster: Cluster, objects: Sequence[Json]) -> Path | None:
    """Write objects to a file of their own, as manifests; None when there are none."""
    import yaml

    if not objects:
        return None
    once = {one["metadata"]["uid"]: one for one in objects}
    used = {path.name for path in cluster.directory.glob("replaced-*.yaml")}
    number = 1
    while (name := f"replaced-{number}.yaml") in used:
        number += 1
    path = cluster.directory / name
    write_whole(path, yaml.safe_dump_all(map(_as_manifest, once.values()), sort_keys=False))
    return path


def _as_manifest(one: Json) -> Json:
    """Return an object without what the API server writes into it."""
    metadata = {
        key: value
        for key, value in one["metadata"].items()
        if key in ("name", "namespace", "labels", "annotations")
    }
    fields = {key: value for key, value in one.items() if key not in ("metadata", "status")}
    return {**fields, "metadata": metadata}
