from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fake_api import FakeApi

import eksnet
from eksnet.cluster import Cluster, guard


def kubeconfig(url: str, context: str = "lab", user: str = "learner", token: str = "t1") -> str:
    """Return a kubeconfig's text with one context."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "contexts": [{"name": context, "context": {"cluster": "c", "user": user}}],
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": user, "user": {"token": token}}],
        }
    )


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
