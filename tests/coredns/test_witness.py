import pytest

from eksnet.coredns import Answer
from eksnet.coredns.witness import reply_of
from eksnet.dns import Reply


@pytest.mark.parametrize(
    ("rcode", "records", "reply"),
    [
        ("NOERROR", ("10.100.0.9",), Reply.ANSWER),
        ("NOERROR", ("2001:db8::1", "shop.example.com."), Reply.ANSWER),
        # A CNAME that leads nowhere is no address.
        ("NOERROR", ("shop.example.com.",), Reply.NODATA),
        ("NOERROR", (), Reply.NODATA),
        ("NXDOMAIN", (), Reply.NXDOMAIN),
        ("REFUSED", (), Reply.REFUSED),
        ("SERVFAIL", (), Reply.SERVFAIL),
        ("NOTIMP", (), Reply.SERVFAIL),
    ],
)
def test_what_an_answer_is_to_a_resolver(rcode, records, reply):
    assert reply_of(Answer("a.", rcode, None, records)) is reply
