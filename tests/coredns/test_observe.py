import base64
import socket
import subprocess
import threading

import pytest

from eksnet.coredns.observe import carrier


@pytest.fixture
def echo():
    """A server that sends each datagram back, once with `re:` before it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer():
            while (received := server.recvfrom(4096))[0] != b"end":
                server.sendto(b"re:" + received[0], received[1])

        thread = threading.Thread(target=answer)
        thread.start()
        address, port = server.getsockname()
        yield f"{address}/{port}"
        server.sendto(b"end", (address, port))
        thread.join()


def test_a_query_travels_whole_whatever_its_bytes(echo):
    # 10 is a newline and the length of the label `kubernetes`; 0 ends a text in C.
    queries = [bytes([0, 10, 37, 92, 10, 255]), b"kubernetes\n", b"\n"]
    said = subprocess.run(carrier(queries, echo), capture_output=True, check=True, timeout=30)
    answers = [base64.b64decode(line) for line in said.stdout.splitlines()]
    assert answers == [b"re:" + query for query in queries]
