"""Signals that come while something must not be cut off in the middle."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from signal import SIGHUP, SIGTERM

import pytest
from interrupting import IN_ONE_LINE, hear_all, interrupted

from eksnet import interrupts


def test_what_was_begun_is_ended_before_the_interrupt_is_heard(interruptible: None):
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        signal.raise_signal(signal.SIGINT)
        done.append("the end of the block")
    assert done == ["the end of the block"]


def test_an_interrupt_is_heard_when_the_block_fails(interruptible: None):
    with pytest.raises(KeyboardInterrupt) as heard, interrupts.held():
        signal.raise_signal(signal.SIGINT)
        raise OSError("no such program")
    assert isinstance(heard.value.__context__, OSError)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_handlers_are_what_they_were_afterwards_and_hear_each_signal(number: signal.Signals):
    heard: list[int] = []

    def handler(number: int, frame: object) -> None:
        heard.append(number)

    before = signal.signal(number, handler)
    try:
        with interrupts.held():
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert heard == []
        assert heard == [number, number]
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


class HeardError(Exception):
    """What the handlers below raise, as those of the command do."""


@pytest.fixture
def handlers(interruptible: None) -> Iterator[dict[int, signal.Handlers]]:
    """Handlers that raise, for two signals; they are taken away afterwards."""

    def handler(number: int, frame: object) -> None:
        raise HeardError(number)

    before = {number: signal.signal(number, handler) for number in (SIGHUP, SIGTERM)}
    yield dict.fromkeys(before, handler)
    for number, old in before.items():
        signal.signal(number, old)


def in_force() -> dict[int, object]:
    return {number: signal.getsignal(number) for number in (SIGHUP, SIGTERM)}


def test_all_that_came_are_heard_although_the_first_raises(handlers: dict[int, object]):
    with pytest.raises(HeardError) as heard, interrupts.held():
        signal.raise_signal(SIGTERM)
        signal.raise_signal(SIGHUP)
    assert heard.value.args == (SIGHUP,)
    assert isinstance(heard.value.__context__, HeardError)
    assert heard.value.__context__.args == (SIGTERM,)
    assert in_force() == handlers


@pytest.mark.parametrize("changes", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("number", [SIGHUP, SIGTERM])
def test_a_signal_while_handlers_change_places_makes_none_deaf(
    changes: int, number: int, handlers: dict[int, object], monkeypatch: pytest.MonkeyPatch
):
    # Three handlers are put in place, and three back: after one of these the signal comes.
    left = [changes]
    change = signal.signal

    def changed(which: int, handler: object) -> object:
        before = change(which, handler)
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(number)
        return before

    monkeypatch.setattr(signal, "signal", changed)
    with pytest.raises(HeardError), interrupts.held():
        pass
    monkeypatch.undo()
    for other in (SIGHUP, SIGTERM):
        with pytest.raises(HeardError):
            signal.raise_signal(other)


def test_a_signal_that_is_passed_over_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.held():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_program_started_meanwhile_hears_the_signal(interruptible: None):
    print_disposition = (
        "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler,"
        " signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    )
    with interrupts.held():
        printed = subprocess.check_output([sys.executable, "-c", print_disposition], text=True)
    assert printed == "True set()\n"


def test_a_thread_beside_the_main_one_changes_no_handler():
    seen = []

    def look() -> None:
        with interrupts.held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


# A program beside the command, which asks before it ends.

ACCOMPANY = """
import os, sys
from eksnet import entry, interrupts
entry.install()
print("ends with", interrupts.accompany(["/bin/sh", "-c", sys.argv[1]], os.environ), flush=True)
"""
ASKS = "trap 'echo asks' INT; echo begun; while :; do sleep 0.1; done"


@pytest.mark.parametrize(
    ("script", "end", "said"),
    [
        (ASKS, SIGTERM, "ends with 143"),
        (ASKS, SIGHUP, "ends with 129"),
        (f"trap 'exit 3' TERM; {ASKS}", SIGTERM, "ends with 3"),
    ],
)
def test_a_program_decides_itself_what_ctrl_c_means(script: str, end: int, said: str):
    with subprocess.Popen(
        [sys.executable, "-c", ACCOMPANY, script], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, preexec_fn=hear_all,
    ) as command:  # fmt: skip
        assert command.stdout is not None
        assert command.stdout.readline() == "begun\n"
        # A terminal sends it to all that it has in front.
        os.killpg(command.pid, signal.SIGINT)
        assert command.stdout.readline() == "asks\n"
        command.send_signal(end)
        assert command.stdout.readline() == f"{said}\n"


# The command as a shell starts it: at whatever moment it is interrupted.

MOMENTS = (0.0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0)
QUICK = {
    "status": ["status"],
    "logs": ["logs"],
    "engine status": ["engine", "status"],
    "resolve": ["resolve", "kubernetes", "--from", "default"],
    "down": ["down"],
    "kubectl": ["kubectl", "get", "pods"],
    "help": ["--help"],
    "env": ["env"],
    "remove": ["remove"],
    "corefile lint": ["corefile", "lint", "Corefile"],
    "corefile test": ["corefile", "test", "Corefile", "--query", "www.example.com"],
    # What it does with a cluster, `test_dns_live` cuts off.
    "resolve --live": ["resolve", "kubernetes", "--from", "default", "--live"],
}
COREFILE = """.:53 {
    log
    hosts {
        192.0.2.1 www.example.com
    }
}
"""
NOWHERE = {
    "clusters": [{"name": "there", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "me", "user": {"token": "t"}}],
    "contexts": [{"name": "there", "context": {"cluster": "there", "user": "me"}}],
}


@pytest.fixture
def own(tmp_path):
    """Variables with a sandbox that was up, and a cluster that does not answer; a Corefile here."""
    (tmp_path / "Corefile").write_text(COREFILE)
    (tmp_path / "kubeconfig").write_text(json.dumps(NOWHERE))
    for directory in ("cluster", "seed", "logs"):
        place = tmp_path / "eksnet" / "swept" / directory
        place.mkdir(parents=True)
        (place / "file").write_text("x")
    return {
        **os.environ, "XDG_STATE_HOME": str(tmp_path), "EKSNET_SANDBOX": "swept",
        "KUBECONFIG": str(tmp_path / "kubeconfig"), "EKSNET_TARGET": "context:there",
    }  # fmt: skip


@pytest.mark.parametrize("name", QUICK)
def test_ctrl_c_at_any_moment_is_one_line_and_130(name, own, tmp_path):
    ends = [interrupted(QUICK[name], moment, env=own, cwd=tmp_path) for moment in MOMENTS]
    assert IN_ONE_LINE in ends
    # What it says when nobody interrupts it: by then nothing but Python's own end is left.
    _, whole = interrupted(QUICK[name], 60, env=own, cwd=tmp_path)
    for code, complaints in ends:
        # Or it had done its work by then.
        assert "Traceback" not in complaints
        # While Python itself begins or ends, the signal ends it: a shell makes 130 of that, too.
        assert (
            (code, complaints) == IN_ONE_LINE
            or (code == -signal.SIGINT and complaints in ("", whole))
            or code in (0, 1, 2)
        )


@pytest.mark.parametrize("number", [SIGTERM, SIGHUP])
def test_other_signals_end_it_without_a_word(number, own):
    assert interrupted(["status"], 0.0, number, env=own) == (128 + number, "")


def test_work_ends_what_it_began(interruptible, capsys):
    ended = []

    def work():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            ended.append("what it began")

    with pytest.raises(SystemExit) as code:
        interrupts.orderly(work)
    assert (code.value.code, ended) == (130, ["what it began"])
    assert capsys.readouterr().err == "eksnet: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_becomes_another_error_is_still_one(interruptible, capsys):
    def work():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("half a module") from None

    with pytest.raises(SystemExit) as code:
        interrupts.orderly(work)
    assert (code.value.code, capsys.readouterr().err) == (130, "eksnet: interrupted\n")


def test_an_interrupt_that_was_lost_comes_again(interruptible, capsys):
    class Dies:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def work():
        one = Dies()
        del one
        for _ in range(1000):
            time.sleep(0.01)

    with pytest.raises(SystemExit) as code:
        interrupts.orderly(work)
    assert (code.value.code, capsys.readouterr().err) == (130, "eksnet: interrupted\n")


def test_an_error_of_the_work_stays_what_it_is():
    def work():
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        interrupts.orderly(work)
    assert interrupts.orderly(lambda: 3) == 3
