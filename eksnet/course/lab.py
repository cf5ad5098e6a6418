"""JupyterLab on the learner's copy of the course."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from eksnet import interrupts
from eksnet.commands import environment, runnable
from eksnet.course import start
from eksnet.course.copies import Copies, open_copies
from eksnet.errors import EksnetError
from eksnet.printable import printable

_SETTINGS = Path(__file__).parent.parent / "lab_settings"
_TERMINAL = Path(__file__).with_name("terminal.sh")
# Options with which JupyterLab says something, or writes its settings, and ends.
_SAYS = {
    "-h", "--help", "--help-all", "-V", "--version",
    "--show-config", "--show-config-json", "--generate-config",
}  # fmt: skip


def open_lab(folder: Path, fresh: Sequence[str] = (), arguments: Sequence[str] = ()) -> None:
    """Open JupyterLab on the learner's copies; the sandbox gets ready beside it, in its own log.

    Args:
        folder: The learner's folder.
        fresh: The notebooks of which new copies are made. Where JupyterLab has this folder open
            already, nothing else is done.
        arguments: JupyterLab's own; when they only have it say something, nothing else is done.

    JupyterLab hears Ctrl-C itself and asks before it ends; after its end the learner is told that
    the cluster still runs.

    Raises:
        EksnetError: The copies cannot be written.
        SystemExit: JupyterLab has ended, with its exit code.
    """
    if only_says(arguments):
        _become(_jupyterlab(*arguments))
    copies = open_copies(folder)
    made = [line for name in fresh for line in copies.fresh(name)]
    for line in [*made, *prepare(copies)]:
        print(runnable(line), flush=True)
    if fresh and _is_open(copies.folder):
        print(printable(f"The notebooks are in {copies.folder}, which JupyterLab has open."))
        return
    print(printable(f"Your copies of the notebooks are in {copies.folder}"), flush=True)
    background = subprocess.Popen(
        [sys.executable, "-m", "eksnet.cli", "up"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    print(f"The sandbox starts in the background (process {background.pid}):", flush=True)
    print(
        runnable(
            "`eksnet status` shows its state; a notebook that needs the sandbox waits for it."
        ),
        flush=True,
    )
    opened = f"--LabApp.default_url=/lab/tree/{start.START}"
    code = interrupts.accompany(
        lab_command(copies.folder, opened, *arguments), environment(os.environ)
    )
    # A terminal that was closed shows nothing any more.
    if code != 128 + signal.SIGHUP and (said := afterwards()):
        print(runnable(said), flush=True)
    raise SystemExit(code)


def afterwards() -> str:
    """Return what there is to know when JupyterLab has ended; nothing where no cluster runs."""
    from eksnet.sandbox import lifecycle

    try:
        found = lifecycle.status()
    except EksnetError:
        return ""
    if found.phase in ("down", "stopping"):
        return ""
    return (
        "The cluster still runs, for the next time. `eksnet down` stops it and keeps what is in it."
    )


def prepare(copies: Copies) -> list[str]:
    """Bring the copies and the pages beside them up to date; return what has to be said."""
    said = copies.prepare()
    pages = {
        start.START: start.start_page(start.attempts()),
        start.GLOSSARY: start.glossary_page(),
    }
    return [*said, *filter(None, (copies.renew(name, text) for name, text in pages.items()))]


def only_says(arguments: Sequence[str]) -> bool:
    """Tell whether JupyterLab, given these, says something and ends: it needs no course then."""
    if not _SAYS.isdisjoint(arguments):
        return True
    if not arguments or arguments[0].startswith("-"):
        return False
    from jupyter_server.serverapp import ServerApp
    from jupyterlab.labapp import LabApp

    return arguments[0] in {*LabApp.subcommands, *ServerApp.subcommands}


def lab_command(directory: Path, *arguments: str) -> list[str]:
    """Return the command that starts JupyterLab on a directory, with the course's settings.

    They answer its question about news, which would cover the first page, show pages as they are
    read, leave the names of files room, and hide nbgrader's buttons where that is installed.
    """
    root = ["--allow-root"] if os.geteuid() == 0 else []
    settings = f"--LabApp.app_settings_dir={_SETTINGS}"
    # A login shell, which is what a server without a terminal takes, would make a path of its own.
    # Its terminals have the sandbox's variables; its kernels, which are its children too, do not.
    own = ["sh", str(_TERMINAL), sys.executable, os.environ.get("SHELL") or "sh"]
    shell = f"--ServerApp.terminado_settings=shell_command={own}"
    return _jupyterlab(*root, settings, shell, *arguments, str(directory))


def _jupyterlab(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "jupyterlab", *arguments]


def _become(command: list[str]) -> NoReturn:
    sys.stdout.flush()
    os.execve(command[0], command, environment(os.environ))


def _is_open(folder: Path) -> bool:
    from jupyter_server.serverapp import list_running_servers

    return any(Path(server["root_dir"]) == folder for server in list_running_servers())
