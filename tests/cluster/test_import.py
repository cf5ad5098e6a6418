import os
import subprocess
import sys
from pathlib import Path

import pytest

from eksnet import cluster, loadbalancer

HEAVY = ("kubernetes", "boto3", "botocore", "pandas", "numpy", "ipywidgets", "IPython")


def test_importing_eksnet_loads_no_heavy_client() -> None:
    code = f"""
import sys
import eksnet, eksnet.cluster
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# What takes long to load, and what `eksnet plan` has no use for.
LONG = (*HEAVY, "pydantic", "rich", "http.client", "eksnet.cluster.cluster", "eksnet.sandbox.build")


def test_a_plan_loads_only_what_it_needs(tmp_path: Path) -> None:
    code = f"""
import sys
from eksnet import cli
sys.argv = ["eksnet", "plan", "{tmp_path}/none.yaml"]
try:
    cli.app()
except SystemExit:
    print([name for name in {LONG!r} if name in sys.modules])
"""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "EKSNET_TARGET": "sandbox"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert "the sandbox is down" in done.stderr
    assert done.stdout.strip() == "[]"


def test_a_room_has_what_it_shows() -> None:
    for room in (cluster, loadbalancer):
        assert set(room.__all__) <= set(dir(room))
        assert all(getattr(room, name) is not None for name in room.__all__)
        with pytest.raises(AttributeError, match=f"module '{room.__name__}' has no attribute 'x'"):
            room.x  # noqa: B018
