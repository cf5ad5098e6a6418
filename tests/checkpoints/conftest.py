"""A cluster for checkpoints: an API server that holds what a test puts there."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cluster"))
from fake_api import FakeApi
from lab_api import Check, no_writes, write_kubeconfig

import eksnet
from eksnet.checkpoints import Checkpoint, definitions, evidence
from eksnet.cluster import Cluster, connect_read_only
from eksnet.course.dryrun import DryRun


@pytest.fixture(autouse=True)
def own_state(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep each test's files and variables to itself."""
    # The notebooks on the suite's sandbox show the progress of notebooks, not that of tests.
    monkeypatch.setattr(evidence, "directory", lambda: tmp_path / "state" / "eksnet-evidence")
    if request.node.get_closest_marker("sandbox"):
        return
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("EKSNET_TARGET", "context:lab")
    # A check may not change anything even where the learner may.
    monkeypatch.setenv("EKSNET_CHANGES", "lab")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """An API server that refuses every request that could change anything."""
    server = FakeApi()
    server.refuse = no_writes
    # The AWS account of the cluster: what a test puts there as `api.eks` or `api.elbv2`.
    monkeypatch.setattr(Cluster, "aws", lambda _, service: getattr(server, service))
    monkeypatch.setattr(Cluster, "eks_name", "lab")
    write_kubeconfig(tmp_path / "kubeconfig", server.url)
    yield server
    server.close()


@pytest.fixture
def checkpoint(api: FakeApi) -> Check:
    """Makes a checkpoint that looks at the API server of the test."""
    return lambda name: Checkpoint(
        definitions.find(name), functools.partial(connect_read_only, None), run_once
    )


def run_once(corefile: str, *names: str, cluster: Cluster) -> DryRun:
    """Run a Corefile dry, once for all tests; this API server is none that CoreDNS can watch."""
    return _run(corefile, names)


@functools.cache
def _run(corefile: str, names: tuple[str, ...]) -> DryRun:
    return eksnet.dry_run(corefile, *names)
