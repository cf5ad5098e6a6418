"""Helm's home on a sandbox: its repository is known, and what a learner added stays."""

import json
import subprocess
import tarfile
import threading
from io import BytesIO

import pytest
import yaml
from werkzeug.serving import make_server

from eksnet.sandbox import build, helm, paths
from eksnet.sandbox.aws import charts, published
from eksnet.sandbox.aws.signatures import Request

CHART = build.CONTROLLER_CHART.name


def packed(directory, name="greeting", version="0.1.0"):
    """Write a chart that Helm can install."""
    file = directory / f"{name}-{version}.tgz"
    files = {
        "Chart.yaml": f"{{apiVersion: v2, name: {name}, version: {version}, description: Hello}}",
        "values.yaml": "word: hello\n",
        "templates/words.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: words}}",
    }
    with tarfile.open(file, "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(text)
            archive.addfile(member, BytesIO(text.encode()))
    return file


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The paths of a sandbox whose engine has one chart."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("EKSNET_ENGINE_DIR", str(tmp_path / "engine"))
    shelf = build.engine().shelf.directory
    shelf.mkdir(parents=True)
    packed(tmp_path).rename(shelf / CHART)
    found = paths.paths("own")
    paths.write_private(found.port("aws"), "20123")
    return found


def repositories(variables):
    with open(variables["HELM_REPOSITORY_CONFIG"]) as file:
        return {one["name"]: one["url"] for one in yaml.safe_load(file)["repositories"]}


def test_everything_is_below_the_sandboxs_state(own):
    variables = helm.variables(own)
    assert all(value.startswith(f"{own.state}/") for value in variables.values())
    assert repositories(variables) == {"eks": "http://127.0.0.1:20123/eks-charts"}
    with open(f"{variables['HELM_REPOSITORY_CACHE']}/eks-index.yaml") as file:
        (entry,) = json.load(file)["entries"]["greeting"]
    assert (entry["version"], entry["urls"]) == ("0.1.0", [CHART])


def test_the_learners_own_repositories_stay_and_the_port_is_the_present_one(own):
    variables = helm.variables(own)
    with open(variables["HELM_REPOSITORY_CONFIG"]) as file:
        known = yaml.safe_load(file)
    known["repositories"].append({"name": "own", "url": "https://charts.example.com"})
    with open(variables["HELM_REPOSITORY_CONFIG"], "w") as file:
        yaml.safe_dump(known, file)
    paths.write_private(own.port("aws"), "20999")
    assert repositories(helm.variables(own)) == {
        "eks": "http://127.0.0.1:20999/eks-charts", "own": "https://charts.example.com",
    }  # fmt: skip


def test_without_the_chart_there_is_a_home_all_the_same(own):
    build.engine().shelf.path(CHART).unlink()
    variables = helm.variables(own)
    assert repositories(variables) == {"eks": "http://127.0.0.1:20123/eks-charts"}


# The repository itself.


def test_charts_are_served_as_they_are_beside_an_index(tmp_path):
    file = packed(tmp_path)
    documents = charts.documents(tmp_path)
    got = published.answer(Request("GET", f"/eks-charts/{file.name}"), documents)
    assert (got.status, got.body) == (200, file.read_bytes())
    got = published.answer(Request("GET", "/eks-charts/index.yaml"), documents)
    (entry,) = yaml.safe_load(got.body)["entries"]["greeting"]
    assert (entry["name"], entry["description"], entry["urls"]) == (
        "greeting", "Hello", [file.name],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/eks-charts/index.yaml"),
        ("GET", "/eks-charts/../index.yaml"),
        ("GET", "/eks-charts/other.tgz"),
        ("GET", "/eks-charts"),
    ],
)
def test_nothing_else_is(tmp_path, method, path):
    packed(tmp_path)
    assert published.answer(Request(method, path), charts.documents(tmp_path)) is None


def test_a_chart_that_is_gone_is_not_found(tmp_path):
    file = packed(tmp_path)
    documents = charts.documents(tmp_path)
    file.unlink()
    assert published.answer(Request("GET", f"/eks-charts/{file.name}"), documents).status == 404


def test_helm_itself_finds_updates_and_pulls(tmp_path, monkeypatch):
    """With the engine's own Helm, from a server as the AWS side is one."""
    program = build.program("helm")
    served_from = tmp_path / "charts"
    served_from.mkdir()
    file = packed(served_from)
    documents = charts.documents(served_from)

    def application(environ, start):
        request = Request(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        answer = published.answer(request, documents)
        start(f"{answer.status} OK", list(answer.headers))
        return [answer.body]

    server = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    own = paths.paths("own")
    paths.write_private(own.port("aws"), str(server.server_port))
    variables = helm.variables(own)

    def run(*words):
        done = subprocess.run(
            [program, *words], env=variables, capture_output=True, text=True, check=False,
            cwd=tmp_path, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        # Before any update: the real controller's chart, in the index that is kept.
        assert "eks/aws-load-balancer-controller" in run("search", "repo", "eks")
        run("repo", "update", "eks")
        assert "eks/greeting" in run("search", "repo", "eks")
        run("pull", "eks/greeting")
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
        assert "word: hello" in run("show", "values", "eks/greeting")
    finally:
        server.shutdown()
        server.server_close()
