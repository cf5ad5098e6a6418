"""The real modules: what they pin, and what their cache key stands for."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from eksnet.sandbox.build import modules
from eksnet.sandbox.build.modules import MODULES, Module, Program

CLUSTER, CONTROLLER = MODULES
GO = "go1.26.6 linux/amd64"
# These are versioned apart from Kubernetes.
OWN_VERSIONS = {"kubernetes", "klog/v2", "kube-openapi", "utils", "gengo/v2"}


def pins(module: Module) -> dict[str, str]:
    text = (module.source / "go.mod").read_text()
    return dict(re.findall(r"^(?:require|\t)\s*(\S+) (v\S+)", text, re.M))


def test_upstream_versions():
    cluster = pins(CLUSTER)
    assert cluster["go.etcd.io/etcd/server/v3"] == "v3.6.6"
    assert cluster["k8s.io/kubernetes"] == "v1.34.3" == modules.KUBERNETES
    assert cluster["github.com/coredns/coredns"] == "v1.12.4"
    assert cluster["helm.sh/helm/v3"] == "v3.19.2" == modules.HELM
    controller = pins(CONTROLLER)["sigs.k8s.io/aws-load-balancer-controller"]
    assert controller == "v0.0.0-20260109171550-3b9bdb1e3fb2"
    assert modules.CONTROLLER == "v2.17.1"


def test_all_of_kubernetes_is_of_one_release():
    staging = {
        name.removeprefix("k8s.io/"): version
        for name, version in pins(CLUSTER).items()
        if name.startswith("k8s.io/") and name.removeprefix("k8s.io/") not in OWN_VERSIONS
    }
    assert len(staging) > 20
    assert set(staging.values()) == {"v0.34.3"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_nothing_is_replaced_and_everything_has_a_checksum(module: Module):
    assert "replace" not in (module.source / "go.mod").read_text()
    sums = (module.source / "go.sum").read_text()
    assert all(f"{name} {version}/go.mod h1:" in sums for name, version in pins(module).items())


def test_programs_in_the_order_in_which_they_are_needed():
    assert [program.name for program in CLUSTER.programs] == [
        "etcd", "kube", "coredns", "runtime", "kubectl", "agnhost", "helm",
    ]  # fmt: skip
    assert [program.name for program in CONTROLLER.programs] == ["aws-load-balancer-controller"]


def test_kubernetes_programs_are_stamped_with_the_whole_version():
    stamped = {program.name for program in CLUSTER.programs if "gitMinor=34" in program.flags[-1]}
    assert stamped == {"kube", "kubectl"}


@pytest.fixture(params=MODULES, ids=lambda module: module.name)
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Module:
    """A copy of a real module, to be changed."""
    module: Module = request.param
    shutil.copytree(module.source, tmp_path / "copy")
    assert replace(module, source=tmp_path / "copy").key(GO) == module.key(GO)
    return replace(module, source=tmp_path / "copy")


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "internal/new.go", "internal/embedded.txt"])
def test_what_is_built_changes_the_key(copy: Module, name: str):
    before = copy.key(GO)
    path = copy.source / name
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write("// changed\n")
    assert copy.key(GO) != before


@pytest.mark.parametrize("name", ["new_test.go", "testdata/table.json", ".editor.swp"])
def test_tests_do_not_change_the_key(copy: Module, name: str):
    before = copy.key(GO)
    path = copy.source / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("changed")
    assert copy.key(GO) == before


def test_flags_and_go_change_the_key():
    before = CLUSTER.key(GO)
    assert re.fullmatch("[0-9a-f]{12}", before)
    assert CLUSTER.key("go1.26.7 linux/amd64") != before
    assert CLUSTER.key("go1.26.6 linux/arm64") != before
    other = Program("etcd", CLUSTER.programs[0].package, ("-X a.b=c",))
    assert replace(CLUSTER, programs=(other, *CLUSTER.programs[1:])).key(GO) != before
    assert replace(CLUSTER, programs=CLUSTER.programs[1:]).key(GO) != before


def test_a_new_name_changes_the_key(copy: Module):
    # Go leaves a file out for its name: x_windows.go, say.
    (copy.source / "x_linux.go").write_text("package x\n")
    before = copy.key(GO)
    (copy.source / "x_linux.go").rename(copy.source / "x_windows.go")
    assert copy.key(GO) != before
