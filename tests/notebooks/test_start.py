"""The start page and the glossary: what JupyterLab opens on."""

import base64
import csv
import re
from xml.etree import ElementTree

import pytest

from eksnet import data
from eksnet.checkpoints import State, definitions
from eksnet.checkpoints.evidence import Attempt, Binding
from eksnet.course import catalogue, start
from eksnet.course.copies import Copies
from eksnet.course.lab import prepare
from eksnet.course.times import time_of
from eksnet.sandbox import vpc

SVG = "{http://www.w3.org/2000/svg}"
PLAN = vpc.plan()
ADDRESSES = {
    str(address)
    for address in (
        PLAN.network, PLAN.resolver, PLAN.api_server, PLAN.cluster_dns,
        *(node.address.ip for node in PLAN.nodes), *(node.pods for node in PLAN.nodes),
    )
}  # fmt: skip
FOUND = re.compile(r"\b10(?:\.\d+){3}(?:/\d+)?")


def attempt(checkpoint, state):
    (definition,) = [one for one in definitions.every() if one.id == checkpoint]
    states = {one.id: state for one in definition.criteria}
    return Attempt(checkpoint, "2026-01-01T00:00:00Z", Binding("ca:x"), states)


def rows(page, heading):
    """Return the cells of a page's table below a heading."""
    text = page.split(f"# {heading}\n", 1)[1]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines]


def test_the_map_has_each_notebook_with_its_time_and_a_link():
    columns, _, *found = rows(start.start_page(()), "The course")
    assert columns == ["notebook", "what you learn", "minutes", "your points"]
    assert len(found) == len(catalogue.course())
    for row, path in zip(found, catalogue.course(), strict=True):
        lesson = catalogue.lesson(path)
        assert row[0] == f"[{lesson.title}]({path.name})"
        assert row[1:3] == [lesson.teaches, str(time_of(path).minutes)]


def test_the_map_tells_where_the_learner_stands():
    before = start.start_page(())
    name = definitions.find("hosts-01")
    own = definitions.of_notebook(name.notebook)
    of = sum(one.points for one in own)
    assert [row[3] for row in rows(before, "The course") if name.notebook in row[0]] == [
        f"0 of {of}"
    ]
    after = start.start_page([attempt("hosts-01", State.FAIL), attempt("hosts-01", State.PASS)])
    stands = [row[3] for row in rows(after, "The course") if name.notebook in row[0]]
    assert stands == [f"{name.points} of {of}"]
    assert f"You have {name.points} of " in after


def test_attempts_are_read_from_all_files_and_none_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert start.attempts() == ()
    kept = tmp_path / "eksnet-evidence"
    (kept / "unreadable.jsonl").mkdir(parents=True)
    (kept / "damaged.jsonl").write_text("{")
    assert start.attempts() == ()


def test_the_picture_is_in_the_page_and_has_words_for_those_who_do_not_see_it():
    page = start.start_page(())
    encoded, alternative = re.search(
        r'src="data:image/svg\+xml;base64,(.+?)" alt="(.+?)"', page
    ).groups()
    assert base64.b64decode(encoded) == start.PICTURE.read_bytes()
    assert "below the picture" in alternative


def test_picture_and_words_have_the_sandboxs_own_addresses():
    picture = "\n".join(ElementTree.parse(start.PICTURE).getroot().itertext())
    assert set(FOUND.findall(picture)) == ADDRESSES
    below = start.start_page(()).split('width="820">', 1)[1].split("\n## ", 1)[0]
    assert set(FOUND.findall(below)) == ADDRESSES


def test_the_pictures_letters_stay_in_their_boxes():
    """Bold DejaVu Sans takes 8.6 px a letter at 14 px."""
    root = ElementTree.parse(start.PICTURE).getroot()
    width = float(root.get("width"))
    for text in root.iter(f"{SVG}text"):
        wide = 8.6 * len("".join(text.itertext()))
        x = float(text.get("x"))
        left = {"end": x - wide, "middle": x - wide / 2}.get(text.get("text-anchor"), x)
        assert left >= 0 and left + wide <= width - 20, "".join(text.itertext())


def test_the_page_says_how_to_begin_again_and_what_the_korean_is():
    page = start.start_page(())
    for text in (
        "`eksnet lab --fresh 05`",
        "`eksnet reset`",
        "네트워크 관리",
        "[glossary](glossary.md)",
    ):
        assert text in page
    assert "{" not in page.split("## The cluster")[0]


def test_the_glossary_has_a_sentence_for_each_word_of_the_document():
    with (data.directory() / "glossary.csv").open(newline="") as file:
        words = list(csv.DictReader(file))
    assert 30 <= len(words) <= 60
    assert len({word["korean"] for word in words}) == len(words)
    for word in words:
        assert re.search("[가-힣]", word["korean"])
        assert not re.search("[가-힣]", word["english"] + word["meaning"])
        assert word["meaning"][0].isupper() and word["meaning"].endswith(".")
        assert len(word["meaning"].split()) <= 25
    table = rows(start.glossary_page(), "Glossary")[2:]
    assert table == sorted([*word.values()] for word in words)


@pytest.fixture
def copies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "mine").mkdir()
    return Copies(tmp_path / "mine")


def test_the_pages_are_made_anew_each_time_and_their_links_lead_somewhere(copies):
    assert prepare(copies) == []
    for page in (start.START, start.GLOSSARY):
        for link in re.findall(r"\]\(([^)]+)\)", (copies.folder / page).read_text()):
            assert (copies.folder / link).is_file(), link
    before = (copies.folder / start.START).read_text()
    assert prepare(copies) == []
    assert (copies.folder / start.START).read_text() == before


def test_a_page_in_which_the_learner_wrote_is_kept_beside(copies):
    prepare(copies)
    page = copies.folder / start.START
    fresh = page.read_text()
    page.write_text("my notes")
    assert prepare(copies) == ["you had changed 00_start.md: your copy is now 00_start-2.md"]
    assert (copies.folder / "00_start-2.md").read_text() == "my notes"
    assert page.read_text() == fresh
    assert prepare(copies) == []
