"""The supervisor's work beside the cluster, with no cluster started."""

import asyncio
import contextlib
import json
import sys

import pytest

from eksnet.sandbox import paths, pki, supervisor
from eksnet.sandbox.vpc import plan


@pytest.fixture
def watching(tmp_path, monkeypatch):
    """A supervisor whose cluster never becomes whole."""
    own = paths.Paths(tmp_path)
    pki.ensure(own.identity, plan())
    own.logs.mkdir()
    words = ("programs", "controller", "sync_frequency", "images", "busybox", "musl", "node_ids")
    specification = {"state": str(tmp_path), "region": "ap-northeast-2", "one_id": True}
    looks = supervisor.Supervisor({**specification, "listeners": {}, **dict.fromkeys(words, "")})
    monkeypatch.setattr(looks, "start", asyncio.Event().wait)
    monkeypatch.setattr(supervisor, "_ROTATION", 0.01)
    monkeypatch.setattr(supervisor, "_LOG_LIMIT", 1000)
    return looks


def test_logs_are_rotated_before_the_cluster_is_whole(watching):
    log, earlier = (watching.paths.logs / name for name in ("etcd.log", "etcd.log.1"))
    small = watching.paths.log("node1")
    small.write_text("a word\n")

    async def write_until_it_was_rotated():
        run = asyncio.create_task(watching.run())
        # As a component holds it: open for all its life.
        with log.open("a") as file:
            file.write("first\n" + "x" * 1000)
            file.flush()
            async with asyncio.timeout(30):
                while not (earlier.exists() and log.stat().st_size == 0):
                    await asyncio.sleep(0.01)
            file.write("after\n")
        watching.stopping.set()
        await run

    asyncio.run(write_until_it_was_rotated())
    assert earlier.read_text() == "first\n" + "x" * 1000
    assert log.read_text() == "after\n"
    assert small.read_text() == "a word\n"
    assert not small.with_suffix(".log.1").exists()


def test_on_a_full_disk_the_last_word_is_taken_back_and_said_again(watching, monkeypatch):
    status = watching.paths.status
    monkeypatch.setattr(supervisor, "_TELL_AGAIN", 0.01)

    class Full:
        def write(self, _):
            raise OSError(28, "No space left on device")

        flush = write

    def refuse(*_):
        Full().write("")

    async def fill_and_free():
        watching.phase = "ready"
        watching.report()
        assert json.loads(status.read_text())["phase"] == "ready"
        with monkeypatch.context() as patch:
            patch.setattr(supervisor, "write_private", refuse)
            patch.setattr(sys, "stderr", Full())
            # What died is told while there is room neither for the status nor for the log.
            watching.disturb()
            assert not status.exists()
        async with asyncio.timeout(30):
            while not status.exists():
                await asyncio.sleep(0.01)

    asyncio.run(fill_and_free())
    assert json.loads(status.read_text())["phase"] == "starting"


def test_a_log_that_cannot_be_copied_is_emptied_all_the_same(watching, monkeypatch):
    log = watching.paths.log("etcd")
    log.write_text("x" * 2000)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(supervisor.shutil, "copyfile", full)

    async def rotate():
        task = asyncio.create_task(watching.rotate_logs())
        async with asyncio.timeout(30):
            while log.stat().st_size:
                await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(rotate())
    assert watching.phase == "starting"
