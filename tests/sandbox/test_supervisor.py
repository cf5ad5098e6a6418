"""The supervisor's work beside the cluster, with no cluster started."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from eksnet.sandbox import paths, pki, processes, seed, supervisor
from eksnet.sandbox.components import Component
from eksnet.sandbox.specification import SandboxSpecification
from eksnet.sandbox.vpc import plan


@pytest.fixture
def watching(tmp_path, monkeypatch):
    """A supervisor whose cluster never becomes whole."""
    own = paths.Paths(tmp_path)
    pki.ensure(own.identity, plan())
    own.logs.mkdir()
    own.run.mkdir()
    alive = os.open(own.alive_lock, os.O_CREAT)
    looks = supervisor.Supervisor(
        SandboxSpecification(
            state=tmp_path,
            region="ap-northeast-2",
            endpoint="https://127.0.0.1:6443",
            aws_endpoint="http://127.0.0.1:4566",
            programs=tmp_path,
            busybox=tmp_path,
            musl=tmp_path,
            images="[]",
            one_id=True,
            node_ids="0 0 1",
            sync_frequency="5s",
            listeners={},
            alive=alive,
            used=alive,
        )
    )
    monkeypatch.setattr(looks, "start", asyncio.Event().wait)
    monkeypatch.setattr(supervisor, "_ROTATION", 0.01)
    monkeypatch.setattr(supervisor, "_LOG_LIMIT", 1000)
    yield looks
    os.close(alive)


class EndedError(Exception):
    """The supervisor ended."""


@pytest.mark.parametrize("told", ["report", "request_check"])
def test_nothing_is_written_to_the_state_that_came_after_a_deleted_one(
    watching, monkeypatch, capfd, told
):
    def end(_):
        raise EndedError

    monkeypatch.setattr(os, "_exit", end)
    watching.report()
    shutil.rmtree(watching.paths.state)
    watching.paths.run.mkdir(parents=True)
    watching.paths.alive_lock.touch()
    with pytest.raises(EndedError):
        getattr(watching, told)()
    assert not watching.paths.status.exists()
    assert capfd.readouterr().err == f"{watching.paths.state} was deleted\n"


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
            watching.request_check()
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


class Looked:
    """What a supervisor is told, and which phases it said."""

    def __init__(self, watching, monkeypatch):
        self.watching, self.phases = watching, []
        self.broken = ["coredns: 1 of 2 pods Ready"]
        monkeypatch.setattr(supervisor, "_LONGEST_POLL", 0.01)
        monkeypatch.setattr(supervisor, "_POLL", 0.01)
        for name in ("nodes_not_ready", "not_ready"):
            monkeypatch.setattr(watching.api, name, lambda *_: [])
        monkeypatch.setattr(watching.api, "pods_not_ready", lambda _: self.broken)
        for name in ("create_objects", "nodes_without_dns"):
            monkeypatch.setattr(watching, name, list)
        monkeypatch.setattr(watching, "report", lambda: self.phases.append(watching.phase))

    async def until(self, phase):
        async with asyncio.timeout(30):
            while self.watching.phase != phase:
                await asyncio.sleep(0.01)


async def looking(watching):
    while True:
        await watching.check()
        await watching.check_requested.wait()


def test_what_ends_while_a_lab_is_broken_leaves_the_cluster_to_be_used(watching, monkeypatch):
    looked = Looked(watching, monkeypatch)

    async def request_twice():
        task = asyncio.create_task(looking(watching))
        for _ in range(2):
            await looked.until("settling")
            watching.request_check()
            assert watching.phase == "starting"
        await looked.until("settling")
        looked.broken.clear()
        await looked.until("ready")
        task.cancel()

    asyncio.run(request_twice())


def test_nothing_is_ready_while_a_component_has_ended(watching, monkeypatch):
    looked = Looked(watching, monkeypatch)
    looked.broken.clear()
    record = processes.Running(Component("kube-scheduler", ("true",)))
    watching.processes.running["kube-scheduler"] = record

    async def come_back():
        task = asyncio.create_task(looking(watching))
        async with asyncio.timeout(30):
            while watching.waiting != "kube-scheduler has exited":
                await asyncio.sleep(0.01)
        assert watching.phase == "settling"
        record.pid = 1
        await looked.until("ready")
        task.cancel()

    asyncio.run(come_back())


def test_a_node_that_cannot_be_made_is_made_again(watching, monkeypatch):
    node, tried, ended = watching.vpc.nodes[0], [], []
    monkeypatch.setattr(supervisor, "_MAKE_AGAIN", 0.01)
    monkeypatch.setattr(supervisor.network, "unlink", lambda _: None)
    monkeypatch.setattr(processes.os, "kill", lambda pid, number: ended.append((pid, number)))
    monkeypatch.setattr(watching, "start_kubelet", lambda node: tried.append("kubelet"))

    async def start_node(node):
        tried.append(watching.node_error)
        watching.processes.holders[node.short] = 4711
        if len(tried) < 3:
            raise subprocess.CalledProcessError(1, "ip", stderr="no memory")

    monkeypatch.setattr(watching, "start_node", start_node)
    asyncio.run(watching.start_again(node))
    assert tried[0] == ""
    assert tried[1] == tried[2]
    assert tried[1].startswith("node1 cannot be created again: Command 'ip'")
    assert tried[1].endswith("no memory")
    # What there was of it is ended, and does not count as a node that died.
    assert ended == [(4711, signal.SIGKILL)] * 2
    assert watching.processes.holders == {"node1": 4711}
    assert (watching.node_error, tried[3:]) == ("", ["kubelet"])


def test_a_seed_that_was_not_copied_is_told_whoever_collects_the_copier(tmp_path, monkeypatch):
    source, target, programs = (tmp_path / name for name in ("etcd", "seed", "programs"))
    source.mkdir()
    (source / "data").touch()
    programs.mkdir()
    (programs / "cp").write_text('#!/bin/sh\nmkdir "$5"; touch "$5/half"; echo full >&2; exit 1\n')
    (programs / "cp").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    looked = processes.Processes(
        paths.Paths(tmp_path), changed=lambda: None, node_died=lambda _node: None
    )

    async def copy():
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, looked.reap)
        for _ in range(20):
            with pytest.raises(RuntimeError, match="etcd was not copied: full"):
                await asyncio.to_thread(seed._copy, source, target)

    asyncio.run(copy())
    assert not target.exists()


@pytest.mark.parametrize(
    ("restored", "order"),
    [
        (True, ["API server answers", "kubelet node1", "kubelet node2", "nodes report",
                "controllers", "whole"]),
        (False, ["API server answers", "controllers", "seed", "kubelet node1", "kubelet node2",
                 "whole"]),
    ],
    ids=["seeded", "first"],
)  # fmt: skip
def test_what_needs_what_is_started_after_it(watching, monkeypatch, restored, order):
    monkeypatch.undo()
    seen = []

    def done(name):
        async def do(*_):
            seen.append(name)

        return do

    monkeypatch.setattr(watching, "report", lambda: None)
    monkeypatch.setattr(watching, "given", replace(watching.given, listeners={"api": 0, "aws": 1}))
    monkeypatch.setattr(supervisor.seed, "restore", lambda *_: restored)
    monkeypatch.setattr(watching, "start_control_plane", lambda: None)
    monkeypatch.setattr(supervisor.relay, "serve", lambda *_: asyncio.sleep(0))
    monkeypatch.setattr(watching, "start_node", lambda _: asyncio.sleep(0))
    monkeypatch.setattr(watching, "until_none", lambda what, *_: done(what)())
    monkeypatch.setattr(watching, "snapshot_seed", done("seed"))
    monkeypatch.setattr(
        watching, "start_kubelet", lambda node: seen.append(f"kubelet {node.short}")
    )
    monkeypatch.setattr(watching, "start_controllers", lambda: seen.append("controllers"))
    monkeypatch.setattr(watching, "check", done("whole"))

    async def start_and_end():
        task = asyncio.create_task(watching.start())
        async with asyncio.timeout(30):
            while "whole" not in seen:
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(start_and_end())
    assert seen == order


def test_the_controllers_do_not_wait_for_ever_for_a_node(watching, monkeypatch):
    monkeypatch.setattr(watching.api, "nodes_not_reporting", lambda *_: ["1 of 2 nodes report"])
    now = supervisor.time.monotonic()
    assert watching.nodes_not_reporting(by=now + 60) == ["1 of 2 nodes report"]
    assert watching.nodes_not_reporting(by=now) == []


def test_dns_is_asked_more_patiently_each_time_up_to_a_bound(watching, monkeypatch):
    waited = []

    def has_dns(node):
        waited.append(watching.patience)
        return node == "node1" or len(waited) > 20

    monkeypatch.setattr(watching, "has_dns", has_dns)
    while watching.nodes_without_dns():
        assert len(waited) < 100
    first, last = waited[0], waited[-1]
    assert (first, last) == (supervisor._QUICK, supervisor._PATIENT)
    assert waited == sorted(waited)
    # The next change is checked as quickly as the start.
    assert watching.patience == first
