"""The widget Corefile in JupyterLab in Chromium: written, checked and tried by the keyboard."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from demo import tried
from lab import COLOURS, THEMES, contrast

from eksnet.widgets import CorefileEditor

pytestmark = pytest.mark.browser

CELL = """
import demo
from eksnet import widgets
editor = widgets.corefile(names=["a.example"], answers=demo.tried)
editor
"""
LABELS = ["Corefile", "CoreDNS", "names to ask", "Dry run"]


def model(**traits):
    return CorefileEditor(names="a.example", witness=tried, **traits)


@pytest.fixture(scope="module")
def notebook(lab):
    lab.open("corefile", CELL, "print(editor.text)")
    return lab


@pytest.fixture
def editor(notebook):
    notebook.run()
    widget = notebook.widget()
    widget.wait_for(model())
    return widget


def test_the_keyboard_reaches_every_control_and_leaves_again(notebook, editor):
    notebook.focus_first_cell()
    reached = []
    for _ in range(len(LABELS) + 2):
        notebook.page.keyboard.press("Tab")
        reached.append(editor.focused())
    assert [one for one in reached if one] == LABELS
    assert not reached[-1]


def test_what_is_typed_is_checked_and_keys_stay_in_the_field(notebook, editor):
    area = editor.control("Corefile")
    area.focus()
    notebook.page.keyboard.press("Control+Home")
    notebook.page.keyboard.press("End")
    notebook.page.keyboard.press("Enter")
    # These are commands of a notebook elsewhere.
    notebook.page.keyboard.type("    lop dd")
    changed = model()
    changed.corefile = changed.corefile.replace(".:53 {\n", ".:53 {\n    lop dd\n", 1)
    editor.wait_for(changed)
    assert "no plugin 'lop'" in str(editor.parts())
    assert editor.focused() == "Corefile"
    assert notebook.active_cell == 0


@pytest.mark.parametrize(("key", "cell"), [("Escape", 0), ("Shift+Enter", 1)])
def test_escape_and_shift_enter_leave_the_field(notebook, editor, key, cell):
    editor.control("Corefile").focus()
    notebook.page.keyboard.press(key)
    assert (editor.focused(), notebook.active_cell) == ("", cell)
    assert editor.control("Corefile").input_value() == model().corefile


def test_a_dry_run_is_begun_by_keys(notebook, editor):
    editor.control("Dry run").focus()
    notebook.page.keyboard.press("Enter")
    done = model()
    done.act("look")
    editor.wait_for(done)
    assert editor.focused() == "Dry run"
    notebook.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    notebook.command("notebook:run-cell")
    assert notebook.output(1) == done.text


@pytest.mark.parametrize("theme", list(THEMES))
def test_axe_finds_nothing_and_colours_have_contrast(notebook, editor, theme):
    notebook.theme(theme)
    editor.control("Dry run").press("Enter")
    done = model()
    done.act("look")
    editor.wait_for(done)
    editor.control("Corefile").focus()
    found = Axe().run(notebook.page, context=".eksnet-widget", options={})
    assert found.violations_count == 0, found.generate_report()
    assert "color-contrast" not in [rule["id"] for rule in found.response["incomplete"]]
    colours = editor.root.evaluate(COLOURS)
    assert any(one["what"].startswith("TEXTAREA") for one in colours)
    texts = {c["what"]: contrast(c["text"], c["ground"]) for c in colours}
    assert {what: ratio for what, ratio in texts.items() if ratio < 4.5} == {}
    borders = {c["what"]: contrast(*c["border"]) for c in colours if c["border"]}
    assert {what: ratio for what, ratio in borders.items() if ratio < 3} == {}


@pytest.mark.parametrize("percent", [200, 300])
def test_zoomed_nothing_sticks_out(notebook, editor, percent):
    notebook.zoom(percent)
    try:
        assert editor.sticks_out() == []
    finally:
        notebook.zoom(100)
