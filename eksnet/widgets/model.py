"""What every widget's model is: settings that can be observed, and the panel that follows."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from html import escape
from typing import Any, ClassVar, Self

from traitlets import All, Bunch, Callable, Dict, HasTraits, Int, TraitError, TraitType, observe

from eksnet import inputs
from eksnet.errors import EksnetError
from eksnet.listing import Listing
from eksnet.panel import Panel, Table

Rows = tuple[tuple[str, ...], ...]
_OBSERVE = "look"


class SettingError(EksnetError, TraitError):
    """A setting was given what it cannot be; to traitlets it is an error of its own."""


class Model(HasTraits):
    """A widget apart from its view: without ipywidgets, without a browser, without a cluster.

    A subclass names its traits and says what follows from them. A trait that the reader sets is
    tagged with its `label`; its type decides on the control (see `eksnet.widgets.view`). Any
    trait that changes, tagged or not, brings the view up to date.

    To observe takes a while, and the reader goes on meanwhile: in another thread, for JupyterLab
    has a kernel's cells and its widgets worked side by side. So what is observed, and what is said
    about it, belongs to the settings as they were when the button was pressed, and is shown with
    these alone.

    Attributes:
        title: What the widget is called.
        controls: The traits that the reader sets, in order.
        witness: What observes, given a copy of this model that stands still; None without one.
        observed: What was observed, by the settings that it was observed with, the newest last.
        notes: What an action is about to do, or why it failed, by the settings it was begun with.
    """

    title: ClassVar[str]
    controls: ClassVar[tuple[str, ...]] = ()
    witness: Any = Callable(None, allow_none=True)
    observed: Dict[Rows, Any] = Dict()
    notes: Dict[Rows, str] = Dict()

    def __init__(self, **traits: Any) -> None:
        self._writing = threading.RLock()
        self._newest: dict[Rows, object] = {}
        super().__init__(**traits)

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
        return {_OBSERVE: "Observe"} if self.witness else {}

    def panel(self) -> Panel:
        """Return what follows from the traits as they are.

        Raises:
            EksnetError: Nothing follows: the reader sees why, and what to do next.
        """
        raise NotImplementedError

    def shown(self) -> Panel:
        """Return the panel with what is said of these settings; an error is a sentence too."""
        try:
            panel = self.panel()
        except EksnetError as error:
            panel = Panel(str(error))
        said = (self.note, panel.sentence, self.elsewhere)
        return replace(panel, sentence="\n".join(filter(None, said)))

    def still(self) -> Self:
        """Return the model as it is now, for whoever needs its settings to stay as they are."""
        return copy.copy(self)

    # Actions.

    def act(self, name: str) -> None:
        """Do what a button stands for; what goes wrong is noted for the settings it began with.

        Nobody would see an exception otherwise: nothing waits for the end of a button's work.
        Where a button is pressed again before that, the newest action has the word.

        Args:
            name: The action's name.

        Raises:
            EksnetError: There is no such button.
        """
        inputs.one_of(name, (*self.actions, _OBSERVE), "action")
        asked = self.still()
        settings = asked.settings.rows
        turn = self._newest[settings] = object()
        work = partial(self.look, asked) if name == _OBSERVE else getattr(self, name)
        note = ""
        try:
            work()
        except EksnetError as error:
            note = str(error)
        except Exception as error:
            note = f"{type(error).__name__}: {error}"
        with self._writing:
            if self._newest[settings] is turn:
                self._say(note, settings)

    def look(self, asked: Self | None = None) -> None:
        """Observe, and keep what comes of it with the settings that were asked about.

        Args:
            asked: A model that stands still; this one as it is now when None.

        Raises:
            EksnetError: These settings cannot be observed.
        """
        asked = asked or self.still()
        asked.check_observable()
        self._say(asked.waiting, asked.settings.rows)
        self.remember(self.witness(asked), asked)

    def check_observable(self) -> None:
        """Look whether these settings can be observed.

        Raises:
            EksnetError: They cannot; the reader sees why.
        """

    @property
    def waiting(self) -> str:
        """What is said while it is observed."""
        return "Observing …"

    def remember(self, found: Any, asked: Model | None = None) -> None:
        """Keep what was observed.

        Args:
            found: What was observed.
            asked: The model with the settings that it was observed with; this one when None.
        """
        settings = (asked or self).settings.rows
        with self._writing:
            others = {key: value for key, value in self.observed.items() if key != settings}
            self.observed = {**others, settings: found}

    def _say(self, note: str, settings: Rows) -> None:
        with self._writing:
            others = {key: value for key, value in self.notes.items() if key != settings}
            self.notes = {**others, settings: note} if note else others

    # What there is to show of these settings.

    @property
    def note(self) -> str:
        """What is to be said of an action that was begun with these settings; mostly nothing."""
        return self.notes.get(self.settings.rows, "")

    @property
    def seen(self) -> Any:
        """What was observed with these settings; None when nothing was."""
        return self.observed.get(self.settings.rows)

    @property
    def elsewhere(self) -> str:
        """With which other settings something was observed, when with these nothing was."""
        now = self.settings.rows
        if not self.observed or now in self.observed:
            return ""
        newest = next(reversed(self.observed))
        other = ", ".join(" ".join(then) for then in newest if then not in now)
        return f"Not observed with these settings. The last observation used {other}."

    @property
    def settings(self) -> Listing[str]:
        """The controls' labels and values, in words."""
        traits = self.traits()
        return Listing.of(
            self.controls,
            {
                "setting": lambda name: traits[name].metadata["label"],
                "value": lambda name: word(traits[name], getattr(self, name)),
            },
        )

    @property
    def told(self) -> Listing[str]:
        """The settings as they are told: a long one may be shortened."""
        return self.settings

    @property
    def spoken(self) -> str:
        """The settings in one sentence."""
        return ", ".join(" ".join(row) for row in self.told.rows) + "."

    @property
    def text(self) -> str:
        """The widget in text: its settings and all that it shows."""
        return f"{Table(self.title, self.told)!r}\n\n{self.shown()!r}"

    @property
    def html(self) -> str:
        """The same in HTML, for where a widget cannot work."""
        panel = self.shown()
        settings = Table(self.title, self.told)._repr_html_()
        return f"{settings}<p>{escape(panel.sentence)}</p>{panel._repr_html_()}"

    def __repr__(self) -> str:
        return self.text


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
        return {"back": "Back", "forward": "Forward", **super().actions}

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
