"""The clean-up's audit as it is shown, and the command's exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "cluster"))
from fake_api import FakeApi, kubeconfig

import eksnet
from eksnet import cli, cluster
from eksnet.aws.leftovers import Leftover
from eksnet.cluster.runs import Run
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
        "what           name     whose          run",
        "load balancer  by-hand  eksnet=course  unknown",
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
                "run": "", "id": "arn:1",
            }
        ],
        "remark": REMARK,
        "run": "",
    }  # fmt: skip


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """The API server of a context, for which no AWS account is known."""
    server = FakeApi()
    (tmp_path / "kubeconfig").write_text(kubeconfig(server.url))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield server
    server.close()


LABELS = {
    "labels": {"eksnet": "course", "eksnet-run": "run-0a", "eksnet-lesson": "01a_dns_records"}
}
KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
BINDINGS = "targetgroupbindings.elbv2.k8s.aws"


def test_on_a_context_only_the_cluster_is_cleaned_and_only_of_what_is_the_courses(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("theirs", "my-namespace"):
        api.put(f"/api/v1/namespaces/{name}", {"metadata": LABELS if name != "theirs" else {}})
    pod = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "eksnet"}}}
    api.put("/api/v1/namespaces/default/pods/eksnet-1", pod)
    learner = eksnet.connect("context:lab", changes="lab")
    learner.apply("{apiVersion: v1, kind: Namespace, metadata: {name: zoo}}")
    own, before = learner.run_id, len(api.writes)
    found = cleanup.left_over(learner)
    assert list(found.listing().rows) == [
        ("Namespace", "my-namespace", "eksnet=course, eksnet-lesson=01a_dns_records", "run-0a"),
        ("Namespace", "zoo", "eksnet=course", "yours"),
        ("Pod", "default/eksnet-1", "app.kubernetes.io/managed-by=eksnet", "unknown"),
    ]
    assert [one["run"] for one in found.to_json()["left"]] == ["run-0a", own, ""]
    assert found.remark == "no AWS account is known for context:lab: only the cluster counts"
    assert len(api.writes) == before
    assert cleanup.clean_up(learner).clean
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == (
        "5. the rest in the cluster: deleted Pod eksnet-1, Namespace my-namespace, Namespace zoo"
    )
    # What is made from now on is another run's.
    assert learner.current_run == Run(own, ended=True)
    assert learner.run_id != own
    assert {"default", "kube-system", "theirs"} <= {
        path.rpartition("/")[2] for path in api.objects if path.count("/") == 4
    }


@pytest.mark.parametrize(("used", "deleted"), [(False, True), (True, False)])
def test_a_kind_of_the_chart_that_others_use_stays(api: FakeApi, used: bool, deleted: bool) -> None:
    api.put(f"{KINDS}/{BINDINGS}", {"spec": {"group": "elbv2.k8s.aws"}})
    if used:
        api.put("/apis/elbv2.k8s.aws/v1beta1/namespaces/default/targetgroupbindings/theirs", {})
    learner = eksnet.connect("context:lab", changes="lab")
    assert [one.name for one in cleanup.left_over(learner).left] == ["1 kind of its chart"]
    assert cleanup.clean_up(learner).clean is deleted
    assert (f"{KINDS}/{BINDINGS}" in api.objects) is not deleted


def test_what_waits_for_a_controller_of_somebody_else_that_is_not_ready_is_told(
    api: FakeApi,
) -> None:
    name = "aws-load-balancer-controller"
    spec = {"replicas": 2, "template": {"spec": {"containers": [{"name": "main"}]}}}
    labels = {"labels": {"app.kubernetes.io/name": name}}
    api.put(f"/apis/apps/v1/namespaces/kube-system/deployments/{name}",
            {"metadata": labels, "spec": spec, "status": {}})  # fmt: skip
    api.put("/api/v1/namespaces/app-ns", {"metadata": LABELS})
    for namespace in ("app-ns", "default"):
        path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/web"
        api.put(path, {"metadata": {"finalizers": ["ingress.k8s.aws/resources"]}})
    learner = eksnet.connect("context:lab", changes="lab")
    # The other one is not in a namespace of the course.
    assert [one.name for one in cleanup.left_over(learner).left] == ["app-ns/web", "app-ns"]
    with pytest.raises(EksnetError, match="cannot delete what it has made"):
        cleanup.clean_up(learner)
    assert not api.writes
