"""The relay from the host's port into the sandbox, with a server of the test's own inside."""

import asyncio
import gc
import socket

from eksnet.sandbox import relay

DEADLINE = 30


async def relayed(inside_port, talk):
    """Serve a listening socket through the relay and talk to it as a client."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = await relay.serve(listener.detach(), "127.0.0.1", inside_port)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        said = await talk(reader, writer)
        writer.close()
        return said
    finally:
        server.close()


async def served(answer, talk):
    """Talk through the relay to a server inside."""
    inside = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with inside:
        port = inside.sockets[0].getsockname()[1]
        return await asyncio.wait_for(relayed(port, talk), DEADLINE)


def test_all_of_a_long_talk_arrives_and_its_end_does_too(caplog):
    sent = bytes(range(256)) * 8192

    async def count_then_answer(reader, writer):
        everything = await reader.read(-1)
        # Nobody speaks meanwhile; what waits for the answer is no garbage.
        gc.collect()
        writer.write(everything[::-1])
        writer.close()

    async def talk(reader, writer):
        writer.write(sent)
        # The server answers only when it has seen the end: half a connection has to stay open.
        writer.write_eof()
        return await reader.read(-1)

    assert asyncio.run(served(count_then_answer, talk)) == sent[::-1]
    assert caplog.messages == []


def test_nobody_inside_is_the_end_of_the_connection():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        async def talk(reader, writer):
            return await reader.read(-1)

        assert asyncio.run(asyncio.wait_for(relayed(port, talk), DEADLINE)) == b""
