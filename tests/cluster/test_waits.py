"""What a request waits for, and what is sent a second time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProtocolError

from eksnet.cluster import Target, waits
from eksnet.cluster.client import _may_be_repeated
from eksnet.cluster.waits import Waits


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every pause, in seconds; none is made, and the clock goes on by as much."""
    made: list[float] = []
    monkeypatch.setattr("eksnet.cluster.waits.time.sleep", made.append)
    monkeypatch.setattr("eksnet.cluster.waits.time.monotonic", lambda: sum(made))
    return made


def waiting() -> Waits:
    return Waits(Target("eks", "prod", "eu-west-1"))


def answer(status: int, after: str | None) -> SimpleNamespace:
    return SimpleNamespace(status=status, headers={} if after is None else {"Retry-After": after})


@pytest.mark.parametrize(
    ("status", "after", "waited"),
    [
        (429, "1", [1.0]), (503, "2", [2.0]), (500, "1", [1.0]), (429, "3600", [30.0]),
        (429, None, []), (429, "soon", []), (200, "1", []), (404, "1", []), (403, "1", []),
    ],
)  # fmt: skip
def test_it_waits_as_long_as_the_server_says(
    status: int, after: str | None, waited: list[float], pauses: list[float]
) -> None:
    assert waiting().for_server(answer(status, after)) == bool(waited)
    assert pauses == waited


def test_it_does_not_wait_for_the_server_without_end(pauses: list[float]) -> None:
    waits_ = waiting()
    assert [waits_.for_server(answer(429, "1")) for _ in range(11)] == [True] * 10 + [False]


def test_a_connection_is_waited_for_half_a_minute(pauses: list[float]) -> None:
    waits_ = waiting()
    while waits_.for_connection():
        pass
    assert sum(pauses) == pytest.approx(waits.PATIENCE)
    assert max(pauses) <= 1


def test_a_new_token_is_tried_once() -> None:
    waits_ = waiting()
    assert [waits_.once() for _ in range(3)] == [True, False, False]


REFUSED = NewConnectionError(None, "refused")  # type: ignore[arg-type]
NEVER_SENT = [REFUSED, ConnectTimeoutError(), MaxRetryError(None, "/", REFUSED)]  # type: ignore[arg-type]
BROKEN_OFF = [ProtocolError("Connection aborted."), ConnectionResetError()]


@pytest.mark.parametrize("error", NEVER_SENT, ids=repr)
@pytest.mark.parametrize("method", ["GET", "PATCH", "POST", "DELETE"])
def test_what_was_never_sent_is_sent_again(method: str, error: Exception) -> None:
    assert _may_be_repeated(method, error)


@pytest.mark.parametrize("error", BROKEN_OFF, ids=repr)
@pytest.mark.parametrize(
    ("method", "again"),
    [("GET", True), ("PUT", True), ("PATCH", True), ("DELETE", True), ("POST", False)],
)
def test_a_post_without_an_answer_is_not(method: str, again: bool, error: Exception) -> None:
    assert _may_be_repeated(method, error) == again
