"""The port of the API server on 127.0.0.1."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from eksnet.errors import EksnetError
from eksnet.sandbox import launching
from eksnet.sandbox.paths import Paths, paths


@pytest.fixture
def own(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = paths("ports")
    found.run.mkdir(parents=True)
    return found


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def port_of(listener: socket.socket) -> int:
    with listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("port", [None, 0])
def test_any_port_is_one_that_the_kernel_hands_out_to_nobody(own: Paths, port: int | None):
    first = launching._first_handed_out()
    if first <= 20000:
        pytest.skip(f"here the kernel hands out all ports from {first}")
    assert 20000 <= port_of(launching.listen(own, port)) < min(first, 30000)


def test_the_last_port_is_kept(own: Paths):
    port = port_of(launching.listen(own, 0))
    # Each listener has its own.
    other = port_of(launching.listen(own, 0, "aws"))
    assert other != port
    assert port_of(launching.listen(own, None)) == port
    assert port_of(launching.listen(own, None, "aws")) == other


def test_the_next_is_tried_when_one_is_taken(
    own: Paths, taken: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(launching, "any_ports", lambda first: [taken, 0])
    assert port_of(launching.listen(own, 0)) not in (0, taken)


@pytest.mark.parametrize(("name", "what"), [("api", "API server"), ("aws", "AWS services")])
def test_a_wanted_port_that_is_taken_is_refused(own: Paths, taken: int, name: str, what: str):
    with pytest.raises(EksnetError, match=f"127.0.0.1:{taken} is used by") as refused:
        launching.listen(own, taken, name)
    assert refused.value.expected == f"a free port for the {what}"


@pytest.mark.parametrize(("name", "what"), [("api", "API server"), ("aws", "AWS services")])
def test_no_free_port_at_all_is_told(
    own: Paths, taken: int, name: str, what: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(launching, "any_ports", lambda first: [taken, taken])
    with pytest.raises(EksnetError, match=r"no port of 127\.0\.0\.1 is free") as refused:
        launching.listen(own, 0, name)
    assert refused.value.expected == f"a free port for the {what}"


@pytest.mark.parametrize(
    ("first", "allowed"), [(32768, range(20000, 30000)), (20003, range(20000, 20003))]
)
def test_several_ports_are_tried_and_then_the_kernels_choice(first: int, allowed: range):
    *ports, last = launching.any_ports(first)
    assert last == 0
    assert len(ports) == len(set(ports)) == min(20, len(allowed))
    assert set(ports) <= set(allowed)


@pytest.mark.parametrize("first", [1024, 20000])
def test_where_all_ports_are_handed_out_the_kernel_chooses(first: int):
    assert launching.any_ports(first) == [0]
