"""Starting, watching and ending a sandbox from the learner's side of the namespace."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from eksnet import interrupts
from eksnet.errors import EksnetError, NotFoundError, UnreachableError
from eksnet.sandbox import components, holder, launching, locks, preflight, seed, state
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.api import Api, documents
from eksnet.sandbox.build.modules import CONTROLLER_CHART
from eksnet.sandbox.launching import REGION
from eksnet.sandbox.paths import Paths, known_port
from eksnet.sandbox.specification import ComponentReport, Report
from eksnet.sandbox.vpc import plan

NEEDED = (
    CONTROLLER_CHART.name, "kube", "etcd", "coredns", "runtime", "kubectl", "agnhost",
    "loadbalancer",
)  # fmt: skip
_START_DEADLINE = 180.0
_SETTLE_DEADLINE = 60.0
_POLL = 0.05

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Status:
    """How a sandbox is, read from its files and locks.

    Attributes:
        name: The sandbox's name.
        phase: `down`; `starting`; `settling`, when the cluster answers and kube-system is not
            whole; `ready`; `stopping`; or `failed`.
        waiting_for: What the start waits for; empty when for nothing.
        steps: What the start has done, with seconds since its beginning.
        components: What the supervisor says of each component.
        api: The API server's URL on this computer; empty when down.
        kubeconfig: Where the learner's credentials are.
    """

    name: str
    phase: str
    waiting_for: str = ""
    steps: tuple[tuple[str, float], ...] = ()
    components: dict[str, ComponentReport] = field(default_factory=dict)
    api: str = ""
    kubeconfig: Path = Path()


@dataclass(frozen=True)
class Sandbox:
    """A sandbox that is up.

    Attributes:
        name: Its name.
        kubeconfig: Where the learner's credentials are.
        context: The context in that kubeconfig.
        degraded: What is missing in kube-system after the start; a lab may have broken it.
    """

    name: str
    kubeconfig: Path
    context: str = "sandbox"
    degraded: str = ""


def up(
    name: str | None = None,
    *,
    port: int | None = None,
    sync_frequency: str | None = None,
    progress: Progress = lambda _: None,
) -> Sandbox:
    """Start a sandbox, or join one that is up or being started.

    Args:
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.
        port: The port of the API server on 127.0.0.1; None keeps the last one, 0 takes any.
        sync_frequency: How long the kubelets may leave a changed ConfigMap unread, such as `1m`,
            EKS's own; None keeps the last one, at first five seconds. What is up keeps what it was
            started with.
        progress: Called with each line of progress.

    Raises:
        EksnetError: It could not be started; nothing is left running.
    """
    paths = sandbox_paths.paths(name)
    preflight.check_duration(sync_frequency)
    launched: int | None = None
    holder.wait_if_ending(paths)
    try:
        if not locks.is_alive(paths):
            preflight.check_computer()
            programs = engine(progress)
            with locks.start_lock(paths, progress), interrupts.held():
                if not locks.is_alive(paths):
                    # Assigned here: an interrupt that was held back comes at the end of this block.
                    launched = launching.launch(paths, programs, port, sync_frequency)
        if launched is None:
            # Another copy of the project may have started it, with another version of eksnet.
            state.check_version(paths)
        problem = wait_until_ready(paths, progress)
    except BaseException:
        # Neither a failed start nor an interrupted one leaves a half of a cluster behind; but
        # what another command started, perhaps since, is not ours to end.
        if launched is not None:
            _end(paths, launched, progress)
        raise
    if launched is None:
        # Only what was deleted: a pod that is not Ready may be a lab's own doing, or become it.
        problem = problem or missing_objects(paths)
    return Sandbox(paths.state.name, paths.kubeconfig, degraded=problem)


def _end(paths: Paths, launched: int, progress: Progress) -> None:
    with locks.start_lock(paths, progress):
        if holder.recorded(paths) == launched:
            holder.stop(paths)


def ensure_up() -> Sandbox:
    """Return the running sandbox; start it, saying so, when it is not up."""
    paths = sandbox_paths.paths()
    if paths.lent.exists():
        return Sandbox(paths.state.name, paths.kubeconfig)
    return up() if status().phase == "ready" else up(progress=print)


def down(name: str | None = None, *, progress: Progress = lambda _: None) -> bool:
    """End a sandbox; what is in its cluster stays for the next `up`.

    Returns:
        Whether there was anything to end.
    """
    paths = sandbox_paths.paths(name)
    if not paths.run.exists():
        return False
    with locks.start_lock(paths, progress):
        return holder.stop(paths)


def reset(name: str | None = None, *, progress: Progress = lambda _: None) -> Sandbox:
    """Replace the cluster by a fresh one with the same identity, and start it."""
    paths = sandbox_paths.paths(name)
    paths.run.mkdir(parents=True, exist_ok=True)
    with locks.start_lock(paths, progress):
        # What is thrown away need not be put in order first.
        holder.stop(paths, signal.SIGKILL)
        state.forget_cluster(paths)
    return up(name, progress=progress)


def status(name: str | None = None, *, ask: bool = False) -> Status:
    """Return how a sandbox is; never changes anything.

    Args:
        name: The sandbox's name; see `eksnet.sandbox.paths.paths`.
        ask: Whether to ask a ready cluster what is missing all the same: a node or an
            object of kube-system that somebody deleted disturbs none of its processes.
    """
    paths = sandbox_paths.paths(name)
    if not locks.is_alive(paths):
        return Status(paths.state.name, "down")
    said = read_report(paths)
    missing = degraded(paths) if ask and said.phase == "ready" else said.waiting_for
    return Status(
        paths.state.name,
        said.phase,
        # A supervisor without room cannot write that it has none.
        state.no_room(paths) or missing,
        said.steps,
        said.components,
        f"https://127.0.0.1:{known_port(paths, 'api')}",
        paths.kubeconfig,
    )


def read_report(paths: Paths) -> Report:
    """Return what the supervisor last said; before its first word, that this is waited for."""
    try:
        return Report.from_json(paths.status.read_text())
    except FileNotFoundError:
        return Report()


# How a cluster is.


def missing_objects(paths: Paths) -> str:
    """Return the first node or object of kube-system that was deleted; empty when none was."""
    vpc = plan(REGION)
    nodes = [components.node_object(node, REGION, since="") for node in vpc.nodes]
    return _ask(paths, lambda api: api.absent([*nodes, *documents(seed.MANIFESTS)]))


def degraded(paths: Paths) -> str:
    """Return the first thing that is missing in a cluster; empty when it is whole."""
    nodes = len(plan(REGION).nodes)
    return missing_objects(paths) or _ask(
        paths, lambda api: api.nodes_not_ready(nodes, since="") or api.pods_not_ready(since="")
    )


def _ask(paths: Paths, question: Callable[[Api], list[str]]) -> str:
    try:
        answers = question(Api(paths.identity, f"127.0.0.1:{known_port(paths, 'api')}"))
    except UnreachableError as error:
        return error.seen
    return answers[0] if answers else ""


# Starting.


def engine(progress: Progress) -> Path:
    """Return the directory with the engine's programs, building or waiting for them if need be."""
    from eksnet.sandbox import build

    build.wait_for(NEEDED, progress)
    return build.program("kube").parent


def wait_until_ready(paths: Paths, progress: Progress) -> str:
    """Follow the start until the cluster is ready.

    Returns:
        What is still missing in kube-system after a minute in which the cluster could be used;
        empty when it is whole.

    Raises:
        EksnetError: It failed, ended, or took longer than three minutes.
    """
    deadline = time.monotonic() + _START_DEADLINE
    settled_by = None
    told = 0
    while True:
        said = read_report(paths)
        for what, seconds in said.steps[told:]:
            progress(f"{seconds:6.1f} s  {what}")
            told += 1
        if said.phase == "ready":
            return ""
        if said.phase == "settling":
            settled_by = settled_by or time.monotonic() + _SETTLE_DEADLINE
            if time.monotonic() > settled_by:
                return said.waiting_for
        if why := _failure(paths, said, deadline):
            raise _start_error(paths, why)
        time.sleep(_POLL)


def _failure(paths: Paths, said: Report, deadline: float) -> str:
    """Return why a start is waited for no longer; empty while it is."""
    if said.phase == "failed":
        return f"the sandbox could not be started: {said.waiting_for}"
    if not locks.is_alive(paths):
        return "the sandbox exited during its start"
    if time.monotonic() > deadline:
        return f"still waiting for {said.waiting_for} after {_START_DEADLINE:.0f} s"
    return ""


def _start_error(paths: Paths, seen: str) -> EksnetError:
    log = paths.log("supervisor")
    lines = log.read_text(errors="replace").splitlines()[-3:] if log.exists() else []
    if room := state.no_room(paths):
        lines.append(room)
    detail = "\n".join(["", *lines]) if lines else ""
    return EksnetError(seen + detail, "a ready cluster", f"read the logs in {paths.logs}")


# What the other commands need of a sandbox.


def kubectl(name: str | None = None) -> tuple[Path, Path]:
    """Return the kubectl program and the kubeconfig of a sandbox that is up.

    Raises:
        EksnetError: The sandbox is down.
    """
    from eksnet.sandbox import build

    paths = sandbox_paths.paths(name)
    if not locks.is_alive(paths):
        raise EksnetError(
            f"the sandbox {paths.state.name} is down", "a running cluster", "eksnet up"
        )
    return build.program("kubectl"), paths.kubeconfig


def helm(name: str | None = None) -> tuple[Path, dict[str, str | None]]:
    """Return the Helm program and its variables for a sandbox that is up; None takes one away.

    Raises:
        EksnetError: The sandbox is down, or the engine has no Helm yet.
    """
    from eksnet.sandbox import build
    from eksnet.sandbox import helm as home

    _, kubeconfig = kubectl(name)
    own = home.variables(sandbox_paths.paths(name))
    gone = dict.fromkeys(home.GONE)
    return build.program("helm"), {**gone, **own, "KUBECONFIG": str(kubeconfig)}


def read_log(component: str, name: str | None = None) -> str:
    """Return a component's log; for no component, the names of those that have one.

    Raises:
        EksnetError: No component of that name has a log.
    """
    paths = sandbox_paths.paths(name)
    names = sorted(log.stem for log in paths.logs.glob("*.log"))
    if not component:
        return "".join(f"{name}\n" for name in names)
    if component not in names:
        raise NotFoundError(
            f"there is no log of a component {component!r}",
            f"one of {', '.join(names)}" if names else "a sandbox that was started once",
            "`eksnet logs` lists them" if names else "eksnet up",
        )
    return paths.log(component).read_text(errors="replace")
