"""What is observed, and what is said of it, stays with the settings that were observed."""

import threading

import demo
import pytest
import shop

from eksnet.errors import EksnetError
from eksnet.widgets import SearchOrder

MODELS = {
    "search order": (SearchOrder, "namespace", "other"),
    "packet stepper": (shop.stepper, "protocol", "icmp"),
    "stepper": (demo.Way, "protocol", "tcp"),
    "everything": (demo.Everything, "number", 3),
}


class Asked:
    """A witness that answers when it is told to, whoever else is asked meanwhile."""

    def __init__(self):
        self.asked = {}
        self._came = threading.Condition()

    def __call__(self, model):
        answer = {"settings": model.settings.rows, "ready": threading.Event()}
        with self._came:
            self.asked[len(self.asked)] = answer
            self._came.notify_all()
        assert answer["ready"].wait(60)
        assert model.settings.rows == answer["settings"], "the model did not stand still"
        if isinstance(answer["found"], Exception):
            raise answer["found"]
        return answer["found"]

    def press(self, model):
        """Press Observe, and return once it is being observed."""
        number = len(self.asked)
        thread = threading.Thread(target=model.act, args=("look",))
        thread.start()
        with self._came:
            assert self._came.wait_for(lambda: number in self.asked, 60)
        self.asked[number]["thread"] = thread

    def answer(self, number, found):
        """Let one of those who wait have an answer, and return once it has arrived."""
        self.asked[number].update(found=found)
        self.asked[number]["ready"].set()
        self.asked[number]["thread"].join(60)
        assert not self.asked[number]["thread"].is_alive()


@pytest.fixture
def witness():
    return Asked()


@pytest.fixture(params=MODELS)
def case(request, witness):
    """A model of any kind with a witness, and another value of one of its settings."""
    make, setting, other = MODELS[request.param]
    return make(witness=witness), setting, other


FAULT = EksnetError("nobody there", "somebody", "wait")


def test_an_observation_that_arrives_after_a_change_is_not_of_the_new_settings(case, witness):
    model, setting, other = case
    before, first = getattr(model, setting), model.spoken
    found = getattr(model, "predicted", "found")
    witness.press(model)
    setattr(model, setting, other)
    witness.answer(0, found)
    assert (model.seen, model.note) == (None, "")
    label = model.traits()[setting].metadata["label"]
    assert model.shown().sentence.endswith(
        f"Not observed with these settings. The last observation used {label} {before}."
    )
    setattr(model, setting, before)
    assert (model.seen, model.spoken) == (found, first)
    assert "Not observed" not in model.shown().sentence


def test_an_error_that_arrives_after_a_change_is_not_said_of_the_new_settings(case, witness):
    model, setting, other = case
    before = getattr(model, setting)
    witness.press(model)
    assert model.note
    setattr(model, setting, other)
    plain = model.shown().sentence
    assert model.note == ""
    witness.answer(0, FAULT)
    assert model.shown().sentence == plain
    setattr(model, setting, before)
    assert model.shown().sentence.startswith(
        "nobody there\n  expected: somebody\n  next:     wait\n"
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_that_are_observed_at_once_are_each_its_own(case, witness, order):
    model, setting, other = case
    before = getattr(model, setting)
    witness.press(model)
    setattr(model, setting, other)
    witness.press(model)
    found = {number: getattr(model, "predicted", number) for number in order}
    for number in order:
        witness.answer(number, found[number])
    assert (model.seen, model.note) == (found[1], "")
    setattr(model, setting, before)
    assert (model.seen, model.note) == (found[0], "")


def test_of_two_of_the_same_settings_the_newer_has_the_word(case, witness):
    model, *_ = case
    found = getattr(model, "predicted", "found")
    witness.press(model)
    witness.press(model)
    waiting = model.note
    witness.answer(0, FAULT)
    assert model.note == waiting
    witness.answer(1, found)
    assert (model.seen, model.note) == (found, "")


def test_what_is_said_while_it_is_observed_is_said_of_these_settings_alone(witness):
    model = SearchOrder(name="a", witness=witness)
    witness.press(model)
    assert model.shown().sentence.startswith("Looking up a and reading")
    model.name = "b"
    assert "Looking up" not in model.shown().sentence
    model.name = "a"
    assert model.shown().sentence.startswith("Looking up a and reading")
    witness.answer(0, model.predicted)


def test_what_was_observed_last_is_what_is_told_of():
    model = SearchOrder(name="a")
    for name in ("a", "b", "a"):
        model.name = name
        model.remember(model.predicted)
    model.name = "c"
    assert model.elsewhere.endswith("observation used name a.")
    assert "name c" in model.spoken
    model.namespace = "x"
    assert model.elsewhere.endswith("observation used name a, namespace default.")


def test_a_model_that_stands_still_stays_as_it_was(case):
    model, setting, other = case
    still = model.still()
    before = still.spoken
    setattr(model, setting, other)
    assert still.spoken == before != model.spoken
    setattr(still, setting, other)
    assert still.spoken == model.spoken
