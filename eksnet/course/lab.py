"""JupyterLab on the course."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from eksnet.commands import runnable
from eksnet.course.catalogue import directory

_SETTINGS = Path(__file__).parent.parent / "lab_settings"


def open_lab(arguments: Sequence[str] = ()) -> int:
    """Open JupyterLab on the course; the sandbox gets ready beside it, in its own log.

    Returns:
        JupyterLab's exit code.
    """
    background = subprocess.Popen(
        [sys.executable, "-m", "eksnet.cli", "up"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    print(f"The sandbox gets ready in the background (process {background.pid}):", flush=True)
    print(runnable("`eksnet status` tells how far it is; a notebook that needs it waits."))
    return subprocess.call(lab_command(directory(), *arguments))


def lab_command(directory: Path, *arguments: str) -> list[str]:
    """Return the command that starts JupyterLab on a directory, with the course's settings.

    They answer its question about news, which would cover the first notebook.
    """
    root = ["--allow-root"] if os.geteuid() == 0 else []
    settings = f"--LabApp.app_settings_dir={_SETTINGS}"
    return [sys.executable, "-m", "jupyterlab", *root, settings, *arguments, str(directory)]
