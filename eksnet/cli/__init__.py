"""The `eksnet` command: one line per command, each calling the room that knows.

Exit codes: 0 fine, 1 found something, 2 could not do it.
"""

from __future__ import annotations

from eksnet import entry

# In the order in which the help lists their commands.
from eksnet.cli import sandbox  # isort: skip
from eksnet.cli import clusters  # isort: skip
from eksnet.cli import lookups  # isort: skip
from eksnet.cli import course  # isort: skip
from eksnet.cli import manifests  # isort: skip
from eksnet.cli import grading  # isort: skip
from eksnet.cli import corefiles, engine  # isort: skip
from eksnet.cli.command import app
from eksnet.cli.printing import console

__all__ = [
    "app", "clusters", "console", "corefiles", "course", "engine", "grading", "lookups", "main",
    "manifests", "sandbox",
]  # fmt: skip


def main() -> None:
    """Run a command; from its first step on, a signal is one line and an exit code."""
    entry.install()
    app()
