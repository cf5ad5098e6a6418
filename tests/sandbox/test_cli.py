"""The command's exit codes and its messages, as a shell sees them."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import hostside
import pytest
from interrupting import IN_ONE_LINE, interrupted

from eksnet.sandbox import paths


def refused(done, says, remedy):
    """Check that a command could not do it and said so in one message."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("eksnet: ")
    assert says in done.stderr
    assert remedy in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def eksnet(tmp_path):
    """Run the command on a state directory of the test's own."""

    def run(*arguments, **variables):
        own = {"XDG_STATE_HOME": str(tmp_path), "EKSNET_SANDBOX": "cli", "COLUMNS": "200"}
        environment = {**os.environ, **own, **variables}
        return subprocess.run(
            [sys.executable, "-m", "eksnet.cli", *arguments],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip

    return run


def test_status_of_a_sandbox_that_is_down(eksnet):
    done = eksnet("status", "--json")
    assert (done.returncode, json.loads(done.stdout)["phase"]) == (1, "down")


def test_the_sandboxs_name_may_stand_before_the_command(eksnet):
    assert eksnet("--sandbox", "other", "status").stdout == "other: down\n"
    assert eksnet("status", "--sandbox", "other").stdout == "other: down\n"


def test_logs_before_the_first_start(eksnet):
    done = eksnet("logs")
    assert (done.returncode, done.stdout) == (0, "No component has written a log yet.\n")


def test_down_twice_is_fine(eksnet):
    done = eksnet("down")
    assert (done.returncode, done.stdout) == (0, "The sandbox was not up.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["kubectl", "get", "pods"], "the sandbox cli is down"),
        (["logs", "etcd"], "there is no log of a component 'etcd'"),
        (["run", "77_nothing"], "77_nothing is not a notebook of the course"),
        (["up", "--sandbox", "../x"], "'../x' is not a valid sandbox name"),
    ],
)
def test_what_cannot_be_done_is_one_message_and_exit_code_2(eksnet, arguments, says):
    done = eksnet(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"eksnet: {says}")
    assert "Traceback" not in done.stderr
    assert "next:" in done.stderr or "expected:" in done.stderr


def test_without_user_namespaces_nothing_is_begun(eksnet, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    refusing = programs / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    done = eksnet("up", PATH=f"{programs}:{os.environ['PATH']}")
    refused(done, "does not let you create a user namespace: unshare failed", "make lab")
    assert list(tmp_path.iterdir()) == [programs]


@pytest.mark.sandbox
def test_a_taken_port_leaves_nothing_half_done(eksnet, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = eksnet("up", "--port", str(port))
    refused(done, f"127.0.0.1:{port} is used by another program", "eksnet up --port 0")
    assert hostside.naming(tmp_path) == []
    assert eksnet("status").stdout == "cli: down\n"
    assert not (tmp_path / "eksnet" / "cli" / "kubeconfig").exists()


@pytest.mark.sandbox
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_start_that_is_interrupted_leaves_nothing_running(tmp_path, number):
    own = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "EKSNET_SANDBOX": "cut"}
    start = subprocess.Popen(
        [sys.executable, "-m", "eksnet.cli", "up"], env=own, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # Even where the tests themselves were told to pass it over, as nohup does.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    assert start.stdout.readline()  # the first step is done
    start.send_signal(number)
    _, complaint = start.communicate(timeout=60)
    assert start.returncode != 0
    assert "Traceback" not in complaint
    assert hostside.naming(tmp_path) == []


@pytest.mark.sandbox
@pytest.mark.parametrize("command", ["up", "reset"])
def test_ctrl_c_at_any_moment_of_a_start_is_one_line_and_leaves_nothing(tmp_path, command):
    own = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "EKSNET_SANDBOX": "cut"}
    for moment in (0.05, 0.2, 0.5, 0.9, 1.4):
        assert interrupted([command], moment, env=own) == IN_ONE_LINE, moment
        assert hostside.naming(tmp_path) == []


@pytest.mark.sandbox
def test_state_of_another_version_is_left_as_it_was(eksnet, tmp_path):
    own = paths.Paths(tmp_path / "eksnet" / "cli")
    own.cluster.mkdir(parents=True)
    (own.cluster / "kept").touch()
    own.version.write_text("0 kubernetes-1.29\n")
    refused(eksnet("up"), "written by another version (0 kubernetes-1.29)", "eksnet reset")
    assert own.version.read_text() == "0 kubernetes-1.29\n"
    assert (own.cluster / "kept").exists()
    assert not own.identity.exists()
    assert hostside.naming(tmp_path) == []


@pytest.fixture
def at_the_live_one(eksnet, live_sandbox):
    """Run the command on the suite's sandbox."""
    home = str(Path(live_sandbox.kubeconfig).parents[2])

    def run(*arguments):
        return eksnet(*arguments, XDG_STATE_HOME=home, EKSNET_SANDBOX=live_sandbox.name)

    return run


@pytest.mark.sandbox
def test_the_commands_on_a_sandbox_that_is_up(at_the_live_one, live_sandbox):
    assert at_the_live_one("up").stdout.endswith(f"{live_sandbox.kubeconfig}\n")
    shown = at_the_live_one("status")
    assert (shown.returncode, shown.stdout.split()[:2]) == (0, [f"{live_sandbox.name}:", "ready"])
    found = json.loads(at_the_live_one("status", "--json").stdout)
    assert {component["state"] for component in found["components"].values()} == {"running"}
    assert {"etcd", "kube-apiserver", "kubelet-node1", "kubelet-node2"} <= set(found["components"])
    logs = at_the_live_one("logs").stdout.split()
    assert set(found["components"]) <= set(logs)
    assert at_the_live_one("logs", "supervisor").returncode == 0
    nodes = at_the_live_one("kubectl", "get", "nodes", "--output=name")
    assert (nodes.returncode, nodes.stdout.count("node/ip-10-0-1")) == (0, 2)
    assert at_the_live_one("kubectl", "get", "pod", "nothing").returncode == 1


def test_a_command_for_kubectl_reaches_it_whole(monkeypatch):
    from typer.testing import CliRunner

    from eksnet import cli

    given = []
    monkeypatch.setattr(cli.sandbox, "_kubectl", lambda words, name: given.append((words, name)))
    words = ["exec", "-n", "shop", "cl", "--", "sh", "-c", "echo -- there"]
    assert CliRunner().invoke(cli.app, ["kubectl", "--sandbox", "two", *words]).exit_code == 0
    assert given == [(words, "two")]


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_there_is_not(eksnet, port):
    done = eksnet("up", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Invalid value for '--port'" in done.stderr
    assert "Traceback" not in done.stderr
