"""Commands for the notebooks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from eksnet import inputs
from eksnet.cli.command import PASS_THROUGH, app


@app.command()
def run(
    notebooks: Annotated[
        list[Path] | None, typer.Argument(help="Notebooks, by path or number.")
    ] = None,
    save: Annotated[bool, typer.Option(help="Save the outputs in the files.")] = False,
) -> None:
    """Run all notebooks of the course, or the given ones, without a browser."""
    from eksnet.course import runner

    try:
        fine = runner.run_all(notebooks or [], save=save, progress=print)
    except KeyboardInterrupt as interrupt:
        print(interrupt, file=sys.stderr)
        raise typer.Exit(130) from None
    raise typer.Exit(0 if fine else 1)


@app.command(context_settings={**PASS_THROUGH, "allow_interspersed_args": True})
def lab(
    context: typer.Context,
    course: Annotated[
        str, typer.Option(help="The folder for your own copies of the notebooks.")
    ] = "~/eksnet-course",
    fresh: Annotated[
        list[str] | None,
        typer.Option(help="A notebook's number: add a new copy next to yours; can be repeated."),
    ] = None,
) -> None:
    """Open JupyterLab on your own copy of the course; the sandbox starts in the background.

    All other options go to JupyterLab, such as --no-browser; `eksnet lab -- --help` lists them.
    """
    from eksnet.course.lab import open_lab

    # An empty path would be the present folder.
    folder = Path(inputs.text(course, "--course", "omit --course"))
    open_lab(folder, fresh or (), context.args)
