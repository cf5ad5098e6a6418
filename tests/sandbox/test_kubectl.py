"""What a learner types, with the real kubectl and a real terminal."""

import json
import os
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import faults
import pexpect
import pytest

from eksnet.sandbox import lifecycle, paths

pytestmark = pytest.mark.sandbox
PATIENCE = 60
POD = """
apiVersion: v1
kind: Pod
metadata: {name: typed, labels: {app: typed}}
spec:
  terminationGracePeriodSeconds: 0
  shareProcessNamespace: true
  initContainers:
  - {name: first, image: busybox, command: [sh, -c, "echo made-by-init > /shared/file"],
     volumeMounts: [{name: shared, mountPath: /shared}]}
  - {name: sidecar, image: busybox, restartPolicy: Always, command: [sleep, infinity]}
  containers:
  - name: web
    image: busybox
    command: [sh, -c, "echo serving; exec httpd -f -p 8080 -h /shared"]
    lifecycle: {postStart: {exec: {command: [sh, -c, "echo hooked > /shared/hook"]}}}
    volumeMounts: [{name: shared, mountPath: /shared}]
  volumes: [{name: shared, emptyDir: {}}]
"""

# Since Kubernetes 1.35 both are on by default.
BEYOND = """
apiVersion: v1
kind: Pod
metadata: {name: sized}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: busybox, command: [sleep, infinity], resources: {requests: {cpu: 10m}}}
---
apiVersion: v1
kind: Pod
metadata: {name: modelled}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: busybox, command: [sleep, infinity],
     volumeMounts: [{name: model, mountPath: /model}]}
  volumes: [{name: model, image: {reference: "debian:12"}}]
"""


@pytest.fixture(scope="module")
def pod(kubectl):
    kubectl("apply", "-f", "-", input=POD)
    kubectl("wait", "--for=condition=Ready", "pod/typed", f"--timeout={PATIENCE}s")
    yield "typed"
    kubectl("delete", "pod", "typed")


@pytest.fixture
def terminal(kubectl):
    """Start kubectl on a terminal; what is still running at the end is ended."""
    started = []

    def start(*words):
        environment = {**os.environ, "KUBECONFIG": kubectl.kubeconfig, "TERM": "xterm"}
        child = pexpect.spawn(
            kubectl.program, list(words), env=environment, encoding="utf-8", timeout=PATIENCE,
            dimensions=(24, 80),
        )  # fmt: skip
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def test_init_container_sidecar_hook_and_shared_processes(kubectl, pod):
    assert kubectl("exec", pod, "-c", "web", "--", "cat", "/shared/file") == "made-by-init\n"
    assert kubectl("exec", pod, "-c", "web", "--", "cat", "/shared/hook") == "hooked\n"
    seen = kubectl("exec", pod, "-c", "web", "--", "ps")
    assert "sleep infinity" in seen
    assert "httpd" in seen
    assert kubectl("get", "pod", pod).split()[6] == "2/2"


def test_a_shell_on_a_terminal_follows_its_size(terminal, pod):
    shell = terminal("exec", "-it", pod, "-c", "web", "--", "sh")
    shell.expect("# ")
    shell.sendline("stty size")
    shell.expect("24 80")
    shell.setwinsize(40, 132)

    def resized():
        shell.sendline("stty size")
        return shell.expect(["40 132", r"24 80\s"]) == 0

    faults.until("the new size arrives", resized)
    shell.sendline("exit 7")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 7


def test_what_a_node_without_cgroups_or_downloads_cannot_do_is_told(kubectl):
    waits = ("wait", f"--timeout={PATIENCE}s")
    waiting = "{.status.containerStatuses[0].state.waiting.%s}"
    kubectl("apply", "-f", "-", input=BEYOND)
    try:
        kubectl(*waits, "--for=condition=Ready", "pod/sized")
        asked = [{"name": "main", "resources": {"requests": {"cpu": "20m"}}}]
        larger = json.dumps({"spec": {"containers": asked}})
        kubectl("patch", "pod", "sized", "--subresource=resize", "--patch", larger)
        kubectl(*waits, "--for=condition=PodResizePending", "pod/sized")
        reason = '{.status.conditions[?(@.type=="PodResizePending")].reason}'
        assert kubectl("get", "pod", "sized", f"--output=jsonpath={reason}") == "Infeasible"
        refused = f"jsonpath={waiting % 'reason'}=CreateContainerError"
        kubectl(*waits, f"--for={refused}", "pod/modelled")
        said = kubectl("get", "pod", "modelled", f"--output=jsonpath={waiting % 'message'}")
        assert "/model: the sandbox's nodes mount no image as a volume" in said
    finally:
        kubectl("delete", "pod", "sized", "modelled")


def test_the_documents_own_command(terminal, kubectl):
    words = "run test-pod --image=busybox --restart=Never --rm -it -- /bin/sh"
    shell = terminal(*words.split())
    shell.expect("If you don't see a command prompt")
    shell.sendline("")
    shell.expect("/ # ")
    shell.sendline("nslookup kubernetes.default.svc.cluster.local")
    shell.expect(r"Server:\s+10\.100\.0\.10")
    shell.expect(r"Address: 10\.100\.0\.1\s")
    shell.sendline("exit")
    shell.expect('pod "test-pod" deleted')
    shell.expect(pexpect.EOF)
    assert "NotFound" in kubectl("get", "pod", "test-pod", code=1)


READER = """
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  containers:
  - {name: main, image: busybox, stdin: true, tty: true,
     command: [sh, -c, "while read line; do echo got $line; done"]}
"""


def test_attach_sees_what_is_written_and_can_write(terminal, kubectl):
    kubectl("apply", "-f", "-", input=READER)
    kubectl("wait", "--for=condition=Ready", "pod/reader", f"--timeout={PATIENCE}s")
    attached = terminal("attach", "-it", "reader")
    attached.expect("If you don't see a command prompt")
    attached.sendline("hello")
    attached.expect("got hello")
    attached.close(force=True)
    kubectl("delete", "pod", "reader", "--now")


# The second run stays: what is kept of a pod's earlier runs is the last.
TWICE = """
apiVersion: v1
kind: Pod
metadata: {name: twice}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: kept, emptyDir: {}}]
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "test -e /kept/x && sleep infinity; touch /kept/x; echo first run; exit 1"]
    volumeMounts: [{name: kept, mountPath: /kept}]
"""


def test_logs_follow_and_of_the_run_before(terminal, kubectl):
    kubectl("apply", "-f", "-", input=TWICE)
    count = "jsonpath={.status.containerStatuses[0].restartCount}"
    faults.until("it was started again", lambda: kubectl("get", "pod", "twice", "-o", count) == "1")
    assert kubectl("logs", "twice", "--previous") == "first run\n"
    kubectl("delete", "pod", "twice", "--now")
    kubectl("run", "counts", "--image=busybox", "--restart=Never", "--",
            "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 1; done")  # fmt: skip
    begun = ("Running", "Succeeded")
    phase = "jsonpath={.status.phase}"
    faults.until("it runs", lambda: kubectl("get", "pod", "counts", "-o", phase) in begun)
    followed = terminal("logs", "-f", "counts")
    followed.expect("line 1.*line 2.*line 3")
    followed.expect(pexpect.EOF)
    kubectl("delete", "pod", "counts", "--now")


def test_port_forward(terminal, pod):
    forward = terminal("port-forward", f"pod/{pod}", ":8080")
    forward.expect(r"Forwarding from 127\.0\.0\.1:(\d+)")
    url = f"http://127.0.0.1:{forward.match[1]}/file"
    for _ in range(3):
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            assert answer.read() == b"made-by-init\n"


def test_port_forward_to_a_server_that_listens_on_ipv6_alone(terminal, kubectl):
    # Where a pod has no IPv6 there is nobody to reach.
    kubectl("run", "six", "--image=busybox", "--grace-period=0", "--", "sh", "-c",
            "echo six > /tmp/index.html; exec httpd -f -p [::1]:8080 -h /tmp")  # fmt: skip
    kubectl("wait", "--for=condition=Ready", "pod/six", f"--timeout={PATIENCE}s")
    forward = terminal("port-forward", "pod/six", ":8080")
    forward.expect(r"Forwarding from 127\.0\.0\.1:(\d+)")
    with urllib.request.urlopen(f"http://127.0.0.1:{forward.match[1]}/", timeout=PATIENCE) as page:
        assert page.read() == b"six\n"
    kubectl("delete", "pod", "six", "--now")


def test_files_are_copied_both_ways(kubectl, pod, tmp_path):
    mine = tmp_path / "mine"
    mine.write_bytes(os.urandom(2**20))
    kubectl("cp", str(mine), f"{pod}:/shared/theirs", "-c", "web")
    kubectl("cp", f"{pod}:/shared/theirs", str(tmp_path / "back"), "-c", "web")
    assert (tmp_path / "back").read_bytes() == mine.read_bytes()


def test_a_debug_container_sees_its_target(kubectl, pod):
    kubectl("debug", pod, "--image=busybox", "--target=web", "-c", "look", "--", "sh", "-c",
            "cat /proc/*/cmdline | tr '\\0' ' '")  # fmt: skip
    ended = "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}"
    faults.until("it ran", lambda: kubectl("get", "pod", pod, "-o", ended) == "0")
    assert "httpd -f" in kubectl("logs", pod, "-c", "look")


def test_a_debug_pod_sees_its_node(terminal, kubectl):
    node = "ip-10-0-128-10.ap-northeast-2.compute.internal"
    shell = terminal("debug", f"node/{node}", "-it", "--image=busybox", "--", "sh")
    shell.expect("# ")
    shell.sendline("chroot /host cat /etc/hostname; hostname")
    shell.expect(f"{node}\\s+{node}")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
    for name in re.findall(r"node-debugger-\S+", kubectl("get", "pods")):
        kubectl("delete", "pod", name, "--now")


def test_grace_is_given_and_ends(kubectl):
    script = "trap 'echo asked to end; exit 0' TERM; echo ready; while :; do sleep 1; done"
    kubectl("run", "polite", "--image=busybox", "--restart=Never", "--", "sh", "-c", script)
    kubectl("wait", "--for=condition=Ready", "pod/polite", f"--timeout={PATIENCE}s")
    faults.until("it listens", lambda: "ready" in kubectl("logs", "polite"))
    followed = subprocess.Popen(
        [kubectl.program, "logs", "-f", "polite"], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "KUBECONFIG": kubectl.kubeconfig},
    )  # fmt: skip
    assert followed.stdout.readline() == "ready\n"
    kubectl("delete", "pod", "polite", "--wait=true")
    said, _ = followed.communicate(timeout=PATIENCE)
    assert said.splitlines()[-1] == "asked to end"


# Deaf to SIGTERM; the node's directory shows what the hook did after the pod is gone.
DEAF = """
apiVersion: v1
kind: Pod
metadata: {name: deaf}
spec:
  nodeName: ip-10-0-128-10.ap-northeast-2.compute.internal
  terminationGracePeriodSeconds: 2
  volumes: [{name: node, hostPath: {path: /var/hooked, type: DirectoryOrCreate}}]
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "trap '' TERM; echo ready; while :; do sleep 1; done"]
    lifecycle: {preStop: {exec: {command: [sh, -c, "echo $HOSTNAME > /node/prestop"]}}}
    volumeMounts: [{name: node, mountPath: /node}]
"""


def test_the_hook_before_the_end_and_an_end_by_force(kubectl):
    kubectl("apply", "-f", "-", input=DEAF)
    kubectl("wait", "--for=condition=Ready", "pod/deaf", f"--timeout={PATIENCE}s")
    faults.until("it listens", lambda: "ready" in kubectl("logs", "deaf"))
    hooked = paths.paths().node("node1") / "var" / "hooked" / "prestop"
    assert not hooked.exists()
    began = time.monotonic()
    kubectl("delete", "pod", "deaf", "--wait=true")
    # Its own grace, and not Kubernetes' 30 seconds.
    assert 2 <= time.monotonic() - began < 25
    assert hooked.read_text() == "deaf\n"


def test_figures_of_a_node_and_its_pods(kubectl):
    node = "ip-10-0-128-10.ap-northeast-2.compute.internal"

    def proxy():
        summary = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
        pods = [pod for pod in summary["pods"] if pod["podRef"]["name"].startswith("kube-proxy-")]
        return pods[0]["containers"][0] if pods and pods[0].get("containers") else {}

    # The kubelet reads them every few seconds.
    faults.until("the container is counted", lambda: "memory" in proxy())
    found = proxy()
    assert found["name"] == "kube-proxy"
    # kube-proxy takes some 60 MiB.
    assert 2**20 < found["memory"]["workingSetBytes"] < 2**30
    assert found["cpu"]["usageCoreNanoSeconds"] > 0


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v1/secrets", 401), ("/version", 401), ("/api", 401),
        # As on EKS since 1.32: the health checks alone.
        ("/healthz", 200), ("/livez", 200), ("/readyz", 200),
    ],
)  # fmt: skip
def test_what_the_api_tells_those_without_credentials(live_sandbox, path, code):
    untrusting = ssl.create_default_context()
    untrusting.check_hostname, untrusting.verify_mode = False, ssl.CERT_NONE
    try:
        answer = urllib.request.urlopen(f"{lifecycle.status().api}{path}", context=untrusting)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        assert answer.code == code
