"""Notebooks run without a browser, and saved with small differences."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from eksnet.commands import environment
from eksnet.course import times
from eksnet.course.catalogue import FOLDED, PREDICT, course, named

if TYPE_CHECKING:
    from nbclient import NotebookClient

Progress = Callable[[str], None]
# Longer than any wait of a notebook's own, which names what it waits for.
CELL_DEADLINE = 300
_WIDGET = "application/vnd.jupyter.widget-view+json"
_KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def run_all(
    notebooks: Sequence[str | Path], *, save: bool = False, progress: Progress = print
) -> bool:
    """Run notebooks one after the other, with a line for each.

    Args:
        notebooks: Paths, names or numbers; the whole course when empty.
        save: Whether the outputs replace those in the files.
        progress: Called with each line.

    Returns:
        Whether all cells of all notebooks ran.

    Raises:
        EksnetError: A name means no notebook; none has run then.
        KeyboardInterrupt: It was interrupted; it says in which cell.
    """
    paths = [path for name in notebooks for path in _meant(name)] or course()
    results = [run_one(path, save=save, progress=progress) for path in paths]
    return all(results)


def _meant(name: str | Path) -> list[Path]:
    path = Path(name)
    return [path] if path.suffix == ".ipynb" and path.is_file() else named(name)


def run_one(path: Path, *, save: bool = False, progress: Progress = print) -> bool:
    """Run one notebook in a kernel of its own; say how long it took, or which cell failed and why.

    Args:
        path: The notebook.
        save: Whether the outputs replace those in the file; only those of a run without errors do.
            Of a notebook of the course, the time that it took is kept too.
        progress: Called with each line.

    Returns:
        Whether all its cells ran.

    Raises:
        KeyboardInterrupt: It was interrupted; its kernel has ended.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    begun: list[str] = []
    began = time.monotonic()

    def ended(what: str) -> str:
        where = f"cell {begun[-1]}" if begun else "its start"
        return f"{path.stem}: {what} after {time.monotonic() - began:.0f} s in {where}"

    with (
        tempfile.TemporaryDirectory() as sockets,
        tempfile.TemporaryFile("w+", errors="replace") as log,
    ):
        client = NotebookClient(
            notebook,
            timeout=CELL_DEADLINE,
            resources={"metadata": {"path": str(path.parent)}},
            config=private_kernel(sockets),
            on_cell_execute=lambda cell, cell_index: begun.append(cell.id),
        )
        try:
            with _cancelled_by_interrupts(), asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(_execute(client, log))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            progress(ended("failed"))
            progress(_reason(error, log))
            return False
        except KeyboardInterrupt:
            raise KeyboardInterrupt(ended("interrupted")) from None
    took = time.monotonic() - began
    progress(f"{path.stem}: ran in {took:.0f} s")
    if save:
        times.record(path, took)
        nbformat.write(normalised(notebook), path)  # type: ignore[no-untyped-call]
    return True


@contextlib.contextmanager
def _cancelled_by_interrupts() -> Iterator[None]:
    """Have Ctrl-C cancel what a loop does, where it waits: raised anywhere, it may lose a kernel.

    asyncio does so where SIGINT is Python's own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Loop(asyncio.SelectorEventLoop):
    """A loop in which nbclient leaves the signals alone: it would take Ctrl-C for a dead kernel."""

    def add_signal_handler(self, *_: object) -> None:
        """Refuse, as the loop of any thread but the main one does."""
        raise RuntimeError("signals are the command's")


async def _execute(client: NotebookClient, log: IO[str]) -> None:
    """Run all cells, and end the kernel whatever happens.

    Args:
        client: What runs them.
        log: Takes what the kernel itself says, which is nothing of a cell's.

    Raises:
        asyncio.CancelledError: It was interrupted.
    """
    from nbclient.exceptions import DeadKernelError
    from nbclient.util import ensure_async

    task = asyncio.current_task()
    try:
        await client.async_execute(stdout=log, stderr=log, env=environment(os.environ))
    except DeadKernelError:
        # So nbclient calls it when it is cancelled in a cell.
        if task and task.cancelling():
            raise asyncio.CancelledError from None
        raise
    finally:
        # nbclient ends the kernel, but not one that was still starting when it was cut off.
        if client.km is not None and client.km.has_kernel:
            await ensure_async(client.km.shutdown_kernel(now=True))


def private_kernel(directory: str) -> Any:
    """Return the settings of a kernel that listens on files in a directory, on no port."""
    from traitlets.config import Config

    return Config({"KernelManager": {"transport": "ipc", "ip": f"{directory}/kernel"}})


def _reason(error: Exception, log: IO[str]) -> str:
    """Return the error that a cell raised, or a dead kernel's last line, without the way there."""
    if hasattr(error, "ename"):
        return f"{error.ename}: {getattr(error, 'evalue', '')}"
    log.seek(0)
    return "\n".join([str(error).strip(), *log.read().strip().splitlines()[-1:]])


def normalised(notebook: Any) -> Any:
    """Return a notebook without what changes from run to run.

    That is times, versions, ended countdowns, and the numbers of widgets, which are nowhere any
    more: what is kept of a widget is its twin, in text and in HTML.
    """
    notebook.metadata = {"kernelspec": _KERNELSPEC, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = kept(cell.metadata)
        if cell.cell_type == "code":
            for output in cell.outputs:
                output.get("data", {}).pop(_WIDGET, None)
            cell.outputs = _joined(filter(_is_shown, cell.outputs))
    return notebook


def kept(metadata: Any) -> dict[str, Any]:
    """Return what of a cell's metadata is the course's: that it is folded, or predicts."""
    folded = FOLDED if metadata.get("jupyter") == FOLDED["jupyter"] else {}
    return {**folded, **({"tags": [PREDICT]} if PREDICT in metadata.get("tags", ()) else {})}


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
