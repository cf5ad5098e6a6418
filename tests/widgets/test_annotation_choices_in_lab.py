"""The widget annotation choices in JupyterLab in Chromium: chosen and planned by the keyboard."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from demo import a_plan
from lab import COLOURS, THEMES, contrast

from eksnet.widgets import AnnotationChoices

pytestmark = pytest.mark.browser

CELL = """
import demo
from eksnet import widgets
choices = widgets.annotation_choices(second="scheme: internal", plan=demo.a_plan)
choices
"""
LABELS = ["kind", "first choice", "second choice", "controller", "Plan"]


def model(**traits):
    return AnnotationChoices(
        second="scheme: internal",
        witness=lambda asked: tuple(map(a_plan, asked.manifests)),
        **traits,
    )


@pytest.fixture(scope="module")
def notebook(lab):
    lab.open("annotations", CELL, "print(choices.text)")
    return lab


@pytest.fixture
def choices(notebook):
    notebook.run()
    widget = notebook.widget()
    widget.wait_for(model())
    return widget


def test_the_keyboard_reaches_every_control_and_leaves_again(notebook, choices):
    notebook.focus_first_cell()
    reached = []
    for _ in range(len(LABELS) + 2):
        notebook.page.keyboard.press("Tab")
        reached.append(choices.focused())
    assert [one for one in reached if one] == LABELS
    assert not reached[-1]


def test_what_is_typed_is_checked_and_keys_stay_in_the_field(notebook, choices):
    choices.control("first choice").focus()
    notebook.page.keyboard.press("Control+Home")
    # These are commands of a notebook elsewhere.
    notebook.page.keyboard.type("schema: dd")
    notebook.page.keyboard.press("Enter")
    changed = model()
    changed.first = f"schema: dd\n{changed.first}"
    choices.wait_for(changed)
    assert "did you mean" in str(choices.parts())
    assert choices.focused() == "first choice"
    assert notebook.active_cell == 0


@pytest.mark.parametrize(("key", "cell"), [("Escape", 0), ("Shift+Enter", 1)])
def test_escape_and_shift_enter_leave_the_field(notebook, choices, key, cell):
    choices.control("second choice").focus()
    notebook.page.keyboard.press(key)
    assert (choices.focused(), notebook.active_cell) == ("", cell)
    assert choices.control("second choice").input_value() == model().second


def test_a_plan_is_asked_for_by_keys(notebook, choices):
    choices.control("Plan").focus()
    notebook.page.keyboard.press("Enter")
    done = model()
    done.act("look")
    choices.wait_for(done)
    assert choices.focused() == "Plan"
    notebook.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    notebook.command("notebook:run-cell")
    assert notebook.output(1) == done.text.strip()


@pytest.mark.parametrize("theme", list(THEMES))
def test_axe_finds_nothing_and_colours_have_contrast(notebook, choices, theme):
    notebook.theme(theme)
    choices.control("Plan").press("Enter")
    done = model()
    done.act("look")
    choices.wait_for(done)
    choices.control("first choice").focus()
    found = Axe().run(notebook.page, context=".eksnet-widget", options={})
    assert found.violations_count == 0, found.generate_report()
    assert "color-contrast" not in [rule["id"] for rule in found.response["incomplete"]]
    colours = choices.root.evaluate(COLOURS)
    texts = {c["what"]: contrast(c["text"], c["ground"]) for c in colours}
    assert {what: ratio for what, ratio in texts.items() if ratio < 4.5} == {}
    borders = {c["what"]: contrast(*c["border"]) for c in colours if c["border"]}
    assert {what: ratio for what, ratio in borders.items() if ratio < 3} == {}


def test_two_choices_stand_side_by_side(notebook, choices):
    choices.control("Plan").press("Enter")
    done = model()
    done.act("look")
    choices.wait_for(done)
    first, second = (
        column.bounding_box() for column in choices.root.locator(".eksnet-column").all()
    )
    assert first["x"] + first["width"] <= second["x"]
    assert first["y"] == second["y"]
    assert abs(first["width"] - second["width"]) < 2


@pytest.mark.parametrize("percent", [200, 300])
def test_zoomed_nothing_sticks_out(notebook, choices, percent):
    notebook.zoom(percent)
    try:
        assert choices.sticks_out() == []
    finally:
        notebook.zoom(100)
