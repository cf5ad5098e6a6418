"""A Go module of the tests' own: small enough to be built in a second, built the real way."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from eksnet.bootstrap import engine_directory
from eksnet.sandbox.build import toolchain
from eksnet.sandbox.build.builder import Engine
from eksnet.sandbox.build.modules import Module, Program

DEADLINE = 60.0
PROGRAMS = (Program("hello", "./cmd/hello"), Program("bye", "./cmd/bye"))


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture(scope="session", autouse=True)
def go_on_the_path() -> Iterator[None]:
    """Where no Go is on the path, put the one there that built the engine."""
    go = toolchain.find(engine_directory(), "1.24.11")
    assert go is not None, "no Go: `eksnet engine build --keep-caches` leaves one"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{go.path.parent}:{os.environ['PATH']}")
        yield


@pytest.fixture
def module(tmp_path: Path) -> Module:
    """Two programs that share one package; no other test has compiled any of the three."""
    return tiny_module(tmp_path)


def tiny_module(directory: Path) -> Module:
    """Write the sources of a module that says where they are."""
    source = directory / "tiny"
    write(source / "go.mod", "module example.org/tiny\n\ngo 1.24.11\n")
    write(source / "lib" / "lib.go", f'package lib\n\nconst Word = "{directory}"\n')
    for name in ("hello", "bye"):
        write(
            source / "cmd" / name / "main.go",
            'package main\n\nimport "example.org/tiny/lib"\n\n'
            f'func main() {{ print("{name} ", lib.Word) }}\n',
        )
    return Module("tiny", source, PROGRAMS)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Go's cache of packages with its own library in it, which every program needs."""
    base = tmp_path_factory.mktemp("compiled")
    write(base / "go.mod", "module example.org/nothing\n\ngo 1.24.11\n")
    write(base / "main.go", 'package main\n\nfunc main() { print("") }\n')
    flags = Program("nothing", ".").flags
    command = ["go", "build", *flags, "-o", base / "nothing", "."]
    subprocess.run(command, cwd=base, env=toolchain.environment(base), check=True)
    return base / "go-caches" / "packages"


def borrow(compiled: Path, engine: Engine) -> Engine:
    """Spare an engine the compiling of Go's own library."""
    engine.go_caches.directory.mkdir(parents=True)
    (engine.go_caches.directory / "packages").symlink_to(compiled)
    return engine


@pytest.fixture
def engine(module: Module, tmp_path: Path, compiled: Path) -> Engine:
    """An engine whose caches are kept."""
    made = borrow(compiled, Engine(module, tmp_path / "cache"))
    made.go_caches.keep(True)
    return made


@pytest.fixture(scope="session")
def built_engine(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Engine:
    """An engine that is built, and not to be changed."""
    directory = tmp_path_factory.mktemp("built")
    made = borrow(compiled, Engine(tiny_module(directory), directory / "cache"))
    made.build(lambda _: None)
    return made


@pytest.fixture
def new_engine(module: Module, tmp_path: Path, compiled: Path) -> Engine:
    """An engine on a learner's computer: what only building needs goes when it is built."""
    return borrow(compiled, Engine(module, tmp_path / "cache"))


@pytest.fixture
def run() -> Callable[[Path], str]:
    def output(program: Path) -> str:
        # Go's print writes to standard error.
        return subprocess.run([program], stderr=subprocess.PIPE, text=True, check=True).stderr

    return output


@dataclass(frozen=True)
class Gate:
    """A `go` that writes half a program, says so, and goes on only when it is let."""

    directory: Path
    begun: int
    gate: int
    log: Path

    def wait_until_begun(self) -> None:
        ready, _, _ = select.select([self.begun], [], [], DEADLINE)
        assert ready, "the build did not begin"
        os.read(self.begun, 100)

    def open(self) -> None:
        """Let the waiting build, and every later one, go on."""
        write(self.directory / "open", "")
        os.write(self.gate, b"go on\n")

    def builds(self) -> list[str]:
        return self.log.read_text().split()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    go = toolchain.find(tmp_path, "1.24.11")
    assert go is not None
    directory = tmp_path / "gated"
    directory.mkdir()
    os.mkfifo(directory / "begun")
    os.mkfifo(directory / "gate")
    real, here = shlex.quote(str(go.path)), shlex.quote(str(directory))
    write(
        directory / "go",
        f"""#!/bin/sh
if [ "$1" = build ]; then
    for word; do
        [ "$last" != -o ] || output=$word
        last=$word
    done
    if [ ! -e {here}/open ]; then
        printf half-a-program > "$output"
        echo begun > {here}/begun
        read -r word < {here}/gate
        rm -f "$output"
    fi
    echo "$last" >> {here}/log
fi
exec {real} "$@"
""",
        0o755,
    )
    begun = os.open(directory / "begun", os.O_RDONLY | os.O_NONBLOCK)
    # Open for both, so that what is written waits for a build that has not begun to read yet.
    opened = os.open(directory / "gate", os.O_RDWR)
    made = Gate(directory, begun, opened, directory / "log")
    yield made
    made.open()
    os.close(begun)
    os.close(opened)


@pytest.fixture
def builder(engine: Engine) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a build in a process of its own, with the given directory first on its path."""
    code = (
        "import pathlib, signal\n"
        # Behind a shell, which has what it puts there pass SIGINT over, it is heard all the same.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from eksnet.sandbox.build.builder import Engine\n"
        "from eksnet.sandbox.build.modules import Module, Program\n"
        f"programs = {PROGRAMS!r}\n"
        f"module = Module('tiny', pathlib.Path({str(engine.module.source)!r}), programs)\n"
        f"engine = Engine(module, pathlib.Path({str(engine.base)!r}))\n"
        "engine.build(lambda line: print(line, flush=True))\n"
    )
    started: list[subprocess.Popen[str]] = []

    def start(first_on_path: Path, **streams: int) -> subprocess.Popen[str]:
        path = f"{first_on_path}:{os.environ['PATH']}"
        process = subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, "PATH": path, "TERM": "xterm"},
            text=True,
            stdout=streams.get("stdout", subprocess.PIPE),
            stderr=streams.get("stderr", subprocess.PIPE),
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()
