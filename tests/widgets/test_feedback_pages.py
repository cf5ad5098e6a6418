"""What `eksnet grade` writes for a browser: learners' feedback and the overview of the class."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import COLOURS, OVERLAPS, STICKS_OUT, contrast
from playwright.sync_api import Browser, Page
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "grading"))
from made import NONCE, attempt, submission

from eksnet import cli
from eksnet.checkpoints import definitions
from eksnet.checkpoints.criteria import State

pytestmark = pytest.mark.browser

# A word without an end, as an ARN has, is in the narrowest columns' way.
LONG = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/app/k8s-" + "a" * 200
SAID = {"observed": f"`kube-dns` has {LONG}", "expected": "10.0.0.7 <b>&amp; more</b>"}
PAGES = ("out/right.html", "out/wrong.html", "out/nobody.html", "gradebook-overview.html")
EDGE = "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"


def records(state: State | None, **texts: str) -> Iterator[dict[str, Any]]:
    """Yield an attempt at each checkpoint; without a state, of all states in turn."""
    states = list(State)
    for place, one in enumerate(definitions.every()):
        given = [states[(place + n) % len(states)] for n in range(len(one.criteria))]
        at = f"2026-11-30T10:{place // 60:02}:{place % 60:02}+00:00"
        yield {**attempt(one, state or given, at, **texts), "answer": [["kube-dns", LONG]]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a class with all that a page can show."""
    place = tmp_path_factory.mktemp("class")
    submission(place / "submissions/right.zip", records(State.PASS, expected=""))
    submission(place / "submissions/wrong.zip", records(None, **SAID))
    submission(place / f"submissions/{'copied' * 12}.zip", records(State.PASS))
    (place / "submissions/broken.zip").write_bytes(b"no archive")
    (place / "roster.csv").write_text(
        f"student_id,nonce\nright,{NONCE}\nwrong,{NONCE}\nnobody,\nbroken,{LONG}\n"
    )
    words = [
        "grade", str(place / "submissions"), "--csv", str(place / "gradebook.csv"), "--feedback",
        str(place / "out"), "--roster", str(place / "roster.csv"), "--nonce", NONCE,
    ]  # fmt: skip
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 1, done.output
    return place


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window in one of the two schemes of colours, at a zoom of 200 % when it is 640 wide."""
    context = browser.new_context(
        color_scheme=request.param, viewport={"width": 1280, "height": 1000}
    )
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_in_both_schemes(page: Page, folder: Path, name: str) -> None:
    page.goto((folder / name).as_uri())
    found = Axe().run(page, options={})
    assert found.violations_count == 0, found.generate_report()
    assert found.response["passes"]
    # A drawing has a ground of its own; `test_pictures` looks at those.
    colours = [one for one in page.locator("body").evaluate(COLOURS) if one["what"][:5] != "text "]
    assert len(colours) > 3
    ratios = {one["what"]: contrast(one["text"], one["ground"]) for one in colours}
    assert {what: ratio for what, ratio in ratios.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1280, 640])
def test_nothing_sticks_out_at_a_zoom_of_one_hundred_and_two_hundred_percent(
    page: Page, folder: Path, name: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 500})
    page.goto((folder / name).as_uri())
    assert page.evaluate(EDGE) == 0
    assert page.locator("main").evaluate(STICKS_OUT) == []
    assert page.locator("main").evaluate(OVERLAPS) == []


def test_a_page_needs_nothing_else_and_takes_text_as_text(page: Page, folder: Path) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.on("console", lambda one: complaints.append(one.text))
    for name in PAGES:
        page.goto((folder / name).as_uri())
    assert asked == [(folder / name).as_uri() for name in PAGES]
    assert complaints == []
    page.goto((folder / "out/wrong.html").as_uri())
    assert page.get_by_text("10.0.0.7 <b>&amp; more</b>", exact=True).count() > 10
