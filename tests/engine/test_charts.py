"""The controller's Helm chart, packed from the Go module that pins the controller."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from eksnet import versions
from eksnet.bootstrap import engine_directory
from eksnet.loadbalancer import controller
from eksnet.sandbox.build import charts, engine, toolchain
from eksnet.sandbox.build.compiler import Compiler
from eksnet.sandbox.build.modules import CONTROLLER_CHART
from eksnet.sandbox.build.modules import MODULE as ENGINE
from tests.engine.conftest import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "greeting"
    write(made / "Chart.yaml", "{apiVersion: v2, name: greeting, version: 0.1.0}")
    write(made / ".helmignore", "# Not in the package.\n\n*.tmp\nci/\ncrds/index.yaml\n")
    for name in (
        "templates/words.yaml", "crds/crds.yaml", "crds/index.yaml", "index.yaml",
        "ci/values.yaml", "templates/draft.tmp", "templates/ci",
    ):  # fmt: skip
        write(made / name, f"# {name}\n")
    return made


def names(file: Path) -> list[str]:
    with tarfile.open(file) as archive:
        return archive.getnames()


def test_what_the_chart_ignores_is_left_out(folder: Path, tmp_path: Path):
    charts.pack(folder, tmp_path / "greeting.tgz")
    assert names(tmp_path / "greeting.tgz") == [
        "greeting/.helmignore", "greeting/Chart.yaml", "greeting/crds/crds.yaml",
        "greeting/index.yaml", "greeting/templates/ci", "greeting/templates/words.yaml",
    ]  # fmt: skip


def test_the_same_chart_gives_the_same_bytes(folder: Path, tmp_path: Path):
    charts.pack(folder, tmp_path / "once.tgz")
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    charts.pack(folder, tmp_path / "twice.tgz")
    assert (tmp_path / "once.tgz").read_bytes() == (tmp_path / "twice.tgz").read_bytes()


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The controller's chart, packed by the engine's own compiler."""
    go = toolchain.find(engine_directory(), ENGINE.go_directive)
    assert go is not None
    drafts = tmp_path_factory.mktemp("drafts")
    output = drafts / CONTROLLER_CHART.name
    with (drafts / "lock").open("w") as lock:
        Compiler(go, ENGINE, engine_directory(), lock.fileno()).pack(CONTROLLER_CHART, output)
    return output


def test_the_controllers_chart_is_of_the_controllers_version(chart: Path):
    with tarfile.open(chart) as archive:
        file = archive.extractfile("aws-load-balancer-controller/Chart.yaml")
        assert file is not None
        about = yaml.safe_load(file)
    assert (about["version"], about["appVersion"]) == (
        versions.CONTROLLER.removeprefix("v"), versions.CONTROLLER,
    )  # fmt: skip
    assert CONTROLLER_CHART.name == f"{about['name']}-{about['version']}.tgz"
    assert "aws-load-balancer-controller/crds/crds.yaml" in names(chart)
    assert "aws-load-balancer-controller/crds/kustomization.yaml" not in names(chart)


def test_helm_reads_it(chart: Path):
    said = subprocess.run(
        [engine().program("helm"), "show", "chart", chart], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert f"appVersion: {versions.CONTROLLER}" in said.stdout


def test_the_iam_policy_that_the_course_has_is_the_releases():
    go = toolchain.find(engine_directory(), ENGINE.go_directive)
    assert go is not None
    said = subprocess.run(
        [go.path, "mod", "download", "-json", CONTROLLER_CHART.module], cwd=ENGINE.source,
        env=toolchain.environment(engine_directory()), capture_output=True, text=True, check=True,
    )  # fmt: skip
    published = Path(json.loads(said.stdout)["Dir"], "docs", "install", "iam_policy.json")
    assert controller.iam_policy() == published.read_text()
