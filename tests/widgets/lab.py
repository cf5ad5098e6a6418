"""What a reader does in JupyterLab, and what is to be seen there."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Locator, Page, TimeoutError

from eksnet.display import Mark
from eksnet.widgets import Model, Picture, Table, Text

KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
GROUNDS = {"light": "white", "dark": "#111"}

READY = """async (path) => {
    const panel = await jupyterapp.commands.execute('docmanager:open', { path });
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
}"""
FOCUS_FIRST_CELL = """() => {
    const { content } = jupyterapp.shell.currentWidget;
    content.activeCellIndex = 0;
    content.mode = 'command';
    content.activeCell.node.focus();
}"""
# What stands in each part of a widget, as its table's cells or its file's text.
PARTS = """widget => [...widget.querySelectorAll('.eksnet-panel table, .eksnet-panel figure')].map(
    part => part.querySelector('svg')
        ? { caption: part.querySelector('figcaption').textContent,
            drawn: part.querySelector('svg[role=img]').ariaLabel }
        : part.tagName === 'FIGURE'
        ? { caption: part.querySelector('figcaption').textContent,
            text: part.querySelector('pre').textContent }
        : { caption: part.caption.textContent,
            marked: [...part.tBodies[0].rows].findIndex(row => row.ariaCurrent === 'step'),
            rows: [...part.rows].map(row => [...row.cells].map(cell => cell.textContent)) })"""
SHOWS = f"""([widget, said, parts]) =>
    widget.querySelector('[role=status]').textContent === said &&
    JSON.stringify(({PARTS})(widget)) === JSON.stringify(parts)"""
# What is beyond the right edge of a root, and which texts of a drawing stand on one another.
STICKS_OUT = """root => {
    const edge = root.getBoundingClientRect().right + 1;
    const found = [root, ...root.querySelectorAll('*')]
        .filter(e => !e.closest('.eksnet-unseen') && e.checkVisibility())
        .filter(e => e.getBoundingClientRect().right > edge || e.scrollWidth > e.clientWidth + 1
            && e.clientWidth && getComputedStyle(e).overflowX !== 'visible'
            && !e.matches('input, textarea'));
    return found.map(e => e.tagName + ' ' + e.textContent.slice(0, 40));
}"""
OVERLAPS = """root => {
    const found = [];
    for (const drawing of root.querySelectorAll('svg')) {
        const boxes = [...drawing.querySelectorAll('text')]
            .map(text => [text.textContent, text.getBoundingClientRect()]);
        boxes.forEach(([words, a], n) => boxes.slice(n + 1).forEach(([others, b]) => {
            // A line's box is higher than its letters.
            const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            if (wide > 1 && high > 4) found.push([words, others]);
        }));
        const ground = drawing.getBoundingClientRect();
        for (const [words, box] of boxes)
            if (box.left < ground.left || box.right > ground.right + 1) found.push([words, 'edge']);
    }
    return found;
}"""
# Colours as the screen shows them: those of the text, the first ground behind it, the border.
COLOURS = """widget => {
    const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (...colours) => {
        paint.clearRect(0, 0, 1, 1);
        for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
        return [...paint.getImageData(0, 0, 1, 1).data];
    };
    const ground = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (rgba(colour)[3] === 255) return colour;
        }
        return 'white';
    };
    const controls = 'input, select, button, textarea';
    const bears = element => element.matches(controls) || [...element.childNodes]
        .some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    return [...widget.querySelectorAll('*')]
        .filter(element => element.checkVisibility() && bears(element))
        .map(element => {
            const behind = ground(element), style = getComputedStyle(element);
            const around = ground(element.parentElement);
            const name = element.labels?.[0]?.textContent ?? element.textContent.slice(0, 30);
            return { what: element.tagName + ' ' + name,
                     text: rgba(behind, style.color), ground: rgba(behind),
                     border: element.matches('input, select, button, textarea')
                         ? [rgba(around, style.borderTopColor), rgba(around)] : null };
        });
}"""


def find_chromium() -> str:
    """Return the Chromium on the path; without one, fail with the remedy."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.fail("no Chromium on the path\n  next:     make test, whose set-up installs it")
    return program


class Lab:
    """A window with JupyterLab in it; its commands by name, all else by the keyboard."""

    def __init__(self, page: Page, directory: Path) -> None:
        self.page = page
        self.directory = directory

    def command(self, name: str, **arguments: object) -> None:
        """Run one of JupyterLab's commands and wait for its end."""
        self.page.evaluate(
            "([name, args]) => jupyterapp.commands.execute(name, args).then(() => null)",
            [name, arguments],
        )

    def confirm(self, name: str) -> None:
        """Run a command that asks, and say yes."""
        self.page.evaluate("name => { jupyterapp.commands.execute(name); }", name)
        dialog = self.page.locator(".jp-Dialog")
        dialog.wait_for()
        self.page.keyboard.press("Enter")
        dialog.wait_for(state="detached")

    def open(self, name: str, *cells: str) -> None:
        """Make a notebook of these cells, open it, wait for its kernel and run it."""
        self.write(name, *map(new_code_cell, cells))
        self.reopen(name)
        self.run()

    def write(self, name: str, *cells: NotebookNode) -> None:
        """Make a notebook of these cells, which nobody has opened, run or trusted yet."""
        notebook = new_notebook(cells=list(cells), metadata=KERNEL)
        nbformat.write(notebook, self.directory / f"{name}.ipynb")

    def zoom(self, percent: int) -> None:
        """Show the window as a browser does that is zoomed: fewer pixels, each of them larger."""
        across, down = round(1280 * 100 / percent), round(1000 * 100 / percent)
        self.page.set_viewport_size({"width": across, "height": down})
        self.page.wait_for_function("across => innerWidth === across", arg=across)

    def reopen(self, name: str) -> None:
        """Open a notebook that is there, and wait for its kernel."""
        self.page.evaluate(READY, f"{name}.ipynb")

    def run(self) -> None:
        """Run all cells, and wait for their outputs."""
        self.command("notebook:run-all-cells")

    def close(self) -> None:
        """Save the notebook and close its tab; its kernel lives on."""
        self.command("docmanager:save")
        self.command("application:close")
        self.page.locator(".jp-Notebook").wait_for(state="detached")

    def theme(self, name: str) -> None:
        """Change to the theme `light` or `dark`, and wait until it is there."""
        self.command("apputils:change-theme", theme=THEMES[name])
        light = "true" if name == "light" else "false"
        self.page.locator(f"body[data-jp-theme-light={light}]").wait_for(state="attached")
        # The theme's stylesheet comes after its mark.
        self.page.wait_for_function(
            """ground => getComputedStyle(document.body)
                .getPropertyValue('--jp-layout-color0').trim() === ground""",
            arg=GROUNDS[name],
        )

    def focus_first_cell(self) -> None:
        """Put the focus where Escape leaves it: on the first cell, in command mode."""
        self.page.evaluate(FOCUS_FIRST_CELL)

    @property
    def active_cell(self) -> int:
        """The index of the cell that JupyterLab is at."""
        return self.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex")

    def widget(self, index: int = 0) -> Widget:
        """Return a widget of the notebook, once it is there whole."""
        widget = Widget(self, self.page.locator(".jp-Notebook .eksnet-widget").nth(index))
        widget.status.wait_for()
        return widget

    def output(self, cell: int) -> str:
        """Return what a cell printed."""
        output = self.page.locator(".jp-Notebook-cell").nth(cell).locator(".jp-OutputArea-output")
        return output.inner_text().strip()


class Widget:
    """A widget in the page."""

    def __init__(self, lab: Lab, root: Locator) -> None:
        self.page = lab.page
        self.root = root
        self.status = root.get_by_role("status")

    def sticks_out(self) -> list[str]:
        """Return what sticks out once JupyterLab has laid out again, a moment after a zoom."""
        settled = f"root => !({STICKS_OUT})(root).length"
        with suppress(TimeoutError):
            self.page.wait_for_function(settled, arg=self.root.element_handle(), timeout=10_000)
        found: list[str] = self.root.evaluate(STICKS_OUT)
        return found

    def control(self, label: str) -> Locator:
        """Return a control by what a screen reader calls it."""
        field = self.root.get_by_label(label, exact=True)
        return field.or_(self.root.get_by_role("button", name=label, exact=True))

    def focused(self) -> str:
        """Return what the control with the focus is called; empty when it is none of these."""
        return self.root.evaluate("""root => {
            const at = document.activeElement;
            return root.contains(at) ? (at.labels?.[0] ?? at).textContent : '';
        }""")

    def sentence(self) -> str:
        """Return the status line as it is seen: what is for screen readers alone left out."""
        return self.status.evaluate("line => line.firstChild.data")

    def parts(self) -> list[dict]:
        """Return what is shown below the sentence, read from the page."""
        return self.root.evaluate(PARTS)

    def wait_for(self, model: Model) -> None:
        """Wait until exactly what a model says is shown, and said.

        Raises:
            AssertionError: It was not within thirty seconds.
        """
        said, parts = expected(model)
        # The comparison says what is there instead.
        with suppress(TimeoutError):
            self.page.wait_for_function(
                SHOWS, arg=[self.root.element_handle(), said, parts], timeout=30_000
            )
        assert (self.status.text_content(), self.parts()) == (said, parts)
        assert self.sentence() == model.shown().sentence


def expected(model: Model) -> tuple[str, list[object]]:
    """Return what the page shows for a model: the status line whole, and `PARTS`."""
    panel = model.shown()
    return f"{panel.sentence} {model.spoken}", [found_of(part) for part in panel.parts]


def found_of(part: Table | Text | Picture) -> dict:
    """Return what `PARTS` finds in the page for a part."""
    if isinstance(part, Picture):
        return {"caption": part.caption, "drawn": part.spoken}
    if isinstance(part, Text):
        return {"caption": part.caption, "text": part.text}
    # The sign and the mark for screen readers are on the same row, and on no other.
    rows = [list(map(_in_html, row)) for row in (part.listing.columns, *part.listing.rows)]
    marked = -1 if part.marked is None else part.marked
    return {"caption": part.caption, "marked": marked, "rows": rows}


def _in_html(cell: str) -> str:
    """Return a cell as the page has it: a verdict with its sign."""
    return f"{cell.tone.sign} {cell}" if isinstance(cell, Mark) else cell


def contrast(one: list[int], other: list[int]) -> float:
    """Return the contrast ratio of two colours.

    Source: WCAG 2.2, definitions of relative luminance and contrast ratio.
    """
    lighter, darker = sorted(map(luminance, (one, other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: list[int]) -> float:
    """Return the relative luminance of a colour, 0 to 1."""
    shares = (value / 255 for value in colour[:3])
    linear = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return sum(weight * s for weight, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
