"""What is known of errors: each is in the source that it names, and is found in what was said."""

from __future__ import annotations

import csv
import json
import re

import gomodules
import pytest
from typer.testing import CliRunner

from eksnet import cli, data
from eksnet.errors import EksnetError
from eksnet.loadbalancer import explaining
from eksnet.loadbalancer.explaining import explain

with (data.directory() / "controller_errors.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
FUNCTION = re.compile(r"^func (?:\([^)]*\) )?(\w+)\(", re.MULTILINE)


def named(rows):
    return {"argvalues": rows, "ids": [row["id"] for row in rows]}


def test_there_are_enough_and_each_is_whole():
    assert len(ROWS) >= 30
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert all(all(row.values()) for row in ROWS)
    assert {row["said_by"] for row in ROWS} == {"controller", "AWS", "Kubernetes"}


@pytest.mark.parametrize("row", **named([row for row in ROWS if row["said_by"] == "controller"]))
def test_an_error_of_the_controller_is_in_the_function_that_is_named(row):
    path, function = row["source"].split()
    code = (gomodules.directory(gomodules.CONTROLLER) / path).read_text()
    begins = {one[1]: one.start() for one in FUNCTION.finditer(code)}
    after = [start for start in begins.values() if start > begins[function]]
    body = code[begins[function] : min(after, default=len(code))]
    assert row["error"] in body.replace('\\"', '"')


@pytest.mark.parametrize("row", **named([row for row in ROWS if row["said_by"] != "controller"]))
def test_an_error_of_others_has_a_public_report(row):
    assert re.fullmatch(r"https://(github\.com|docs\.aws\.amazon\.com)/\S+", row["source"])


@pytest.mark.parametrize("row", **named(ROWS))
def test_an_error_is_found_in_what_was_said(row):
    assert [one.id for one in explain(row["text"])] == [row["id"]]
    # Among the lines of a log, which writes it as JSON.
    line = json.dumps({"level": "error", "msg": "Reconciler error", "error": row["text"]})
    log = f'{{"level":"info"}}\n{line}\n{{"level":"info"}}\n'
    (one,) = explain(log)
    assert (one.id, one.means, one.fix) == (row["id"], row["means"], row["fix"])
    assert one.error in explaining._unescaped(row["text"])


def test_several_errors_are_explained_in_their_order():
    log = "\n".join(row["text"] for row in (ROWS[3], ROWS[0], ROWS[3]))
    assert [one.id for one in explain(log)] == [ROWS[3]["id"], ROWS[0]["id"]]


@pytest.mark.parametrize("text", ["everything is fine", "x" * 100_000, "conflicting " * 20_000])
def test_nothing_is_made_up(text):
    assert len(explain(text)) == 0


def test_what_is_shown_is_in_every_form():
    found = explain(ROWS[0]["text"])
    assert "conflicting scheme" in repr(found) and "conflicting scheme" in found._repr_html_()
    assert list(found.to_frame().columns) == ["error", "means", "see", "fix", "source"]
    assert "pkg/ingress/" in repr(found[0]) and "pkg/ingress/" in found[0]._repr_html_()
    assert found[0].to_frame().shape == (5, 2)
    assert found[0].where.startswith("controller 3.3.0, pkg/")


def test_a_text_that_is_none_is_refused():
    for wrong in ("", None, "a\0"):
        with pytest.raises(EksnetError):
            explain(wrong)
    with pytest.raises(EksnetError, match="the text has"):
        explain("x" * (explaining.MOST + 1))


# The command.


def run(*words, **options):
    return CliRunner().invoke(cli.app, ["explain", *words], **options)


def test_the_command_explains_words_and_the_standard_input():
    done = run("Failed", "build", "model", "due", "to", "conflicting", "scheme:", "map[a:{} b:{}]")
    assert done.exit_code == 0
    for said in ("conflicting scheme: map[a:{} b:{}]", "means:", "see:", "fix:", "source:"):
        assert said in done.stdout
    done = run("-", "--json", input=ROWS[1]["text"])
    assert done.exit_code == 0
    (one,) = json.loads(done.stdout)
    assert (one["id"], one["source"]) == (ROWS[1]["id"], ROWS[1]["source"])


def test_the_command_says_when_nothing_is_known():
    done = run("all is well")
    assert done.exit_code == 1
    assert "Nothing is known of this text" in done.stdout
    assert run("all is well", "--json").stdout == "[]\n"
    done = run("-", input="")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "the error is empty" in done.stderr
