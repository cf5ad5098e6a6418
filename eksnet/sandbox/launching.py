"""Making the namespaces of a sandbox and starting its supervisor in them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from eksnet import versions
from eksnet.errors import EksnetError
from eksnet.sandbox import components, holder, preflight, state, userland
from eksnet.sandbox.aws.access import access_of
from eksnet.sandbox.paths import Paths, known_port, write_private
from eksnet.sandbox.specification import SandboxSpecification
from eksnet.sandbox.vpc import plan

REGION = "ap-northeast-2"
_SYNC_FREQUENCY_FILE = "sync-frequency"
_IDS = 65536
# Below the node ports of a cluster that shares this computer's.
_QUIET_PORTS = range(20000, 30000)
_TRIES = 20
# Where the ids of root's nodes begin on the computer: above those that systemd, container engines
# and /etc/subuid give out, so that they are nobody's.
_NODE_IDS = 1_900_000_000
_POLL = 0.005
_LISTENERS = {"api": "the API server", "aws": "the AWS services"}


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
    busybox, musl = userland.busybox(paths), userland.musl(paths)
    with contextlib.ExitStack() as held:
        listener = held.enter_context(listen(paths, port))
        # Without a wish for the first port there is none for the other.
        aws = held.enter_context(listen(paths, 0 if port == 0 else None, "aws"))
        alive = held.enter_context(paths.alive_lock.open("a"))
        # Nobody but this command may start it now; whoever only looks is through in a moment.
        fcntl.flock(alive, fcntl.LOCK_EX)
        used = build.use(programs)
        held.callback(os.close, used)
        access = access_of(paths)
        write_private(paths.kubeconfig, access.kubeconfig())
        frequency = sync_frequency or _known_sync_frequency(paths)
        write_private(paths.run / _SYNC_FREQUENCY_FILE, frequency)
        paths.status.unlink(missing_ok=True)
        specification = SandboxSpecification(
            state=paths.state,
            region=REGION,
            programs=programs,
            busybox=busybox,
            musl=musl,
            images=images(one_id=not owns_ids()),
            one_id=not owns_ids(),
            node_ids=node_ids(),
            sync_frequency=frequency,
            endpoint=access.api_server,
            aws_endpoint=access.endpoint,
            listeners={"api": listener.fileno(), "aws": aws.fileno()},
            alive=alive.fileno(),
            used=used,
        )
        write_private(paths.specification, specification.to_json())
        _rotate(paths)
        process = unshare(paths, specification.descriptors)
        try:
            holder.record(paths, process.pid)
        except BaseException:
            # Nobody could find it again.
            process.kill()
            process.wait()
            raise
        return process.pid


def images(*, one_id: bool) -> str:
    """Return the runtime's table of images, as JSON.

    Args:
        one_id: Whether a node has one id only: then every container runs as it, whatever user an
            image names.
    """
    text = versions.complete(Path(__file__).with_name("images.json").read_text())
    if not one_id:
        return text
    return json.dumps([{k: v for k, v in one.items() if k != "user"} for one in json.loads(text)])


def listen(paths: Paths, port: int | None, name: str = "api") -> socket.socket:
    """Open a port of 127.0.0.1 on the host's side, and remember which.

    Args:
        paths: The sandbox's paths; the last port of that name is remembered there.
        port: The wanted port; None keeps the last one, 0 takes any.
        name: What listens there: `api` is the API server, `aws` the AWS services.

    Raises:
        EksnetError: The port is taken.
    """
    wanted = known_port(paths, name) if port is None else port
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
            write_private(paths.port(name), str(listener.getsockname()[1]))
            return listener
    listener.close()
    expected = f"a free port for {_LISTENERS[name]}"
    if not wanted:
        raise EksnetError(f"no port of 127.0.0.1 is free ({reason})", expected, "ss --tcp --all")
    raise EksnetError(
        f"127.0.0.1:{wanted} is used by another program ({reason})",
        expected,
        "`eksnet up --port 0` takes any free ports",
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


def _known_sync_frequency(paths: Paths) -> str:
    try:
        return (paths.run / _SYNC_FREQUENCY_FILE).read_text()
    except FileNotFoundError:
        return components.SYNC_FREQUENCY


def _rotate(paths: Paths) -> None:
    for log in paths.logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))


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
            "stdout": log, "stderr": log, "env": preflight.environment(), "cwd": "/",
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


def confined_ids() -> str:
    """Return the map of a confined program's ids to this computer's.

    They are nobody's where root has some to spare; else it is the one id that this user has.
    """
    if owns_ids() and _has_ids(_NODE_IDS + _IDS):
        return f"0 {_NODE_IDS + _IDS} {_IDS}"
    return "0 0 1"


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
        time.sleep(_POLL)
    ids = f"0 0 {_IDS}\n" + (f"{_IDS} {_NODE_IDS} {_IDS}\n" if _has_ids(_NODE_IDS) else "")
    for kind in ("uid", "gid"):
        Path(f"/proc/{pid}/{kind}_map").write_text(ids)
    process.stdin.write(b"go\n")
    process.stdin.close()
