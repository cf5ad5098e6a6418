"""Connections for `nlb.py`, in whatever network it is started.

`connect ADDRESS PORT SECONDS` prints how many a second were answered, and how many failed;
`listen ADDRESS PORT COUNT` accepts them at so many ports, until it is killed.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import threading
import time

WORKERS = 16
PATIENCE = 10.0
REQUEST = b"GET /hostname HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
# Closed with a reset: no side keeps a connection that is over, and no port is used up.
RESET = struct.pack("ii", 1, 0)


def connect(address: str, port: int, seconds: float) -> None:
    """Connect as often as it goes, and print what came of it."""
    answered, errors = [0] * WORKERS, [0] * WORKERS
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < end:
            if is_answered(address, port):
                answered[number] += 1
            else:
                errors[number] += 1

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    rate = sum(answered) / (time.monotonic() - began)
    print(json.dumps({"rate": rate, "errors": sum(errors)}))


def is_answered(address: str, port: int) -> bool:
    """Connect, ask, and tell whether the answer was right."""
    try:
        with socket.socket() as connection:
            connection.settimeout(PATIENCE)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.connect((address, port))
            connection.sendall(REQUEST)
            return connection.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def listen(address: str, first: int, count: int) -> None:
    """Accept connections at so many ports, and end each at once."""
    waiting = selectors.DefaultSelector()
    servers = [socket.create_server((address, port)) for port in range(first, first + count)]
    for one in servers:
        waiting.register(one, selectors.EVENT_READ, one)
    print("listening", flush=True)
    while True:
        for key, _ in waiting.select():
            key.data.accept()[0].close()


if __name__ == "__main__":
    what, where, *numbers = sys.argv[1:]
    if what == "connect":
        connect(where, int(numbers[0]), float(numbers[1]))
    else:
        listen(where, int(numbers[0]), int(numbers[1]))
