"""The VPC's router: it follows what the AWS side wants of load balancers and security groups."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from eksnet.sandbox import components, desired, filters, mounts, namespaces, network
from eksnet.sandbox.desired import Desired
from eksnet.sandbox.paths import Paths, write_private
from eksnet.sandbox.vpc import Vpc


class Router:
    """The router of one sandbox, which is this process's own network namespace.

    All that it has to know is in the file of the AWS side and in the kernel: one that begins again
    goes on where another one was.

    Attributes:
        desired: What the AWS side wants.
    """

    def __init__(self, paths: Paths, vpc: Vpc, log: Callable[[str], None]) -> None:
        """Prepare; nothing is changed yet.

        Args:
            paths: Where the sandbox has its files.
            vpc: The address plan.
            log: Takes a line about what went wrong.
        """
        self.desired = Desired()
        self._paths = paths
        self._vpc = vpc
        self._log = log
        self._seen: tuple[int, ...] | None = None
        self._problem = ""

    def prepare(self) -> None:
        """Set up the router as it is at a start, with the filters that were wanted last.

        Raises:
            OSError: The kernel refused.
            subprocess.CalledProcessError: A program was refused; its message is in `stderr`.
        """
        network.prepare_router()
        network.configure(network.router_commands(self._vpc))
        self._forget_observations()
        self.follow()
        if self._seen is None:
            # Connections are tracked from the first one on: none is cut by the first filter.
            self._apply()

    def _forget_observations(self) -> None:
        """Leave nothing of an earlier start that could be believed."""
        observed = self._paths.observed
        shutil.rmtree(observed, ignore_errors=True)
        observed.mkdir(mode=0o700)
        write_private(observed / components.BALANCERS_ZONE, components.empty_zone(self._vpc))
        self._paths.internet.unlink(missing_ok=True)
        for name, text in components.names_on_the_internet(self._vpc).items():
            write_private(self._paths.internet_names / name, text)

    def follow(self) -> None:
        """Do what the AWS side wants, if it is something new; what cannot be done is logged."""
        path = self._paths.load_balancers / desired.FILE
        try:
            found = path.stat()
        except FileNotFoundError:
            return  # nothing was wanted yet
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen == self._seen:
            return
        try:
            self.desired = desired.read(path.read_text())
            self._apply()
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            said = f"{error} {getattr(error, 'stderr', None) or ''}".rstrip()
            if said != self._problem:
                self._log(f"the router cannot do what is wanted: {said}")
            # Memory may be short for a moment: it is tried again.
            self._problem = said
        else:
            self._seen, self._problem = seen, ""

    def _apply(self) -> None:
        """Filter first: no address is here before what guards it."""
        network.filter_packets(filters.table(self.desired, self._vpc))
        present = network.balancer_addresses(self._vpc)
        network.configure(network.address_commands(present, self.desired.addresses))
        if self.desired.load_balancers and not os.path.ismount(self._paths.internet):
            self._connect_internet()

    def _connect_internet(self) -> None:
        """Make the network that stands for the internet; mounted, it is there for commands."""
        network.unlink(network.WIRE)
        descriptor = namespaces.new_network()
        try:
            place = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
            network.configure(network.internet_link_commands(place))
            enter = ["nsenter", f"--net={place}", "--"]
            network.configure(network.internet_commands(self._vpc), enter)
            mounts.bind(place, self._paths.internet)
        finally:
            os.close(descriptor)
