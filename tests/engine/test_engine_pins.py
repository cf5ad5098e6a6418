"""The real module: what it pins, and what its cache key stands for."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from eksnet import versions
from eksnet.sandbox.build.modules import MODULE as ENGINE
from eksnet.sandbox.build.modules import Module, Program

# These are versioned apart from Kubernetes.
OWN_VERSIONS = {"kubernetes", "klog/v2", "kube-openapi", "utils"}


def pins() -> dict[str, str]:
    text = (ENGINE.source / "go.mod").read_text()
    return dict(re.findall(r"^(?:require|\t)\s*(\S+) (v\S+)", text, re.M))


def test_upstream_versions():
    # What Amazon EKS supports; docs/contributing.md says what else a change of these touches.
    assert versions.KUBERNETES == "v1.35.4"
    assert (versions.MAJOR, versions.MINOR) == ("1", "35")
    assert versions.ETCD == "v3.6.13"
    assert versions.COREDNS == "v1.14.3"
    assert versions.HELM == "v3.20.2"
    # Go knows no tag of version 3 for a module without /v3; the commit is that of the tag.
    assert pins()["sigs.k8s.io/aws-load-balancer-controller"].endswith("-46816a2070db")
    assert versions.CONTROLLER == "v3.3.0"


def test_all_of_kubernetes_is_of_one_release():
    staging = {
        name.removeprefix("k8s.io/"): version
        for name, version in pins().items()
        if name.startswith("k8s.io/") and name.removeprefix("k8s.io/") not in OWN_VERSIONS
    }
    assert len(staging) > 20
    assert set(staging.values()) == {versions.KUBERNETES.replace("v1.", "v0.")}


def test_nothing_is_replaced_and_everything_has_a_checksum():
    assert "replace" not in (ENGINE.source / "go.mod").read_text()
    sums = (ENGINE.source / "go.sum").read_text()
    assert all(f"{name} {version}/go.mod h1:" in sums for name, version in pins().items())


def test_programs_in_the_order_in_which_they_are_needed():
    assert [program.name for program in ENGINE.programs] == [
        "etcd", "kube", "coredns", "runtime", "loadbalancer", "kubectl", "agnhost", "helm",
        "aws-load-balancer-controller", "plan",
    ]  # fmt: skip


def test_the_chart_is_the_controllers():
    (chart,) = ENGINE.charts
    assert chart.name == f"aws-load-balancer-controller-{versions.CONTROLLER[1:]}.tgz"
    assert chart.module in pins()


def test_kubernetes_programs_are_stamped_with_the_whole_version():
    stamped = {program.name for program in ENGINE.programs if "gitMinor=35" in program.flags[-1]}
    assert stamped == {"kube", "kubectl"}


@pytest.fixture
def copy(tmp_path: Path) -> Module:
    """A copy of the real module, to be changed."""
    shutil.copytree(ENGINE.source, tmp_path / "copy")
    copied = replace(ENGINE, source=tmp_path / "copy")
    assert copied.key() == ENGINE.key()
    return copied


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "internal/new.go", "internal/embedded.txt"])
def test_what_is_built_changes_the_key(copy: Module, name: str):
    before = copy.key()
    path = copy.source / name
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write("// changed\n")
    assert copy.key() != before


@pytest.mark.parametrize("name", ["new_test.go", "testdata/table.json", ".editor.swp"])
def test_tests_do_not_change_the_key(copy: Module, name: str):
    before = copy.key()
    path = copy.source / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("changed")
    assert copy.key() == before


def test_flags_and_programs_change_the_key():
    before = ENGINE.key()
    assert re.fullmatch("[0-9a-f]{12}", before)
    other = Program("etcd", ENGINE.programs[0].package, ("-X a.b=c",))
    assert replace(ENGINE, programs=(other, *ENGINE.programs[1:])).key() != before
    assert replace(ENGINE, programs=ENGINE.programs[1:]).key() != before
    assert replace(ENGINE, charts=()).key() != before


def test_a_new_name_changes_the_key(copy: Module):
    # Go leaves a file out for its name: x_windows.go, say.
    (copy.source / "x_linux.go").write_text("package x\n")
    before = copy.key()
    (copy.source / "x_linux.go").rename(copy.source / "x_windows.go")
    assert copy.key() != before
