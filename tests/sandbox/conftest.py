"""The engine's kubectl on the suite's sandbox."""

import os
import subprocess

import pytest

from eksnet.sandbox import lifecycle

PATIENCE = 60


@pytest.fixture(scope="module")
def kubectl(live_sandbox):
    """Return a function that runs kubectl and returns its output; it must succeed."""
    lifecycle.up()
    program, kubeconfig = lifecycle.kubectl()

    def run(*words, code=0, **options):
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        done = subprocess.run(
            [program, *words], env=environment, capture_output=True, text=True, timeout=PATIENCE,
            check=False, **options,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    run.program, run.kubeconfig = str(program), str(kubeconfig)
    return run
