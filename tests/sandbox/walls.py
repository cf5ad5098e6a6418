"""What the processes of a sandbox see of the computer, held to a list of what they may see."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hostside

from eksnet.sandbox import holder
from eksnet.sandbox.build.modules import CONTROLLER_CHART
from eksnet.sandbox.paths import Paths
from eksnet.sandbox.specification import SandboxSpecification

PKI = "/etc/kubernetes/pki"
SERVED_WITH = {f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key"}
RESOLVER = {"/etc/hosts", "/etc/resolv.conf"}
ZONES = "/usr/share/zoneinfo"
# Of the computer's own files, what a node may see: read-only.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
CONFIGURATION = ("alternatives", "ld.so.cache", "os-release", "protocols", "services", "ssl")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What each instance of them shows is the node's or the container's own.
KINDS = ("proc", "sysfs", "tmpfs", "devpts", "mqueue")


@dataclass(frozen=True)
class Component:
    """What a component of the control plane may see.

    Attributes:
        program: Its program, by its name in the engine; empty when it is none of the engine's.
        files: The files in its root.
        shown: Directories of the computer, the same inside, read-only.
        owned: Directories of the sandbox's state, by their path inside.
        read: Others, read-only.
        engine: Files of the engine beside the program, by their path inside.
    """

    program: str
    files: frozenset[str] = frozenset()
    shown: tuple[str, ...] = ()
    owned: tuple[tuple[str, str], ...] = ()
    read: tuple[tuple[str, str], ...] = ()
    engine: tuple[tuple[str, str], ...] = ()


# Which interpreter comes before these words is the sandbox's own.
AWS = ("-m", "eksnet.sandbox.aws.server")
DESIRED = ("/var/lib/load-balancers", "cluster/load-balancers")
OBSERVED = ("/run/load-balancers", "run/load-balancers")
# What the first load balancer starts.
BALANCERS = ("/bin/loadbalancer",)
CONTROL_PLANE = {
    ("/bin/etcd",): Component("etcd", owned=(("/var/lib/etcd", "cluster/etcd"),)),
    ("/bin/kube", "kube-apiserver"): Component(
        "kube",
        frozenset({
            *SERVED_WITH, *RESOLVER, "/etc/kubernetes/authentication.yaml",
            "/etc/kubernetes/token-webhook.kubeconfig", "/etc/kubernetes/access-webhook.kubeconfig",
            "/etc/kubernetes/admission-webhook.kubeconfig", "/etc/kubernetes/admission.json",
            *(f"{PKI}/{name}" for name in (
                "ca.crt", "apiserver-kubelet.crt", "apiserver-kubelet.key", "front-proxy-ca.crt",
                "front-proxy.crt", "front-proxy.key", "service-account.pub", "service-account.key",
            )),
        }),
        (ZONES,),
    ),
    ("/bin/kube", "kube-controller-manager"): Component(
        "kube",
        frozenset({
            *SERVED_WITH, f"{PKI}/ca.crt", f"{PKI}/service-account.key",
            "/etc/kubernetes/kubeconfig",
        }),
        (ZONES,),
    ),
    ("/bin/kube", "kube-scheduler"): Component(
        "kube", frozenset({*SERVED_WITH, "/etc/kubernetes/kubeconfig"})
    ),
    ("/bin/coredns", "-conf"): Component(
        "coredns",
        frozenset({"/etc/coredns/vpc-resolver.Corefile", "/etc/coredns/vpc-resolver.zone"}),
        read=(OBSERVED,),
    ),
    BALANCERS: Component("loadbalancer", frozenset(RESOLVER), owned=(OBSERVED,), read=(DESIRED,)),
    AWS: Component(
        "",
        frozenset({
            "/etc/eksnet/aws.json",
            *(f"{PKI}/{name}" for name in (
                "ca.crt", "eks.crt", "eks.key", "authenticator.crt", "authenticator.key",
                "aws.json", "service-account.pub", "certificates-ca.crt", "certificates-ca.key",
            )),
        }),
        owned=(("/var/lib/aws", "cluster/aws"), ("/var/cache/python", "bytecode"), DESIRED),
        read=(OBSERVED,),
        engine=((f"/opt/charts/{CONTROLLER_CHART.name}", CONTROLLER_CHART.name),),
    ),
}  # fmt: skip
# What runs in a node's own root, by its program; all else has the root of a container.
ON_A_NODE = ("sh", "sleep", "kube", "runtime", "exe", "pause")


@dataclass(frozen=True)
class Mount:
    """A line of a mount table.

    Attributes:
        number: The mount's number.
        place: The file system's number, and where in it what is mounted lies.
        point: Where it is mounted.
        writable: Whether files can be changed there.
        kind: The kind of file system.
    """

    number: str
    place: tuple[str, str]
    point: str
    writable: bool
    kind: str


def mounts(pid: int | str = "self") -> list[Mount]:
    """Return a process's mount table."""
    found = []
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        number, _, device, root, point, options, *rest = line.split()
        kind = rest[rest.index("-") + 1]
        writable = "ro" not in options.split(",")
        found.append(Mount(number, (device, root), point, writable, kind))
    return found


def place(path: str | Path) -> tuple[str, str]:
    """Return a file system's number, and where in it a path of the computer lies."""
    path = os.path.realpath(path)
    under = [m for m in mounts() if Path(path).is_relative_to(m.point)]
    mount = max(under, key=lambda mount: len(mount.point))
    inside = Path(mount.place[1]) / Path(path).relative_to(mount.point)
    return mount.place[0], str(inside)


class Walls:
    """Looks at every process of one sandbox."""

    def __init__(self, paths: Paths) -> None:
        held_by = holder.recorded(paths)
        assert held_by is not None, "the sandbox is down"
        self.paths = paths
        supervisor = holder.children(held_by)[0]
        self.inside = hostside.namespace_of(supervisor)
        # These two keep the computer's root: one waits, the other starts all the rest.
        self.trusted = (held_by, supervisor)
        specification = SandboxSpecification.from_json(paths.specification.read_text())
        self.programs = specification.programs
        shown = [specification.programs, specification.busybox, specification.musl]
        system = [*SYSTEM, *(f"/etc/{name}" for name in CONFIGURATION)]
        self.shown = [place(path) for path in (*shown, *system) if Path(path).exists()]
        self.devices = [place(f"/dev/{name}") for name in DEVICES]
        self.computers = {mount.place[0] for mount in mounts()}
        self.namespaces = {
            os.readlink(f"/proc/{pid}/ns/{kind}")
            for pid in (*self.trusted, "self")
            for kind in ("mnt", "user", "pid")
        }

    def members(self) -> list[int]:
        """Return all processes of the sandbox but the two that are trusted."""
        return [pid for pid in hostside.members(self.inside) if pid not in self.trusted]

    def control_plane(self) -> dict[str, int]:
        """Return the control plane's processes by the last of the words that they are known by."""
        found = {_listed(pid): pid for pid in self.members()}
        return {words[-1]: pid for words, pid in found.items() if words}

    def complaints(self) -> dict[int, list[str]]:
        """Return what each process sees or holds that is not in the list."""
        found = {}
        for pid in self.members():
            # What has ended meanwhile has nothing to hide.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if lines := list(self._look(pid)):
                    found[pid] = [" ".join(hostside.arguments(pid))[:80], *lines]
        return found

    def _look(self, pid: int) -> Iterator[str]:
        # The learner's own variables can be secrets; those of this name the tests' sandboxes have.
        if b"EKSNET_" in Path(f"/proc/{pid}/environ").read_bytes():
            yield "it has the learner's variables"
        yield from self._open_files(pid)
        # A root that was not made with pivot_root hides what else is mounted, and holds nobody.
        if (inside := _root_of_mounts(pid)) != sorted(os.listdir(f"/proc/{pid}/root")):
            yield f"its namespace's root has {inside}"
        if hostside.namespace_of(pid) != self.inside:
            yield from self._on_a_node(pid)
        elif words := _listed(pid):
            yield from self._component(pid, CONTROL_PLANE[words])
        else:
            yield "a process that is not in the list"

    def _component(self, pid: int, component: Component) -> Iterator[str]:
        program, state = component.program, self.paths.state
        places = component.shown if program else _python_of(pid)
        shown = [path for path in places if Path(path).exists()]
        expected = {
            "/dev/null": (place("/dev/null"), False),
            **({f"/bin/{program}": (place(self.programs / program), False)} if program else {}),
            **{path: (place(path), False) for path in shown},
            **{path: (place(state / own), True) for path, own in component.owned},
            **{path: (place(state / own), False) for path, own in component.read},
            **{path: (place(self.programs / own), False) for path, own in component.engine},
        }
        root, *rest = mounts(pid)
        if (root.point, root.kind, root.writable) != ("/", "tmpfs", False):
            yield f"its root is {root}"
        seen = {mount.point: (mount.place, mount.writable) for mount in rest}
        if seen != expected:
            unlike = sorted(set(seen.items()) ^ set(expected.items()))
            yield f"mounts that are or should be there: {unlike}"
        files = frozenset(_own_files(Path(f"/proc/{pid}/root")))
        if files != component.files:
            yield f"files {sorted(files ^ component.files)}"
        if not os.path.samefile(f"/proc/{pid}/cwd", f"/proc/{pid}/root"):
            yield "its working directory is not its root"
        yield from _rights(pid)

    def _on_a_node(self, pid: int) -> Iterator[str]:
        disk = self._disk(pid)
        for mount in mounts(pid):
            is_own = disk is not None and _is_below(mount.place, disk)
            is_new = mount.kind in KINDS and mount.place[0] not in self.computers
            is_shown = any(_is_below(mount.place, shown) for shown in self.shown)
            is_read_only = not mount.writable and (is_shown or mount.place in self.devices)
            if not (is_own or is_new or is_read_only):
                yield f"{mount}"
        if disk is None or (_is_in_its_root(pid) and _program(pid) not in ON_A_NODE):
            yield "a process that is not in the list"

    def _disk(self, pid: int) -> tuple[str, str] | None:
        """Return the disk of the node to which a process belongs, by the node's first process."""
        while hostside.namespace_of(above := hostside.parent(pid)) != self.inside:
            pid = above
        disks = [place(disk) for disk in self.paths.node("").iterdir()]
        seen = [mount.place for mount in mounts(pid)]
        return next((disk for disk in disks if (disk[0], f"{disk[1]}/var") in seen), None)

    def _open_files(self, pid: int) -> Iterator[str]:
        """Look at what it holds open: what its own mounts show, its log, or no file at all."""
        numbers = {mount.number for mount in mounts(pid)}
        logs = [_identity(log.stat()) for log in self.paths.logs.glob("*.log")]
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                link, found = os.readlink(descriptor), descriptor.stat()
                text = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
            except FileNotFoundError:
                continue  # it was closed meanwhile
            number = next(line.split()[1] for line in text.splitlines() if "mnt_id" in line)
            is_null = stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)
            is_no_file = not link.startswith("/") and link not in self.namespaces
            if not (number in numbers or is_null or _identity(found) in logs or is_no_file):
                yield f"descriptor {descriptor.name}: {link}"


# Who enters a mount namespace is at its root.
_ENTER = """
import ctypes, os, sys
for kind in ("user", "mnt"):
    if os.readlink(f"/proc/self/ns/{kind}") != os.readlink(f"{sys.argv[1]}/ns/{kind}"):
        namespace = os.open(f"{sys.argv[1]}/ns/{kind}", os.O_RDONLY)
        assert ctypes.CDLL(None).setns(namespace, 0) == 0, kind
print(*sorted(os.listdir("/")), sep="\\n")
"""


def _root_of_mounts(pid: int) -> list[str]:
    """Return what is in the root of a process's mount namespace, whatever its own root is."""
    command = [sys.executable, "-S", "-c", _ENTER, f"/proc/{pid}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProcessLookupError(pid) if hostside.state(pid) in ("", "Z") else OSError(done.stderr)
    return done.stdout.splitlines()


def _rights(pid: int) -> Iterator[str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    said = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    capabilities = {name: value for name, value in said.items() if name.startswith("Cap")}
    if set(capabilities.values()) != {"0" * 16} or said["NoNewPrivs"] != "1":
        yield f"{capabilities}, NoNewPrivs {said['NoNewPrivs']}"
    if said["NSpid"].split()[-1] != "1":
        yield "it is not process 1 of a PID namespace of its own"


def _python_of(pid: int) -> tuple[str, ...]:
    """Return what the Python of a process needs to see, as that Python tells it."""
    python = hostside.arguments(pid)[0]
    script = "from eksnet.sandbox.aws import interpreter; print(*interpreter.shown(), sep='\\n')"
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    path = next(one for one in environment if one.startswith(b"PYTHONPATH=")).decode()
    done = subprocess.run(
        [python, "-c", script], env={path.partition("=")[0]: path.partition("=")[2]},
        capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    return tuple(done.stdout.splitlines())


def _listed(pid: int) -> tuple[str, ...]:
    """Return the words by which a process is in the list; none, when it is not."""
    words = tuple(hostside.arguments(pid))
    if words[1:3] == AWS:
        return AWS
    return next((known for known in CONTROL_PLANE if words[: len(known)] == known), ())


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _is_below(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return one[0] == other[0] and Path(one[1]).is_relative_to(other[1])


def _program(pid: int) -> str:
    return Path(hostside.arguments(pid)[0]).name


def _is_in_its_root(pid: int) -> bool:
    return Path(f"/proc/{pid}/root/opt/eksnet/bin/kube").exists()


def _own_files(root: Path) -> Iterator[str]:
    """Return the files of a root that are not mounted from elsewhere."""
    device = root.stat().st_dev
    for directory, names, files in os.walk(root):
        names[:] = [n for n in names if os.lstat(f"{directory}/{n}").st_dev == device]
        for name in files:
            path = Path(directory, name)
            if path.lstat().st_dev == device:
                yield f"/{path.relative_to(root)}"
