"""The clean-up's audit as it is shown, and the command's exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from eksnet import cli, cluster
from eksnet.aws.leftovers import Leftover
from eksnet.course import cleanup
from eksnet.course.cleanup import Audit
from eksnet.errors import EksnetError

BALANCER = Leftover("load balancer", "by-hand", "eksnet=course", "arn:1")
ROLE = Leftover("role", "x", "eksnet=course", "x")
REMARK = "the controller is not the course's"


def test_an_audit_is_shown_as_text_as_html_and_as_a_frame() -> None:
    clean = Audit(())
    assert (repr(clean), clean.clean) == ("nothing of the course is left", True)
    assert clean._repr_html_() == "<p>nothing of the course is left</p>"
    one, two = Audit((BALANCER,), REMARK), Audit((BALANCER, ROLE))
    assert repr(one).splitlines() == [
        "what           name     whose",
        "load balancer  by-hand  eksnet=course",
        "1 thing is left",
        REMARK,
    ]
    assert repr(two).splitlines()[-1] == "2 things are left"
    assert "<td" in two._repr_html_()
    assert list(two.to_frame()["what"]) == ["load balancer", "role"]


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ([], "nothing to delete"),
        (["load balancer by-hand", "Ingress a/b"], "deleted load balancer by-hand, Ingress a/b"),
        (["Ingress a/b", "Ingress a/b"], "deleted Ingress a/b"),
    ],
)
def test_a_step_says_what_it_has_deleted(done: list[str], said: str) -> None:
    assert cleanup._summary(done) == said


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command; what it finds is the test's."""

    def invoke(found: Audit | EksnetError, *words: str) -> Any:
        def look(*_: Any) -> Audit:
            if isinstance(found, EksnetError):
                raise found
            return found

        def clean(*_: Any) -> Audit:
            print("1. TargetGroupBindings: nothing to delete")
            return look()

        monkeypatch.setattr(cluster, "connect_read_only", lambda: None)
        monkeypatch.setattr("eksnet.connect", lambda: None)
        monkeypatch.setattr(cleanup, "left_over", look)
        monkeypatch.setattr(cleanup, "clean_up", clean)
        return CliRunner().invoke(cli.app, ["cleanup", *words])

    return invoke


@pytest.mark.parametrize("words", [("--check",), ()])
@pytest.mark.parametrize(
    ("found", "code"),
    [
        (Audit(()), 0),
        (Audit((BALANCER,)), 1),
        (EksnetError("no AWS account is known", "the sandbox"), 2),
    ],
)
def test_the_exit_code_tells_whether_something_is_left(
    run: Any, words: tuple[str, ...], found: Audit | EksnetError, code: int
) -> None:
    done = run(found, *words)
    assert done.exit_code == code, done.output
    if isinstance(found, EksnetError):
        assert "no AWS account is known" in done.output
    else:
        assert found.headline in done.output
        assert ("by-hand" in done.output) == (not found.clean)


@pytest.mark.parametrize("words", [("--check",), ()])
def test_as_json_nothing_else_is_on_the_standard_output(run: Any, words: tuple[str, ...]) -> None:
    done = run(Audit((BALANCER,), REMARK), "--json", *words)
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "clean": False,
        "left": [
            {
                "what": "load balancer", "name": "by-hand", "whose": "eksnet=course",
                "id": "arn:1",
            }
        ],
        "remark": REMARK,
    }  # fmt: skip
