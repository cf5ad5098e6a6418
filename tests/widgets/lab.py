"""What a reader does in JupyterLab, and what is to be seen there."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page

KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
WIDGET = ".jp-Notebook .eksnet-widget"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


class Lab:
    """A window with JupyterLab in it; commands by their names, everything else by the keyboard."""

    def __init__(self, page: Page, directory: Path) -> None:
        self.page = page
        self.directory = directory

    def command(self, name: str, **arguments: object) -> None:
        """Run one of JupyterLab's commands, without waiting for its end."""
        self.page.evaluate(
            "([name, args]) => { window.jupyterapp.commands.execute(name, args); }",
            [name, arguments],
        )

    def open(self, name: str, *cells: str) -> None:
        """Make a notebook of these cells, open it and wait for its kernel."""
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=KERNEL)
        nbformat.write(notebook, self.directory / f"{name}.ipynb")
        self.reopen(name)
