from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_api import FakeApi, failure
from hypothesis import given, settings
from hypothesis import strategies as st

from eksnet.checkpoints import definitions, evidence
from eksnet.checkpoints.answers import understand
from eksnet.checkpoints.criteria import Observation, State
from eksnet.checkpoints.evidence import Binding, append, bind, read
from eksnet.checkpoints.results import Outcome, Result
from eksnet.cluster import Target, connect_read_only
from eksnet.errors import EksnetError

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
    assert [writer.wait(600) for writer in writers] == [0, 0, 0]
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


def test_the_best_has_the_most_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "CAP", 4000)

    def one_of_two(heavy: State, light: State) -> Result:
        weighed = ((heavy, "x-01.a", 2), (light, "x-01.b", 1))
        outcomes = (Outcome(name, "", of, Observation(how, "")) for how, name, of in weighed)
        return Result("x-01", "X", tuple(outcomes))

    append(HERE, one_of_two(State.PASS, State.FAIL), None)
    for _ in range(60):
        append(HERE, one_of_two(State.FAIL, State.PASS), None)
    assert [one.points for one in read(HERE.path).attempts][:2] == [2, 1]


SECRETS = [
    "k8s-aws-v1.aHR0cHM6Ly9zdHMuYW1hem9uYXdz",
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl",
    "AKIAIOSFODNN7EXAMPLE",
    "Authorization: Bearer a-secret-of-mine",
    "Authorization: Basic bGVhcm5lcjpzZWNyZXQ=",
    "password=correct-horse-battery",
    "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG",
    "aws_session_token: FwoGZXIvYXdzEBYaD",
    "access_token=short",
    '"SecretAccessKey": wJalrXUtnFEMI/K7MDENG',
    "client-key-data: LS0tLS1CRUdJTiBSU0Eg",
    "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ==",
    "https://s3/?a=b&X-Amz-Signature=fe5f80f77d5fa3beca038a248ff027",
    "https://learner:pw@proxy.example",
]
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq7BFuu/f\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_credential_is_not_written(secret: str) -> None:
    append(HERE, result(State.CANNOT_CHECK, f"401 for {secret} says it"), [[secret]])
    text = HERE.path.read_text()
    value = re.split(r"[\s=]|://(?=.*@)|@.*", secret.rstrip("="))
    assert [part for part in value if part][-1] not in text
    assert text.count("(withheld)") == 2


@pytest.mark.parametrize("text", [PEM, PEM.replace("\n", " "), PEM.replace("\n", "\\n"), PEM[:-9]])
def test_no_part_of_a_key_is_written(text: str) -> None:
    append(HERE, result(observed=f"read {text}"), understand(text).rows)
    append(HERE, result(), [["before", "x"], *([line] for line in text.splitlines())])
    written = HERE.path.read_text()
    assert not [part for part in ("MIIEp", "q7BFuu", "KEY") if part in written]
    assert lines()[1]["answer"][0] == ["before", "x"]


def test_a_value_is_withheld_in_a_cell_beside_its_name() -> None:
    append(HERE, result(), [["a", "b"], ["aws_secret_access_key", "wJalrXUtnFEMI"], ["c", "d"]])
    assert lines()[0]["answer"] == [["a", "b"], ["(withheld)"], ["c", "d"]]


@pytest.mark.parametrize(
    "text",
    [
        "the Service selects k8s-app=kube-dns",
        "its search list starts with ops-ns.svc.cluster.local, svc.cluster.local",
        "the block hosts is in the server block example.org:53",
        "dns://.:53",
    ],
)
def test_what_is_no_credential_is_kept(text: str) -> None:
    append(HERE, result(observed=text), [[text]])
    (line,) = lines()
    assert (line["criteria"][0]["observed"], line["answer"]) == (text, [[text]])


def test_what_a_learner_hands_in_is_cut_to_a_line() -> None:
    append(HERE, result(observed="o" * 10_000), [["x" * 10_000] * 2] * 500)
    append(HERE, result(), [["x" * 10_000] * 500] * 500)
    first, second = lines()
    assert len(first["criteria"][0]["observed"]) == 300
    assert [len(cell) for cell in first["answer"][0]] == [300, 300]
    assert second["answer"] == []
    assert max(map(len, HERE.path.read_bytes().splitlines())) < 16_000


def test_a_learner_who_hands_in_much_loses_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [definition.id for definition in definitions.every()]
    for name in (*names, *["x-99"] * 60):
        state = State.FAIL if name == "x-99" else State.PASS
        append(HERE, result(state, "\U0001f600" * 999, name), [["\U0001f600" * 999]] * 50)
    kept = {one.checkpoint for one in read(HERE.path).attempts if State.PASS in one.states.values()}
    assert kept == set(names)


CELLS = st.lists(st.lists(st.text() | st.just("\U0001f600" * 9_000), max_size=60), max_size=60)
ATTEMPTS = st.lists(st.tuples(st.text(max_size=3), st.text(), CELLS | st.none()), max_size=5)


@settings(max_examples=40)
@given(ATTEMPTS, st.sampled_from([b"", b"x" * 20_000, b"\n" * 9_999]))
def test_no_file_exceeds_the_cap(tmp_path_factory: Any, attempts: list[Any], before: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("evidence")
        patch.setattr(evidence, "directory", lambda: directory)
        patch.setattr(evidence, "CAP", 20_000)
        if before:
            HERE.path.write_bytes(before)
        for name, observed, answer in attempts:
            append(HERE, result(State.FAIL, observed * 99, name), answer)
            assert HERE.path.stat().st_size <= 20_000
        assert len(read(HERE.path).attempts) >= min(1, len(attempts))


def test_an_attempt_that_fits_no_line_is_refused() -> None:
    many = tuple(Outcome("c" * 99, "C", 1, Observation(State.PASS, "x")) for _ in range(200))
    with pytest.raises(EksnetError, match="longer than"):
        append(HERE, Result("x-01", "X", many), None)
    assert not HERE.path.exists()


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
        assert isinstance(attempt.binding.nonce, str)
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
    assert bind(connect_read_only()) == Binding(f"uid:{uid}", "")
    api.put("/api/v1/namespaces/kube-public/configmaps/eksnet-course", {"data": {"nonce": "n7"}})
    assert bind(connect_read_only()) == Binding(f"uid:{uid}", "n7")
    api.put("/api/v1/namespaces/kube-public/configmaps/eksnet-course", {})
    assert bind(connect_read_only()) == Binding(f"uid:{uid}", "")
    api.refuse = lambda request: (
        (403, failure(403, "Forbidden", "no")) if "kube-public" in request.path else None
    )
    assert bind(connect_read_only()) == Binding(f"uid:{uid}", "")


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_only_a_plain_no_means_no_nonce(status: int, api: FakeApi) -> None:
    cluster = connect_read_only()
    api.refuse = lambda request: (
        (status, failure(status, "No", "no")) if "kube-public" in request.path else None
    )
    with pytest.raises(EksnetError, match="says: no"):
        bind(cluster)


def test_a_sandbox_is_known_by_its_authority(api: FakeApi) -> None:
    cluster = connect_read_only()
    cluster.target = Target("sandbox", "sandbox")
    assert bind(cluster).cluster == f"ca:{cluster.identity.ca[:32]}"


def test_without_the_uid_server_and_authority_decide(api: FakeApi) -> None:
    api.refuse = lambda request: (
        (403, failure(403, "Forbidden", "no")) if request.path.endswith("/kube-system") else None
    )
    cluster = connect_read_only()
    found = {bind(cluster).cluster}
    # Two clusters without an authority of their own, and two that share a server's name.
    for field, value in {"server": "https://other", "ca": "c" * 64}.items():
        cluster.identity = replace(cluster.identity, **{field: value})
        found.add(bind(cluster).cluster)
    assert len(found) == 3
    assert all(one.startswith("api:") for one in found)
