"""Connects on the internet of a sandbox for a process outside: run there, it hands the socket over.

Called as `python dialer.py DESCRIPTOR HOST PORT SECONDS`. The descriptor is one end of a pair of
Unix sockets; over it goes the connected socket, or as JSON the error that there was instead. Only
the standard library, because each connection starts this.
"""

from __future__ import annotations

import json
import socket
import sys


def main() -> None:
    """Connect, and hand over what came of it."""
    descriptor, host, port, seconds = sys.argv[1:]
    channel = socket.socket(fileno=int(descriptor))
    try:
        connection = socket.create_connection((host, int(port)), float(seconds))
    except OSError as error:
        said = {"kind": type(error).__name__, "errno": error.errno, "text": error.strerror}
        channel.sendall(json.dumps(said).encode())
    else:
        connection.settimeout(None)
        socket.send_fds(channel, [b"{}"], [connection.fileno()])


if __name__ == "__main__":
    main()
