"""What one process of the sandbox tells another one that it starts: written and read as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self, get_type_hints


class Specification:
    """Fields that cross a process border."""

    def to_json(self) -> str:
        """Return the fields as JSON."""
        return json.dumps(asdict(self), default=str)  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the fields that were written as JSON.

        Args:
            text: What `to_json` of the same class returned.

        Raises:
            TypeError: A field is missing, or is one of another class.
        """
        types = get_type_hints(cls)
        fields = json.loads(text).items()
        return cls(**{name: Path(one) if types.get(name) is Path else one for name, one in fields})


@dataclass(frozen=True)
class SandboxSpecification(Specification):
    """What `eksnet up` tells the supervisor.

    Attributes:
        state: The sandbox's state on disk.
        region: The region that the cluster is in.
        programs: The directory with the engine's programs.
        busybox: The directory with busybox and its applets.
        musl: The directory with `getent`, made with musl.
        images: The runtime's table of images, as JSON.
        one_id: Whether the sandbox has one user id alone.
        node_ids: The map of a node's ids to the sandbox's, as in /proc/PID/uid_map.
        sync_frequency: How long a kubelet may leave a changed ConfigMap unread, such as `5s`.
        endpoint: The API server's URL on the learner's computer.
        aws_endpoint: The URL of the AWS services there.
        listeners: The sockets that were opened before the namespace, by what listens there.
        alive: The file whose lock says that the sandbox lives, as a descriptor.
        used: The lock on the engine's programs, as a descriptor.
    """

    state: Path
    region: str
    programs: Path
    busybox: Path
    musl: Path
    images: str
    one_id: bool
    node_ids: str
    sync_frequency: str
    endpoint: str
    aws_endpoint: str
    listeners: dict[str, int] = field(hash=False)
    alive: int
    used: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that the supervisor inherits."""
        return (*self.listeners.values(), self.alive, self.used)


@dataclass(frozen=True)
class ComponentReport(Specification):
    """What the supervisor says of a component.

    Attributes:
        state: `running` or `starting again`.
        restarts: How often it was started again.
        last_exit: Its last exit code, negative for a signal; None before the first.
    """

    state: str
    restarts: int = 0
    last_exit: int | None = None


@dataclass(frozen=True)
class Report(Specification):
    """What the supervisor says of the sandbox, in the status file.

    Attributes:
        phase: `starting`, `settling`, `ready`, `stopping` or `failed`; see `lifecycle.Status`.
        waiting_for: What the start waits for, or why it failed; empty when for nothing.
        steps: What the start has done, with seconds since its beginning.
        components: The components, by name.
    """

    phase: str = "starting"
    waiting_for: str = "its first sign"
    steps: tuple[tuple[str, float], ...] = ()
    components: dict[str, ComponentReport] = field(default_factory=dict, hash=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what was written as JSON, also by an eksnet that says more than this one knows.

        Args:
            text: The status file.
        """
        said = json.loads(text)
        components = {
            name: ComponentReport(one["state"], one["restarts"], one["last_exit"])
            for name, one in said["components"].items()
        }
        steps = tuple((what, seconds) for what, seconds in said["steps"])
        return cls(said["phase"], said["waiting_for"], steps, components)


@dataclass(frozen=True)
class NodeSpecification(Specification):
    """What the supervisor tells the process that makes a node.

    Attributes:
        hostname: The node's name.
        ids: The map of its ids to the sandbox's, as in /proc/PID/uid_map.
        stage: Where its root is built.
        disk: What outlives a restart of the node.
        programs: The directory with the engine's programs.
        busybox: The directory with busybox and its applets.
        musl: The directory with `getent`, made with musl.
        pki: The directory with its certificates and keys.
        files: The texts of files of its root, by their paths there.
    """

    hostname: str
    ids: str
    stage: Path
    disk: Path
    programs: Path
    busybox: Path
    musl: Path
    pki: Path
    files: dict[str, str] = field(hash=False)
