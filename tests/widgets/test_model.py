"""Models and panels alone: no ipywidgets, no browser."""

import re
import subprocess
import sys

import pytest
from demo import CHAINS, Everything, Way

from eksnet.display import LEFT
from eksnet.listing import Listing
from eksnet.widgets import Panel, Table, Text

ROWS = Listing(("chain", "<rule>"), (("A", "1 < 2"), ("B", "")), ("a", "b"))

# What notebooks save has no style sheet of ours, so each cell says how it stands.
CELL = f'<td style="{LEFT}">'


def test_models_and_their_texts_load_no_ipywidgets():
    code = """
import sys
from eksnet import widgets
print(len(widgets.SearchOrder().text) > 0)
print([name for name in ("ipywidgets", "anywidget", "IPython") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["True", "[]", ""]


def test_a_table_in_text():
    assert repr(Table("Rules", ROWS)) == "Rules\nchain  <rule>\nA      1 < 2\nB"


def test_a_sign_and_not_colour_marks_a_row():
    marked = Table("Rules", ROWS, marked=1)
    assert repr(marked).splitlines()[1:] == ["here  chain  <rule>", "      A      1 < 2", "▶     B"]
    row = f'<tr aria-current="step">{CELL}▶</td>{CELL}B</td>{CELL}</td></tr>'
    assert row in marked._repr_html_()
    assert marked._repr_html_().count("aria-current") == 1


def test_the_first_row_can_be_marked():
    assert "▶     A" in repr(Table("Rules", ROWS, marked=0))


def test_a_table_in_html_has_a_caption_headers_with_a_scope_and_no_markup_of_its_cells():
    html = Table("Rules of <nat>", ROWS)._repr_html_()
    assert ">Rules of &lt;nat&gt;</caption>" in html
    assert f'<th scope="col" style="{LEFT}">&lt;rule&gt;</th>' in html
    assert f"{CELL}1 &lt; 2</td>" in html
    # As it is saved, without the view's own style.
    assert html.count("text-align: left") == len(re.findall(r"<(?:caption|th|td)\b", html))


def test_a_table_of_a_widget_is_never_folded():
    many = Listing(("n",), tuple((str(n),) for n in range(99)), tuple(range(99)))
    assert "<details" not in Table("Rules", many)._repr_html_()


def test_an_empty_table_says_so():
    empty = Table("Rules", Listing(("chain",), (), ()))
    assert repr(empty) == "Rules\n(none)"
    assert empty._repr_html_() == "<p>Rules: (none)</p>"


def test_a_panel_is_its_sentence_and_its_parts():
    panel = Panel("All is well.", (Text("file", "a < b"), Table("Rules", ROWS)))
    assert repr(panel) == f"All is well.\n\nfile\na < b\n\n{Table('Rules', ROWS)!r}"
    assert "<figcaption>file</figcaption><pre>a &lt; b</pre>" in panel._repr_html_()


def test_the_text_names_every_setting_by_its_label_and_its_word():
    text = Everything(choice=None, phrase="x").text
    assert text == (
        "Everything\n"
        "setting  value\n"
        "phrase   x\n"
        "region   here\n"
        "number   2\n"
        "flag     False\n"
        "choice   none of them\n"
        "\n"
        "x 2 False None 0"
    )


def test_an_empty_setting_is_called_so():
    assert Everything(region="").spoken == (
        "phrase a, region (empty), number 2, flag False, choice none of them."
    )


def test_an_error_is_shown_with_its_next_step():
    model = Everything(phrase="")
    assert model.shown().sentence == "no text\n  expected: some text\n  next:     type one"
    assert "type one" in model.text
    assert "type one" in model.html


@pytest.mark.parametrize(
    ("action", "note"),
    [
        ("fail", "ValueError: broken inside"),
        ("refuse", "nothing there\n  expected: something\n  next:     eksnet up"),
    ],
)
def test_an_action_that_fails_says_why_until_something_is_changed(action, note):
    model = Everything()
    model.act(action)
    assert model.shown().sentence == f"{note}\na 2 False None 0"
    model.number = 3
    assert model.shown().sentence == "a 3 False None 0"


def test_an_action_that_works_clears_the_note_of_one_that_did_not():
    model = Everything()
    model.act("fail")
    model.act("count")
    assert model.shown().sentence == "a 2 False None 1"


def test_a_way_goes_forward_and_back_and_stops_at_its_ends():
    way, places = Way(), []
    for action in ("back", "forward", "forward", "forward", "back"):
        way.act(action)
        places.append(way.step)
    assert places == [0, 1, 2, 2, 1]


def test_a_way_says_where_it_is():
    assert Way(step=1).shown().sentence == f"Step 2 of 3. The packet is in {CHAINS[1]}."
    assert Way(step=2).shown().sentence.startswith("Step 3 of 3 (the last).")


def test_another_setting_begins_the_way_again():
    way = Way(step=2)
    way.protocol = "tcp"
    assert way.step == 0
