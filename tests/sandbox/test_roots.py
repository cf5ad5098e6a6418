"""What the cluster can reach of the computer: nothing of the learner's, by construction."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import faults
import pytest
import volumes
import walls

from eksnet.sandbox import lifecycle, paths

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.53"
PLACES = [Path("/tmp"), Path("/var/tmp"), Path("/home"), Path.home()]


@pytest.mark.sandbox
def test_every_process_sees_what_is_in_the_list_and_nothing_else(cluster):
    faults.assert_goes_on(cluster)
    seen = walls.Walls(paths.paths())
    assert seen.complaints() == {}
    # The load balancers' program runs if a test has created one; test_balancers.py looks at it.
    found = seen.control_plane().keys() | {*walls.BALANCERS}
    assert found == {words[-1] for words in walls.CONTROL_PLANE}
    assert len(seen.members()) > 20


@pytest.mark.sandbox
def test_a_process_that_is_not_in_the_list_is_found(cluster):
    seen = walls.Walls(paths.paths())
    enter = ["nsenter", "--target", str(seen.trusted[1]), "--user", "--preserve-credentials", "--"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*enter, "cat"], **pipes) as stranger:
        stranger.stdin.write(b"x")
        stranger.stdin.flush()
        assert stranger.stdout.read(1) == b"x"  # it has entered
        assert "a process that is not in the list" in seen.complaints()[stranger.pid]
        stranger.stdin.close()


@pytest.fixture
def places():
    """A new directory in each place where a learner has files, as far as this user may write."""
    found = [Path(tempfile.mkdtemp(dir=one)) for one in PLACES if os.access(one, os.W_OK)]
    yield found
    for place in found:
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.sandbox
def test_a_volume_that_is_given_back_deletes_nothing_of_the_learners(cluster, places):
    victims = volumes.victims(places)
    cluster.apply(volumes.manifest(victims))
    for name in victims:
        cluster.wait(f"pvc/{name}", condition="jsonpath={.status.phase}=Bound")
        cluster.delete("pvc", name)

    def phases():
        return {pv.name: pv["status"]["phase"] for pv in cluster.list("persistentvolumes")}

    # What it takes for temporary the controller deletes where it is, and the volume with it;
    # there nothing is. All else it refuses.
    refused = {n: "Failed" for n, p in victims.items() if not volumes.is_deleted_as_temporary(p)}
    faults.until("each volume is deleted or refused", lambda: phases() == refused)
    for name in refused:
        cluster.delete("pv", name)
    assert volumes.lost(victims) == []


# What a volume or a claim asks a controller or a kubelet to do, and what becomes of it.
PROVISIONED = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: asked}
provisioner: kubernetes.io/host-path
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: asked}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: asked
  resources: {requests: {storage: 1Mi}}
"""
IN_A_POD = """
apiVersion: v1
kind: Pod
metadata: {name: asked}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "busybox:1.36", volumeMounts: [{name: volume, mountPath: /volume}]}
  volumes: [{name: volume, KIND}]
"""
ISCSI = "{targetPortal: '10.0.0.10:3260', iqn: 'iqn.2001-04.com.example:storage', lun: 0}"


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (PROVISIONED, 'volume plugin "kubernetes.io/host-path" is disabled'),
        (IN_A_POD.replace("KIND", "nfs: {server: 10.0.0.10, path: /}"), "mount failed"),
        (IN_A_POD.replace("KIND", "flexVolume: {driver: a/b}"), "no volume plugin matched"),
        (IN_A_POD.replace("KIND", "gitRepo: {repository: 'file:///tmp/x'}"), "is disabled"),
        (IN_A_POD.replace("KIND", f"iscsi: {ISCSI}"), "FailedMount"),
    ],
    ids=["host-path provisioner", "NFS", "FlexVolume", "gitRepo", "iSCSI"],
)
def test_what_a_volume_asks_for_is_refused(cluster, kubectl, manifest, says):
    cluster.apply(manifest)
    try:
        faults.until("an event says why", lambda: says in kubectl("get", "events"))
    finally:
        cluster.delete_manifest(manifest)


@pytest.mark.sandbox
def test_nothing_deletes_a_local_volume(cluster, kubectl, places):
    victim = places[0] / "tmp" / "kept"
    victim.mkdir(parents=True)
    cluster.apply(volumes.local("local", str(victim)))
    cluster.wait("pvc/local", condition="jsonpath={.status.phase}=Bound")
    cluster.delete("pvc", "local")
    cluster.wait("pv/local", condition="jsonpath={.status.phase}=Failed")
    faults.until("an event says why", lambda: "VolumeFailedDelete" in kubectl("get", "events"))
    cluster.delete("pv", "local")
    assert victim.exists()


@pytest.mark.sandbox
def test_a_volume_is_recycled_by_a_pod_alone_whose_image_is_unknown(cluster, places):
    victims = volumes.victims(places[:1])
    cluster.apply(volumes.manifest(victims, policy="Recycle"))
    for name in victims:
        cluster.wait(f"pvc/{name}", condition="jsonpath={.status.phase}=Bound")
        cluster.delete("pvc", name)

    def waits_for():
        """Return what each volume's pod waits for."""
        pods = {pod.name: pod for pod in cluster.list("pods", "default")}
        states = [
            pods[f"recycler-for-{name}"]["status"].get("containerStatuses", [{}])[0]
            for name in victims
            if f"recycler-for-{name}" in pods
        ]
        return {state.get("state", {}).get("waiting", {}).get("reason") for state in states}

    unknown = {"ErrImagePull", "ImagePullBackOff"}
    faults.until("both wait for an image", lambda: waits_for() and waits_for() <= unknown)
    for name in victims:
        cluster.delete("pv", name)
        cluster.delete("pod", f"recycler-for-{name}", "default")
    assert volumes.lost(victims) == []


@pytest.mark.sandbox
@pytest.mark.parametrize("port", [10257, 10259], ids=["controller-manager", "scheduler"])
def test_what_serves_itself_alone_is_not_reached_from_pods(cluster, port):
    def code(url):
        return cluster.run(AGNHOST, ["/agnhost", "connect", "--timeout=3s", url]).exit_code

    assert code("10.0.0.10:443") == 0
    assert code(f"10.0.0.10:{port}") != 0


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "path", ["/logs/", "/debug/pprof/", "/debug/flags/v", "/configz", "/flagz", "/statusz"]
)
def test_the_api_server_shows_nothing_of_its_computer(kubectl, path):
    assert "NotFound" in kubectl("get", "--raw", path, code=1)


@pytest.mark.sandbox
def test_a_kubelet_serves_the_logs_of_its_node(kubectl):
    for short, name in zip(("node1", "node2"), node_names(kubectl), strict=True):
        listing = kubectl("get", "--raw", f"/api/v1/nodes/{name}/proxy/logs/")
        own = os.listdir(paths.paths().node(short) / "var" / "log")
        assert listing.count("<a href=") == len(own)
        assert all(f">{entry}" in listing for entry in own)


def node_names(kubectl):
    return [line.removeprefix("node/") for line in kubectl("get", "nodes", "-o", "name").split()]


WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: outward}}
webhooks:
- name: outward.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {{url: "https://127.0.0.1:{port}/"}}
  namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: outward}}}}
  rules: [{{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [configmaps]}}]
"""


@pytest.mark.sandbox
def test_the_api_server_calls_nobody_on_the_computer(cluster, kubectl):
    def refused(port):
        """Have the API server ask the webhook, once it knows of it, and look how that ended."""
        ask = [kubectl.program, "create", "configmap", "asked", "-n", "outward", "--dry-run=server"]
        own = {**os.environ, "KUBECONFIG": kubectl.kubeconfig}
        said = subprocess.run(ask, env=own, capture_output=True, text=True, check=False).stderr
        return f"127.0.0.1:{port}: connect: connection refused" in said

    own_port = int(lifecycle.status().api.rpartition(":")[2])
    kubectl("create", "namespace", "outward")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        for port in (server.getsockname()[1], own_port):
            cluster.apply(WEBHOOK.format(port=port))
            faults.until("the webhook is called", lambda port=port: refused(port))
        with pytest.raises(BlockingIOError):
            server.accept()
    cluster.delete("validatingwebhookconfiguration", "outward")
    kubectl("delete", "namespace", "outward")


CRON = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: zoned}
spec:
  schedule: "0 9 * * *"
  timeZone: ZONE
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}
"""


@pytest.mark.sandbox
@pytest.mark.skipif(not Path(walls.ZONES).exists(), reason="this computer has no time zones")
@pytest.mark.parametrize(("zone", "code"), [("Asia/Seoul", 0), ("Asia/Nowhere", 1)])
def test_the_control_plane_knows_time_zones(kubectl, zone, code):
    manifest = CRON.replace("ZONE", zone)
    said = kubectl("apply", "--dry-run=server", "-f", "-", input=manifest, code=code)
    assert ("unknown time zone" in said) == bool(code)


# Without a cluster: what a program sees and may do in a root that is made for it.

STARTS = """
import subprocess, sys
from pathlib import Path
from eksnet.sandbox import mounts, roots

mounts.make_private()
busybox, home, script = sys.argv[1:]
root = roots.Root(
    shown={"/bin/busybox": Path(busybox), "/shown": Path(home, "shown"), "/lacking": Path("/nil")},
    copied={"/etc/copy": Path(home, "shown", "file")},
    texts={"/etc/text": "a text"},
    owned={"/data": Path(home, "data")},
)
command = ["/bin/busybox", "sh", "-c", script]
process = roots.started_in(
    root, Path(home, "stage"), lambda: subprocess.Popen(command, stdin=subprocess.DEVNULL)
)
assert process.wait() == 0
assert Path(home, "shown", "file").exists()  # the starter stays where it was
"""
TRIES = """
b=/bin/busybox
$b find / | $b sort
$b cat /etc/text /etc/copy /shown/file; echo
$b ls -A /shown/below
for place in / /bin /etc /shown /shown/below /dev; do
    { echo x >$place/new; } 2>/dev/null && echo "$place: written"
    $b chmod 777 $place 2>/dev/null && echo "$place: changed"
done
for file in /bin/busybox /etc/text /etc/copy /dev/null; do
    $b chmod 777 $file 2>/dev/null && echo "$file: changed"
    $b mount -o remount,bind,rw $file 2>/dev/null && echo "$file: mounted"
done
echo kept >/data/new && echo "/data: written"
$b cp /bin/busybox /data/program
/data/program true 2>/dev/null && echo "a program of its own"
echo gone >/dev/null && echo "/dev/null: takes it"
for kind in proc sysfs devtmpfs tmpfs; do
    $b mount -t $kind none /data 2>/dev/null && echo "$kind: mounted"
done
$b mknod /data/device c 1 1 2>/dev/null && echo "a device"
$b chroot / $b true 2>/dev/null && echo "another root"
echo "process $$"
$b kill -0 -1 2>/dev/null && echo "another process"
true
"""
SEEN = """\
/
/bin
/bin/busybox
/data
/dev
/dev/null
/etc
/etc/copy
/etc/text
/shown
/shown/below
/shown/file
a textshownshown
/data: written
/dev/null: takes it
process 1
"""


def test_a_root_shows_what_it_is_told_to_and_gives_no_right(tmp_path):
    # A home may be a link, and have any name.
    real = tmp_path / "집 of mine"
    real.mkdir()
    home = tmp_path / "home"
    home.symlink_to(real)
    shown = home / "shown"
    (shown / "below").mkdir(parents=True)
    (shown / "file").write_text("shown")
    busybox = Path(shutil.which("busybox"))
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork"]
    # A file system that is mounted below what is shown is not writable either.
    below = f'mount -t tmpfs none {shown}/below && exec "$@"'
    done = subprocess.run(
        [*namespace, "--mount-proc", "sh", "-c", below, "sh",
         sys.executable, "-c", STARTS, busybox, home, TRIES],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == SEEN
    assert (home / "data" / "new").read_text() == "kept\n"
    assert list((home / "stage").iterdir()) == []
