"""The model of the widget CoreDNS memory: what it adds to eksnet.coredns.memory."""

import pytest

from eksnet import widgets
from eksnet.coredns import memory
from eksnet.coredns.memory import Measured
from eksnet.widgets import CorednsMemory

HERE = tuple(Measured("measured here", n, mb) for n, mb in ((0, 70.0), (40_400, 85.25)))


def drawn(model):
    (picture,) = [part for part in model.panel().parts if isinstance(part, widgets.Picture)]
    return picture


def tables(model):
    return {part.caption: part for part in model.panel().parts if isinstance(part, widgets.Table)}


@pytest.mark.parametrize("autopath", [False, True])
@pytest.mark.parametrize(("pods", "services"), [(0, 0), (15_000, 820), (150_000, 8_200)])
def test_the_sentence_has_the_formula_and_the_fit(pods, services, autopath):
    model = CorednsMemory(pods=pods, services=services, autopath=autopath)
    mode = "autopath" if autopath else "default"
    fit = memory.fit(memory.measurements(mode))
    sentence = model.shown().sentence
    assert f"{memory.memory(pods, services, mode):.1f} MB by the formula" in sentence
    assert f"{fit.at(pods + services):.1f} MB by the published points" in sentence
    assert f"objects / {250 if autopath else 1000}" in sentence
    assert f"objects / {401 if autopath else 1165}" in sentence


@pytest.mark.parametrize("autopath", [False, True])
def test_the_chart_has_the_published_points_and_both_lines(autopath):
    model = CorednsMemory(autopath=autopath)
    spoken = drawn(model).spoken
    for name in ("formula", "published", "their fit"):
        assert f"{name}:" in spoken
    for one in memory.measurements(model.mode):
        assert f"{one.mb:.0f} at {one.objects}" in spoken
    assert tables(model)["Published measurements"].rows == memory.measurements(model.mode)


def test_what_was_measured_stands_beside_them_in_its_own_mode_alone():
    model = CorednsMemory(measured=HERE)
    assert "measured here: 70 at 0, 85 at 40400" in drawn(model).spoken
    assert tables(model)["Measured here"].rows.rows == (("0", "70.0"), ("40,400", "85.2"))
    model.autopath = True
    assert "measured here" not in drawn(model).spoken
    assert "Measured here" not in tables(model)


def test_the_view_is_made_of_what_a_notebook_has():
    view = widgets.coredns_memory(pods=100, services=10, measured=iter(HERE))
    assert view.model.objects == 110
    assert "Measured here" in view.text
    assert "role=" in view.model.shown().live


def test_settings_out_of_range_are_told():
    with pytest.raises(widgets.model.SettingError):
        CorednsMemory().pods = -1
