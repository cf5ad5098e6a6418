"""The supervisor's own DNS question, against messages that dnspython makes."""

import socket
import threading
from ipaddress import IPv4Address

import dns.message
import pytest

from eksnet.sandbox import dnsprobe

NAME = "kubernetes.default.svc.cluster.local"
RIGHT = IPv4Address("10.100.0.1")


def test_the_question_is_one_that_others_read():
    message = dns.message.from_wire(dnsprobe.question(NAME, 4711))
    assert message.id == 4711
    assert [str(q) for q in message.question] == [f"{NAME}. IN A"]


def reply(address="10.100.0.1", rcode=0, number=7):
    query = dns.message.from_wire(dnsprobe.question(NAME, number))
    made = dns.message.make_response(query)
    made.set_rcode(rcode)
    if address:
        made.answer = [dns.rrset.from_text(f"{NAME}.", 5, "IN", "A", address)]
    return made.to_wire()


@pytest.mark.parametrize(
    ("message", "right"),
    [
        (reply(), True),
        (reply(address="10.100.0.2"), False),
        (reply(address=""), False),
        (reply(rcode=2), False),
        (reply(number=8), False),
        (dnsprobe.question(NAME, 7), False),
        (b"", False),
    ],
)
def test_only_the_right_answer_counts(message, right):
    assert dnsprobe.answers(message, 7, RIGHT) is right


def test_nobody_answers_and_nobody_is_there():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        assert not dnsprobe.ask(connection, "127.0.0.1", NAME, RIGHT, patience=0.01)


def test_an_answer_is_heard():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection,
    ):
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)

        class Elsewhere:
            """A connection that goes to the test's server, whatever port 53 is."""

            settimeout, send, recv = connection.settimeout, connection.send, connection.recv

            def connect(self, _address):
                connection.connect(server.getsockname())

        def serve():
            asked, sender = server.recvfrom(4096)
            server.sendto(reply(number=int.from_bytes(asked[:2], "big")), sender)

        thread = threading.Thread(target=serve)
        thread.start()
        assert dnsprobe.ask(Elsewhere(), "127.0.0.1", NAME, RIGHT, patience=10)
        thread.join()
