"""How results look, as text and as HTML: verdicts, tables, folds, diffs and frames."""

from __future__ import annotations

import os
import re
import sys
from html.parser import HTMLParser

import pandas as pd
import pexpect
import pytest
from IPython.core.formatters import DisplayFormatter
from IPython.lib.pretty import pretty

import eksnet
from eksnet import display
from eksnet.cluster.edits import Edit
from eksnet.display import FOLD, Mark, Tone
from eksnet.frames import Frame
from eksnet.listing import Listing

EDIT = Edit("kube-system", "coredns", "Corefile", "a\n  x < 1\nb\n", "a\n  y\n--b\n")
DIFF = "--- before\n+++ after\n@@ -1,3 +1,3 @@\n a\n-  x < 1\n-b\n+  y\n+--b"


def luminance(colour: str) -> float:
    """The relative luminance of #rrggbb, 0 to 1. Source: WCAG 2.2."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(weight * s for weight, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


class Cells(HTMLParser):
    """What the cells of a table hold, a row each, and how each is aligned."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.aligned: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
            self.aligned.append([])
        if tag in ("td", "th"):
            style = dict(attrs).get("style") or ""
            found = re.search(r"text-align: (\w+)", style)
            self.rows[-1].append("")
            self.aligned[-1].append(found[1] if found else "")

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1][-1] += data


@pytest.mark.parametrize("tone", Tone)
def test_a_verdict_is_white_on_a_ground_with_contrast(tone: Tone) -> None:
    mark = Mark("NOT_<STARTED>", tone)
    assert f"background-color: {tone.ground}; color: #ffffff" in mark.html
    assert f">{tone.sign} NOT &lt;STARTED&gt;<" in mark.html
    # Neither theme has a say in it.
    assert 1.05 / (luminance(tone.ground) + 0.05) >= 4.5
    assert (mark, f"{mark:>15}") == ("NOT_<STARTED>", "  NOT_<STARTED>")


def test_no_two_verdicts_have_the_same_sign() -> None:
    assert len({tone.sign for tone in Tone}) == len(Tone)


@pytest.mark.parametrize(
    ("cells", "aligned"),
    [
        (["a", "b"], "left"),
        (["1", "20"], "right"),
        (["1.5", "-2", "+3", "50%", "1,000"], "right"),
        (["1", "", "-", "NaN"], "right"),
        (["", "-"], "left"),
        (["10.0.0.1", "10.0.0.2"], "left"),
        (["2/2", "1/2"], "left"),
        (["1", "a"], "left"),
        (["1 of 2"], "left"),
        (["30s"], "left"),
    ],
)
def test_numbers_stand_right_and_text_left(cells: list[str], aligned: str) -> None:
    shown = Listing(("name", "n"), tuple(("x", cell) for cell in cells), tuple(cells))
    frame = Frame({"name": ["x"] * len(cells), "n": cells})
    for html, wanted in (
        (shown._repr_html_(), ["left", aligned]),
        (frame._repr_html_(), ["left", "left", aligned]),
    ):
        head, *body = Cells(html).aligned
        assert body == [wanted] * len(cells)
        assert head[-2:] == wanted[-2:]


@pytest.mark.parametrize("rows", [FOLD, FOLD + 1])
def test_a_long_table_is_folded_below_how_many_rows_it_has(rows: int) -> None:
    cells = tuple((str(n), f"row {n}") for n in range(rows))
    shown = Listing(("n", "text"), cells, cells)
    for html in (shown._repr_html_(), shown.to_frame()._repr_html_()):
        assert html.startswith("<details><summary>31 rows: n, text</summary>") == (rows > FOLD)
        assert html.count("<tr>") == rows + 1
    assert len(repr(shown).splitlines()) == rows + 1


def test_a_listing_says_the_same_in_text_and_html() -> None:
    rows = (("<a>", Mark("FAIL", Tone.BAD)), ("b & c", Mark("PASS", Tone.GOOD)))
    shown = Listing(("name", "state"), rows, rows)
    assert repr(shown) == "name   state\n<a>    FAIL\nb & c  PASS"
    assert Cells(shown._repr_html_()).rows == [
        ["name", "state"],
        ["<a>", "✗ FAIL"],
        ["b & c", "✓ PASS"],
    ]
    assert shown.coloured() == (
        "name   state\n<a>    \x1b[1;31mFAIL\x1b[0m\nb & c  \x1b[1;32mPASS\x1b[0m"
    )


def test_a_frame_shows_every_cell_whole_and_so_does_what_is_made_of_it() -> None:
    long = "a sentence that is longer than the fifty letters of pandas, and <then> some"
    frame = Frame({"text": [long, "b"], "n": [1.5, None]}, index=["x", "y"])
    for one in (frame, frame[["text", "n"]], frame[frame["text"] != ""], frame.head()):
        assert Cells(one._repr_html_()).rows == [
            ["", "text", "n"],
            ["x", long, "1.5"],
            ["y", "b", "NaN"],
        ]
        assert [line.split()[-1] for line in repr(one).splitlines()] == ["n", "1.5", "NaN"]
        assert long in repr(one)
    assert frame.reset_index(drop=True).to_csv(index=False) == f'text,n\n"{long}",1.5\nb,\n'


def test_frames_of_two_levels_and_empty_ones_are_shown() -> None:
    deep = Frame({("a", "b"): [1]})
    assert "<td>1</td>" in deep._repr_html_()
    assert Cells(Frame({"a": []})._repr_html_()).rows == [["", "a"]]


def test_the_tables_of_the_course_are_such_frames() -> None:
    table = eksnet.data.load_table("coredns_plugin_order")
    assert isinstance(table[table["plugin"] == "hosts"], Frame)
    assert isinstance(table, pd.DataFrame)
    assert isinstance(Listing(("a",), (("1",),), (1,)).to_frame(), Frame)


def test_a_diff_has_its_signs_and_its_colours() -> None:
    assert repr(EDIT) == DIFF
    html = EDIT._repr_html_()
    lines = re.findall(r'<span style="display: block([^"]*)">(.*?)</span>', html)
    tints = {"-": "rgba(248, 81, 73, 0.25)", "+": "rgba(46, 160, 67, 0.25)"}
    assert [line for _, line in lines] == DIFF.replace("<", "&lt;").splitlines()
    for number, (style, line) in enumerate(lines):
        tint = tints.get(line[0]) if number >= 2 else None
        assert style == (f"; background-color: {tint}" if tint else "")
    assert EDIT.coloured().splitlines()[4:7] == [
        "\x1b[31m-  x < 1\x1b[0m", "\x1b[31m-b\x1b[0m", "\x1b[32m+  y\x1b[0m",
    ]  # fmt: skip


@pytest.mark.parametrize("shown", [EDIT, Listing(("a",), ((Mark("PASS", Tone.GOOD),),), (1,))])
def test_colours_are_for_terminals_alone(shown, monkeypatch) -> None:
    text, _ = DisplayFormatter().format(shown)
    assert text["text/plain"] == repr(shown)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert pretty(shown) == shown.coloured() != repr(shown)
    monkeypatch.setenv("NO_COLOR", "1")
    assert pretty(shown) == repr(shown)


def test_what_stands_between_backticks_is_code() -> None:
    assert display.prose("run `a < b` & see") == "run <code>a &lt; b</code> &amp; see"


@pytest.mark.parametrize(
    "html",
    [
        EDIT._repr_html_(),
        display.table(("a",), [(Mark("FAIL", Tone.BAD),)] * (FOLD + 1), caption="c", named=True),
        display.code("x"),
    ],
)
def test_nothing_is_used_that_jupyterlab_takes_out_of_an_untrusted_notebook(html: str) -> None:
    assert "var(" not in html
    assert not re.search(r"<(style|script)|\s(aria-\w+|role|on\w+)=", html)


TERMINAL = """
import eksnet
from IPython.display import display
from eksnet.cluster.edits import Edit
display(Edit("", "coredns", "Corefile", "a", "b"))
eksnet.data.load_table("nosuch")
"""


def test_ipython_on_a_terminal_shows_colours_and_an_errors_lines(tmp_path) -> None:
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path), "NO_COLOR": ""}
    child = pexpect.spawn(
        sys.executable, ["-m", "IPython", "-c", TERMINAL],
        env=environment, encoding="utf-8", timeout=60,
    )  # fmt: skip
    text = child.read()
    child.close()
    assert child.exitstatus == 1
    assert "\x1b[31m-a\x1b[0m\r\n\x1b[32m+b\x1b[0m" in text
    assert "\x1b[1mseen:\x1b[0m     no table 'nosuch'" in text
    assert "Traceback" not in text
