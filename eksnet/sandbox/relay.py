"""The way in: a listening socket that was opened on the host, served from inside the namespace."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

_CHUNK = 2**16


async def serve(
    descriptor: int, address: str, port: int, most: int = sys.maxsize
) -> asyncio.Server:
    """Pass every connection of an inherited listening socket on to an address inside.

    Args:
        descriptor: The file descriptor of the listening socket.
        address: The address inside the namespace.
        port: The TCP port there.
        most: How many connections at a time; one more is closed at once.
    """
    # The event loop holds a connection while it waits for it, and not while it waits for the other
    # one: a client that has said all and awaits the answer would be collected as garbage.
    held: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(held) == most:
            writer.close()
            return
        task = asyncio.create_task(_pass_on(reader, writer, address, port))
        held.add(task)
        task.add_done_callback(held.discard)

    return await asyncio.start_server(connected, sock=socket.socket(fileno=descriptor))


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int
) -> None:
    """Connect to an address, and copy both ways until both sides have ended."""
    with contextlib.closing(writer):
        try:
            inner_reader, inner_writer = await asyncio.open_connection(address, port)
        except OSError:
            return  # who listens there is gone
        with contextlib.closing(inner_writer):
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends; then tell the other that no more will come."""
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        # Either side went away: the other has nobody to talk to any more.
        writer.transport.abort()
