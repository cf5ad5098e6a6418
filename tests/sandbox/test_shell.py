"""`eksnet shell` in a terminal and without one; whatever ends it, no pod is left."""

import os
import signal
import subprocess
import time

import faults
import hostside
import pexpect
import pytest
from interrupting import COMMAND, hear_all, hears

from eksnet.cluster.pods import not_terminating
from eksnet.kubeproxy.observe import kube_proxies
from eksnet.sandbox import lifecycle

pytestmark = pytest.mark.sandbox
PATIENCE = 60


@pytest.fixture
def pods(cluster):
    """Return a function that lists the pods that the command made and that stay."""

    def made():
        pods = cluster.list("pods", "default")
        return [pod.name for pod in not_terminating(pods) if pod.name.startswith("shell-")]

    faults.until("the last test's pod is gone", lambda: made() == [])
    return made


def shell(*arguments):
    """Start the command in a terminal of its own."""
    program, *words = COMMAND
    return pexpect.spawn(
        program, [*words, "shell", *arguments], timeout=PATIENCE, encoding="utf-8",
        env={**os.environ, "COLUMNS": "200"}, preexec_fn=hear_all,
    )  # fmt: skip


@pytest.mark.parametrize("words", [[], ["some-pod"], ["-n", "kube-system", "some-pod"]])
def test_without_a_terminal_it_says_so_and_makes_no_pod(pods, words):
    done = subprocess.run(
        [*COMMAND, "shell", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("eksnet: a shell needs a terminal")
    assert "kubectl exec" in done.stderr
    assert "Traceback" not in done.stderr
    assert pods() == []


def test_a_shell_in_a_pod_that_is_there(cluster):
    proxy = kube_proxies(cluster)[0].name
    terminal = shell("-n", "kube-system", proxy)
    terminal.expect("#")
    terminal.sendline("echo $((6 * 7)) of $(hostname)")
    terminal.expect(r"42 of \S+")
    terminal.sendline("exit 3")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 3
    assert cluster.get("pod", proxy, "kube-system")


def test_a_fresh_pod_goes_with_its_shell(pods):
    terminal = shell()
    terminal.expect("/ #")
    assert pods() == [f"shell-{terminal.pid}"]
    terminal.sendline("nslookup -type=a kubernetes.default.svc.cluster.local; exit 4")
    terminal.expect("Address: 10.100.0.1")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 4
    faults.until("the pod is gone", lambda: pods() == [])


ENDINGS = {
    "SIGTERM": lambda terminal: terminal.kill(signal.SIGTERM),
    "SIGKILL": lambda terminal: terminal.kill(signal.SIGKILL),
    "SIGINT": lambda terminal: terminal.kill(signal.SIGINT),
    "closed terminal": lambda terminal: terminal.ptyproc.fileobj.close(),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_whatever_ends_the_command_leaves_no_pod(pods, ending):
    terminal = shell()
    terminal.expect("/ #")
    assert pods()
    ENDINGS[ending](terminal)
    faults.until("the pod is gone", lambda: pods() == [])
    faults.until("the command has ended", lambda: hostside.state(terminal.pid) in ("", "Z"))


def test_a_shell_that_is_open_during_down_leaves_no_pod_after_the_next_up(pods):
    terminal = shell()
    terminal.expect("/ #")
    (name,) = pods()
    lifecycle.down()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus != 0
    lifecycle.up()
    # A shell of now stays.
    another = shell()
    another.expect("/ #")
    assert pods() == [f"shell-{another.pid}"] != [name]
    another.sendline("exit")
    another.expect(pexpect.EOF)
    faults.until("the pod is gone", lambda: pods() == [])


@pytest.mark.parametrize("moment", [0.0, 0.2, 0.5, 1.0])
def test_ctrl_c_while_the_pod_is_made_leaves_none(pods, moment):
    terminal = shell()
    faults.until("it has begun", lambda: hears(terminal.pid, signal.SIGHUP))
    time.sleep(moment)
    terminal.sendintr()
    terminal.expect([pexpect.EOF, "/ #"])
    said = terminal.before
    terminal.close()
    assert "Traceback" not in said
    faults.until("the pod is gone", lambda: pods() == [])
