from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_api import FakeApi, failure
from hypothesis import given
from hypothesis import strategies as st

from eksnet.checkpoints import evidence
from eksnet.checkpoints.criteria import Observation, State
from eksnet.checkpoints.evidence import Binding, append, bind, read
from eksnet.checkpoints.results import Outcome, Result
from eksnet.cluster import Target, look

HERE = Binding("uid:one", "n1")
MANY = """
import sys
from eksnet.checkpoints.criteria import passed
from eksnet.checkpoints.evidence import Binding, append
from eksnet.checkpoints.results import Outcome, Result
for n in range(40):
    seen = passed("x" * 290)
    append(Binding("uid:one", "n1"), Result(sys.argv[1], "t", (Outcome("c", "d", 1, seen),)), None)
"""


def result(state: State = State.PASS, observed: str = "seen", name: str = "x-01") -> Result:
    return Result(name, "X", (Outcome(f"{name}.a", "A", 2, Observation(state, observed)),))


def lines() -> list[Any]:
    return [json.loads(line) for line in HERE.path.read_text().splitlines()]


def test_an_attempt_is_a_line_that_can_be_read_back() -> None:
    append(HERE, result(State.FAIL), [["my-service", "X"]])
    append(HERE, result(), None)
    first, second = lines()
    assert (first["state"], first["points"], first["of"]) == ("FAIL", 0, 2)
    assert first["answer"] == [["my-service", "X"]]
    assert "answer" not in second
    found = read(HERE.path)
    assert [one.states for one in found.attempts] == [{"x-01.a": "FAIL"}, {"x-01.a": "PASS"}]
    assert {one.binding for one in found.attempts} == {HERE}
    assert found.unreadable == 0


def test_the_file_is_its_owners_alone() -> None:
    append(HERE, result(), None)
    assert stat.S_IMODE(HERE.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(HERE.path.parent.stat().st_mode) == 0o700


def test_clusters_do_not_share_a_file() -> None:
    names = {Binding(cluster).path.name for cluster in ("uid:a", "ca:a", "", "uid:../../a")}
    assert len(names) == 4
    assert all(Binding(one).path.parent == evidence.directory() for one in ("", "uid:../../a"))


def test_an_attempt_after_a_crash_half_way_is_whole() -> None:
    append(HERE, result(), None)
    whole = HERE.path.read_bytes()
    HERE.path.write_bytes(whole + whole[: len(whole) // 2])
    append(HERE, result(State.FAIL), None)
    found = read(HERE.path)
    assert [one.states["x-01.a"] for one in found.attempts] == [State.PASS, State.FAIL]
    assert found.unreadable == 1


def test_kernels_that_write_at_once_keep_each_others_lines() -> None:
    assert HERE.path.is_relative_to(os.environ["XDG_STATE_HOME"])
    commands = [[sys.executable, "-c", MANY, name] for name in ("x-01", "x-02", "x-03")]
    writers = [subprocess.Popen(command) for command in commands]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    found = read(HERE.path)
    assert (len(found.attempts), found.unreadable) == (120, 0)


def test_nobody_else_writes_while_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Path] = []

    def make_room(path: Path, _: int) -> None:
        with path.with_suffix(".lock").open("a") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tried.append(path)

    monkeypatch.setattr(evidence, "_make_room", make_room)
    append(HERE, result(), None)
    assert tried == [HERE.path]


def test_a_full_file_keeps_the_best_and_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "CAP", 4000)
    append(HERE, result(State.PASS, "the best"), None)
    for number in range(60):
        append(HERE, result(State.FAIL, f"attempt {number}"), None)
        assert HERE.path.stat().st_size <= 4000
    observed = [line["criteria"][0]["observed"] for line in lines()]
    assert observed[0] == "the best"
    assert observed[-1] == "attempt 59"
    assert 3 < len(observed) < 60


SECRETS = [
    "k8s-aws-v1.aHR0cHM6Ly9zdHMuYW1hem9uYXdz",
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl",
    "AKIAIOSFODNN7EXAMPLE",
    "Authorization: Bearer a-secret-of-mine",
    "password=correct-horse-battery",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_credential_is_not_written(secret: str) -> None:
    append(HERE, result(State.CANNOT_CHECK, f"401 for {secret} says it"), [[secret]])
    text = HERE.path.read_text()
    assert secret.split()[-1].split("=")[-1] not in text
    assert text.count("(withheld)") == 2


def test_what_a_learner_hands_in_is_cut_to_a_line() -> None:
    append(HERE, result(observed="o" * 10_000), [["x" * 10_000] * 500] * 500)
    (line,) = lines()
    assert len(line["criteria"][0]["observed"]) == 300
    assert (len(line["answer"]), len(line["answer"][0]), len(line["answer"][0][0])) == (50, 50, 300)


def test_no_file_is_no_attempt() -> None:
    assert read(HERE.path) == evidence.Evidence((), 0)


LINE = {
    "format": evidence.FORMAT, "checkpoint": "x-01", "at": "2026-01-01", "cluster": "uid:one",
    "nonce": None, "criteria": [{"id": "x-01.a", "state": "PASS"}],
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=3,
)
TWISTED = st.fixed_dictionaries(
    {key: st.just(value) | JSON for key, value in LINE.items()}, optional={"more": JSON}
).map(lambda record: json.dumps(record).encode())


CONTENT = st.binary() | TWISTED | JSON.map(lambda one: json.dumps(one).encode())


@given(st.lists(CONTENT, max_size=4))
def test_no_input_crashes_the_reader(tmp_path_factory: Any, content: list[bytes]) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b"\n".join(content))
    found = read(path)
    written = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    assert len(found.attempts) + found.unreadable == len(written)
    for attempt in found.attempts:
        assert isinstance(attempt.checkpoint, str)
        assert isinstance(attempt.binding.nonce, str | None)
        assert all(isinstance(state, State) for state in attempt.states.values())


@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b"9" * 5_000, b"\xff\xfe", b"null", b'{"criteria": 1}', b'"\\ud800"'],
)
def test_lines_that_are_no_attempts_are_counted(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(line + b"\n" + json.dumps(LINE).encode() + b"\n")
    found = read(path)
    assert (len(found.attempts), found.unreadable) == (1, 1)


def test_an_attempt_is_bound_to_cluster_and_nonce(api: FakeApi) -> None:
    uid = api.objects["/api/v1/namespaces/kube-system"]["metadata"]["uid"]
    assert bind(look()) == Binding(f"uid:{uid}", "")
    api.put("/api/v1/namespaces/kube-public/configmaps/eksnet-course", {"data": {"nonce": "n7"}})
    assert bind(look()) == Binding(f"uid:{uid}", "n7")
    api.put("/api/v1/namespaces/kube-public/configmaps/eksnet-course", {})
    assert bind(look()) == Binding(f"uid:{uid}", "")
    api.refuse = lambda request: (
        (403, failure(403, "Forbidden", "no")) if "kube-public" in request.path else None
    )
    assert bind(look()) == Binding(f"uid:{uid}", None)


def test_a_sandbox_is_known_by_its_authority(api: FakeApi) -> None:
    cluster = look()
    cluster.target = Target("sandbox", "sandbox")
    assert bind(cluster).cluster == f"ca:{cluster.identity.ca[:32]}"


def test_without_the_uid_the_authority_decides(api: FakeApi) -> None:
    api.refuse = lambda request: (
        (403, failure(403, "Forbidden", "no")) if request.path.endswith("/kube-system") else None
    )
    assert bind(look()).cluster.startswith("ca:")
