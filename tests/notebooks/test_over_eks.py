"""The course over a target `eks:`, with the sandbox's AWS endpoint in the environment."""

import os

import nbformat
import nbval_runs
import over_eks
import pytest
import sanitizing

from eksnet.course import catalogue

NAMES = [path.stem for path in catalogue.course()]
# In `make test`: one that needs Kubernetes alone, and one that needs AWS.
TWO = ("01a_dns_records", "02a_coredns_addon")


@pytest.fixture
def own_cluster(fresh_sandbox, tmp_path, monkeypatch):
    """A learner's environment in which the sandbox is an EKS cluster; returns the endpoint."""
    for name, value in over_eks.variables(tmp_path / "bin").items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return os.environ["AWS_ENDPOINT_URL"]


def compare(name, endpoint, directory, **said):
    """Run a notebook under nbval; every output is the committed one."""
    path = directory / f"{name}.ipynb"
    nbformat.write(over_eks.expected(name, over_eks.connected(endpoint, **said)), path)
    rules = sanitizing.DIRECTORY / f"{name}.cfg"
    sanitize = ["--nbval-sanitize-with", rules] if rules.exists() else []
    done = nbval_runs.run("--nbval-cell-timeout=300", "-q", "-x", *sanitize, path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.parametrize("name", TWO)
def test_a_learners_own_cluster_prints_what_the_sandbox_prints(own_cluster, tmp_path, name):
    compare(name, own_cluster, tmp_path)


@pytest.mark.notebook
@pytest.mark.sandbox
@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in NAMES if name not in TWO])
def test_all_of_the_course_prints_what_it_prints_on_the_sandbox(own_cluster, tmp_path, name):
    compare(name, own_cluster, tmp_path)
