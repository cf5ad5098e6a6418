"""Notebooks of their own in JupyterLab in Chromium: late observations, and pictures of cells."""

import os

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from demo import Way
from lab import THEMES
from nbformat import NotebookNode

from eksnet.widgets import SearchOrder

pytestmark = pytest.mark.browser

SERVICE = "my-service.app-ns.svc.cluster.local"


def test_shift_enter_in_the_last_cell_stays_there(lab):
    lab.open("last", "from demo import Way", "from eksnet import widgets; widgets.show(Way())")
    widget = lab.widget()
    widget.wait_for(Way())
    widget.control("protocol").focus()
    lab.page.keyboard.press("Shift+Enter")
    assert (lab.active_cell, lab.page.locator(".jp-Notebook-cell").count()) == (1, 2)
    assert widget.focused() == ""
    lab.close()


BESIDE = """
import demo
from eksnet import widgets
widgets.show(demo.Beside(name="{one}", namespace="ops-ns", witness=demo.answered))
"""


def test_what_arrives_late_is_shown_with_the_settings_it_was_asked_for(lab):
    """Two are observed at once; one comes to nothing; each is said of its own settings alone."""
    names = one, other = "one.example", "other.example"
    for name in names:
        os.mkfifo(lab.directory / name)
    lab.open("beside", BESIDE.format(one=one))
    widget, model = lab.widget(), SearchOrder(name=one, namespace="ops-ns")
    widget.wait_for(model)
    for model.name in names:
        widget.control("name").fill(model.name)
        widget.wait_for(model)
        widget.control("Observe").press("Enter")
        widget.root.get_by_text(f"Looking up {model.name} and reading").wait_for()
    # While both are observed, the settings change: nothing is said of those.
    model.name = "third.example"
    widget.control("name").fill(model.name)
    widget.wait_for(model)
    (lab.directory / other).write_text("no")
    (lab.directory / one).write_text("yes")
    found = SearchOrder(name=one, namespace="ops-ns")
    model.remember(found.predicted, found)
    assert "Not observed with these settings. The last" in model.shown().sentence
    widget.wait_for(model)
    # Back at each: what was seen, and why nothing was seen.
    model.name = one
    widget.control("name").fill(one)
    assert "The observation matches the prediction." in model.shown().sentence
    widget.wait_for(model)
    widget.control("name").fill(other)
    widget.root.get_by_text(f"no answer for {other}").wait_for()
    widget.control("namespace").fill("app-ns")
    widget.root.get_by_text(f"no answer for {other}").wait_for(state="detached")
    model.name, model.namespace = other, "app-ns"
    widget.wait_for(model)
    lab.close()


SHOWN = {"ladder": "Predicted walk", "chart": "Lookup times", "path": "The packet's path"}
PICTURES = f"""
import shop
from eksnet import widgets
from eksnet.kubeproxy import LookupTime
from IPython.display import display
model = widgets.SearchOrder(name="my-service.app-ns", namespace="ops-ns", exists="{SERVICE}")
shown = [widgets.ladder(model.predicted, title="{SHOWN["ladder"]}"),
         widgets.curve([LookupTime(m, n, n) for m in "ab" for n in (1, 9)],
                       title="{SHOWN["chart"]}"),
         widgets.packet_path(shop.stepper().walk, 2)]
for one in shown: display(one)
"""
SEEN = """titles => {
    const found = [...document.querySelectorAll('.jp-OutputArea-output img')];
    return titles.map(title => {
        const image = found.find(image => image.alt.startsWith(title));
        return image?.complete && image.naturalWidth > 0 && image.alt.length > title.length + 20
            && !document.querySelector('.jp-OutputArea-output svg[role=img]');
    });
}"""


@pytest.mark.parametrize("trusted", [True, False])
def test_a_picture_of_a_cell_is_seen_whether_the_notebook_is_trusted_or_not(lab, trusted):
    name = f"pictures-{trusted}"
    lab.open(name, PICTURES)
    lab.page.wait_for_function(f"t => ({SEEN})(t).every(Boolean)", arg=[*SHOWN.values()])
    lab.close()
    if not trusted:
        saved = nbformat.read(lab.directory / f"{name}.ipynb", as_version=4)
        # Another notebook with the same outputs, which nobody has signed.
        lab.write(f"{name}-copy", *(NotebookNode(cell, id="copied") for cell in saved.cells))
        name = f"{name}-copy"
    lab.reopen(name)
    lab.page.wait_for_function(f"t => ({SEEN})(t).every(Boolean)", arg=[*SHOWN.values()])
    model = "jupyterapp.shell.currentWidget.content.widgets[0].model.trusted"
    assert lab.page.evaluate(model) == trusted
    summary = lab.page.get_by_text("The same in text").first
    summary.focus()
    lab.page.keyboard.press("Enter")
    lab.page.get_by_role("cell", name="✓ answer").wait_for()
    for theme in THEMES:
        lab.theme(theme)
        found = Axe().run(lab.page, context=".jp-OutputArea-output figure", options={})
        assert found.violations_count == 0, found.generate_report()
    lab.close()
