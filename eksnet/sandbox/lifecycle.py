"""Starting, watching and ending a sandbox from the learner's side of the namespace."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from eksnet import interrupts, versions
from eksnet.errors import EksnetError
from eksnet.sandbox import components, pki, seed, state
from eksnet.sandbox import paths as sandbox_paths
from eksnet.sandbox.api import Api, UnansweredError, documents
from eksnet.sandbox.paths import Paths, write_private
from eksnet.sandbox.vpc import plan

REGION = "ap-northeast-2"
NEEDED = ("kube", "etcd", "coredns", "runtime", "kubectl", "agnhost")
_TOOLS = ("unshare", "nsenter", "ip", "iptables", "nft", "conntrack")
_PORT_FILE = "port"
_SYNC_FREQUENCY_FILE = "sync-frequency"
# As Go writes it: 1m30s.
_DURATION = re.compile(r"(\d+(\.\d+)?(ms|s|m|h))+")
_START_DEADLINE = 180.0
_SETTLE_DEADLINE = 60.0
_STOP_DEADLINE = 20.0
_IDS = 65536
# Below the node ports of a cluster that shares this computer's.
_QUIET_PORTS = range(20000, 30000)
_TRIES = 20
# Where the ids of root's nodes begin on the computer: above those that systemd, container engines
# and /etc/subuid give out, so that they are nobody's.
_NODE_IDS = 1_900_000_000
_POLL = 0.05
_libc = ctypes.CDLL(None, use_errno=True)

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
    components: dict[str, Any] = field(default_factory=dict)
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
    check_duration(sync_frequency)
    launched: int | None = None
    if is_alive(paths) and is_ending(paths):
        # There is nothing to join: what still holds the lock is on its way out.
        wait_until_gone(paths)
    try:
        if not is_alive(paths):
            check_computer()
            programs = engine(progress)
            with start_lock(paths, progress), interrupts.held():
                if not is_alive(paths):
                    launched = launch(paths, programs, port, sync_frequency)
        if launched is None:
            # Another copy of the project may have started it, with another version of eksnet.
            state.check_version(paths)
        problem = wait_until_ready(paths, progress)
    except BaseException:
        # Neither a failed start nor an interrupted one leaves a half of a cluster behind; but
        # what another command started, perhaps since, is not ours to end.
        if launched is not None:
            with start_lock(paths, progress):
                if recorded_holder(paths) == launched:
                    stop(paths)
        raise
    if launched is None:
        # Only what was deleted: a pod that is not Ready may be a lab's own doing, or become it.
        problem = problem or missing_objects(paths)
    return Sandbox(paths.state.name, paths.kubeconfig, degraded=problem)


def down(name: str | None = None, *, progress: Progress = lambda _: None) -> bool:
    """End a sandbox; what is in its cluster stays for the next `up`.

    Returns:
        Whether there was anything to end.
    """
    paths = sandbox_paths.paths(name)
    if not paths.run.exists():
        return False
    with start_lock(paths, progress):
        return stop(paths)


def reset(name: str | None = None, *, progress: Progress = lambda _: None) -> Sandbox:
    """Replace the cluster by a fresh one with the same identity, and start it."""
    paths = sandbox_paths.paths(name)
    paths.run.mkdir(parents=True, exist_ok=True)
    with start_lock(paths, progress):
        # What is thrown away need not be put in order first.
        stop(paths, signal.SIGKILL)
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
    if not is_alive(paths):
        return Status(paths.state.name, "down")
    said = read_status(paths)
    if ask and said.get("phase") == "ready":
        said["waiting_for"] = degraded(paths)
    return Status(
        paths.state.name,
        said.get("phase", "starting"),
        # A supervisor without room cannot write that it has none.
        state.no_room(paths) or said.get("waiting_for", ""),
        tuple((what, seconds) for what, seconds in said.get("steps", [])),
        said.get("components", {}),
        f"https://127.0.0.1:{_known_port(paths)}",
        paths.kubeconfig,
    )


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
        answers = question(Api(paths.identity, f"127.0.0.1:{_known_port(paths)}"))
    except UnansweredError as error:
        return str(error)
    return answers[0] if answers else ""


# What a start needs of the computer.


def check_computer() -> None:
    """Refuse early, with the remedy, what could not work.

    Raises:
        EksnetError: Not Linux, a program missing, no user namespaces, or too few inotify instances.
    """
    if sys.platform != "linux":
        raise EksnetError(
            f"the sandbox needs Linux namespaces, and this is {sys.platform}",
            "Linux, or a Linux virtual machine or container",
            "see “Where the sandbox cannot run” in README.md",
        )
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=search_path()) is None]
    if missing:
        raise EksnetError(
            f"not installed: {', '.join(missing)}",
            "the programs that set up the nodes' network",
            "sudo apt-get install iproute2 iptables nftables conntrack util-linux",
        )
    probe = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "true"],
        env=_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if probe.returncode != 0:
        raise EksnetError(
            f"this computer does not let you create a user namespace: {probe.stderr.strip()}",
            "unprivileged user namespaces",
            "run `make lab` again: the set-up says what to change on this computer",
        )
    check_inotify(components.INOTIFY_INSTANCES)


def check_inotify(needed: int) -> None:
    """Refuse a start that would run out of inotify instances: what gets none exits at its start.

    They are counted per user, over everything that the user runs, in the namespaces too; the only
    way to learn how many are left is to take them.

    Raises:
        EksnetError: There are too few.
    """
    with contextlib.ExitStack() as taken:
        for count in range(needed):
            descriptor = _libc.inotify_init1(os.O_CLOEXEC)
            if descriptor < 0:
                why = os.strerror(ctypes.get_errno())
                raise EksnetError(
                    f"{count} inotify instances are free for this user ({why})",
                    f"{needed}: the cluster uses them to watch its certificates and configuration",
                    "sudo sysctl fs.inotify.max_user_instances=512",
                )
            taken.callback(os.close, descriptor)


def check_duration(text: str | None) -> None:
    """Refuse early what would keep the kubelets from starting, this time and the next.

    Raises:
        EksnetError: The text is an invalid duration.
    """
    if text is not None and not _DURATION.fullmatch(text):
        raise EksnetError(
            f"--sync-frequency {text} is an invalid duration",
            "a number with the unit ms, s, m or h",
            "`eksnet up --sync-frequency 1m` is as on EKS",
        )


def engine(progress: Progress) -> Path:
    """Return the directory with the engine's programs, building or waiting for them if need be."""
    from eksnet.sandbox import build

    build.wait_for(NEEDED, progress)
    return build.program("kube").parent


def search_path() -> str:
    """Return PATH with the system's directories, which ordinary users often lack."""
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": search_path()}


# Locks: who starts, and whether it lives.


@contextlib.contextmanager
def start_lock(paths: Paths, progress: Progress) -> Iterator[None]:
    """Hold the right to start or end a sandbox; wait for whoever holds it."""
    while True:
        paths.run.mkdir(parents=True, exist_ok=True)
        with paths.start_lock.open("a") as file:
            if not _try_lock(file):
                progress("another command is starting or stopping this sandbox; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            # A command that removed the sandbox has taken the file away that this one waited for.
            if _is_at(file, paths.start_lock):
                yield
                return


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def is_alive(paths: Paths) -> bool:
    """Tell whether any process of the sandbox lives: it holds the lock, whatever its pid."""
    if not paths.alive_lock.exists():
        return False
    with paths.alive_lock.open("a") as file:
        # Shared: those who only look are in nobody's way, nor in each other's.
        return not _try_lock(file, fcntl.LOCK_SH)


def is_ending(paths: Paths) -> bool:
    """Tell whether a sandbox has lost its first process, whose last word may be that all is well.

    Before that process has said anything, the sandbox is not ending but starting.
    """
    if not read_status(paths):
        return False
    holder = recorded_holder(paths)
    return holder is None or not any(map(_lives, children(holder)))


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        # It was gone, or it went between opening and reading.
        return False
    return state not in "ZX"


def _try_lock(file: IO[str], how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# Starting.


def launch(
    paths: Paths, programs: Path, port: int | None = None, sync_frequency: str | None = None
) -> int:
    """Make the namespaces and start the supervisor in them; do not wait for the cluster.

    Returns:
        The process that holds the namespaces.

    Raises:
        EksnetError: The state or the port cannot be used, or there is no room.
    """
    from eksnet.sandbox import build

    vpc = plan(REGION)
    state.check_room(paths)
    state.prepare(paths, vpc)
    busybox, musl = state.busybox(paths), state.musl(paths)
    with contextlib.ExitStack() as held:
        listener = held.enter_context(listen(paths, port))
        alive = held.enter_context(paths.alive_lock.open("a"))
        # Nobody but this command may start it now; whoever only looks is through in a moment.
        fcntl.flock(alive, fcntl.LOCK_EX)
        used = build.use(programs)
        held.callback(os.close, used)
        api_port = listener.getsockname()[1]
        server = f"https://127.0.0.1:{api_port}"
        write_private(paths.kubeconfig, pki.kubeconfig(paths.identity, "admin", server))
        write_private(paths.run / _PORT_FILE, str(api_port))
        frequency = sync_frequency or _known_sync_frequency(paths)
        write_private(paths.run / _SYNC_FREQUENCY_FILE, frequency)
        paths.status.unlink(missing_ok=True)
        specification = {
            "state": str(paths.state),
            "region": REGION,
            "programs": str(programs),
            "busybox": str(busybox),
            "musl": str(musl),
            "images": versions.complete(Path(__file__).with_name("images.json").read_text()),
            "one_id": not owns_ids(),
            "node_ids": node_ids(),
            "sync_frequency": frequency,
            "listeners": {"api": listener.fileno()},
            "alive": alive.fileno(),
            "used": used,
        }
        write_private(paths.specification, json.dumps(specification))
        _rotate(paths)
        holder = unshare(paths, (listener.fileno(), alive.fileno(), used))
        try:
            write_private(paths.pid, f"{holder.pid} {start_time(holder.pid)}")
        except BaseException:
            # Nobody could find it again.
            holder.kill()
            holder.wait()
            raise
        return holder.pid


def listen(paths: Paths, port: int | None) -> socket.socket:
    """Open the API server's port on 127.0.0.1, on the host's side.

    Args:
        paths: The sandbox's paths; its last port is remembered there.
        port: The wanted port; None keeps the last one, 0 takes any.

    Raises:
        EksnetError: The port is taken.
    """
    wanted = _known_port(paths) if port is None else port
    ports = [wanted] if wanted else any_ports(_first_handed_out())
    listener = socket.socket()
    # A port in TIME_WAIT after `down` is free for the next `up`.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for one in ports:
        try:
            listener.bind(("127.0.0.1", one))
        except OSError as error:
            reason = error.strerror
        else:
            listener.listen(128)
            return listener
    listener.close()
    if not wanted:
        raise EksnetError(
            f"no port of 127.0.0.1 is free ({reason})",
            "a free port for the API server",
            "ss --tcp --all",
        )
    raise EksnetError(
        f"127.0.0.1:{wanted} is used by another program ({reason})",
        "a free port for the API server",
        "`eksnet up --port 0` takes any free port",
    )


def any_ports(first_handed_out: int) -> list[int]:
    """Return ports to try in turn when any will do; the last one, 0, is the kernel's choice.

    The others are below those that the kernel hands out to whoever names none: nobody gets one of
    them by chance between `down` and the next `up`, which wants the same again.

    Args:
        first_handed_out: The first port that the kernel hands out.
    """
    quiet = range(_QUIET_PORTS.start, min(_QUIET_PORTS.stop, first_handed_out))
    return [*random.sample(quiet, min(_TRIES, len(quiet))), 0]


def _first_handed_out() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def unshare(paths: Paths, descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """Start the supervisor as process 1 of new namespaces, detached from this terminal.

    As root, the ids 0 to 65535 are mapped, and above them those of the nodes, so that pods can run
    as other users; an ordinary user maps the one id that every user may map.

    Returns:
        The process that waits for the supervisor and ends it when it is ended itself.
    """
    supervisor = [sys.executable, "-m", "eksnet.sandbox.supervisor", str(paths.specification)]
    common = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with paths.log("supervisor").open("ab") as log:
        options: dict[str, Any] = {
            "stdout": log, "stderr": log, "env": _environment(), "cwd": "/",
            "pass_fds": descriptors, "start_new_session": True,
        }  # fmt: skip
        if not owns_ids():
            one_id = [*common, "--user", "--map-root-user", *supervisor]
            return subprocess.Popen(one_id, stdin=subprocess.DEVNULL, **options)
        # The shell waits in the new namespace until its ids are mapped; without them, the exec
        # that follows would lose the right to mount anything.
        gate = ["sh", "-c", 'read -r go && exec "$@" </dev/null', "sh"]
        process = subprocess.Popen(
            [*common, "--user", *gate, *supervisor], stdin=subprocess.PIPE, **options
        )
        _map_ids(process)
        return process


def owns_ids() -> bool:
    """Tell whether this user may map 65536 ids: root may, unless it is root of one id itself."""
    return os.geteuid() == 0 and _has_ids(0)


def node_ids() -> str:
    """Return the map of a node's ids to the sandbox's, which its user namespace gets.

    Root of a node is root of the sandbox for an ordinary user, and so that user; when root itself
    starts the sandbox, it is nobody. Root of a container that has no more than 65536 ids has none
    to spare for that.
    """
    if not owns_ids():
        return "0 0 1"
    return f"0 {_IDS if _has_ids(_NODE_IDS) else 0} {_IDS}"


def _has_ids(first: int) -> bool:
    """Tell whether this user namespace has 65536 ids from here on."""
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(int(low) <= first and first + _IDS <= int(low) + int(n) for low, _, n in ranges)


def _map_ids(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    pid = process.pid
    own = os.readlink("/proc/self/ns/user")
    while os.readlink(f"/proc/{pid}/ns/user") == own:
        if process.poll() is not None:
            raise EksnetError(
                f"unshare exited with exit code {process.returncode}",
                "new namespaces",
                "eksnet logs supervisor",
            )
        time.sleep(_POLL / 10)
    ids = f"0 0 {_IDS}\n" + (f"{_IDS} {_NODE_IDS} {_IDS}\n" if _has_ids(_NODE_IDS) else "")
    for kind in ("uid", "gid"):
        Path(f"/proc/{pid}/{kind}_map").write_text(ids)
    process.stdin.write(b"go\n")
    process.stdin.close()


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
        said = read_status(paths)
        phase, waits = said.get("phase", ""), said.get("waiting_for", "its first sign")
        for what, seconds in said.get("steps", [])[told:]:
            progress(f"{seconds:6.1f} s  {what}")
            told += 1
        if phase == "ready":
            return ""
        if phase == "failed":
            raise _start_error(paths, f"the sandbox could not be started: {waits}")
        if not is_alive(paths):
            raise _start_error(paths, "the sandbox exited during its start")
        if phase == "settling":
            settled_by = settled_by or time.monotonic() + _SETTLE_DEADLINE
            if time.monotonic() > settled_by:
                return str(waits)
        if time.monotonic() > deadline:
            raise _start_error(paths, f"still waiting for {waits} after {_START_DEADLINE:.0f} s")
        time.sleep(_POLL)


def _start_error(paths: Paths, seen: str) -> EksnetError:
    log = paths.log("supervisor")
    lines = log.read_text(errors="replace").splitlines()[-3:] if log.exists() else []
    if room := state.no_room(paths):
        lines.append(room)
    detail = "\n".join(["", *lines]) if lines else ""
    return EksnetError(seen + detail, "a ready cluster", f"read the logs in {paths.logs}")


def read_status(paths: Paths) -> dict[str, Any]:
    """Return what the supervisor last said; nothing, before it said anything."""
    try:
        said: dict[str, Any] = json.loads(paths.status.read_text())
    except FileNotFoundError:
        return {}
    return said


# Ending.


def stop(paths: Paths, number: signal.Signals = signal.SIGTERM) -> bool:
    """End a sandbox's processes, in good order if they can, and wait until all are gone.

    Args:
        paths: The sandbox's paths.
        number: What the supervisor is told: SIGTERM has it end the store in good order first.

    Returns:
        Whether any was running.
    """
    if not is_alive(paths):
        return False
    holder = recorded_holder(paths)
    if holder is None:
        raise EksnetError(
            f"the sandbox {paths.state.name} is running, but {paths.pid} does not name its process",
            "the process that holds its namespace",
            f"find it with `fuser {paths.alive_lock}` and stop it",
        )
    descriptor = os.pidfd_open(holder)
    try:
        for child in children(holder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        if not _ends(descriptor, _STOP_DEADLINE):
            # Ends the supervisor (--kill-child) and with it the whole namespace.
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _ends(descriptor, _STOP_DEADLINE)
    finally:
        os.close(descriptor)
    _collect(holder)
    wait_until_gone(paths)
    paths.status.unlink(missing_ok=True)
    return True


def wait_until_gone(paths: Paths) -> bool:
    """Wait until no process of the sandbox holds its lock; False after twenty seconds."""
    deadline = time.monotonic() + _STOP_DEADLINE
    while is_alive(paths):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def recorded_holder(paths: Paths) -> int | None:
    """Return the pid that was written at the start, if it is still that process."""
    try:
        pid, started = paths.pid.read_text().split()
        return int(pid) if start_time(int(pid)) == started else None
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_time(pid: int) -> str:
    """Return a process's start time in clock ticks: with the pid, it names one process for good."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    return text.rpartition(")")[2].split()[19]


def children(pid: int) -> list[int]:
    """Return the pids of a process's children; none when it has ended."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ends(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


def _collect(pid: int) -> None:
    # When this very process started the sandbox, its exit status waits to be read.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _known_port(paths: Paths) -> int:
    try:
        return int((paths.run / _PORT_FILE).read_text())
    except FileNotFoundError:
        return 0


def _known_sync_frequency(paths: Paths) -> str:
    try:
        return (paths.run / _SYNC_FREQUENCY_FILE).read_text()
    except FileNotFoundError:
        return components.SYNC_FREQUENCY


def _rotate(paths: Paths) -> None:
    for log in paths.logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))


# What the other commands need of a sandbox.


def kubectl(name: str | None = None) -> tuple[Path, Path]:
    """Return the kubectl program and the kubeconfig of a sandbox that is up.

    Raises:
        EksnetError: The sandbox is down.
    """
    from eksnet.sandbox import build

    paths = sandbox_paths.paths(name)
    if not is_alive(paths):
        raise EksnetError(
            f"the sandbox {paths.state.name} is down", "a running cluster", "eksnet up"
        )
    return build.program("kubectl"), paths.kubeconfig


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
        raise EksnetError(
            f"there is no log of a component {component!r}",
            f"one of {', '.join(names) or 'none yet'}",
            "`eksnet logs` lists them; `eksnet up` starts them",
        )
    return paths.log(component).read_text(errors="replace")
