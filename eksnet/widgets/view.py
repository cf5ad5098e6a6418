"""The view of any model: ipywidgets' own controls, a status line that is read out, the panel."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from eksnet.widgets.model import Model, word

_HERE = Path(__file__).parent
_RESTARTED = (
    "The kernel was restarted: this is the state before the restart. Run the cell again to use "
    "the controls."
)


class Status(anywidget.AnyWidget):
    """The sentence, shown; the settings behind it are for screen readers alone."""

    _esm = _HERE / "status.js"
    _css = _HERE / "view.css"
    sentence = traitlets.Unicode().tag(sync=True)
    settings = traitlets.Unicode().tag(sync=True)


class View:
    """What a cell shows of a model, and the model's text where nothing else can be shown.

    Attributes:
        model: The model; a trait that is set there changes what is shown.
        box: The widget.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._showing = threading.RLock()
        self._status = Status()
        self._panel = ipywidgets.HTML().add_class("eksnet-panel")
        restarted = ipywidgets.HTML(_RESTARTED).add_class("eksnet-restarted")
        fields = ipywidgets.Box([control(model, name) for name in model.controls])
        fields.add_class("eksnet-fields")
        self.box = ipywidgets.VBox([restarted, fields, *_actions(model), self._status, self._panel])
        self.box.add_class("eksnet-widget")
        self._show()
        model.observe(self._show)

    @property
    def text(self) -> str:
        """The model's text."""
        return self.model.text

    def _show(self, _: object = None) -> None:
        # Another thread may change the model meanwhile: what is shown is of one moment, and the
        # last to show it has the last change.
        with self._showing:
            model = self.model.still()
            panel = model.shown()
            # Together, so that they are read out once.
            with self._status.hold_sync():
                self._status.sentence = panel.sentence
                self._status.settings = model.spoken
            self._panel.value = panel.live

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.box._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": self.model.text, "text/html": self.model.html}

    def __repr__(self) -> str:
        return self.model.text


def control(model: Model, name: str) -> ipywidgets.Widget:
    """Return a control for a trait, tied to it both ways.

    The keyboard works all of them, and the browser ties each label to its control.
    """
    trait = model.traits()[name]
    widget = _tied(model, trait)
    if trait.metadata.get("wide"):
        widget.add_class("eksnet-wide")
    return widget


def _tied(model: Model, trait: Any) -> ipywidgets.Widget:
    label = {"description": trait.metadata["label"]}
    # A text counts as it is typed; that it is not read out letter by letter is the status's affair.
    typed = {**label, "continuous_update": True}
    match trait:
        case traitlets.Enum():
            return _choice(model, trait, ipywidgets.Dropdown(**label))
        case traitlets.Bool():
            widget = ipywidgets.Checkbox(indent=False, **label)
        case traitlets.Int():
            widget = ipywidgets.BoundedIntText(min=trait.min, max=trait.max, **typed)
        case traitlets.Unicode() if "suggestions" in trait.metadata:
            widget = ipywidgets.Combobox(options=trait.metadata["suggestions"], **typed)
        case traitlets.Unicode() if "lines" in trait.metadata:
            widget = ipywidgets.Textarea(rows=trait.metadata["lines"], **typed)
        case traitlets.Unicode():
            widget = ipywidgets.Text(**typed)
        case _:
            raise TypeError(f"no control for a {type(trait).__name__}")
    traitlets.link((model, trait.name), (widget, "value"))
    return widget


def _choice(model: Model, trait: Any, widget: ipywidgets.Dropdown) -> ipywidgets.Dropdown:
    """Return a list of a trait's values, tied by their places: None is a value like any other."""
    values = tuple(trait.values)
    widget.options = [word(trait, value) for value in values]
    transform = (values.index, values.__getitem__)
    traitlets.link((model, trait.name), (widget, "index"), transform=transform)
    return widget


def _actions(model: Model) -> list[ipywidgets.Box]:
    """Return the row of a model's buttons, if it has any."""
    row = ipywidgets.Box([button(model, name) for name in model.actions])
    return [row.add_class("eksnet-actions")] if row.children else []


def button(model: Model, name: str) -> ipywidgets.Button:
    """Return the button for one of a model's actions."""
    widget = ipywidgets.Button(description=model.actions[name])
    widget.on_click(lambda _: model.act(name))
    return widget
