"""The course's notebooks: run without a browser, saved with small differences, opened in a lab."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from eksnet.errors import EksnetError

Say = Callable[[str], None]
_PACKAGE = Path(__file__).parent
# Longer than any wait of a notebook's own, which names what it waits for.
_CELL_DEADLINE = 300
_WIDGET = "application/vnd.jupyter.widget-view+json"
# A cell with one solution of an exercise: JupyterLab shows three dots until it is opened.
FOLDED = {"jupyter": {"source_hidden": True}}
_KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def directory() -> Path:
    """Return where the course's notebooks are: a clone's directory, or the installed copy."""
    installed = _PACKAGE / "_notebooks"
    return installed if installed.is_dir() else _PACKAGE.parent / "notebooks"


def course() -> list[Path]:
    """Return the course's notebooks in order."""
    return sorted(directory().glob("[0-9][0-9]_*.ipynb"))


def find(name: str | Path) -> Path:
    """Return the notebook that a path, a name or its number means.

    Raises:
        EksnetError: There is none, or more than one.
    """
    path = Path(name)
    if path.suffix == ".ipynb" and path.exists():
        return path
    matching = [notebook for notebook in course() if notebook.stem.startswith(path.stem)]
    if len(matching) != 1:
        known = ", ".join(notebook.stem for notebook in course())
        raise EksnetError(f"{name} is no notebook of the course", f"one of {known}", "eksnet run")
    return matching[0]


def run_all(notebooks: Sequence[str | Path], *, save: bool = False, say: Say = print) -> bool:
    """Run notebooks one after the other, with a line for each.

    Args:
        notebooks: Paths, names or numbers; the whole course when empty.
        save: Whether the outputs replace those in the files.
        say: Called with each line.

    Returns:
        Whether all cells of all notebooks ran.
    """
    paths = [find(name) for name in notebooks] or course()
    results = [run_one(path, save=save, say=say) for path in paths]
    return all(results)


def run_one(path: Path, *, save: bool = False, say: Say = print) -> bool:
    """Run one notebook in a kernel of its own; say how long it took, or which cell failed and why.

    Args:
        path: The notebook.
        save: Whether the outputs replace those in the file; only those of a run without errors do.
        say: Called with each line.

    Returns:
        Whether all its cells ran.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    begun: list[str] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as sockets:
        client = NotebookClient(
            notebook,
            timeout=_CELL_DEADLINE,
            resources={"metadata": {"path": str(path.parent)}},
            config=private_kernel(sockets),
            on_cell_execute=lambda cell, cell_index: begun.append(cell.id),
        )
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            where = f"cell {begun[-1]}" if begun else "its start"
            say(f"{path.stem}: failed after {time.monotonic() - began:.0f} s in {where}")
            say(_reason(error))
            return False
    say(f"{path.stem}: ran in {time.monotonic() - began:.0f} s")
    if save:
        nbformat.write(normalised(notebook), path)  # type: ignore[no-untyped-call]
    return True


def private_kernel(directory: str) -> Any:
    """Return the settings of a kernel that listens on files in a directory, on no port."""
    from traitlets.config import Config

    return Config({"KernelManager": {"transport": "ipc", "ip": f"{directory}/kernel"}})


def _reason(error: Exception) -> str:
    """Return the error that a cell raised, without the way that it took through the code."""
    if hasattr(error, "ename"):
        return f"{error.ename}: {getattr(error, 'evalue', '')}"
    return str(error).strip()


def normalised(notebook: Any) -> Any:
    """Return a notebook without what changes from run to run.

    That is times, versions, ended countdowns, and the numbers of widgets, which are nowhere any
    more: what is kept of a widget is its twin, in text and in HTML.
    """
    notebook.metadata = {"kernelspec": _KERNELSPEC, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = FOLDED if cell.metadata.get("jupyter") == FOLDED["jupyter"] else {}
        if cell.cell_type == "code":
            for output in cell.outputs:
                output.get("data", {}).pop(_WIDGET, None)
            cell.outputs = _joined(filter(_is_shown, cell.outputs))
    return notebook


def _is_shown(output: Any) -> bool:
    return output.output_type != "display_data" or bool(output.data)


def _joined(outputs: Iterable[Any]) -> list[Any]:
    """Join what was printed in pieces: where it is cut is a matter of timing."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


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
    print("`eksnet status` tells how far it is; a notebook that needs it waits.", flush=True)
    return subprocess.call(lab_command(directory(), *arguments))


def lab_command(directory: Path, *arguments: str) -> list[str]:
    """Return the command that starts JupyterLab on a directory, with the course's settings.

    They answer its question about news, which would cover the first notebook.
    """
    root = ["--allow-root"] if os.geteuid() == 0 else []
    settings = f"--LabApp.app_settings_dir={_PACKAGE / 'lab_settings'}"
    return [sys.executable, "-m", "jupyterlab", *root, settings, *arguments, str(directory)]
