"""The end of what is lent: connections that are open then end with it, and nothing is said."""

from __future__ import annotations

import contextlib
import gc
import socket
import warnings
from pathlib import Path

import pytest

from eksnet.sandbox import lending
from eksnet.sandbox.paths import Paths

DEADLINE = 30


def listening(stack: contextlib.ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_server(("127.0.0.1", 0)))


def test_connections_end_with_it_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = Paths(tmp_path)
    paths.run.mkdir()
    with contextlib.ExitStack() as stack, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        inside = {name: listening(stack) for name in ("api", "aws")}
        for name, one in inside.items():
            paths.port(name).write_text(str(one.getsockname()[1]))
        api, aws, dials = (listening(stack) for _ in range(3))
        clients = [stack.enter_context(socket.socket()) for _ in range(4)]
        ways = [api.getsockname(), aws.getsockname()] * 2
        with lending.lent(paths, api, aws, dials):
            for client, way in zip(clients, ways, strict=True):
                client.connect(way)
            # Through to the other side; what answers there never says a word.
            for one in inside.values():
                stack.enter_context(one.accept()[0])
            clients[0].shutdown(socket.SHUT_WR)
        assert [ended(client) for client in clients] == [True] * 4
        gc.collect()
    assert caplog.messages == []
    assert [str(one.message) for one in warned] == []


def ended(client: socket.socket) -> bool:
    """Tell whether a connection has ended, by a reset or without one."""
    client.settimeout(DEADLINE)
    with contextlib.suppress(ConnectionResetError):
        return client.recv(1) == b""
    return True
