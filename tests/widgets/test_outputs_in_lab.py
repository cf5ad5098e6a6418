"""What notebooks show beside widgets, in JupyterLab in Chromium."""

from __future__ import annotations

import re

import nbformat
import pytest
import results
from axe_playwright_python.sync_playwright import Axe
from lab import COLOURS, KERNEL, THEMES, contrast
from nbformat.v4 import new_code_cell, new_notebook, new_output

pytestmark = pytest.mark.browser

OUTPUT = ".jp-OutputArea-output"
ERROR = 'import eksnet\neksnet.data.load_table("nosuch")'
TRACEBACK = "eksnet.traceback()"
CELLS = ["import results", *(f"results.{name}" for name in results.SHOWN), ERROR, TRACEBACK]
ALIGNED = "cells => cells.map(cell => getComputedStyle(cell).textAlign)"


@pytest.fixture(scope="module")
def notebook(lab):
    """A notebook that shows all of it; its error ends Run All, so that one cell runs after it."""
    lab.open("outputs", *CELLS)
    lab.page.locator(f"{OUTPUT}[data-mime-type='application/vnd.jupyter.stderr']").wait_for()
    lab.page.evaluate(
        "at => { jupyterapp.shell.currentWidget.content.activeCellIndex = at; }", len(CELLS) - 1
    )
    lab.command("notebook:run-cell")
    lab.page.get_by_text("Traceback of EksnetError").wait_for()
    return lab


def output(lab, name):
    """The output of the cell that shows a thing."""
    at = CELLS.index(f"results.{name}" if name in results.SHOWN else name)
    cell = lab.page.locator(".jp-Notebook-cell").nth(at)
    # JupyterLab draws no cell that is far from what is seen.
    cell.scroll_into_view_if_needed()
    return cell.locator(OUTPUT).first


@pytest.mark.parametrize("theme", list(THEMES))
def test_axe_finds_nothing_and_colours_have_contrast(notebook, theme):
    notebook.theme(theme)
    found = Axe().run(notebook.page, context=OUTPUT, options={})
    assert found.violations_count == 0, found.generate_report()
    assert found.response["passes"]
    for name in (*results.SHOWN, ERROR, TRACEBACK):
        colours = output(notebook, name).evaluate(COLOURS)
        assert colours
        ratios = {c["what"]: contrast(c["text"], c["ground"]) for c in colours}
        assert {what: ratio for what, ratio in ratios.items() if ratio < 4.5} == {}


def test_a_verdict_has_its_sign_and_its_word(notebook):
    assert output(notebook, "good").get_by_text("✓ PASS", exact=True).count() == 3
    bad = output(notebook, "bad")
    assert bad.get_by_text("✗ FAIL", exact=True).count() == 3
    assert bad.get_by_text("○ NOT STARTED", exact=True).count() == 1
    assert bad.get_by_text("? CANNOT CHECK", exact=True).count() == 1
    assert output(notebook, "diagnosis").get_by_text("✗ FAILS", exact=True).count() == 1
    assert output(notebook, "progress").get_by_text("○ NOT STARTED", exact=True).count() == 3


def test_text_stands_left_and_numbers_right(notebook):
    cells = output(notebook, "progress").locator("th, td")
    assert set(cells.evaluate_all(ALIGNED)) == {"left"}
    output(notebook, "table").locator("summary").click()
    row = output(notebook, "table").locator("tbody tr").first.locator("td")
    assert row.evaluate_all(ALIGNED) == ["left", "right"]
    output(notebook, "table").locator("summary").click()


def test_a_long_table_is_folded_and_opens_by_the_keyboard(notebook):
    table = output(notebook, "table")
    summary = table.locator("summary")
    assert summary.text_content() == "40 rows: address, n"
    assert not table.locator("table").is_visible()
    summary.focus()
    notebook.page.keyboard.press("Enter")
    assert table.locator("table").is_visible()
    notebook.page.keyboard.press("Enter")
    assert not table.locator("table").is_visible()


def test_an_error_is_its_lines(notebook):
    lines = output(notebook, ERROR).inner_text().strip().splitlines()
    assert lines[0].strip() == '✗ EksnetError  in line 2: eksnet.data.load_table("nosuch")'
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "seen", "expected", "next", "The full traceback",
    ]  # fmt: skip


def test_an_untrusted_notebook_looks_the_same(notebook):
    shown = {name: getattr(results, name)._repr_html_() for name in results.SHOWN}
    cells = [new_code_cell("...", execution_count=1) for _ in shown]
    for cell, html in zip(cells, shown.values(), strict=True):
        data = {"text/html": html, "text/plain": ""}
        cell.outputs = [new_output("execute_result", data, execution_count=1)]
    whole = new_notebook(cells=cells, metadata=KERNEL)
    nbformat.write(whole, notebook.directory / "untrusted.ipynb")
    trusted = {name: markup(output(notebook, name)) for name in shown}
    notebook.reopen("untrusted")
    page = notebook.page
    tab = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    tab.locator(OUTPUT).nth(len(shown) - 1).wait_for()
    assert not page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted")
    outputs = [markup(tab.locator(OUTPUT).nth(at)) for at in range(len(shown))]
    page.evaluate("jupyterapp.shell.currentWidget.dispose()")
    assert dict(zip(shown, outputs, strict=True)) == trusted


def markup(locator):
    """What an output is in the page; blanks in its styles are the sanitiser's choice."""
    html = locator.inner_html()
    return re.sub(r'style="([^"]*)"', lambda m: re.sub(r"\s*([:;,])\s*", r"\1", m[0]), html)
