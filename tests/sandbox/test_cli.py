"""The command's exit codes and its messages, as a shell sees them."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def eksnet(tmp_path):
    """Run the command on a state directory of the test's own."""

    def run(*arguments):
        environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "EKSNET_SANDBOX": "cli"}
        return subprocess.run(
            [sys.executable, "-m", "eksnet.cli", *arguments],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip

    return run


def test_status_of_a_sandbox_that_is_down(eksnet):
    done = eksnet("status", "--json")
    assert (done.returncode, json.loads(done.stdout)["phase"]) == (1, "down")


def test_down_twice_is_fine(eksnet):
    done = eksnet("down")
    assert (done.returncode, done.stdout) == (0, "The sandbox was not up.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["kubectl", "get", "pods"], "the sandbox cli is down"),
        (["logs", "etcd"], "no component 'etcd' has a log"),
        (["run", "77_nothing"], "77_nothing is no notebook of the course"),
        (["up", "--sandbox", "../x"], "'../x' is not a sandbox name"),
    ],
)
def test_what_cannot_be_done_is_one_message_and_exit_code_2(eksnet, arguments, says):
    done = eksnet(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"eksnet: {says}")
    assert "Traceback" not in done.stderr
    assert "next:" in done.stderr or "expected:" in done.stderr
