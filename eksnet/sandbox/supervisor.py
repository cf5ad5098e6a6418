"""The sandbox's first process: starts the components, restarts what dies, relays the API's port.

Run as `python -m eksnet.sandbox.supervisor SPECIFICATION` inside the sandbox's namespaces, as
process 1: when it ends, the kernel ends every process of the sandbox. It says what it does in one
status file, which every command reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eksnet.errors import UnreachableError
from eksnet.sandbox import components, dnsprobe, locks, mounts, namespaces, network, relay, seed
from eksnet.sandbox.api import Api, documents
from eksnet.sandbox.aws import settings
from eksnet.sandbox.aws.settings import Settings
from eksnet.sandbox.paths import Paths, write_private
from eksnet.sandbox.processes import Processes, kills_for_memory
from eksnet.sandbox.router import Router
from eksnet.sandbox.specification import NodeSpecification, Report, SandboxSpecification
from eksnet.sandbox.vpc import Node, Vpc, plan

_LOG_LIMIT = 10 * 2**20
_ROTATION = 30.0
_TELL_AGAIN = 1.0
_POLL = 0.05
_LONGEST_POLL = 0.5
_MAKE_AGAIN = 2.0
_WATCH = 1.0
# How often the desired state of load balancers and security groups is looked at.
_FOLLOW = 0.1
# How long the controllers may wait for the nodes: one that never reports must not be without them.
_FIRST_REPORT = 5.0
# How long a node's question to kube-dns waits for its answer, at first and at most.
_QUICK, _PATIENT = 0.05, 0.25


class Supervisor:
    """Starts a sandbox in order of need and keeps it running until it is told to stop."""

    def __init__(self, specification: SandboxSpecification) -> None:
        """Prepare what `eksnet up` asked for; nothing is started yet."""
        self.given = specification
        self.paths = Paths(specification.state)
        self.vpc: Vpc = plan(specification.region)
        self.programs = specification.programs
        self.api = Api(self.paths.identity, str(self.vpc.api_server))
        self.processes = Processes(
            self.paths, changed=self.request_check, node_died=self.restart_node
        )
        self.router = Router(self.paths, self.vpc, log_line)
        self.steps: list[tuple[str, float]] = []
        self.waiting = "namespace"
        self.phase = "starting"
        self.began = time.monotonic()
        self.kills_before = kills_for_memory()
        self.since = ""
        self.check_requested = asyncio.Event()
        self.stopping = asyncio.Event()
        # Why a node that died cannot be made again; empty when none has to be.
        self.node_error = ""
        self.patience = _QUICK
        self.tasks: set[asyncio.Task[None]] = set()
        self.again: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Start everything, then stay until a signal asks to stop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self.processes.reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        # From the first moment on: what keeps a cluster from becoming whole fills a log, too.
        self.background(self.rotate_logs())
        self.background(self.watch_state())
        self.background(self.start())
        await self.stopping.wait()
        await self.stop()

    def background(self, work: Any) -> None:
        """Do something beside all else; if it fails, the sandbox has failed."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.finished)

    def finished(self, task: asyncio.Task[None]) -> None:
        """Say it when background work failed."""
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)

    # Starting, in order of need.

    async def start(self) -> None:
        """Bring the cluster up, in parallel where nothing has to wait; then look after it."""
        self.report()
        self.since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        restored = seed.restore(self.paths, self.seed_key())
        self.start_control_plane()
        await relay.serve(self.given.listeners["api"], str(self.vpc.api_server), 443)
        await relay.serve(self.given.listeners["aws"], str(self.vpc.aws), settings.PORT)
        await asyncio.gather(*(self.start_node(node) for node in self.vpc.nodes))
        self.step("nodes' namespaces")
        await self.until_none("API server answers", self.api.not_answering)
        await self.delete_shells()
        if not restored:
            self.start_controllers()
            await self.snapshot_seed()
        for node in self.vpc.nodes:
            self.start_kubelet(node)
        if restored:
            # What is bound needs no controller to be started; the processors are for that first.
            by = time.monotonic() + _FIRST_REPORT
            await self.until_none("nodes report", lambda: self.nodes_not_reporting(by))
            self.start_controllers()
        await self.check()
        while True:
            await self.check_requested.wait()
            await self.check()

    async def delete_shells(self) -> None:
        """Delete what shells left that were open when the sandbox ended; no start fails for it."""
        for problem in await asyncio.to_thread(
            answered, lambda: self.api.delete_shells(self.since)
        ):
            log_line(f"left by a shell: {problem}")

    async def check(self) -> None:
        """Wait until the cluster is whole: what a start and a change of a component need."""
        self.check_requested.clear()
        self.phase = "starting"
        count = len(self.vpc.nodes)
        await self.until_none("nodes Ready", lambda: self.api.nodes_not_ready(count, self.since))
        # Without them nobody can sign in.
        await self.until_none("AWS services answer", self.aws_not_answering)
        # From here on the cluster can be used; whether kube-system is whole is the learner's too.
        self.phase = "settling"
        for what, missing in (
            ("components run", self.processes.at_fault),
            ("kube-system's objects", self.create_objects),
            ("kube-system Ready", lambda: self.api.pods_not_ready(self.since)),
            ("DNS answers on every node", self.nodes_without_dns),
            ("API server ready", self.api.not_ready),
        ):
            # A lab may keep it so for long: what ends meanwhile is looked at from the beginning.
            if not await self.until_none(what, missing, unless=self.check_requested):
                return
        self.phase = "ready"
        self.report()

    def start_control_plane(self) -> None:
        """Start etcd, the API server and the VPC's resolver; each waits for what it needs."""
        self.router.prepare()
        pki = self.paths.identity
        self.processes.start(components.etcd(self.programs, self.paths.etcd))
        self.processes.start(components.api_server(self.programs, pki, self.vpc))
        self.processes.start(components.vpc_resolver(self.programs, self.vpc, self.paths.observed))

    def start_controllers(self) -> None:
        """Start what needs an API server that answers."""
        pki = self.paths.identity
        self.processes.start(components.controller_manager(self.programs, pki))
        self.processes.start(components.scheduler(self.programs, pki))
        side = components.aws_side(self.programs, self.paths, self.aws_settings())
        self.processes.start(side)
        self.background(self.follow_load_balancers())

    async def follow_load_balancers(self) -> None:
        """Apply each change of the desired state; start the load balancers with the first one."""
        while True:
            self.router.follow()
            balancers = self.router.desired.load_balancers
            if balancers and "load-balancers" not in self.processes.running:
                self.start_load_balancers()
            await asyncio.sleep(_FOLLOW)

    def start_load_balancers(self) -> None:
        """Start the load balancers' program; if that fails, it is tried again."""
        component = components.load_balancers(
            self.programs, self.vpc, self.paths.load_balancers, self.paths.observed
        )
        self.processes.start_or_retry(component)
        self.report()

    def aws_settings(self) -> Settings:
        """Return what the AWS side is told of this cluster."""
        return settings.of_sandbox(
            self.vpc,
            self.given.endpoint,
            self.given.aws_endpoint,
            self.paths.authority,
        )

    def aws_not_answering(self) -> list[str]:
        """Return why the AWS side does not answer yet; nothing when it does."""
        try:
            socket.create_connection((str(self.vpc.aws), settings.PORT), 1).close()
        except OSError:
            return ["AWS services"]
        return []

    def seed_key(self) -> str:
        """Return what this cluster's seed depends on."""
        # Of a new authority there are none but new objects.
        authority = self.paths.authority.read_text()
        return seed.key(str(self.vpc), self.programs.name, authority)

    async def snapshot_seed(self) -> None:
        """Make kube-system on nodes that nobody has started yet, and keep the store as it is then.

        With both nodes known beforehand, CoreDNS's replicas spread over them, as on a cluster
        that has been up.
        """
        region, since = self.vpc.region, self.since
        nodes = [components.node_object(node, region, since) for node in self.vpc.nodes]
        await self.until_none("nodes registered", lambda: self.api.create_missing(nodes, "kubelet"))
        # Not only registered: the controller takes a new node's taint away a moment later.
        await self.until_none("nodes take pods", lambda: self.api.nodes_not_ready(len(nodes), ""))
        await self.until_none("kube-system's objects", self.create_objects)
        await self.until_none("pods bound", lambda: self.api.pods_unbound(2 * len(nodes)))
        etcd = self.processes.running["etcd"].pid
        if etcd is not None:
            await asyncio.to_thread(seed.snapshot, self.paths, self.seed_key(), etcd)

    # Nodes.

    async def start_node(self, node: Node) -> None:
        """Make a node's namespaces and root, link it to the router, start its runtime."""
        disk = self.paths.node(node.short)
        stage = self.paths.stage(node.short)
        for directory in (disk, stage):
            directory.mkdir(parents=True, exist_ok=True)
        given, identity = self.given, self.paths.identity
        files = components.node_files(
            node,
            self.vpc,
            kubeconfig=(identity / f"{node.short}.kubeconfig").read_text(),
            configuration=components.kubelet_configuration(node, self.vpc, given.sync_frequency),
            images=given.images,
        )
        specification = NodeSpecification(
            hostname=node.name,
            ids=given.node_ids,
            stage=stage,
            disk=disk,
            programs=given.programs,
            busybox=given.busybox,
            musl=given.musl,
            pki=identity / "nodes" / node.short,
            files=files,
        )
        await self.hold(node, specification)
        enter = self.processes.enter(node.short)
        holder = self.processes.holders[node.short]
        network.configure(network.link_commands(node, holder, self.vpc))
        network.configure(network.node_commands(node), enter)
        network.restore_rules(network.kubernetes_service_rules(self.vpc), enter)
        self.processes.start(components.runtime(node))

    async def hold(self, node: Node, specification: NodeSpecification) -> None:
        """Make a node and wait until its root stands: its process 1 is this one's child then."""
        maker = [sys.executable, "-m", "eksnet.sandbox.node", specification.to_json()]
        process = self.processes.make(node.short, maker)
        assert process.stdout is not None
        with process.stdout as pipe:
            said, _, pid = (await asyncio.to_thread(pipe.readline)).partition(b" ")
        if said != b"ready":
            raise RuntimeError(f"{node.short} has no root file system: {self.tail(node.short)}")
        self.processes.holders[node.short] = int(pid)

    def start_kubelet(self, node: Node) -> None:
        """Start a node's kubelet."""
        kubelet = components.kubelet(node, self.vpc.region, one_id=self.given.one_id)
        self.processes.start(kubelet)

    def restart_node(self, short: str) -> None:
        """Start a node again that died, and say what is going on meanwhile."""
        node = next(node for node in self.vpc.nodes if node.short == short)
        self.background(self.start_again(node))

    async def start_again(self, node: Node) -> None:
        """Start a node with all that belongs to it, as often as it takes."""
        while True:
            network.unlink(node.short)
            try:
                await self.start_node(node)
                break
            except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                self.processes.give_up(node.short)
                self.node_error = f"{node.short} cannot be created again: {described(error)}"
                log_line(self.node_error)
            await asyncio.sleep(_MAKE_AGAIN)
        self.node_error = ""
        self.start_kubelet(node)
        self.request_check()

    def nodes_not_reporting(self, by: float) -> list[str]:
        """Return which nodes have not reported since the start; from a moment on, none counts."""
        count = len(self.vpc.nodes)
        return self.api.nodes_not_reporting(count, self.since) if time.monotonic() < by else []

    def create_objects(self) -> list[str]:
        """Create missing objects of kube-system; return those that failed."""
        objects = documents(seed.MANIFESTS, authority=self.paths.authority)
        return self.api.create_missing(objects)

    def nodes_without_dns(self) -> list[str]:
        """Ask kube-dns from each node: a Ready kube-proxy may not have written its rules yet."""
        nodes = [node.short for node in self.vpc.nodes]
        # At the same time: where no rule leads to kube-dns yet, a query is lost and waited for.
        with ThreadPoolExecutor(len(nodes)) as pool:
            answers = dict(zip(nodes, pool.map(self.has_dns, nodes), strict=True))
        # On a busy computer the answer may be late, not lost.
        self.patience = _QUICK if all(answers.values()) else min(_PATIENT, 1.5 * self.patience)
        return [f"DNS on {node}" for node, answered in answers.items() if not answered]

    def has_dns(self, node: str) -> bool:
        """Tell whether a node gets the right address of the Service `kubernetes` from kube-dns."""
        try:
            connection = namespaces.udp_socket(self.processes.holders[node])
        except (KeyError, OSError):  # the node is being started again
            return False
        with connection:
            name = "kubernetes.default.svc.cluster.local"
            server, address = str(self.vpc.cluster_dns), self.vpc.kubernetes_service
            return dnsprobe.ask(connection, server, name, address, self.patience)

    # Waiting.

    async def until_none(
        self, what: str, missing: Callable[[], list[str]], unless: asyncio.Event | None = None
    ) -> bool:
        """Ask for what is missing until nothing is; the status names it meanwhile.

        Args:
            what: What the step is called.
            missing: What to ask.
            unless: What makes waiting pointless.

        Returns:
            Whether nothing is missing.
        """
        began = time.monotonic()
        while waits := await asyncio.to_thread(answered, missing):
            if unless and unless.is_set():
                return False
            said = self.crash_looping() or self.node_error or waits[0]
            if said != self.waiting:
                self.waiting = said
                self.report()
            # What has taken long may take longer, and asking takes the API server's time.
            await asyncio.sleep(min(_LONGEST_POLL, max(_POLL, (time.monotonic() - began) / 40)))
        self.step(what)
        return not (unless and unless.is_set())

    def step(self, what: str) -> None:
        """Record that a part of the start is done."""
        if what not in dict(self.steps):
            self.steps.append((what, round(time.monotonic() - self.began, 2)))
        self.waiting = ""
        self.report()

    # Saying how it is, and ending.

    def request_check(self) -> None:
        """Note that something ended or came back, and have the cluster checked again."""
        if self.phase in ("ready", "settling"):
            self.phase = "starting"
        self.check_requested.set()
        self.report()

    def crash_looping(self) -> str:
        """Name the component that ends again and again, with its last words; else nothing."""
        record = self.processes.crash_looping()
        if record is None:
            return ""
        name = record.component.name
        if record.last_exit == -signal.SIGKILL and kills_for_memory() > self.kills_before:
            return f"the computer has too little memory: the kernel kills {name} again and again"
        return f"{name} exits again and again (exit code {record.last_exit}): {self.tail(name)}"

    def report(self) -> None:
        """Replace the status file."""
        self.end_if_deleted()
        report = Report(self.phase, self.waiting, tuple(self.steps), self.processes.reports())
        if self.again:
            self.again.cancel()
            self.again = None
        try:
            write_private(self.paths.status, report.to_json())
        except OSError as error:
            # A full disk must not end the cluster; the next try may find room. Until then no
            # command may believe the word before this one.
            self.paths.status.unlink(missing_ok=True)
            log_line(f"status not written: {error}")
            self.again = asyncio.get_running_loop().call_later(_TELL_AGAIN, self.report)

    def fail(self, error: BaseException) -> None:
        """Say that the start could not be finished, and why."""
        self.phase = "failed"
        self.waiting = described(error)
        self.report()
        log_line(self.waiting)

    def tail(self, component: str) -> str:
        """Return the last line of a component's log."""
        lines = self.paths.log(component).read_text(errors="replace").splitlines()
        return lines[-1] if lines else "its log is empty"

    async def rotate_logs(self) -> None:
        """Keep each log below its limit: one earlier file is kept beside it."""
        while True:
            await asyncio.sleep(_ROTATION)
            for log in self.paths.logs.glob("*.log"):
                if log.stat().st_size > _LOG_LIMIT:
                    # Without room for the earlier file there is room again after this.
                    with contextlib.suppress(OSError):
                        shutil.copyfile(log, log.with_suffix(".log.1"))
                    os.truncate(log, 0)

    async def watch_state(self) -> None:
        """See in time that the state was deleted: by hand, with no word to this process."""
        while True:
            self.end_if_deleted()
            await asyncio.sleep(_WATCH)

    def end_if_deleted(self) -> None:
        """End the sandbox, with all its processes, when its state was deleted.

        No command finds it again, and the paths are those of the next sandbox of that name: an etcd
        that is started again here would take that one's data, which then waits for it without end.
        """
        if not locks.is_at(self.given.alive, self.paths.alive_lock):
            log_line(f"{self.paths.state} was deleted")
            os._exit(1)

    async def stop(self) -> None:
        """End the store in good order; everything else ends with this process."""
        self.phase = "stopping"
        self.report()
        await self.processes.stop("kube-apiserver", signal.SIGKILL)
        await self.processes.stop("etcd", signal.SIGTERM)


def log_line(text: str) -> None:
    """Write a line to the supervisor's log, if that has room."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def described(error: BaseException) -> str:
    """Return an error's words, with those of the program that failed."""
    return f"{error} {getattr(error, 'stderr', '') or ''}".strip()


def answered(missing: Callable[[], list[str]]) -> list[str]:
    """Ask for what is missing; without an answer, that is the answer."""
    try:
        return missing()
    except UnreachableError as error:
        return [error.seen]


def heed_signals() -> None:
    """Let the sandbox's programs hear the signals that its starter ignores.

    A signal that is ignored stays so over fork and exec: after `nohup eksnet up` no shell in a
    container would end when its terminal closes.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def main() -> None:
    """Run the supervisor on the specification file that is named first."""
    specification = SandboxSpecification.from_json(Path(sys.argv[1]).read_text())
    namespaces.end_with_parent()
    heed_signals()
    mounts.make_private()
    # Nodes and pods expect the usual one, and other users than this one to read there.
    os.umask(0o022)
    # Inherited for the relay and the locks alone: no component may hold them open.
    for descriptor in specification.descriptors:
        os.set_inheritable(descriptor, False)
    asyncio.run(Supervisor(specification).run())


if __name__ == "__main__":
    main()
