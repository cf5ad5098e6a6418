"""What every widget's model is: settings that can be observed, and the panel that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any, ClassVar

from traitlets import All, Bunch, HasTraits, Int, TraitError, TraitType, Unicode, observe

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.widgets.panel import Panel, Table


class SettingError(EksnetError, TraitError):
    """A setting was given what it cannot be; to traitlets it is an error of its own."""


class Model(HasTraits):
    """A widget apart from its view: without ipywidgets, without a browser, without a cluster.

    A subclass names its traits and says what follows from them. A trait that the reader sets is
    tagged with its `label`; its type decides on the control (see `eksnet.widgets.view`). Any
    trait that changes, tagged or not, brings the view up to date.

    Attributes:
        title: What the widget is called.
        controls: The traits that the reader sets, in order.
        note: What an action is about to do, or why it failed; empty otherwise.
    """

    title: ClassVar[str]
    controls: ClassVar[tuple[str, ...]] = ()
    note = Unicode()

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a trait, as HasTraits does.

        Raises:
            SettingError: The trait cannot have that value.
        """
        try:
            super().__setattr__(name, value)
        except TraitError as error:
            said = f"{name} is {inputs.shown(value)}"
            raise SettingError(said, _expected(self.traits().get(name), error)) from None

    @property
    def actions(self) -> Mapping[str, str]:
        """The buttons: the name of a method, and what the button says."""
        return {}

    def panel(self) -> Panel:
        """Return what follows from the traits as they are.

        Raises:
            EksnetError: Nothing follows: the reader sees why, and what to do next.
        """
        raise NotImplementedError

    def shown(self) -> Panel:
        """Return the panel with the note before its sentence; an error is a sentence too."""
        try:
            panel = self.panel()
        except EksnetError as error:
            panel = Panel(str(error))
        return replace(panel, sentence=f"{self.note}\n{panel.sentence}".strip())

    def act(self, name: str) -> None:
        """Do what a button stands for; what goes wrong becomes the note.

        Nobody would see an exception otherwise: nothing waits for the end of a button's work.
        """
        try:
            getattr(self, name)()
        except EksnetError as error:
            self.note = str(error)
        except Exception as error:
            self.note = f"{type(error).__name__}: {error}"
        else:
            self.note = ""

    @property
    def settings(self) -> Listing[str]:
        """The controls' labels and values, in words."""
        traits = self.traits()
        rows = tuple(
            (traits[name].metadata["label"], word(traits[name], getattr(self, name)))
            for name in self.controls
        )
        return Listing(("setting", "value"), rows, self.controls)

    @property
    def spoken(self) -> str:
        """The settings in one sentence."""
        return ", ".join(" ".join(row) for row in self.settings.rows) + "."

    @property
    def text(self) -> str:
        """The widget in text: its settings and all that it shows."""
        return f"{Table(self.title, self.settings)!r}\n\n{self.shown()!r}"

    @property
    def html(self) -> str:
        """The same in HTML, for where a widget cannot work."""
        panel = self.shown()
        settings = Table(self.title, self.settings)._repr_html_()
        return f"{settings}<p>{escape(panel.sentence)}</p>{panel._repr_html_()}"

    def __repr__(self) -> str:
        return self.text

    @observe(All)
    def _drop_the_note(self, change: Bunch) -> None:
        if change.name in self.controls:
            self.note = ""


class Stepper(Model):
    """A model of a way in steps, such as a packet's along the rules: forward and back by buttons.

    Attributes:
        step: Where things stand, from 0. A changed control leads back to the start.
    """

    step = Int(0, min=0)

    @property
    def steps(self) -> int:
        """How many steps the way has, one at least."""
        raise NotImplementedError

    @property
    def place(self) -> str:
        """Where things stand, in words: buttons do not go grey at the ends and lose the focus."""
        end = " (the last)" if self.step == self.steps - 1 else ""
        return f"Step {self.step + 1} of {self.steps}{end}."

    @property
    def actions(self) -> Mapping[str, str]:
        """Back and forward."""
        return {"back": "Back", "forward": "Forward"}

    def back(self) -> None:
        """Go back a step; stay at the first."""
        self.step = max(self.step - 1, 0)

    def forward(self) -> None:
        """Go on a step; stay at the last."""
        self.step = min(self.step + 1, self.steps - 1)

    @observe(All)
    def _begin_again(self, change: Bunch) -> None:
        if change.name in self.controls:
            self.step = 0


def _expected(trait: TraitType[Any, Any] | None, error: TraitError) -> str:
    """Return what a trait can be: its values where they are few, else traitlets' own words."""
    values = getattr(trait, "values", None)
    return f"one of {', '.join(map(str, values))}" if values else str(error)


def word(trait: TraitType[Any, Any], value: Any) -> str:
    """Return how a trait's value is called: by its own word, else by the value itself."""
    return str(trait.metadata.get("words", {}).get(value, value)) or "(empty)"
