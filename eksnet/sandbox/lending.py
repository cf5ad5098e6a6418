"""A sandbox lent to a confined process: its API server, its AWS services, its internet, dry runs.

Whoever is confined hands three listening sockets out. What connects to them is led to the sandbox;
that process can reach nothing else by them. Whoever is confined makes no namespaces; so dry runs of
a Corefile are started here, and it gets the socket of one, which has neither files nor a network.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

from eksnet.errors import EksnetError
from eksnet.sandbox import dryrun, internet, relay
from eksnet.sandbox.borrowing import DRY_RUN, MESSAGE
from eksnet.sandbox.dryrun import Started
from eksnet.sandbox.paths import Paths, known_port

# Connections at a time, to each of the two: a confined process could take all descriptors.
_MOST = 128
_PATIENCE, _LONGEST = 5.0, 30.0
# Dry runs at a time: one that has told all needs a moment to end.
_MOST_DRY = 4


@contextlib.contextmanager
def lent(
    paths: Paths, api: socket.socket, aws: socket.socket, dials: socket.socket
) -> Iterator[None]:
    """Serve three sockets that listen elsewhere.

    Args:
        paths: The sandbox's paths.
        api: Leads to its API server.
        aws: Leads to its AWS services.
        dials: Takes a host, a port and seconds as JSON, and hands a connection back; or
            `DRY_RUN`, and hands the socket of one back.
    """
    loop = asyncio.new_event_loop()

    async def serve() -> list[asyncio.Server]:
        return [
            await relay.serve(one.detach(), "127.0.0.1", known_port(paths, name), _MOST)
            for name, one in (("api", api), ("aws", aws))
        ]

    servers = loop.run_until_complete(serve())
    runs: list[Started] = []
    threads = [
        threading.Thread(target=loop.run_forever, daemon=True),
        threading.Thread(target=_lend, args=(dials, paths, runs), daemon=True),
    ]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        # This wakes whoever waits for a connection there.
        with contextlib.suppress(OSError):
            dials.shutdown(socket.SHUT_RDWR)
        loop.call_soon_threadsafe(loop.stop)
        for one in threads:
            one.join()
        for run in runs:
            run.end()
        loop.run_until_complete(_close(servers))
        loop.close()
        dials.close()


async def _close(servers: list[asyncio.Server]) -> None:
    """End the servers, and the connections that are still there."""
    for server in servers:
        server.close()
    # One that was being accepted just now comes after the others.
    while open_ones := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)


def _lend(dials: socket.socket, paths: Paths, runs: list[Started]) -> None:
    while True:
        try:
            asking, _ = dials.accept()
        except OSError:
            return
        with asking, contextlib.suppress(OSError):
            asking.settimeout(_PATIENCE)
            _answer(asking, paths, runs)


def _answer(asking: socket.socket, paths: Paths, runs: list[Started]) -> None:
    """Get whoever asks the socket that they want, and hand over what came of it."""
    try:
        wish = json.loads(asking.recv(MESSAGE))
        connection = _dry_run(runs) if wish == DRY_RUN else _dial(wish, paths)
    except OSError as error:
        said = {"kind": type(error).__name__, "errno": error.errno, "text": error.strerror}
    except EksnetError as error:
        said = {
            "kind": EksnetError.__name__, "text": error.seen, "expected": error.expected,
            "next": error.next_step,
        }  # fmt: skip
    except (ValueError, TypeError):
        return
    else:
        with connection:
            socket.send_fds(asking, [b"{}"], [connection.fileno()])
        return
    asking.sendall(json.dumps(said).encode())


def _dial(wish: Any, paths: Paths) -> socket.socket:
    """Connect on the sandbox's internet.

    Raises:
        EksnetError: There is no such internet, or load balancer.
        OSError: There is no connection.
        ValueError: It is no such wish; a TypeError, too.
    """
    host, port, seconds = wish
    patience = min(max(float(seconds), 0.0), _LONGEST)
    return internet.dial(_host(host), int(port), patience, paths.state.name)


def _dry_run(runs: list[Started]) -> socket.socket:
    """Start a dry run, and return its socket; the run is remembered until it has ended.

    Raises:
        EksnetError: There are too many, or none can be started.
    """
    for one in [one for one in runs if one.process and one.process.poll() is not None]:
        one.end()
        runs.remove(one)
    if len(runs) >= _MOST_DRY:
        raise EksnetError(
            f"{len(runs)} dry runs are under way", "one after the other", "wait for their end"
        )
    started = dryrun.start()
    runs.append(started)
    return started.own


def _host(given: object) -> str:
    """Return a host's name or address.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(given, str) or not 0 < len(given) < 256 or not given.isprintable():
        raise ValueError(given)
    return given
