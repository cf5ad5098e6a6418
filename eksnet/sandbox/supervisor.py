"""The sandbox's first process: starts the components, restarts what dies, relays the API's port.

Run as `python -m eksnet.sandbox.supervisor SPECIFICATION` inside the sandbox's namespaces, as
process 1: when it ends, the kernel ends every process of the sandbox. It says what it does in one
status file, which every command reads.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eksnet.sandbox import components, mounts, network, relay
from eksnet.sandbox import node as node_root
from eksnet.sandbox.api import Api
from eksnet.sandbox.components import Component
from eksnet.sandbox.paths import Paths, write_private
from eksnet.sandbox.vpc import Node, Vpc, plan

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOG_LIMIT = 10 * 2**20
_LONGEST_PAUSE = 5.0
_POLL = 0.05


@dataclass
class Running:
    """A component as the supervisor sees it."""

    component: Component
    pid: int | None = None
    restarts: int = 0
    last_exit: int | None = None
    started: float = field(default_factory=time.monotonic)

    def as_status(self) -> dict[str, Any]:
        """Return what the status file says of it."""
        return {
            "state": "running" if self.pid else "starting again",
            "restarts": self.restarts,
            "last_exit": self.last_exit,
        }


class Supervisor:
    """Starts a sandbox in order of need and keeps it running until it is told to stop."""

    def __init__(self, specification: dict[str, Any]) -> None:
        """Read the specification that `eksnet up` wrote."""
        self.paths = Paths(Path(specification["state"]))
        self.vpc: Vpc = plan(specification["region"])
        self.programs = Path(specification["programs"])
        self.one_id: bool = specification["one_id"]
        self.listeners: dict[str, int] = specification["listeners"]
        self.images: str = specification["images"]
        self.busybox = Path(specification["busybox"])
        self.api = Api(self.paths.identity, str(self.vpc.api_server))
        self.running: dict[str, Running] = {}
        self.holders: dict[str, int] = {}
        self.steps: list[tuple[str, float]] = []
        self.waiting = "namespace"
        self.phase = "starting"
        self.began = time.monotonic()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Start everything, then stay until a signal asks to stop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self.reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        start = asyncio.create_task(self.start())
        stop = asyncio.create_task(self.stopping.wait())
        await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
        if start.done() and (error := start.exception()):
            self.fail(error)
        await stop
        await self.stop()

    # Starting, in order of need.

    async def start(self) -> None:
        """Bring the cluster up, in parallel where nothing has to wait; then look after its logs."""
        self.report()
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await relay.serve(self.listeners["api"], str(self.vpc.api_server), 443)
        self.start_control_plane()
        for node in self.vpc.nodes:
            await self.start_node(node)
        self.step("nodes' namespaces")
        await self.until("API server ready", self.api.ready)
        self.start_controllers()
        for node in self.vpc.nodes:
            self.spawn(components.kubelet(node, self.vpc.region, one_id=self.one_id))
        await self.until_none("kube-system's objects", lambda: self.create_objects("first"))
        count = len(self.vpc.nodes)
        await self.until_none("nodes Ready", lambda: self.api.nodes_not_ready(count))
        await self.until_none("CoreDNS created", lambda: self.create_objects("nodes-ready"))
        await self.until_none("kube-system Ready", lambda: self.api.pods_not_ready(since))
        await self.until_none("DNS answers on every node", self.nodes_without_dns)
        self.phase = "ready"
        self.report()
        await self.rotate_logs()

    def start_control_plane(self) -> None:
        """Start etcd, the API server and the VPC's resolver; each waits for what it needs."""
        network.forward_packets()
        network.configure(network.router_commands(self.vpc))
        corefile = self.paths.cluster / "vpc-resolver.Corefile"
        zone = self.paths.cluster / "vpc-resolver.zone"
        zone.write_text(components.vpc_resolver_zone(self.vpc))
        corefile.write_text(components.vpc_resolver_corefile(self.vpc, zone))
        pki = self.paths.identity
        self.spawn(components.etcd(self.programs, self.paths.cluster / "etcd"))
        self.spawn(components.api_server(self.programs, pki, self.vpc))
        self.spawn(components.vpc_resolver(self.programs, corefile))

    def start_controllers(self) -> None:
        """Start what needs an API server that answers."""
        pki = self.paths.identity
        manager, scheduler = (pki / f"{n}.kubeconfig" for n in ("controller-manager", "scheduler"))
        self.spawn(components.controller_manager(self.programs, pki, manager))
        self.spawn(components.scheduler(self.programs, scheduler))

    async def start_node(self, node: Node) -> None:
        """Make a node's namespaces and root, link it to the router, start its runtime."""
        disk = self.paths.node(node.short)
        root = self.paths.run / "roots" / node.short
        for directory in (disk / "log", disk / "lib", root):
            directory.mkdir(parents=True, exist_ok=True)
        specification = components.node_specification(
            node,
            self.vpc,
            {
                "kubeconfig": (self.paths.identity / f"{node.short}.kubeconfig").read_text(),
                "images": self.images,
            },
            {
                "root": root,
                "disk": disk,
                "programs": self.programs,
                "busybox": self.busybox,
                "pki": self.paths.identity / "nodes" / node.short,
            },
        )
        pid = await self.hold(node, specification)
        self.holders[node.short] = pid
        network.configure(network.link_commands(node, pid))
        network.configure(network.node_commands(node), self.enter(node.short))
        self.spawn(components.runtime(node))

    async def hold(self, node: Node, specification: dict[str, str]) -> int:
        """Start the process that holds a node's namespaces and wait until its root stands."""
        reader, writer = os.pipe()
        with self.paths.log(node.short).open("wb") as log:
            process = subprocess.Popen(
                ["unshare", "--net", "--uts", "--ipc", "--mount", sys.executable, "-m",
                 "eksnet.sandbox.node", json.dumps(specification)],
                stdin=subprocess.DEVNULL, stdout=writer, stderr=log,
            )  # fmt: skip
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            answer = await asyncio.to_thread(pipe.readline)
        if answer != b"ready\n":
            raise RuntimeError(f"{node.short} has no root: {self.tail(node.short)}")
        return process.pid

    def create_objects(self, stage: str) -> list[str]:
        """Create what kube-system lacks of one stage; return what could not be created yet."""
        return self.api.missing(Path(__file__).with_name("manifests") / stage)

    def nodes_without_dns(self) -> list[str]:
        """Ask kube-dns from each node: a Ready kube-proxy may not have written its rules yet."""
        question = f"kubernetes.default.svc.cluster.local. {self.vpc.cluster_dns}"
        ask = [str(node_root.BUSYBOX / "nslookup"), "-type=a", *question.split()]
        answer = f"Address: {self.vpc.kubernetes_service}"
        return [
            f"DNS on {node.short}"
            for node in self.vpc.nodes
            if answer
            not in subprocess.run(
                ["timeout", "2", *self.enter(node.short), *ask],
                capture_output=True, text=True, check=False, env={"PATH": SEARCH_PATH},
            ).stdout
        ]  # fmt: skip

    # Waiting.

    async def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Ask for a condition until it holds; the status says what is waited for."""
        await self.until_none(what, lambda: [] if condition() else [what])

    async def until_none(self, what: str, missing: Callable[[], list[str]]) -> None:
        """Ask for what is missing until nothing is; the status names it meanwhile."""
        while waits := await asyncio.to_thread(missing):
            if waits[0] != self.waiting:
                self.waiting = waits[0]
                self.report()
            await asyncio.sleep(_POLL)
        self.step(what)

    def step(self, what: str) -> None:
        """Record that a part of the start is done."""
        self.steps.append((what, round(time.monotonic() - self.began, 2)))
        self.waiting = ""
        self.report()

    # Processes.

    def enter(self, node: str) -> list[str]:
        """Return the command that enters a node's namespaces before another command."""
        target = str(self.holders[node])
        return ["nsenter", "--target", target, "--net", "--uts", "--ipc", "--mount", "--"]

    def spawn(self, component: Component) -> None:
        """Start a component, with its output in its own log."""
        record = self.running.setdefault(component.name, Running(component))
        enter = self.enter(component.node) if component.node else []
        environment = {"PATH": SEARCH_PATH, "HOME": "/", **component.environment}
        with self.paths.log(component.name).open("ab") as log:
            process = subprocess.Popen(
                [*enter, *component.command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", env=environment, start_new_session=True,
            )  # fmt: skip
        record.pid = process.pid
        record.started = time.monotonic()
        # Process 1 collects every exit itself (see `reap`); Popen must not wait for it as well.
        process.returncode = 0

    def reap(self) -> None:
        """Collect every process that ended: components, and orphans that became ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for record in self.running.values():
                if record.pid == pid:
                    self.ended(record, os.waitstatus_to_exitcode(status))

    def ended(self, record: Running, exit_code: int) -> None:
        """Start a component again after a pause that grows while it dies young."""
        record.pid = None
        record.last_exit = exit_code
        if self.stopping.is_set():
            return
        lived = time.monotonic() - record.started
        pause = 0.0 if lived > _LONGEST_PAUSE else min(_LONGEST_PAUSE, 0.1 * 2**record.restarts)
        record.restarts += 1
        self.report()
        asyncio.get_running_loop().call_later(pause, self.respawn, record)

    def respawn(self, record: Running) -> None:
        """Start a component that died, unless the sandbox is ending."""
        if not self.stopping.is_set():
            self.spawn(record.component)
            self.report()

    # Saying how it is, and ending.

    def report(self) -> None:
        """Replace the status file."""
        status = {
            "phase": self.phase,
            "waiting_for": self.waiting,
            "steps": self.steps,
            "components": {name: r.as_status() for name, r in sorted(self.running.items())},
        }
        write_private(self.paths.status, json.dumps(status, indent=1))

    def fail(self, error: BaseException) -> None:
        """Say that the start could not be finished, and why."""
        detail = getattr(error, "stderr", "") or ""
        self.phase = "failed"
        self.waiting = f"{error} {detail}".strip()
        self.report()
        print(self.waiting, file=sys.stderr, flush=True)

    def tail(self, component: str) -> str:
        """Return the last line of a component's log."""
        lines = self.paths.log(component).read_text(errors="replace").splitlines()
        return lines[-1] if lines else "its log is empty"

    async def rotate_logs(self) -> None:
        """Keep each log below its limit: one earlier file is kept beside it."""
        while True:
            await asyncio.sleep(30)
            for log in self.paths.logs.glob("*.log"):
                if log.stat().st_size > _LOG_LIMIT:
                    shutil.copyfile(log, log.with_suffix(".log.1"))
                    os.truncate(log, 0)

    async def stop(self) -> None:
        """End the store in good order; everything else ends with this process."""
        self.phase = "stopping"
        self.report()
        for name in ("kube-apiserver", "etcd"):
            record = self.running.get(name)
            while record and record.pid:
                os.kill(record.pid, signal.SIGTERM if name == "etcd" else signal.SIGKILL)
                await self.gone(record)

    async def gone(self, record: Running) -> None:
        """Wait until a process has ended, up to five seconds, then kill it."""
        for _ in range(100):
            if not record.pid:
                return
            await asyncio.sleep(_POLL)
        if record.pid:
            os.kill(record.pid, signal.SIGKILL)


def end_with_parent() -> None:
    """Have the kernel kill this process, and the sandbox with it, when the holder ends.

    `unshare --kill-child` asks for the same, but the kernel forgets it when the exec into this
    program gains capabilities.
    """
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def main() -> None:
    """Run the supervisor on the specification file that is named first."""
    specification = json.loads(Path(sys.argv[1]).read_text())
    end_with_parent()
    mounts.make_private()
    # Inherited for the relay and the lock alone: no component may hold them open.
    for descriptor in (*specification["listeners"].values(), specification["alive"]):
        os.set_inheritable(descriptor, False)
    asyncio.run(Supervisor(specification).run())


if __name__ == "__main__":
    main()
