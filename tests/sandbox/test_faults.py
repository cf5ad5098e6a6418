"""Faults, done on purpose: the cluster goes on, or one command mends it, and nothing stays."""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import faults
import pytest
from hostside import arguments, state

import eksnet
from eksnet import versions
from eksnet.errors import EksnetError
from eksnet.sandbox import holder, lifecycle, paths, processes
from eksnet.sandbox.components import Component

BUSYBOX = "busybox:1.36"


@pytest.mark.sandbox
def test_a_node_that_dies_comes_back(cluster):
    before = faults.restarts("kubelet-node1")
    faults.kill(faults.node_process("node1"))
    faults.until("its kubelet is back", lambda: faults.restarts("kubelet-node1") > before)
    faults.assert_goes_on(cluster)
    node = cluster.get("node", "ip-10-0-128-10.ap-northeast-2.compute.internal")
    run = cluster.run(BUSYBOX, faults.LOOKUP, spec={"nodeName": node["metadata"]["name"]})
    assert "Address: 10.100.0.1" in run.output


@pytest.mark.sandbox
def test_a_suspended_sandbox_goes_on(cluster):
    before = {name: faults.restarts(name) for name in lifecycle.status().components}
    faults.resume(faults.suspend())
    faults.assert_goes_on(cluster)
    # Nothing was started again for it.
    assert {name: faults.restarts(name) for name in before} == before


@pytest.mark.sandbox
def test_a_pod_that_sees_its_nodes_processes_sees_no_more(cluster, tmp_path):
    (tmp_path / "canary").write_text("mine")
    looks = f"cat /proc/*/comm; ls -d /proc/1/root{tmp_path} /proc/1/root/opt/eksnet 2>&1"
    # Privileged, or it may not look into another's root at all.
    main = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", looks]}
    main["securityContext"] = {"privileged": True}
    output = cluster.run(BUSYBOX, "true", spec={"hostPID": True, "containers": [main]}).output
    seen = output.split()
    assert {"kubelet", "runtime"} & set(seen) or "kube" in seen
    assert not {"etcd", "kube-apiserver", "python"} & set(seen)
    assert seen.count("runtime") >= 1
    assert "No such file or directory" in output
    assert "/proc/1/root/opt/eksnet" in seen


@pytest.mark.sandbox
def test_a_runtime_that_dies_loses_no_container_and_the_node_collects_orphans(cluster):
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: orphan}, spec: {nodeName: %s, \
terminationGracePeriodSeconds: 0, containers: [{name: main, image: busybox, command: [sleep, \
infinity]}]}}"
    node = "ip-10-0-128-10.ap-northeast-2.compute.internal"
    cluster.apply(pod % node)
    cluster.wait("pod/orphan", condition="Ready")

    def container():
        (status,) = cluster.get("pod/orphan")["status"]["containerStatuses"]
        return status["containerID"], status["restartCount"], status["state"]

    running = container()
    # Without its runtime, the pod's shim is the node's.
    before = faults.restarts("runtime-node1")
    parent = faults.node_process("node1")
    for pid in faults.component_pids("runtime"):
        if "--pod-cidr=10.0.129.0/24" in arguments(pid):
            faults.kill(pid)
    faults.until("the runtime is back", lambda: faults.restarts("runtime-node1") > before)
    # Once this one runs, the kubelet has looked at all that the runtime knows.
    assert cluster.run(BUSYBOX, "true", spec={"nodeName": node}).exit_code == 0
    assert cluster.exec("orphan", ["hostname"]).stdout == "orphan\n"
    assert container() == running
    adopted = holder.children(parent)
    assert len(adopted) > 1
    cluster.delete("pod/orphan")

    def are_collected():
        left = holder.children(parent)
        return set(left) < set(adopted) and "Z" not in map(state, left)

    faults.until("orphans are collected", are_collected)


def ready_replicas(cluster):
    return cluster.get("deployment/coredns", namespace="kube-system")["status"].get("readyReplicas")


@pytest.mark.sandbox
def test_what_a_lab_broke_is_told_and_does_not_lock_the_learner_out(
    fresh_sandbox, cluster, monkeypatch
):
    broken = {"spec": {"template": {"spec": {"containers": [{"name": "coredns", "image": "no"}]}}}}
    cluster.patch("deployment", "coredns", broken, "kube-system")
    faults.until("one replica is left", lambda: ready_replicas(cluster) == 1)
    scheduler = faults.restarts("kube-scheduler")
    faults.kill(faults.component_pid("kube-scheduler"))
    faults.until("it is seen", lambda: faults.restarts("kube-scheduler") > scheduler)
    faults.until("it is looked at", lambda: "coredns" in lifecycle.status().waiting_for)
    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "_SETTLE_DEADLINE", 0)
        joined = lifecycle.up()
    assert joined.degraded == "coredns: 1 of 2 pods Ready"
    assert cluster.list("pods", "kube-system")
    lifecycle.reset()
    assert lifecycle.up().degraded == ""


@pytest.mark.sandbox
def test_what_was_deleted_is_told_and_made_again_by_the_next_start(cluster):
    # No process ends, so that the supervisor has no reason to check.
    cluster.delete("deployment/coredns", namespace="kube-system")
    assert lifecycle.status(ask=True).waiting_for == "Deployment coredns is missing"
    assert lifecycle.up().degraded == "Deployment coredns is missing"
    lifecycle.down()
    lifecycle.up()
    assert lifecycle.up().degraded == ""
    faults.until("it is whole", lambda: lifecycle.status(ask=True).waiting_for == "")


@pytest.mark.sandbox
def test_another_sandbox_beside_this_one(live_sandbox):
    before = faults.holder()
    other = lifecycle.up("beside")
    try:
        assert other.kubeconfig != live_sandbox.kubeconfig
        one, two = lifecycle.status(), lifecycle.status("beside")
        assert (one.phase, two.phase) == ("ready", "ready")
        assert one.api != two.api
    finally:
        lifecycle.down("beside")
    assert faults.holder() == before
    assert lifecycle.status("beside").phase == "down"
    assert eksnet.connect().version == versions.KUBERNETES


@pytest.mark.sandbox
def test_what_another_version_started_is_not_joined(live_sandbox):
    version = paths.paths().version
    mine = version.read_text()
    version.write_text("0 kubernetes-1.29\n")
    try:
        with pytest.raises(EksnetError, match="another version"):
            lifecycle.up()
    finally:
        version.write_text(mine)
    assert lifecycle.up() == live_sandbox


FULL_DISK = """
import os, signal, subprocess, sys, tempfile
from pathlib import Path
home = Path(os.environ["XDG_STATE_HOME"])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700m", "none", str(home)], check=True)
# What is written on the computer's own directories lands in a copy that nobody else sees.
written = Path(tempfile.mkdtemp())
subprocess.run(["mount", "-t", "tmpfs", "none", str(written)], check=True)
for name in ("etc", "opt", "srv", "usr", "var"):
    layers = [written / name / layer for layer in ("upper", "work")]
    for layer in layers:
        layer.mkdir(parents=True)
    options = f"lowerdir=/{name},upperdir={layers[0]},workdir={layers[1]},userxattr"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "none", f"/{name}"], check=True)
def eksnet(*words):
    said = subprocess.run([sys.executable, "-m", "eksnet.cli", *words],
                          capture_output=True, text=True)
    print(words[0], said.returncode, said.stdout + said.stderr, flush=True)
    return said
eksnet("up")
ballast = home / "ballast"
def fill():
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(2**20))
        except OSError as error:
            print("ballast:", error)
fill()
eksnet("status")
# It may end by itself, when it has something to write; here it does for certain.
for process in Path("/proc").glob("[0-9]*"):
    try:
        words = (process / "cmdline").read_text().split("\\0")
    except OSError:  # it ended meanwhile
        continue
    if words[0].endswith("/etcd") and str(home) in words[1]:
        os.kill(int(process.name), signal.SIGKILL)
ballast.unlink()
eksnet("up")
eksnet("kubectl", "create", "configmap", "written", "--from-literal=after=all")
fill()
eksnet("down")
eksnet("up")
ballast.unlink()
eksnet("up")
eksnet("kubectl", "get", "pods", "-n", "kube-system")
eksnet("kubectl", "get", "configmap", "written")
eksnet("down")
print("outside:", [str(p) for p in written.glob("*/upper/**/*")])
"""


@pytest.mark.sandbox
def test_a_full_disk_is_told_and_repaired_by_room(tmp_path):
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "EKSNET_SANDBOX": "full"}
    run = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", FULL_DISK],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    said = run.stdout
    assert "up 0" in said
    assert "ballast: [Errno 28] No space left on device" in said
    assert "status 1" in said
    assert "no space left for" in said
    # The same cluster goes on once there is room.
    assert "configmap/written created" in said
    # A start is refused with the remedy, and the next one finds the cluster as it was.
    assert "up 2 eksnet: no space left for" in said
    assert said.count("The sandbox is up.") == 3
    assert said.count("Running") == 4, said
    assert "written   1" in said
    # All this time, nothing was made but below the state.
    assert "outside: []" in said, said


class Room:
    """A control group whose memory a test limits; the kernel ends what needs more.

    Source: cgroup-v1/memory and cgroup-v2 of the kernel's administration guide.
    """

    def __init__(self, parent, limit):
        self.group = parent / "eksnet-little-memory"
        self.group.mkdir()
        self.limit = self.group / limit

    @classmethod
    def find(cls):
        """Make one where this computer lets us; None where it does not."""
        old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        own = Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip().lstrip("/")
        for parent, limit in ((old, "memory.limit_in_bytes"), (new / own, "memory.max")):
            try:
                room = cls(parent, limit)
            except OSError:
                continue
            if room.limit.exists():
                return room
            room.group.rmdir()
        return None

    def allow(self, mebibytes):
        self.limit.write_text(str(mebibytes * 2**20))

    def used(self):
        """Return the mebibytes that its processes take."""
        names = {"memory.limit_in_bytes": "memory.usage_in_bytes", "memory.max": "memory.current"}
        return int(self.limit.with_name(names[self.limit.name]).read_text()) // 2**20

    def leave(self, process):
        """Take a process out; its children stay."""
        (self.group.parent / "cgroup.procs").write_text(str(process.pid))

    def run(self, *words):
        """Start `eksnet` in it."""
        enter = 'echo $$ > "$0"/cgroup.procs && exec "$@"'
        command = [sys.executable, "-m", "eksnet.cli", *words]
        return subprocess.Popen(
            ["sh", "-c", enter, self.group, *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip


HUNGRY = """
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  containers: [{name: main, image: busybox, command: [tail, /dev/zero]}]
"""


def assert_pods_go_first(room):
    """See that a pod that eats all memory is ended, and nothing that the cluster is made of."""
    cluster = eksnet.connect()
    before = {name: faults.restarts(name) for name in lifecycle.status().components}
    room.allow(room.used() + 64)
    cluster.apply(HUNGRY)
    cluster.wait("pod/hungry", condition="jsonpath={.status.phase}=Failed")
    (status,) = cluster.get("pod/hungry")["status"]["containerStatuses"]
    ended = status["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("Error", 137)
    assert {name: faults.restarts(name) for name in before} == before


@pytest.mark.sandbox
def test_memory_that_runs_out_is_told_and_repaired_by_memory(live_sandbox, monkeypatch):
    monkeypatch.setenv("EKSNET_SANDBOX", "little-memory")
    room = Room.find()
    if room is None:
        pytest.skip("no control group here can be limited by this user")
    try:
        room.allow(150)
        starting = room.run("up")
        # From here on the sandbox has processes of its own, which stay in the group.
        faults.until("components run", lambda: lifecycle.status().components)
        # The kernel may end any process that is short of memory; not the one that waits, here.
        room.leave(starting)
        # Mostly kube-apiserver, but whom it ends is the kernel's choice.
        told = re.compile("the computer has too little memory: the kernel kills .* again and again")
        faults.until("it is told", lambda: told.fullmatch(lifecycle.status().waiting_for))
        room.allow(4096)
        said, _ = starting.communicate(timeout=180)
        assert (starting.returncode, "The sandbox is up." in said) == (0, True), said
        assert_pods_go_first(room)
    finally:
        lifecycle.down()
        room.group.rmdir()


COMMAND_LINES = {
    11: "/bin/kube kube-apiserver --bind-address=0.0.0.0",
    12: "/bin/coredns -conf /etc/coredns/vpc-resolver.Corefile",
    13: "/opt/eksnet/bin/runtime serve --dir=/var/lib/runtime --pod-cidr=10.0.129.0/24",
    14: "/opt/eksnet/bin/runtime serve --dir=/var/lib/runtime --pod-cidr=10.0.145.0/24",
    15: "/opt/eksnet/bin/kube kubelet --hostname-override=one",
    16: "/opt/eksnet/bin/kube kubelet --hostname-override=two",
    17: "/proc/self/exe shim /var/lib/runtime/containers/a",
    18: "/coredns -conf /etc/coredns/Corefile",
    19: "/coredns -conf /etc/coredns/Corefile",
    20: "kube-proxy --v=2",
    21: "",
    # A lesson's own, in a pod of its own.
    22: "/coredns -conf /etc/coredns/Corefile",
}
HOSTNAMES = {18: "coredns-5d7c-abcde", 19: "coredns-5d7c-fghij", 22: "witness"}


@pytest.mark.parametrize(
    ("name", "pids"),
    [
        ("kube-apiserver", {11}), ("vpc-resolver", {12}), ("runtime", {13, 14}),
        ("kubelet", {15, 16}), ("coredns", {18, 19}), ("kube-proxy", {20}),
    ],
)  # fmt: skip
def test_faults_strike_every_process_of_a_component(monkeypatch, name, pids):
    monkeypatch.setattr(faults, "inside", lambda: "user:[1]")
    monkeypatch.setattr(faults, "programs", lambda _: list(COMMAND_LINES))
    monkeypatch.setattr(faults, "arguments", lambda pid: COMMAND_LINES[pid].split())
    monkeypatch.setattr(faults, "_hostname", HOSTNAMES.get)
    chance = random.Random(1)
    assert {faults.component_pid(name, chance) for _ in range(100)} == pids
    one, again = (random.Random(7) for _ in range(2))
    for _ in range(10):
        assert faults.component_pid(name, one) == faults.component_pid(name, again)


def test_a_component_that_keeps_ending_is_named(tmp_path, monkeypatch):
    own = paths.Paths(tmp_path)
    own.logs.mkdir()
    monkeypatch.setattr(processes.roots, "started_in", lambda root, stage, start: start())

    async def watch():
        seen = asyncio.Event()
        looked = processes.Processes(
            own,
            changed=lambda: seen.set() if looked.crash_looping() else None,
            node_died=lambda _node: None,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, looked.reap)
        looked.start(Component("weak", ("sh", "-c", "echo too weak; exit 3")))
        await asyncio.wait_for(seen.wait(), 30)
        return looked

    # Exits are collected by the watch alone, as process 1 does it.
    looked = asyncio.run(watch())
    record = looked.crash_looping()
    assert (record.component.name, record.last_exit) == ("weak", 3)
    assert record.restarts == 3
    assert own.log("weak").read_text().startswith("too weak\n")


@pytest.mark.parametrize(
    ("pid", "age", "exits", "crash_looping"),
    [
        (None, 0, 3, True),
        (1, 0, 3, True),
        # It took its time to fail, on a busy computer.
        (1, 25, 3, True),
        (1, 60, 3, False),
        (1, 0, 2, False),
    ],
)
def test_a_component_that_runs_on_is_no_longer_crash_looping(pid, age, exits, crash_looping):
    record = processes.Running(
        Component("one", ("true",)), pid, rapid_exits=exits, started=time.monotonic() - age
    )
    assert record.is_crash_looping == crash_looping
