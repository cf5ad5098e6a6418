"""The model of the widget Corefile: lint while it is written, a dry run on demand."""

import pytest
from demo import tried

from eksnet import widgets
from eksnet.coredns import lint
from eksnet.widgets import CorefileEditor
from eksnet.widgets.corefile import START

GLUED = START.replace("health", "hosts{\n        10.0.0.1 a\n    }\n    health")


def parts(model):
    return {part.caption: part for part in model.shown().parts}


def test_what_it_begins_with_is_sound():
    model = CorefileEditor()
    assert model.shown().sentence == "Nothing was found."
    assert list(parts(model)) == ["By line"]
    assert model.actions == {}


@pytest.mark.parametrize("text", [GLUED, START.replace("cache", "cahce"), "", "\x00", "a {", "é\r"])
@pytest.mark.parametrize("release", ["1.14.3", "1.8.0"])
def test_the_table_is_what_lint_says_for_this_release(text, release):
    model = CorefileEditor(corefile=text, release=release)
    findings = lint(text, release)
    assert [part.rows for name, part in parts(model).items() if name == "Findings"] == (
        [findings] if findings else []
    )


def test_lines_with_a_finding_have_a_sign():
    lines = parts(CorefileEditor(corefile=START.replace("cache", "cahce")))["By line"].text
    assert [line.split()[1:] for line in lines.splitlines() if "▶" in line] == [
        ["11", "cahce", "30"]
    ]
    assert len(lines.splitlines()) == len(START.splitlines())


def test_a_release_that_is_none_is_a_sentence():
    model = CorefileEditor(release="latest")
    assert "is not a release of CoreDNS" in model.shown().sentence


def test_the_text_is_told_by_its_length():
    model = CorefileEditor(corefile="a {\n}\n", names="x")
    assert model.spoken == "Corefile 2 lines, CoreDNS 1.14.3, names to ask x."
    assert "Corefile      2 lines" in model.text


def test_a_dry_run_belongs_to_its_text():
    model = CorefileEditor(names="a.example", witness=tried)
    assert model.actions == {"look": "Dry run"}
    model.act("look")
    assert model.shown().sentence == "Nothing was found. CoreDNS ran with it."
    assert parts(model)["Dry run"].rows[0].plugin == "hosts"
    model.corefile += "# more\n"
    assert "The last dry run was of another text" in model.shown().sentence
    assert "Dry run" not in parts(model)


def test_without_a_name_there_is_nothing_to_try():
    model = CorefileEditor(witness=tried)
    model.act("look")
    assert model.shown().sentence.startswith("there is no name to ask")


def test_what_coredns_refuses_in_a_dry_run_is_said():
    model = CorefileEditor(corefile="refused", names="a.example", witness=tried)
    model.act("look")
    assert "In the dry run CoreDNS refused it: line 1: no." in model.shown().sentence


def test_a_text_beyond_a_widget_is_refused_in_words():
    assert "the length of the text" in CorefileEditor(corefile="#" * 30_000).shown().sentence


def test_the_view_has_a_field_of_lines():
    view = widgets.corefile("a {\n}\n", names=["a", "b/AAAA"], release="1.11.3")
    area = view.box.children[1].children[0]
    assert (type(area).__name__, area.rows, area.value) == ("Textarea", 17, "a {\n}\n")
    assert (view.model.names, view.model.release) == ("a b/AAAA", "1.11.3")
    area.value = START
    assert view.model.corefile == START
