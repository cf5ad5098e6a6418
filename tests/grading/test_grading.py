"""A class graded as docs/instructor.md says, by the command that it names."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made import NONCE, attempt
from typer.testing import CliRunner

from eksnet import cli
from eksnet.checkpoints import definitions
from eksnet.checkpoints.criteria import State
from eksnet.grading.gradebook import CRITERIA, MANUAL, NBGRADER
from eksnet.printable import printable

ROOT = Path(__file__).parents[2]
LAB = definitions.of_notebook("05")
ALL = sum(one.points for one in LAB)
PASS, FAIL, BLIND = State.PASS, State.FAIL, State.CANNOT_CHECK
GUIDE = (ROOT / "docs" / "instructor.md").read_text()
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \x1b[31m \u202e =1+1"


@dataclass(frozen=True)
class Classroom:
    """The instructor's folder."""

    folder: Path

    def run(self, *words: str) -> Any:
        done = CliRunner().invoke(cli.app, list(words))
        assert not done.exception or isinstance(done.exception, SystemExit), done.exception
        return done

    def grade(self, *more: str) -> Any:
        return self.run(
            "grade", str(self.folder / "submissions"), "--csv", str(self.folder / "gradebook.csv"),
            "--feedback", str(self.folder / "out"), *more,
        )  # fmt: skip

    def rows(self, name: str = "gradebook.csv") -> list[dict[str, str]]:
        with (self.folder / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def marks(self) -> dict[str, str]:
        return {row["student_id"]: row["score"] for row in self.rows()}

    def page(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def edit(self, learner: str, **cells: str) -> None:
        rows = self.rows()
        for row in rows:
            row.update(cells if row["student_id"] == learner else {})
        with (self.folder / "gradebook.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0] | dict.fromkeys(cells)))
            writer.writeheader()
            writer.writerows(rows)


@pytest.fixture
def classroom(tmp_path: Path) -> Classroom:
    (tmp_path / "submissions").mkdir()
    return Classroom(tmp_path)


def course(
    states: State = PASS, cluster: str = "ca:ada", minute: int = 0, nonce: str = NONCE, **texts: str
) -> list[dict[str, Any]]:
    return [
        attempt(one, states, f"2026-11-30T10:{minute:02}:{n:02}+00:00", cluster, nonce, **texts)
        for n, one in enumerate(LAB)
    ]


@pytest.fixture
def six(classroom: Classroom, hand_in: Callable[..., Path]) -> Classroom:
    """Right, wrong, partial, untouched, copied and broken; one more has handed nothing in."""
    hand_in("right", *course(cluster="ca:right"))
    hand_in("wrong", *course(FAIL, "ca:wrong", 1, observed="10.0.0.9", expected="10.0.0.8"))
    blind = attempt(LAB[1], BLIND, cluster="ca:partial", observed="the API did not answer")
    hand_in("partial", *course(cluster="ca:partial", minute=2)[:1], blind)
    hand_in("untouched")
    hand_in("copied", *course(cluster="ca:right"))
    (classroom.folder / "submissions" / "broken.zip").write_bytes(b"PK\x03\x04 cut short")
    names = ["right", "wrong", "partial", "untouched", "copied", "broken", "absent"]
    lines = ["student_id,last_name,first_name,email"]
    lines += [f'{name},"Surname, {name}",{name.title()},{name}@example.com' for name in names]
    (classroom.folder / "roster.csv").write_text("\n".join(lines))
    return classroom


def commands() -> Iterator[list[str]]:
    """Yield the commands of the guide's section on grading, as they stand there."""
    section = GUIDE.split("## Grade")[1].split("\n## ")[0]
    for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("eksnet "):
                yield line.split()[1:]


def test_the_guide_leads_from_six_submissions_to_their_feedback(
    six: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(six.folder)
    first, *_ = commands()
    done = six.run(*first)
    assert done.exit_code == 1, done.output
    marks = six.marks()
    assert marks == {
        "right": str(ALL), "wrong": "0", "partial": str(LAB[0].points), "untouched": "0",
        "copied": str(ALL), "broken": "0", "absent": "0",
    }  # fmt: skip
    said = " ".join(done.output.split())
    for line in (
        "broken: zero: broken.zip: it is no complete .zip file",
        "untouched: no attempt: the submission has no attempt",
        "absent: nothing handed in: all points are zero",
        "copied: copied: the sandbox ca:right… is also that of right: counted",
        "right: copied: the sandbox ca:right… is also that of copied: counted",
        f"partial: {LAB[1].criteria[0].id}: the API did not answer",
        "7 learners: gradebook.csv",
    ):
        assert line in said
    pages = sorted(path.stem for path in (six.folder / "out").iterdir())
    assert pages == sorted(marks)
    for command in list(commands())[1:]:
        assert six.run(*command).exit_code in (0, 1), command
        assert six.marks() == marks


def test_every_file_and_option_that_the_guide_names_is_there(six: Classroom) -> None:
    six.grade()
    for name in ("gradebook.csv", "gradebook-criteria.csv", "gradebook-overview.html"):
        assert name in GUIDE and (six.folder / name).exists()
    told = set(re.findall(r"`(--[a-z-]+)", GUIDE.split("## Grade")[1]))
    help_text = six.run("grade", "--help").output
    assert told and {one for one in told if one not in help_text} == set()


def test_the_gradebook_has_nbgraders_columns_and_the_names_of_the_roster(six: Classroom) -> None:
    six.grade("--roster", str(six.folder / "roster.csv"), "--notebook", "05")
    (row,) = (row for row in six.rows() if row["student_id"] == "right")
    assert tuple(row) == (*NBGRADER, "source", MANUAL)
    assert row["assignment"] == "05_lab_hosts"
    assert (row["last_name"], row["email"]) == ("Surname, right", "right@example.com")
    assert (row["raw_score"], row["max_score"], row["source"]) == (str(ALL), str(ALL), "evidence")
    assert row["timestamp"] == f"2026-11-30 10:00:{len(LAB) - 1:02}"
    (zero,) = (row for row in six.rows() if row["student_id"] == "absent")
    assert (zero["score"], zero["source"], zero["timestamp"]) == ("0", "none", "")


def test_the_second_file_has_a_row_for_each_criterion_and_learner(six: Classroom) -> None:
    six.grade("--notebook", "05")
    rows = six.rows("gradebook-criteria.csv")
    assert tuple(rows[0]) == CRITERIA
    criteria = [one.id for definition in LAB for one in definition.criteria]
    for name in ("right", "wrong", "partial", "untouched", "copied", "broken"):
        assert [row["criterion"] for row in rows if row["student_id"] == name] == criteria
    wrong = next(row for row in rows if row["student_id"] == "wrong")
    assert (wrong["state"], wrong["score"]) == ("FAIL", "0")
    assert (wrong["observed"], wrong["expected"]) == ("10.0.0.9", "10.0.0.8")
    for name, mark in six.marks().items():
        total = sum(int(row["score"]) for row in rows if row["student_id"] == name)
        assert total == int(mark)


def test_every_notebook_of_the_course_is_an_assignment(six: Classroom) -> None:
    six.grade()
    assignments = [row["assignment"] for row in six.rows() if row["student_id"] == "right"]
    assert assignments == sorted({one.notebook for one in definitions.every()})


class Page(HTMLParser):
    """What of a page could load or run anything, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_feedback_stands_alone_and_names_nobody_else(six: Classroom) -> None:
    six.grade("--roster", str(six.folder / "roster.csv"), "--notebook", "05")
    for name in ("right", "wrong", "partial", "untouched", "copied", "broken", "absent"):
        html = six.page(f"out/{name}.html")
        page = Page(html)
        assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "form", "a"})
        assert not {"src", "href", "onerror", "onload"} & page.attributes.keys()
        assert "default-src 'none'" in html
        others = {"right", "wrong", "partial", "copied"} - {name}
        assert not [one for one in others if f"ca:{one}" in html or f">{one}<" in html]
    text = Page(six.page("out/wrong.html")).text
    assert "10.0.0.9" in text and "10.0.0.8" in text and "FAIL" in text
    for definition in LAB:
        assert definition.title in text
    assert (
        "nothing" not in text and "There is no submission" in Page(six.page("out/absent.html")).text
    )


def test_feedback_has_no_source_of_a_check_and_no_solution(six: Classroom) -> None:
    six.grade()
    html = Page(six.page("out/wrong.html")).text
    for definition in definitions.every():
        long_lines = [one.strip() for one in definition.solution.splitlines() if len(one) > 30]
        assert not [one for one in long_lines if one in html]
        assert not [hint for hint in definition.hints if hint.strip() in html]


def test_the_overview_draws_each_checkpoint_and_says_the_same_in_a_table(six: Classroom) -> None:
    six.grade("--roster", str(six.folder / "roster.csv"), "--notebook", "05")
    html = six.page("gradebook-overview.html")
    assert "<svg" in html and 'role="img"' in html
    bars = re.findall(r'<rect class="tip here"[^>]* width="([\d.]+)"', html)
    first, second = LAB[0], LAB[1]
    # Three of seven have the first, two of them the second one.
    assert [float(bar) for bar in bars[:2]] == pytest.approx([300 * 3 / 7, 300 * 2 / 7], abs=0.06)
    assert f"{first.id}: {3 * first.points / 7:.1f} of {first.points}" in html
    svg, text = html.split("</svg>")[0], Page(html.split("</svg>")[1]).text
    for definition in LAB:
        assert definition.id in svg and definition.id in text
    assert len(bars) == len(LAB)
    assert "broken" in text and "copied" in text and "did not answer" in text
    assert second.title in text


def test_what_a_learner_writes_is_text_in_every_file(
    classroom: Classroom, hand_in: Callable[..., Path]
) -> None:
    formula = "=cmd|' /C calc'!A0"
    records = course(BLIND, observed=HOSTILE, expected=formula)
    records += course(FAIL, cluster=f"uid:{HOSTILE}", observed=HOSTILE)
    hand_in("eve", *records, *course(nonce=HOSTILE))
    done = classroom.grade("--nonce", NONCE)
    assert done.output == printable(done.output)
    for name in ("out/eve.html", "gradebook-overview.html"):
        html = classroom.page(name)
        page = Page(html)
        assert page.tags.isdisjoint({"script", "img"}) and "onerror" not in page.attributes
        assert "alert(1)" in page.text
        assert "\x1b" not in html and "\u202e" not in html
    for row in classroom.rows("gradebook-criteria.csv"):
        assert not [one for one in row.values() if one.startswith(("=", "+", "@"))]
    assert classroom.marks()["eve"] == "0"


def test_manual_marks_survive_and_a_conflict_is_reported(
    six: Classroom, hand_in: Callable[..., Path]
) -> None:
    six.grade("--notebook", "05")
    six.edit("wrong", manual_score="1.5", note="argued well")
    six.edit("partial", score="2")
    done = six.grade("--notebook", "05")
    assert "Manual marks in doubt" not in done.output
    assert (six.marks()["wrong"], six.marks()["partial"]) == ("1.5", "2")
    assert next(row for row in six.rows() if row["student_id"] == "wrong")["note"] == "argued well"
    hand_in("wrong", *course(cluster="ca:wrong", minute=3))
    done = six.grade("--notebook", "05")
    said = " ".join(done.output.split())
    assert f"the manual mark 1.5 was given when the evidence gave 0; it gives {ALL} now" in said
    assert six.marks()["wrong"] == "1.5"
    assert "argued well" not in six.page("out/wrong.html")
    (six.folder / "submissions" / "partial.zip").unlink()
    assert "no such learner" in six.grade("--notebook", "05").output
    assert six.marks()["partial"] == "2"


def test_the_last_attempt_and_the_nonce_are_flags_of_the_command(
    classroom: Classroom, hand_in: Callable[..., Path]
) -> None:
    hand_in("ada", *course(), *course(FAIL, minute=5))
    assert classroom.grade().exit_code == 0
    marks = {row["assignment"]: row["score"] for row in classroom.rows()}
    assert marks["05_lab_hosts"] == str(ALL)
    classroom.grade("--attempt", "last", "--notebook", "05")
    assert classroom.marks() == {"ada": "0"}
    done = classroom.grade("--nonce", "winter", "--notebook", "05")
    assert "stale nonce" in done.output and done.exit_code == 1
    assert classroom.grade("--nonce", "winter", "--nonce", NONCE).exit_code == 0


def test_a_submission_that_is_not_on_the_roster_is_graded_and_flagged(
    classroom: Classroom, hand_in: Callable[..., Path]
) -> None:
    hand_in("eve", *course())
    (classroom.folder / "roster.csv").write_text("student_id\nada\n")
    done = classroom.grade("--roster", str(classroom.folder / "roster.csv"), "--notebook", "05")
    assert "eve: not on the roster" in done.output
    assert classroom.marks() == {"ada": "0", "eve": str(ALL)}


def test_anothers_nonce_is_told_to_the_instructor_and_not_to_the_learner(
    classroom: Classroom, hand_in: Callable[..., Path]
) -> None:
    hand_in("adam", *course(cluster="ca:adam", nonce="n-1"))
    hand_in("eve", *course(cluster="ca:eve", minute=1, nonce="n-1"))
    (classroom.folder / "roster.csv").write_text("student_id,nonce\nadam,n-1\neve,n-2\n")
    done = classroom.grade("--roster", str(classroom.folder / "roster.csv"), "--notebook", "05")
    assert "with the nonce that was given to adam" in done.output
    assert classroom.marks() == {"adam": str(ALL), "eve": "0"}
    assert "adam" in classroom.page("gradebook-overview.html")
    assert "adam" not in classroom.page("out/eve.html")


def test_json_has_the_same(six: Classroom) -> None:
    import json

    done = six.grade("--json", "--notebook", "05")
    found = json.loads(done.output)
    assert {one["student_id"]: str(one["points"]) for one in found["learners"]} == six.marks()
    assert "it is no complete .zip file" in str(found["notices"])


@pytest.mark.parametrize("place", ["csv", "feedback", "roster", "folder", "gradebook"])
def test_what_cannot_be_read_or_written_is_one_error_and_changes_nothing(
    place: str, six: Classroom
) -> None:
    six.grade()
    before = six.page("gradebook.csv")
    (six.folder / "file").write_text("x")
    words = ["grade", str(six.folder / "submissions"), "--csv", str(six.folder / "gradebook.csv"),
             "--feedback", str(six.folder / "out")]  # fmt: skip
    match place:
        case "csv":
            words[3] = str(six.folder / "gone" / "g.csv")
        case "feedback":
            words[5] = str(six.folder / "file")
        case "roster":
            words += ["--roster", str(six.folder / "gone.csv")]
        case "folder":
            words[1] = str(six.folder / "gone")
        case "gradebook":
            before = "not,a,gradebook\n1,2,3\n"
            (six.folder / "gradebook.csv").write_text(before)
    done = six.run(*words)
    assert done.exit_code == 2, done.output
    assert done.output.startswith("eksnet: ") and "Traceback" not in done.output
    assert six.page("gradebook.csv") == before
    assert not list(six.folder.glob(".eksnet-*"))


def test_feedback_is_never_written_through_a_link(
    classroom: Classroom, hand_in: Callable[..., Path]
) -> None:
    hand_in("ada", *course())
    (classroom.folder / "out").mkdir()
    mine = classroom.folder / "mine"
    mine.write_text("mine")
    (classroom.folder / "out" / "ada.html").symlink_to(mine)
    classroom.grade()
    assert mine.read_text() == "mine"
    assert "Feedback for ada" in classroom.page("out/ada.html")


def test_feedback_shows_a_prediction_that_was_not_right_as_text(
    classroom: Classroom, hand_in: Callable[..., Path]
) -> None:
    wrong = attempt(LAB[1], FAIL) | {"answer": [["without cache", HOSTILE], ["b", "2"]]}
    right = attempt(LAB[4], PASS) | {"answer": [["never shown"]]}
    odd = attempt(LAB[3], FAIL) | {"answer": {"a": [1]}}
    hand_in("ada", wrong, right, odd)
    classroom.grade("--notebook", "05")
    page = classroom.page("out/ada.html")
    assert "Your prediction: without cache: &lt;script&gt;" in page and "; b: 2" in page
    assert page.count("Your prediction") == 1
    assert "never shown" not in page and "<script" not in page
