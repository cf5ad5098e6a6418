"""The view without a browser: controls tied to the model, and what a cell's output holds."""

import ipywidgets
import pytest
from demo import Everything, Way

from eksnet import widgets
from eksnet.widgets import SearchOrder, Table

WIDGET = "application/vnd.jupyter.widget-view+json"


def find(view, kind):
    """Return the widgets of a kind, in order."""
    found, boxes = [], [view.box]
    while boxes:
        widget = boxes.pop(0)
        found += [widget] if isinstance(widget, kind) else []
        boxes[:0] = getattr(widget, "children", ())
    return found


def labelled(view, label):
    (found,) = (
        w for w in find(view, ipywidgets.DOMWidget) if getattr(w, "description", "") == label
    )
    return found


def test_each_trait_gets_the_control_of_its_type():
    view = widgets.show(Everything())
    kinds = {
        label: type(labelled(view, label)).__name__
        for label in view.model.settings.to_frame()["setting"]
    }
    assert kinds == {
        "phrase": "Text", "region": "Combobox", "number": "BoundedIntText", "flag": "Checkbox",
        "choice": "Dropdown",
    }  # fmt: skip


def test_a_control_of_any_kind_can_have_a_row_to_itself():
    view = widgets.show(Everything())
    wide = [
        w.description for w in find(view, ipywidgets.DOMWidget) if "eksnet-wide" in w._dom_classes
    ]
    assert wide == ["phrase", "choice"]


@pytest.mark.parametrize(
    ("label", "trait", "shown", "value"),
    [
        ("phrase", "value", "b", "b"),
        ("region", "value", "there", "there"),
        ("number", "value", 7, 7),
        ("flag", "value", True, True),
        ("choice", "label", "one", "one"),
    ],
)
def test_a_control_and_its_trait_change_each_other(label, trait, shown, value):
    view = widgets.show(Everything())
    control = labelled(view, label)
    before = getattr(control, trait)
    setattr(control, trait, shown)
    assert getattr(view.model, label) == value
    setattr(view.model, label, Everything.class_traits()[label].default())
    assert getattr(control, trait) == before


def test_a_value_without_a_name_of_its_own_can_be_chosen_again():
    view = widgets.show(Everything(choice="one"))
    labelled(view, "choice").label = "none of them"
    assert view.model.choice is None


def test_a_type_without_a_control_is_refused():
    class Odd(SearchOrder):
        controls = ("observed",)

    Odd.observed.tag(label="odd")
    with pytest.raises(TypeError, match="no control for a Dict"):
        widgets.show(Odd())


def test_any_change_of_the_model_is_shown_and_said():
    view = widgets.show(Everything())
    view.model.counted = 5
    assert view._status.sentence == "a 2 False None 5"
    view.model.region = "there"
    assert "region there" in view._status.settings


def test_buttons_act_on_the_model():
    view = widgets.show(Way())
    for name, step in (("Forward", 1), ("Forward", 2), ("Back", 1)):
        labelled(view, name).click()
        assert view.model.step == step
    assert "▶" in view._panel.value


def test_a_cell_holds_the_twin_beside_the_widget():
    view = widgets.search_order("my-service", namespace="ops-ns", exists=["b.c", "a.b"])
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == view.text == repr(view) == view.model.text
    assert "a.b b.c" in bundle["text/html"]
    assert (
        Table("x", view.model.predicted)._repr_html_().split("</caption>")[1] in bundle["text/html"]
    )
    assert bundle[WIDGET]["model_id"] == view.box.model_id


def test_search_order_takes_a_walk_or_a_function():
    predicted = SearchOrder(name="my-service").predicted
    given = widgets.search_order("my-service", observed=predicted)
    assert "The observation matches the prediction." in given.text
    assert find(given, ipywidgets.Button) == []
    asked = widgets.search_order("my-service", observed=lambda model: model.predicted)
    assert "Observed" not in asked.text
    labelled(asked, "Observe").click()
    assert "The observation matches the prediction." in asked.text
