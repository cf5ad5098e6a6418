"""The way in: a listening socket that was opened on the host, served from inside the namespace."""

from __future__ import annotations

import asyncio
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
    present = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal present
        if present == most:
            writer.close()
            return
        present += 1
        try:
            inner_reader, inner_writer = await asyncio.open_connection(address, port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
            inner_writer.close()
        except OSError:
            pass  # who listens there is gone
        finally:
            present -= 1
            writer.close()

    return await asyncio.start_server(connected, sock=socket.socket(fileno=descriptor))


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
