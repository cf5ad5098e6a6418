"""A cluster that refuses every change, a clock that runs, and no process that could be started."""

from __future__ import annotations

import subprocess
import sys
import time
import types
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.append(str(Path(__file__).parents[1] / "cluster"))
from fake_api import FakeApi, failure

import eksnet
from eksnet.cluster import Target
from eksnet.errors import EksnetError


@pytest.fixture(scope="module")
def border(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Nothing is started and nothing waited for; all files are the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(home))
        patch.chdir(home)
        patch.setenv("EKSNET_TARGET", "context:lab")
        patch.setenv("EKSNET_SANDBOX", "hostile")
        patch.setattr(subprocess.Popen, "__init__", _nothing_is_started)
        patch.setattr(subprocess.Popen, "__del__", lambda self: None)
        yield patch


def _nothing_is_started(*_: Any, **__: Any) -> None:
    raise EksnetError("no process is started here", "a test that starts none")


@pytest.fixture(scope="module")
def cluster(border: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster that may be changed, as the sandbox may, and that refuses each change."""
    api = FakeApi()
    file = tmp_path_factory.mktemp("config") / "kubeconfig"
    entries = {
        "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": api.url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    file.write_text(yaml.safe_dump(entries))
    border.setenv("KUBECONFIG", str(file))
    api.put("/api/v1/namespaces/default/pods/client", {"spec": {}, "status": {"phase": "Running"}})
    api.logs["/api/v1/namespaces/default/pods/client"] = "hello\n"
    api.put("/api/v1/namespaces/default/configmaps/web", {"data": {"key": "text"}})
    api.refuse = lambda request: (
        (403, failure(403, "Forbidden", "nobody may change anything")) if request.writes else None
    )
    found = eksnet.connect("context:lab", changes="lab")
    found.target = Target("sandbox", "sandbox")
    _let_time_run(border)
    yield found
    api.close()


def _let_time_run(patch: pytest.MonkeyPatch) -> None:
    """Give every module a clock on which a day goes by at each look."""
    days = count()
    clock = types.SimpleNamespace(**vars(time))
    clock.monotonic = lambda: 86400.0 * next(days)
    clock.sleep = lambda _: None
    for name, module in list(sys.modules.items()):
        if name.startswith("eksnet.") and getattr(module, "time", None) is time:
            patch.setattr(module, "time", clock)
