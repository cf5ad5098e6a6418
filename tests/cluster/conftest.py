from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_api import FakeApi, kubeconfig

import eksnet
from eksnet.cluster import Cluster, guard


@pytest.fixture(autouse=True)
def own_state(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep each test's files, variables and named clusters to itself."""
    if request.node.get_closest_marker("sandbox"):
        return
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("EKSNET_TARGET", raising=False)
    monkeypatch.delenv("EKSNET_CHANGES", raising=False)
    monkeypatch.setattr(guard, "_named", set())


@pytest.fixture
def api() -> Iterator[FakeApi]:
    server = FakeApi()
    yield server
    server.close()


@pytest.fixture
def config(api: FakeApi, tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig(api.url))
    return file


@pytest.fixture
def fake(config: Path) -> Cluster:
    """A cluster whose name was said."""
    return eksnet.connect("context:lab", changes="lab")
