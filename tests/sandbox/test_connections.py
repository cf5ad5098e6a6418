"""Which connections end, as conntrack lists and selects them."""

from ipaddress import IPv4Address

import pytest

from eksnet.sandbox import connections
from eksnet.sandbox.balancing import Ended, Service, Share, ended
from eksnet.sandbox.connections import Connection

BALANCER, OTHER = IPv4Address("10.0.0.21"), IPv4Address("10.0.16.21")
ONE, TWO = (IPv4Address("10.0.129.7"), 8080), (IPv4Address("10.0.145.7"), 8080)
HTTP, DNS = ("tcp", 80), ("udp", 53)
LISTED = """\
tcp      6 431999 ESTABLISHED src=198.51.100.10 dst=10.0.0.21 sport=40404 dport=80 \
src=10.0.129.7 dst=10.0.0.21 sport=8080 dport=40404 [ASSURED] mark=1 use=1
udp      17 27 src=10.0.144.10 dst=10.0.0.21 sport=5353 dport=53 [UNREPLIED] \
src=10.0.145.7 dst=10.0.144.10 sport=5300 dport=5353 mark=0 use=1
icmp     1 29 src=10.0.144.10 dst=10.0.0.21 type=8 code=0 id=1 src=10.0.0.21 dst=10.0.144.10 \
type=0 code=0 id=1 mark=0 use=1
"""
STREAM = Connection("tcp", (IPv4Address("198.51.100.10"), 40404), (BALANCER, 80), ONE)


def test_what_conntrack_lists():
    datagrams = Connection(
        "udp", (IPv4Address("10.0.144.10"), 5353), (BALANCER, 53), (TWO[0], 5300)
    )
    assert connections.parse(LISTED) == [STREAM, datagrams]


@pytest.mark.parametrize(
    ("which", "ends"),
    [
        (Ended(BALANCER), True),
        (Ended(OTHER), False),
        (Ended(BALANCER, HTTP), True),
        (Ended(BALANCER, HTTP, ONE), True),
        (Ended(BALANCER, HTTP, TWO), False),
        (Ended(BALANCER, ("udp", 80)), False),
        (Ended(BALANCER, ("tcp", 81)), False),
        (Ended(OTHER, HTTP, ONE), False),
    ],
)
def test_which_connections_end(which, ends):
    assert STREAM.ends_with(which) is ends


def service(port=HTTP, unhealthy=(), known=(ONE, TWO), with_registration=(), group="tg"):
    share = Share(1, preserves=False, sticky=False, targets=known)
    protocol, number = port
    return Service(
        (protocol, BALANCER, number),
        (share,),
        frozenset(unhealthy),
        frozenset(known),
        frozenset({group}),
        frozenset((group, one) for one in with_registration),
    )


CHANGES = {
    "nothing": (service(), service(), []),
    "it turns unhealthy": (service(), service(unhealthy=[ONE]), [Ended(BALANCER, HTTP, ONE)]),
    "it stays unhealthy": (service(unhealthy=[ONE]), service(unhealthy=[ONE]), []),
    "it is deregistered": (service(), service(known=[TWO]), []),
    "that ends its connections": (
        service(with_registration=[ONE]), service(known=[TWO]), [Ended(BALANCER, HTTP, ONE)],
    ),
    "the listener has another group": (
        service(with_registration=[ONE]), service(known=[TWO], group="other"), [],
    ),
    "the listener moves": (service(with_registration=[ONE]), service(("tcp", 81)), []),
    "a listener of datagrams moves": (service(DNS), service(("udp", 54)), [Ended(BALANCER, DNS)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_ends_with_a_change(name):
    before, after, expected = CHANGES[name]
    assert ended([before], [after]) == expected
    # Whoever begins again knows nothing that could end.
    assert ended([], [after]) == []
    # Without the load balancer all of it ends, whatever listener it has come through.
    assert ended([before], [], [BALANCER])[0] == Ended(BALANCER)
