"""The command's name as a reader has to type it: `eksnet up`, `bin/eksnet up`, `uv run eksnet up`.

In the texts of the package it is always `eksnet up`. Whatever shows them to a reader passes them
through `runnable`: errors do, and all that the command prints.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

_LAUNCHER = Path(__file__).parent.parent / "bin" / "eksnet"
# The directory of the environment's own `eksnet`.
_SCRIPTS = Path(sysconfig.get_path("scripts"))
# What a launcher and `uv run` leave to the programs that they start.
_TYPED, _UV_RUN = "EKSNET_COMMAND", "UV_RUN_RECURSION_DEPTH"
NAMES = (
    "up", "down", "reset", "status", "logs", "kubectl", "shell", "env", "resolve", "run", "lab",
    "engine", "remove", "corefile", "curl", "open", "plan", "lint", "explain", "helm",
    "doctor", "cost", "rollback", "cluster", "cleanup",
    "submit", "grade", "assignment",
)  # fmt: skip
_NAMED = re.compile(rf"(?<![\w./-])(?<!uv run )(?<!-m )eksnet (?=(?:{'|'.join(NAMES)})\b|--)")


def runnable(text: str) -> str:
    """Return a text in which each command of the course is as it works where it is read."""
    if not _NAMED.search(text):
        return text
    name = program()
    return _NAMED.sub(lambda _: f"{name} ", text)


def program() -> str:
    """Return the shortest form of `eksnet` that works in this process's directory."""
    found = shutil.which("eksnet")
    typed = os.environ.get(_TYPED)
    if found and _is_same(Path(found), _LAUNCHER):
        return "eksnet"
    if typed and _is_same(Path(typed), _LAUNCHER):
        return shlex.quote(typed)
    # Only what `uv run` starts has the environment on its path, not the shell that it came from.
    if _UV_RUN in os.environ:
        return "uv run eksnet"
    if found and _is_same(Path(found), _SCRIPTS / "eksnet"):
        return "eksnet"
    if _LAUNCHER.is_file():
        return shlex.quote(_from_here(_LAUNCHER))
    return f"{shlex.quote(sys.executable)} -m eksnet"


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a process in which `eksnet` alone works: a lab's, or a kernel's."""
    own = {name: value for name, value in variables.items() if name not in (_TYPED, _UV_RUN)}
    return {**own, "PATH": f"{_SCRIPTS}{os.pathsep}{variables.get('PATH', os.defpath)}"}


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _from_here(path: Path) -> str:
    """Return a path from the working directory where it is below it, else from the root."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
