"""The supervisor's children: started in their node, started again when they die, one log each."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from eksnet.sandbox import namespaces, roots
from eksnet.sandbox.components import Component
from eksnet.sandbox.paths import Paths
from eksnet.sandbox.specification import ComponentReport

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A component that lives longer than this has started well: what ends it then is news. What fails
# at its start may take its time for it on a busy computer.
_STABLE_AFTER = 30.0
_LONGEST_PAUSE = 5.0
_POLL = 0.05


@dataclass
class Running:
    """A component as the supervisor sees it.

    Attributes:
        component: What it is.
        pid: Its process; None while it is not running.
        restarts: How often it was started again.
        last_exit: Its last exit code, negative for a signal; None before the first.
        rapid_exits: How many times in a row it exited soon after its start.
        started: When it was started last, on the monotonic clock.
    """

    component: Component
    pid: int | None = None
    restarts: int = 0
    last_exit: int | None = None
    rapid_exits: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def is_crash_looping(self) -> bool:
        """Whether it exits soon after each start, and has not run stably since."""
        lives = self.pid is not None and time.monotonic() - self.started > _STABLE_AFTER
        return self.rapid_exits > 2 and not lives

    def report(self) -> ComponentReport:
        """Return what the status file says of it."""
        state = "running" if self.pid else "starting again"
        return ComponentReport(state, self.restarts, self.last_exit)


class Processes:
    """All processes that the supervisor looks after.

    Attributes:
        running: The components by name.
        holders: The process that holds a node's namespaces, by the node's short name.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        changed: Callable[[], None],
        node_died: Callable[[str], None],
    ) -> None:
        """Look after nothing yet.

        Args:
            paths: Where the logs go.
            changed: Called when a component ended or was started again.
            node_died: Called with a node's short name when its namespaces lost their process.
        """
        self.running: dict[str, Running] = {}
        self.holders: dict[str, int] = {}
        self._paths = paths
        self._changed = changed
        self._node_died = node_died
        self._ending = False

    def reports(self) -> dict[str, ComponentReport]:
        """Return what the status file says of each component."""
        return {name: record.report() for name, record in sorted(self.running.items())}

    def crash_looping(self) -> Running | None:
        """Return a component that is crash-looping, if there is one."""
        return next((r for r in self.running.values() if r.is_crash_looping), None)

    def at_fault(self) -> list[str]:
        """Return what components have ended, or do so again and again."""
        faulty = (r for r in self.running.values() if r.pid is None or r.is_crash_looping)
        return [f"{record.component.name} has exited" for record in faulty]

    # Starting.

    def start(self, component: Component) -> None:
        """Start a component that is not running, with its output in its own log."""
        record = self.running.setdefault(component.name, Running(component))
        assert record.pid is None, f"{component.name} is already running"
        record.component = component
        with self._paths.log(component.name).open("ab") as log:
            if component.node is None:
                stage = self._paths.stage(component.name)
                begin = partial(_begin, component.command, component.environment, log)
                record.pid = roots.started_in(component.root, stage, begin)
            else:
                command = (*self.enter(component.node), *component.command)
                with namespaces.children_beside(self.holders[component.node]):
                    record.pid = _begin(command, component.environment, log)
        record.started = time.monotonic()

    def make(self, node: str, command: list[str]) -> subprocess.Popen[bytes]:
        """Start the process that makes a node, its standard output as a pipe."""
        with self._paths.log(node).open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        process.returncode = 0
        return process

    def enter(self, node: str) -> list[str]:
        """Return the command that enters a node's namespaces before another command."""
        target = str(self.holders[node])
        enter = ["nsenter", "--target", target, "--user", "--net", "--uts", "--ipc", "--mount"]
        # Where there is one id, it is root's already, and the kernel lets no groups be given up.
        return [*enter, *(["--preserve-credentials"] if namespaces.one_id() else []), "--"]

    # Ending.

    def reap(self) -> None:
        """Collect every process that ended: components, nodes, and orphans that became ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._collected(pid, os.waitstatus_to_exitcode(status))

    def _collected(self, pid: int, exit_code: int) -> None:
        for node, holder in list(self.holders.items()):
            if holder == pid:
                del self.holders[node]
                if not self._ending:
                    self._node_died(node)
        for record in self.running.values():
            if record.pid == pid:
                self._ended(record, exit_code)

    def _ended(self, record: Running, exit_code: int) -> None:
        """Start a component again after a pause that grows with each rapid exit."""
        record.pid = None
        record.last_exit = exit_code
        if self._ending:
            return
        lived = time.monotonic() - record.started
        record.rapid_exits = 0 if lived > _STABLE_AFTER else record.rapid_exits + 1
        record.restarts += 1
        pause = min(_LONGEST_PAUSE, 0.1 * 2**record.rapid_exits) if record.rapid_exits else 0.0
        asyncio.get_running_loop().call_later(pause, self._start_again, record)
        self._changed()

    def _start_again(self, record: Running) -> None:
        node = record.component.node
        # What belongs to a node that is gone comes back with it.
        if self._ending or record.pid or (node and node not in self.holders):
            return
        self.start_or_retry(record.component)
        self._changed()

    def start_or_retry(self, component: Component) -> None:
        """Start a component beside others that run; what cannot be started is tried again."""
        try:
            self.start(component)
        except (OSError, KeyError):
            # The node went away at this very moment, or there is no room for a process: its
            # death will be told, or the next try will show.
            again = partial(self._start_again, self.running[component.name])
            asyncio.get_running_loop().call_later(_LONGEST_PAUSE, again)

    def give_up(self, node: str) -> None:
        """End what there is of a node that could not be made whole, without having it revived."""
        if holder := self.holders.pop(node, None):
            with suppress(ProcessLookupError):
                os.kill(holder, signal.SIGKILL)

    async def stop(self, name: str, number: signal.Signals) -> None:
        """End a component for good and wait for it, up to five seconds, then kill it."""
        self._ending = True
        record = self.running.get(name)
        if record is None or record.pid is None:
            return
        os.kill(record.pid, number)
        for _ in range(100):
            if record.pid is None:
                return
            await asyncio.sleep(_POLL)
        os.kill(record.pid, signal.SIGKILL)


def _begin(command: Sequence[str], environment: dict[str, str], log: IO[bytes]) -> int:
    """Start a program where this thread is, and return its process."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
        env={"PATH": SEARCH_PATH, "HOME": "/", **environment}, start_new_session=True,
    )  # fmt: skip
    # Every exit is collected by `reap`; Popen must not wait for it as well.
    process.returncode = 0
    return process.pid


def kills_for_memory() -> int:
    """Return how many processes the kernel has ended for want of memory since it started.

    Control groups that limit memory count too. Nothing tells it of one process alone.
    """
    counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(counts.get("oom_kill", 0))
