"""The id of a learner's run: it begins once, lasts, ends, and stands on what is made."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from fake_api import FakeApi

import eksnet
from eksnet.cluster import Cluster, runs
from eksnet.cluster.runs import Run
from eksnet.errors import EksnetError


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "state" / "lab-1"


def test_a_run_begins_once(kept: Path) -> None:
    assert runs.read(kept) == Run()
    first = runs.begun(kept)
    assert runs.begun(kept) == first
    assert runs.read(kept) == Run(first)
    assert (kept / "run.json").stat().st_mode & 0o077 == 0


def test_after_its_end_another_one_begins_and_lessons_stay(kept: Path) -> None:
    for lesson in ("00_setup", "01a_dns_records", "00_setup"):
        runs.note(kept, lesson)
    lessons = ("00_setup", "01a_dns_records")
    assert runs.read(kept) == Run(lessons=lessons)
    first = runs.begun(kept)
    runs.end(kept)
    assert runs.read(kept) == Run(first, True, lessons)
    second = runs.begun(kept)
    assert second != first
    assert runs.read(kept) == Run(second, False, lessons)


ID = '"id": "run-0123abcd"'


@pytest.mark.parametrize(
    "held",
    [
        b"", b"[]", b"{}", b"\xff", b"3", b"null", b"[" * 100_000,
        f'{{{ID}, "ended": false}}'.encode(),
        f'{{{ID}, "ended": false, "lessons": 3}}'.encode(),
        b'{"id": "run-1", "ended": false, "lessons": []}',
        b'{"id": 12345678, "ended": false, "lessons": []}',
    ],
)  # fmt: skip
def test_what_is_no_record_is_replaced(held: bytes, kept: Path) -> None:
    kept.mkdir(parents=True)
    (kept / "run.json").write_bytes(held)
    assert runs.read(kept) == Run()
    found = runs.begun(kept)
    assert runs.read(kept) == Run(found)


def test_kernels_that_begin_at_once_have_one_run(kept: Path) -> None:
    found: list[str] = []
    gate = threading.Barrier(8)

    def begin() -> None:
        gate.wait()
        found.append(runs.begun(kept))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_run_that_cannot_be_recorded_is_told(kept: Path) -> None:
    kept.parent.write_text("a file")
    with pytest.raises(EksnetError, match=r"the run cannot be recorded in .*; nothing was changed"):
        runs.begun(kept)


# What is made carries it.


def labels(api: FakeApi, path: str) -> dict[str, str]:
    (sent,) = [json.loads(one.body) for one in api.writes if one.path == path]
    found: dict[str, str] = sent["metadata"].get("labels") or {}
    return found


def test_a_namespace_says_its_run_and_its_lesson(fake: Cluster, api: FakeApi) -> None:
    fake.begin_lesson("05_lab_hosts")
    fake.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    assert labels(api, "/api/v1/namespaces/shop") == {
        "eksnet": "course", "eksnet-run": fake.run_id, "eksnet-lesson": "05_lab_hosts",
    }  # fmt: skip
    again = eksnet.connect("context:lab")
    assert again.current_run == Run(fake.run_id, False, ("05_lab_hosts",))


def test_what_a_helper_makes_for_a_moment_says_its_run(fake: Cluster, api: FakeApi) -> None:
    helper = "{app.kubernetes.io/managed-by: eksnet}"
    fake.apply(f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: x, labels: {helper}}}}}")
    assert labels(api, "/api/v1/namespaces/default/configmaps/x") == {
        "app.kubernetes.io/managed-by": "eksnet", "eksnet": "course", "eksnet-run": fake.run_id,
    }  # fmt: skip
    with pytest.raises(EksnetError):
        fake.run("busybox", "true", name="y", labels={"app": "y"}, timeout=0)
    assert labels(api, "/api/v1/namespaces/default/pods") == {
        "app.kubernetes.io/managed-by": "eksnet", "app": "y",
        "eksnet": "course", "eksnet-run": fake.run_id,
    }  # fmt: skip


def test_looking_begins_no_run(fake: Cluster) -> None:
    fake.list("pods")
    assert fake.current_run == Run()
    assert not fake.directory.exists()
