"""The course's notebooks: run without a browser, saved with small differences, opened in a lab."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eksnet.errors import EksnetError

Say = Callable[[str], None]
_PACKAGE = Path(__file__).parent
# Longer than any wait of a notebook's own, which names what it waits for.
_CELL_DEADLINE = 300
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
    """Run one notebook in a kernel of its own and say how it went."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=_CELL_DEADLINE,
        resources={"metadata": {"path": str(path.parent)}},
    )
    began = time.monotonic()
    try:
        client.execute()
    except CellExecutionError as error:
        say(f"{path.stem}: failed after {time.monotonic() - began:.0f} s in {_failed(notebook)}")
        say(str(error).strip())
        return False
    say(f"{path.stem}: ran in {time.monotonic() - began:.0f} s")
    if save:
        nbformat.write(normalised(notebook), path)  # type: ignore[no-untyped-call]
    return True


def normalised(notebook: Any) -> Any:
    """Return a notebook without what changes from run to run: times and versions in metadata."""
    notebook.metadata = {"kernelspec": _KERNELSPEC, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("tags",) if key in cell.metadata}
    return notebook


def _failed(notebook: Any) -> str:
    for cell in notebook.cells:
        if any(output.output_type == "error" for output in cell.get("outputs", ())):
            return f"cell {cell.id}"
    return "a cell that did not say which"


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
    root = ["--allow-root"] if os.geteuid() == 0 else []
    # JupyterLab's question about news would cover the first notebook; our settings answer it.
    settings = f"--LabApp.app_settings_dir={_PACKAGE / 'lab_settings'}"
    command = [sys.executable, "-m", "jupyterlab", *root, settings, *arguments, str(directory())]
    return subprocess.call(command)
