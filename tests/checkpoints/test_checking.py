"""Checks on an API server that answers as it should not, or not at all."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from fake_api import FakeApi, failure, sandbox_access
from lab_api import Check, forbid, write_kubeconfig

import eksnet
from eksnet.checkpoints import CheckpointError, State, definitions, evidence
from eksnet.checkpoints.checking import Checkpoint
from eksnet.cluster import connect_read_only
from eksnet.cluster.client import Client
from eksnet.errors import EksnetError
from eksnet.sandbox import lifecycle
from eksnet.sandbox.aws import access
from eksnet.sandbox.lifecycle import Status

EVERY = [definition.id for definition in definitions.every()]
NAMES = ["my-service"]


def only(result: Any, state: State) -> set[str]:
    """Return what was seen, when all criteria have one state."""
    assert {outcome.state for outcome in result.outcomes} == {state}, repr(result)
    return {outcome.observation.observed for outcome in result.outcomes}


@pytest.mark.parametrize("name", EVERY)
def test_without_an_answer_of_the_api_nothing_can_be_checked(
    name: str, api: FakeApi, checkpoint: Check, tmp_path: Path
) -> None:
    # A port that is taken, and on which nobody listens.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{port}")
        (seen,) = only(checkpoint(name).check(NAMES), State.CANNOT_CHECK)
    assert "did not answer: Connection refused" in seen
    attempts = evidence.read(evidence.Binding().path).attempts
    assert [set(one.states.values()) for one in attempts] == [{State.CANNOT_CHECK}]


@pytest.mark.parametrize("name", EVERY)
def test_a_token_that_may_read_nothing_is_no_failure(
    name: str, api: FakeApi, checkpoint: Check
) -> None:
    api.refuse = forbid
    result = checkpoint(name).check(NAMES)
    assert result.state is State.CANNOT_CHECK
    assert "is forbidden" in repr(result)
    assert "auth can-i --list" in repr(result)
    # Nobody says of what was not seen that it is wrong.
    assert {one.state for one in result.outcomes} == {State.CANNOT_CHECK}


@pytest.mark.parametrize("name", EVERY)
def test_a_check_writes_nothing(name: str, api: FakeApi, checkpoint: Check) -> None:
    first, second = checkpoint(name).check(NAMES), checkpoint(name).check(NAMES)
    assert api.requests
    assert api.writes == []
    assert repr(first) == repr(second)


@pytest.mark.parametrize(
    "write",
    [
        lambda cluster: cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: x}}"),
        lambda cluster: cluster.delete("namespace", "default"),
        lambda cluster: cluster.exec("pod", "true"),
        lambda cluster: cluster.run("busybox:1.36", "true"),
    ],
)
def test_what_a_check_is_given_refuses_to_write(write: Callable[[Any], Any], api: FakeApi) -> None:
    with pytest.raises(EksnetError, match="the connection is read-only"):
        write(connect_read_only())
    assert api.writes == []


@pytest.mark.parametrize(
    ("status", "next_step"),
    [(401, "renew your credentials"), (429, "wait a minute"), (500, "readyz"), (503, "readyz")],
)
def test_what_the_api_refuses_cannot_be_checked(
    status: int, next_step: str, api: FakeApi, checkpoint: Check
) -> None:
    api.refuse = lambda _: (status, failure(status, "Reason", f"status {status}"))
    result = checkpoint("dns-01").check()
    assert only(result, State.CANNOT_CHECK) == {
        f"the API server of context:lab says: status {status}"
    }
    assert next_step in result.outcomes[0].observation.next_step


def test_a_proxy_in_its_place_cannot_be_checked(api: FakeApi, checkpoint: Check) -> None:
    api.refuse = lambda _: (200, "<html>sign in</html>")
    (seen,) = only(checkpoint("dns-01").check(), State.CANNOT_CHECK)
    assert "sent an answer that is not JSON" in seen


def test_an_api_that_says_nothing_cannot_be_checked(
    checkpoint: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Client._request.__kwdefaults__, "read", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{port}")
        (seen,) = only(checkpoint("dns-01").check(), State.CANNOT_CHECK)
    assert "timed out" in seen


@pytest.mark.parametrize("target", ["context:nope", "eks:lab", "somewhere"])
def test_a_target_that_is_not_there_cannot_be_checked(
    target: str, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(eksnet.checkpoint("dns-01", target).check(), State.CANNOT_CHECK)
    monkeypatch.setenv("EKSNET_TARGET", target)
    assert eksnet.checkpoint("dns-01").check().state is State.CANNOT_CHECK


def test_a_sandbox_that_is_down_is_not_started_by_a_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EKSNET_TARGET", "sandbox")
    result = eksnet.checkpoint("hosts-01").check()
    assert only(result, State.CANNOT_CHECK) == {"the sandbox is down"}
    assert result.outcomes[0].observation.next_step == "`eksnet up`"


@pytest.mark.parametrize("phase", ["starting", "settling", "ready", "stopping"])
def test_a_sandbox_that_is_not_whole_is_looked_at_all_the_same(
    phase: str, api: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lifecycle, "status", lambda: Status("s", phase))
    monkeypatch.setattr(access, "access", lambda _: sandbox_access(api.url, tmp_path))
    monkeypatch.setenv("EKSNET_TARGET", "sandbox")
    assert eksnet.checkpoint("dns-01").check().state is State.NOT_STARTED


def test_a_check_looks_where_the_notebook_connected(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EKSNET_TARGET", "sandbox")
    eksnet.connect("context:lab")
    assert eksnet.checkpoint("dns-01").check().state is State.NOT_STARTED
    other = FakeApi()
    try:
        write_kubeconfig(tmp_path / "kubeconfig", other.url)
        (seen,) = only(eksnet.checkpoint("dns-01").check(), State.CANNOT_CHECK)
    finally:
        other.close()
    assert seen == "context:lab points to another cluster since eksnet.connect()"


@pytest.fixture
def noisy(api: FakeApi, tmp_path: Path) -> Iterator[None]:
    """Credentials whose program fails aloud."""
    fails = ["-c", "import sys; sys.exit('no session: sign in')"]
    program = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable}
    write_kubeconfig(tmp_path / "kubeconfig", api.url, {"exec": {**program, "args": fails}})
    api.refuse = lambda _: (401, failure(401, "Unauthorized", "Unauthorized"))
    yield


def test_no_credentials_is_told_and_standard_error_stays_silent(
    noisy: None, checkpoint: Check, capfd: pytest.CaptureFixture[str]
) -> None:
    only(checkpoint("dns-01").check(), State.CANNOT_CHECK)
    assert capfd.readouterr() == ("", "")


ON_A_TERMINAL = "import eksnet; print(eksnet.checkpoint('dns-01').check().state)"


def test_credentials_come_from_a_program_on_a_terminal_too(
    api: FakeApi, checkpoint: Check, tmp_path: Path
) -> None:
    """The client hands standard error to `aws eks get-token` there, as a file."""
    credential = {"status": {"token": "t"}, "kind": "ExecCredential"}
    version = "client.authentication.k8s.io/v1"
    print_it = f"print({json.dumps(json.dumps({**credential, 'apiVersion': version}))})"
    program = {"apiVersion": version, "command": sys.executable, "args": ["-c", print_it]}
    write_kubeconfig(tmp_path / "kubeconfig", api.url, {"exec": program})
    api.refuse = lambda request: (
        None
        if request.headers.get("authorization") == "Bearer t"
        else (401, failure(401, "Unauthorized", "Unauthorized"))
    )
    said, status = pexpect.run(
        f'{sys.executable} -c "{ON_A_TERMINAL}"', timeout=60, withexitstatus=True, encoding="utf-8"
    )
    assert (said.strip(), status) == ("NOT_STARTED", 0)


def test_warnings_and_logs_of_a_check_stay_silent(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A handler that a notebook has set up writes to where standard error was then.
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler()])

    def look() -> Any:
        warnings.warn("insecure", stacklevel=1)
        logging.getLogger("urllib3").critical("retrying")
        print("aloud", file=sys.stderr)
        raise EksnetError("no cluster", "one", "make one")

    Checkpoint(definitions.find("dns-01"), look).check()
    assert capfd.readouterr().err == ""
    logging.getLogger("x").critical("heard again")
    assert capfd.readouterr().err == "heard again\n"


class _WordlessError(Exception):
    """An error whose text cannot be read."""

    def __str__(self) -> str:
        raise ValueError("no words")


class _WordlessSeenError(EksnetError):
    """An error of the course that was seen in something whose text cannot be read."""

    def __init__(self) -> None:
        super().__init__("")
        self.seen = _WordlessError()  # type: ignore[assignment]


@pytest.mark.parametrize("error", [_WordlessError(), _WordlessSeenError()])
def test_a_check_does_not_raise_for_an_error_without_words(error: Exception) -> None:
    def look() -> Any:
        raise error

    result = Checkpoint(definitions.find("dns-01"), look).check()
    (told,) = only(result, State.CANNOT_CHECK)
    assert told.endswith("the text of the error cannot be read")


@pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), OSError("disk"), KeyError(1)])
def test_a_check_never_raises(error: Exception) -> None:
    def look() -> Any:
        raise error

    result = Checkpoint(definitions.find("dns-01"), look).check()
    (seen,) = only(result, State.CANNOT_CHECK)
    assert seen.startswith(f"the check itself failed: {type(error).__name__}")


def test_an_answer_that_is_not_understood_is_not_wrong(api: FakeApi, checkpoint: Check) -> None:
    (seen,) = only(checkpoint("dns-02").check({"a", "b"}), State.CANNOT_CHECK)
    assert seen == "your prediction has the type set, which cannot be read as an answer"


def test_two_things_in_the_wrong_order_are_told_the_right_one(
    api: FakeApi, checkpoint: Check
) -> None:
    result = checkpoint("hosts-02").check(object(), "hosts")
    only(result, State.CANNOT_CHECK)
    assert result.outcomes[0].observation.next_step == (
        'eksnet.checkpoint("hosts-02").check(prediction, answer)'
    )


def test_more_than_is_asked_for_is_told(api: FakeApi, checkpoint: Check) -> None:
    (seen,) = only(checkpoint("hosts-02").check("hosts", "answer", 3), State.CANNOT_CHECK)
    assert seen == "check() was called with 3 arguments"


@pytest.mark.parametrize("handed_in", [("x",), (None, "x"), (None, None, "x")])
def test_what_no_prediction_asks_for_is_told(
    handed_in: Any, api: FakeApi, checkpoint: Check
) -> None:
    result = checkpoint("dns-01").check(*handed_in)
    assert result.state is State.NOT_STARTED
    assert result.note == "dns-01 checks only the cluster; it ignores the arguments."
    assert checkpoint("dns-01").check().note == ""
    only(checkpoint("dns-02").check(None, None, "x"), State.CANNOT_CHECK)


@pytest.mark.parametrize(
    ("name", "question", "steps"),
    [
        ("dns-02", "which names does it query", ".check(prediction)"),
        (
            "hosts-02",
            "which plugin sees a query for myapp.local first, hosts or forward?",
            'answer = cluster.run("busybox:1.36", "nslookup myapp.local")\n'
            'eksnet.checkpoint("hosts-02").check(prediction, answer)',
        ),
    ],
)
def test_who_hands_in_nothing_is_told_what_to_predict_and_how(
    name: str, question: str, steps: str, api: FakeApi, checkpoint: Check
) -> None:
    result = checkpoint(name).check()
    assert only(result, State.NOT_STARTED) == {"no prediction was given"}
    told = result.outcomes[0].observation
    assert question in told.expected
    assert told.next_step.startswith("write your own answer, and run:\nprediction = ")
    assert steps in told.next_step


def test_an_attempt_that_cannot_be_recorded_is_still_an_attempt(
    api: FakeApi, checkpoint: Check, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file in the way")
    result = checkpoint("dns-01").check()
    assert result.state is State.NOT_STARTED
    assert result.note.startswith("This attempt was not recorded: ")


def test_a_pass_that_could_not_be_bound_is_reported(api: FakeApi, checkpoint: Check) -> None:
    api.put("/api/v1/namespaces/app-ns/services/my-service", {})
    api.refuse = lambda request: (
        (429, failure(429, "TooManyRequests", "slow down"))
        if "kube-public" in request.path
        else None
    )
    result = checkpoint("dns-01").check()
    assert result.points == 1
    assert result.note == (
        "This attempt was not recorded: the API server of context:lab says: slow down. Check again."
    )
    assert eksnet.progress("01").note.startswith("Your points cannot be counted: ")
    api.refuse = forbid_nonce
    assert checkpoint("dns-01").check().note == ""
    assert eksnet.progress("01").points == 1


def forbid_nonce(request: Any) -> Any:
    return forbid(request) if "kube-public" in request.path else None


def test_no_credential_reaches_the_evidence(api: FakeApi, checkpoint: Check) -> None:
    checkpoint("dns-01").check()
    api.refuse = lambda request: (
        500, failure(500, "Internal", f"header {request.headers['authorization']}"),
    )  # fmt: skip
    checkpoint("dns-01").check()
    files = list(evidence.directory().glob("*.jsonl"))
    assert len(files) == 2
    assert not [file for file in files if "a-secret-of-mine" in file.read_text()]


def test_require_raises_where_nothing_can_be_checked(api: FakeApi, checkpoint: Check) -> None:
    api.refuse = forbid
    with pytest.raises(CheckpointError, match="CANNOT_CHECK, this gives and costs no points"):
        checkpoint("dns-01").require()


def test_progress_counts_what_was_done_on_this_cluster_for_this_course(
    api: FakeApi, checkpoint: Check
) -> None:
    api.put("/api/v1/namespaces/app-ns/services/my-service", {})
    checkpoint("dns-01").check()
    assert eksnet.progress("01").points == 1
    assert eksnet.progress().possible == sum(one.points for one in definitions.every())
    api.put("/api/v1/namespaces/kube-public/configmaps/eksnet-course", {"data": {"nonce": "n2"}})
    assert eksnet.progress("01").points == 0
    evidence.bind(connect_read_only()).path.open("a").write("no attempt\n")
    assert eksnet.progress("01").note.startswith("1 lines of uid-")


def test_progress_without_a_cluster_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EKSNET_TARGET", "sandbox")
    assert eksnet.progress().note == "Your points cannot be counted: the sandbox is down"
    assert capfd.readouterr() == ("", "")


def test_unknown_names_are_told() -> None:
    with pytest.raises(EksnetError, match="'hosts-99'") as raised:
        eksnet.checkpoint("hosts-99")
    assert "hosts-01" in raised.value.expected
    with pytest.raises(EksnetError, match="no notebook '77'"):
        eksnet.progress("77")


def test_importing_the_room_loads_no_heavy_client() -> None:
    code = (
        "import sys, eksnet, eksnet.checkpoints as c; c.definitions.every(); "
        "print([n for n in ('kubernetes', 'pandas', 'IPython', 'dns') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
