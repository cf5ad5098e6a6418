"""Programs in pods: a pod of one's own for one command, and commands in a running pod."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eksnet import inputs
from eksnet.cluster import waiting
from eksnet.cluster.client import ApiError, Client
from eksnet.cluster.conditions import Condition
from eksnet.cluster.kinds import POD
from eksnet.errors import DeadlineError, EksnetError, NotFoundError
from eksnet.printable import printable

if TYPE_CHECKING:
    from eksnet.cluster.objects import Resource

Json = dict[str, Any]
Command = str | Sequence[str]

_LABELS = {"app.kubernetes.io/managed-by": "eksnet"}
# Reasons for which a container waits, and that no waiting ends.
_TERMINAL = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
}
_NEVER_STARTED = {"ContainerCannotRun", "StartError"}
# What a runtime says of a program that the image does not have. It is told by no code: neither the
# kubelet's StartError nor the status of an exec says more than that nothing was started.
# Source: Go's os/exec, ErrNotFound, which runc and containerd hand on; crun writes the name inside.
_NO_PROGRAM = re.compile(r"executable file .*not found")
_STDOUT, _STDERR, _ERROR = 1, 2, 3
_LINES_SHOWN = 10


class NeededError(DeadlineError):
    """A container that a command waits for ended in an error.

    Attributes:
        log: The last lines of its log.
    """

    def __init__(self, container: str, log: str) -> None:
        self.log = log
        super().__init__(
            f"the container {container} failed; the end of its log:\n{log}",
            f"a container {container} that keeps running next to the command",
            "fix the error in its log",
        )


class NoProgramError(NotFoundError):
    """The image has no program of that name."""


@dataclass(frozen=True, repr=False)
class PodRun:
    """What a command in a pod of its own gave.

    Attributes:
        image: The pod's image.
        command: The command, as a list of words.
        output: What it wrote to its standard output and error.
        exit_code: Its exit code.
    """

    image: str
    command: tuple[str, ...]
    output: str
    exit_code: int

    def __str__(self) -> str:
        """Return the output."""
        return self.output

    def __repr__(self) -> str:
        return _transcript(self.output, self.exit_code)


@dataclass(frozen=True, repr=False)
class Exec:
    """What a command in a running pod gave.

    Attributes:
        command: The command, as a list of words.
        stdout: What it wrote to its standard output.
        stderr: What it wrote to its standard error.
        exit_code: Its exit code.
    """

    command: tuple[str, ...]
    stdout: str
    stderr: str
    exit_code: int

    def __str__(self) -> str:
        """Return the standard output."""
        return self.stdout

    def __repr__(self) -> str:
        return _transcript(self.stdout + self.stderr, self.exit_code)


def _transcript(output: str, exit_code: int) -> str:
    lines = [output.rstrip("\n")] if output.strip() else []
    if exit_code:
        lines.append(f"(exit code {exit_code})")
    return printable("\n".join(lines)) or "(no output)"


def words(command: Command) -> tuple[str, ...]:
    """Return a command's words; text is split as a shell does, without running one.

    Raises:
        EksnetError: It has no word, or a quotation mark that is not closed.
    """
    try:
        found = tuple(shlex.split(command) if isinstance(command, str) else command)
    except ValueError as error:
        raise EksnetError(f"{command!r}: {error}".lower(), "closed quotation marks") from None
    if not found:
        raise EksnetError("the command is empty", "a command, such as 'nslookup kubernetes'")
    return tuple(inputs.sendable(word, "a word of the command") for word in found)


def run(
    client: Client,
    image: str,
    command: Command,
    namespace: str,
    *,
    name: str = "",
    labels: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
    timeout: float,
) -> PodRun:
    """Run a command in a pod of its own, and take the pod away; see `Cluster.run`."""
    argv = words(command)
    inputs.text(image, "the image", "such as busybox:1.36")
    inputs.seconds(timeout)
    if name:
        inputs.object_name(name, "the pod's name")
    pod = manifest(image, argv, name or f"run-{secrets.token_hex(3)}", labels, spec)
    what = waiting.watched(POD, namespace, pod["metadata"]["name"])
    client.send("POST", POD.path(namespace), pod)
    try:
        ended = _await_end(client, what, timeout)
        state = _main_state(ended)
        if state.get("reason") in _NEVER_STARTED:
            why = str(state.get("message", "")).strip()
            raise _not_started(why)(
                f"{shlex.join(argv)} could not be started: {why}",
                f"a program in the image {image}",
                "check the spelling; for shell syntax, start the command with `sh -c`",
            )
        output = logs(client, what.name, namespace, container="main")
        return PodRun(image, argv, output, int(state.get("exitCode", 1)))
    finally:
        _remove(client, what)


def not_terminating(pods: Iterable[Resource]) -> list[Resource]:
    """Return the pods that are not terminating.

    One that is may serve nobody any more, and be gone before it is asked for anything. What has
    ended does not keep its successor from starting: after a rollout, too, there may be such pods.
    """
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def manifest(
    image: str,
    command: Sequence[str],
    name: str,
    labels: Mapping[str, str] | None,
    spec: Mapping[str, Any] | None,
) -> Json:
    """Return the pod for one command; the fields of `spec` go over those of its own."""
    container = {"name": "main", "image": image, "command": list(command)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {**_LABELS, **(labels or {})}},
        "spec": {"restartPolicy": "Never", "containers": [container], **(spec or {})},
    }


def _await_end(client: Client, what: waiting.Watched, timeout: float) -> Json:
    more = "check the image and the command; timeout= allows more time"
    finished = _Finished()
    try:
        (ended,) = waiting.until(client, what, finished, timeout, _brief, more)
    except DeadlineError as error:
        # The pod is taken away next, and its output with it.
        output, container = "", finished.fallen or "main"
        with contextlib.suppress(ApiError):
            output = logs(
                client, what.name, what.namespace, container=container, tail=_LINES_SHOWN
            ).rstrip()
        if finished.fallen:
            raise NeededError(finished.fallen, output) from None
        seen = f"{error.seen}\n  its output so far:\n{output}" if output else error.seen
        raise DeadlineError(seen, error.expected, error.next_step) from None
    return ended


class _Finished(Condition):
    """A pod whose command has ended, whether well or not.

    The kubelet says so a second before it calls the pod Succeeded or Failed. Where the pod's
    policy starts a container again, its end is not the pod's.
    """

    def __init__(self) -> None:
        super().__init__("finished", _finished)
        self.fallen = ""

    def terminal_reason(self, objects: Sequence[Json]) -> str:
        if not objects:
            return "it was deleted during the call"
        self.fallen = _fallen(objects[0])
        if self.fallen:
            return f"its container {self.fallen} failed"
        for status in _container_states(objects[0]):
            waits = (status.get("state") or {}).get("waiting") or {}
            if waits.get("reason") in _TERMINAL:
                return f"{waits['reason']}: {waits.get('message', '')}".strip()
        return ""


def _finished(pod: Json) -> bool:
    never = (pod.get("spec") or {}).get("restartPolicy") == "Never"
    return _phase(pod) in ("Succeeded", "Failed") or (never and bool(_main_state(pod)))


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _brief(pods: Sequence[Json]) -> str:
    return _phase(pods[0]) if pods else ""


def _container_states(pod: Json) -> Iterable[Json]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _main_state(pod: Json) -> Json:
    for status in _container_states(pod):
        if status["name"] == "main":
            return (status.get("state") or {}).get("terminated") or {}
    return {}


def _fallen(pod: Json) -> str:
    """Return which container that the main one waits for ended in an error; empty for none.

    The kubelet starts it again, and nothing that it says will be another.
    """
    status = pod.get("status") or {}
    main = status.get("containerStatuses") or ()
    if any("waiting" not in (one.get("state") or {"waiting": {}}) for one in main):
        return ""
    for one in status.get("initContainerStatuses") or ():
        ends = [(one.get(state) or {}).get("terminated") for state in ("state", "lastState")]
        if any(end and end.get("exitCode") for end in ends):
            return str(one["name"])
    return ""


def _remove(client: Client, what: waiting.Watched) -> None:
    with contextlib.suppress(ApiError):
        # The output has been read, or is lost: nothing is left to end in good order.
        client.send(
            "DELETE", POD.path(what.namespace, what.name), query={"gracePeriodSeconds": "0"}
        )


def logs(
    client: Client,
    pod: str,
    namespace: str,
    *,
    container: str = "",
    previous: bool = False,
    tail: int | None = None,
) -> str:
    """Return a container's log; see `Cluster.logs`."""
    query = {
        "container": container,
        "previous": "true" if previous else "",
        "tailLines": "" if tail is None else str(tail),
    }
    asked = {key: value for key, value in query.items() if value}
    return client.get_text(POD.path(namespace, pod, "log"), asked)


def execute(
    client: Client, pod: str, command: Command, namespace: str, container: str, timeout: float
) -> Exec:
    """Run a command in a running pod; see `Cluster.exec`."""
    argv = words(command)
    inputs.seconds(timeout)
    query: dict[str, str | list[str]] = {"command": list(argv), "stdout": "1", "stderr": "1"}
    if container:
        query["container"] = container
    channel = client.open_channel(POD.path(namespace, pod, "exec"), query)
    try:
        ended = _follow(channel, timeout)
        output = {number: channel.read_channel(number) for number in (_STDOUT, _STDERR, _ERROR)}
    finally:
        channel.close()
    if not ended:
        raise DeadlineError(
            f"{shlex.join(argv)} in pod {pod} had not ended after {timeout:g} s"
            + f"\n    {_decode(output[_STDOUT] + output[_STDERR])}".rstrip(),
            "a command that finishes",
            "allow more time with timeout=, or use a command that finishes by itself",
        )
    exit_code = _exit_code(output[_ERROR], argv, pod)
    return Exec(argv, _decode(output[_STDOUT]), _decode(output[_STDERR]), exit_code)


def _follow(channel: Any, timeout: float) -> bool:
    """Read a channel until its end; return whether that came in time."""
    from websocket import WebSocketException

    deadline = time.monotonic() + timeout
    # A connection that breaks leaves no exit code behind, which is told then.
    with contextlib.suppress(WebSocketException, OSError):
        while channel.is_open():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            channel.update(timeout=left)
    return True


def _exit_code(status: bytes, argv: Sequence[str], pod: str) -> int:
    try:
        said = json.loads(status)
    except ValueError:
        said = {"message": "the connection was lost before the command finished"}
    if said.get("status") == "Success":
        return 0
    for cause in (said.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    why = str(said.get("message"))
    raise _not_started(why)(
        f"{shlex.join(argv)} in pod {pod}: {why}",
        "a program in the pod's image",
        "check the spelling, and that the pod runs",
    )


def _not_started(why: str) -> type[EksnetError]:
    """Return the kind of error that a program is which could not be started."""
    return NoProgramError if _NO_PROGRAM.search(why) else EksnetError


def _decode(data: bytes) -> str:
    return data.decode(errors="replace")
