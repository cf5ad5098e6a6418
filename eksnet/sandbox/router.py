"""The VPC's router: it follows the desired state of load balancers and security groups."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from eksnet.sandbox import (
    balancing,
    components,
    connections,
    desired,
    filters,
    mounts,
    namespaces,
    network,
)
from eksnet.sandbox.balancing import Service
from eksnet.sandbox.desired import Desired
from eksnet.sandbox.paths import Paths, write_private
from eksnet.sandbox.vpc import Vpc

# What tells one content of a file from another: its inode, its time, its length.
_Version = tuple[int, int, int] | None


class Router:
    """The router of one sandbox, which is this process's own network namespace.

    Everything that it has to know is in the desired state, in what was seen of targets, and in the
    kernel, so that a second one continues where the first one stopped.

    Attributes:
        desired: The desired state that it read last.
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
        self._seen: tuple[_Version, ...] | None = None
        self._applied: tuple[Desired, tuple[Service, ...]] | None = None
        self._problem = ""

    def prepare(self) -> None:
        """Set up the router at a start, with the filters of the last desired state.

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
            self._apply(())

    def _forget_observations(self) -> None:
        """Delete what the load balancers of an earlier start have observed."""
        observed = self._paths.observed
        shutil.rmtree(observed, ignore_errors=True)
        observed.mkdir(mode=0o700)
        for zone, domain in components.balancer_zones(self._vpc).items():
            write_private(observed / zone, components.empty_zone(domain))
        self._paths.internet.unlink(missing_ok=True)
        for name, text in components.names_on_the_internet(self._vpc).items():
            write_private(self._paths.internet_names / name, text)

    def follow(self) -> None:
        """Apply what is wanted and seen if it has changed; failures are logged, and tried again."""
        wanted = self._paths.load_balancers / desired.FILE
        observed = self._paths.observed / balancing.FILE
        seen = _version(wanted), _version(observed)
        # Without the first, the AWS side has not written it yet.
        if seen[0] is None or seen == self._seen:
            return
        try:
            self._read(wanted, observed)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            said = f"{error} {getattr(error, 'stderr', None) or ''}".rstrip()
            if said != self._problem:
                self._log(f"the router cannot apply the desired state: {said}")
            self._problem = said
        else:
            self._seen, self._problem = seen, ""

    def _read(self, wanted: Path, observed: Path) -> None:
        self.desired = desired.read(wanted.read_text())
        states = balancing.read_states(observed.read_text()) if observed.exists() else {}
        services = balancing.services(self.desired, states)
        # What is seen of an Application Load Balancer's targets changes no table.
        if self._applied != (self.desired, services):
            self._apply(services)

    def _apply(self, services: tuple[Service, ...]) -> None:
        """Replace the tables first: no address is reachable before its security groups count."""
        network.filter_packets(
            filters.table(self.desired, self._vpc),
            balancing.table(services, self.desired, self._vpc),
        )
        present = network.balancer_addresses(self._vpc)
        network.configure(network.address_commands(present, self.desired.addresses))
        if self.desired.load_balancers and not os.path.ismount(self._paths.internet):
            self._connect_internet()
        wanted, before = self._applied or (Desired(), ())
        self._applied = self.desired, services
        gone = wanted.network_addresses - self.desired.network_addresses
        connections.end(balancing.ended(before, services, gone))

    def _connect_internet(self) -> None:
        """Create the network of the internet; commands find it where it is mounted."""
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


def _version(path: Path) -> _Version:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
