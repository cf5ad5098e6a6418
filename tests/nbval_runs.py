"""Notebooks under nbval, their kernels on no port.

As a plugin of pytest, it has nbval's kernels listen on files of their own. A port is chosen, let go
and taken by the kernel a second later; another worker's server may have it by then.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbval.kernel
import pytest
from jupyter_client.manager import KernelManager

from eksnet.commands import environment
from eksnet.course.runner import private_kernel


def pytest_configure(config: pytest.Config) -> None:
    """Give nbval a manager whose kernels listen in a directory that ends with the run."""
    sockets = tempfile.TemporaryDirectory()
    config.add_cleanup(sockets.cleanup)
    nbval.kernel.KernelManager = functools.partial(
        KernelManager, config=private_kernel(sockets.name)
    )


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run pytest with nbval, without the options that this suite adds to its own runs.

    Args:
        arguments: Options and notebooks.
        cwd: Where to run; here when None.
    """
    command = [
        sys.executable, "-m", "pytest", "-p", "nbval_runs", "-p", "no:cacheprovider", "--nbval",
        "--override-ini=addopts=", *map(str, arguments),
    ]  # fmt: skip
    # As in `eksnet run`: the commands in the outputs are those that work in a kernel of the course.
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    variables = {**environment(os.environ), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )
