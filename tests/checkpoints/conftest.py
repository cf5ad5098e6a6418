"""A cluster for checkpoints: an API server that holds what a test puts there."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

sys.path.append(str(Path(__file__).parents[1] / "cluster"))
from fake_api import FakeApi, Request, failure

from eksnet.checkpoints import Checkpoint, definitions
from eksnet.cluster import connecting, look

Check = Callable[[str], Checkpoint]


def write_kubeconfig(file: Path, url: str, user: dict[str, object] | None = None) -> None:
    file.write_text(
        yaml.safe_dump(
            {
                "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "learner"}}],
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "learner", "user": user or {"token": "a-secret-of-mine"}}],
            }
        )
    )


@pytest.fixture(autouse=True)
def own_state(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep each test's files, variables and connections to itself."""
    monkeypatch.setattr(connecting, "_latest", None)
    if request.node.get_closest_marker("sandbox"):
        return
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("EKSNET_TARGET", "context:lab")
    # A check may not change anything even where the learner may.
    monkeypatch.setenv("EKSNET_CHANGES", "lab")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    """An API server that refuses every request that could change anything."""
    server = FakeApi()
    server.refuse = no_writes
    write_kubeconfig(tmp_path / "kubeconfig", server.url)
    yield server
    server.close()


def no_writes(request: Request) -> tuple[int, dict[str, object]] | None:
    return (405, failure(405, "MethodNotAllowed", "read only")) if request.writes else None


def forbid(request: Request) -> tuple[int, dict[str, object]] | None:
    """Answer as to a token that may read nothing."""
    if request.path == "/version":
        return None
    return 403, failure(403, "Forbidden", f"{request.path} is forbidden")


@pytest.fixture
def checkpoint(api: FakeApi) -> Check:
    """Makes a checkpoint that looks at the API server of the test."""
    return lambda name: Checkpoint(definitions.find(name), functools.partial(look, None))
