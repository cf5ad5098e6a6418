"""Security groups as packet filters: real packets through a router that has them."""

import json
import subprocess
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wanted import (
    CLUSTER,
    EVERYWHERE,
    FRONT,
    IN_NAMESPACES,
    PLACES,
    balancer,
    desired,
    group,
    interface,
    on_wires,
    rule,
    step,
)

from eksnet.sandbox import filters
from eksnet.sandbox.desired import Desired, read
from eksnet.sandbox.vpc import plan

VPC = plan()
LOST = "lost"
NODE1, POD1, NODE2, POD2 = "10.0.128.10", "10.0.129.7", "10.0.144.10", "10.0.145.7"
API, RESOLVER, AWS, NAT = "10.0.0.10", "10.0.0.2", "10.0.0.11", "203.0.113.10"
PRIVATE, PUBLIC, OUTSIDE = "10.0.0.21", "203.0.113.21", "198.51.100.10"
BACKEND = group(CLUSTER, [rule(groups=[CLUSTER]), rule("tcp", 8080, groups=[FRONT])])
NOTHING = group(CLUSTER, [], [])


def outcomes(wanted, *steps):
    """Return what became of each step under these filters."""
    return on_wires({"desired": wanted}, *steps)[1:]


def table(wanted):
    return filters.table(read(json.dumps(wanted)), VPC)


# Each: what is wanted, and packets with the source with which they arrive, or that they are lost.
CASES = {
    "as the course has it: the cluster's members among themselves, and the load balancer's port": (
        desired(),
        [
            (step(POD1, POD2, "udp", 53), POD1),
            (step(NODE1, NODE2), NODE1),
            (step(API, NODE2, port=10250), API),
            (step(POD1, API, port=443), POD1),
            (step(POD2, POD1, "icmp"), POD2),
            (step(POD1, PRIVATE), POD1),
            (step(POD1, PRIVATE, port=81), LOST),
            (step(OUTSIDE, PUBLIC), OUTSIDE),
            (step(OUTSIDE, PUBLIC, port=81), LOST),
            # No rule opens the nodes to the load balancer.
            (step(PRIVATE, POD2, port=8080), LOST),
        ],
    ),
    "a rule for the members of another group opens its port alone": (
        desired(BACKEND),
        [
            (step(PRIVATE, POD1, port=8080), PRIVATE),
            (step(PRIVATE, NODE2, port=8080), PRIVATE),
            (step(PRIVATE, POD1, port=8081), LOST),
            (step(PRIVATE, POD1, "udp", 8080), LOST),
        ],
    ),
    "a group that lets nothing in or out": (
        desired(NOTHING),
        [
            (step(POD1, POD2), LOST),
            (step(API, NODE1, port=10250), LOST),
            (step(POD1, PRIVATE), LOST),
            # No security group stands in the way of these two.
            (step(POD1, RESOLVER, "udp", 53), POD1),
            (step(POD1, AWS), POD1),
            # Packets between a node and itself meet no router.
            (step(NODE1, POD1), NODE1),
        ],
    ),
    "what the load balancer may not send": (
        desired(BACKEND, group(FRONT, [rule("tcp", 80, cidrs=[EVERYWHERE])],
                               [rule("tcp", 9000, groups=[CLUSTER])])),
        [(step(PRIVATE, POD1, port=8080), LOST), (step(PRIVATE, POD1, port=9000), LOST)],
    ),
    "the groups of an interface together": (
        desired(more=[interface("eni-9", ["10.0.0.99"], [])], front="sg-none")
        | {"interfaces": [
            interface("eni-1", [NODE1], [CLUSTER]),
            interface("eni-2", [NODE2], [CLUSTER, "sg-b"]),
        ], "security_groups": [
            group(CLUSTER, [rule("tcp", 80, cidrs=["10.0.128.0/20"])]),
            group("sg-b", [rule("tcp", 81, cidrs=["10.0.128.0/20"])], []),
        ]},
        [
            (step(POD1, POD2, port=80), POD1),
            (step(POD1, POD2, port=81), POD1),
            (step(POD1, POD2, port=82), LOST),
            # Either group may let it out.
            (step(POD2, "0.0.0.0", port=80) | {"to": "10.0.128.1"}, POD2),
        ],
    ),
    "blocks, ranges of ports, prefix lists and kinds of ICMP": (
        desired(group(CLUSTER, [
            rule("tcp", 8000, 8010, cidrs=["10.0.128.10/32"]),
            rule("udp", 53, lists=[["10.0.129.0/25"], []]),
            rule("udp", cidrs=["10.0.145.8/32"]),
            rule("icmp", 8, -1, cidrs=["10.0.129.0/24"]),
            rule("17", 99, cidrs=["10.0.129.7/31"]),
            # No packet here can have these, and nft knows none of them.
            rule("icmpv6", -1, cidrs=[EVERYWHERE]),
            rule("nonsense", cidrs=[EVERYWHERE]),
            rule("256", cidrs=[EVERYWHERE]),
            rule("icmp", 256, -1, cidrs=[EVERYWHERE]),
            rule("tcp", 70000, cidrs=[EVERYWHERE]),
            rule("tcp", 9000, 8999, cidrs=[EVERYWHERE]),
        ])),
        [
            (step(NODE1, POD2, port=8000), NODE1),
            (step(NODE1, POD2, port=8010), NODE1),
            (step(NODE1, POD2, port=8011), LOST),
            (step(POD1, POD2, port=8000), LOST),
            (step(POD1, POD2, "udp", 53), POD1),
            (step(NODE1, POD2, "udp", 53), LOST),
            (step("10.0.145.8", POD1, "udp", 7777), "10.0.145.8"),
            (step(POD2, POD1, "udp", 7777), LOST),
            (step(POD1, POD2, "icmp"), POD1),
            (step(NODE1, POD2, "icmp"), LOST),
            (step(POD1, POD2, "udp", 99), POD1),
        ],
    ),
    "the internet reaches public addresses and the resolver alone": (
        desired(group(CLUSTER, [rule(cidrs=[EVERYWHERE])])),
        [
            (step(OUTSIDE, PUBLIC), OUTSIDE),
            (step(OUTSIDE, RESOLVER, "udp", 53), OUTSIDE),
            (step(OUTSIDE, RESOLVER, port=53), OUTSIDE),
            (step(OUTSIDE, RESOLVER, "udp", 54), LOST),
            (step(OUTSIDE, PRIVATE), LOST),
            (step(OUTSIDE, API, port=443), LOST),
            (step(OUTSIDE, AWS), LOST),
            (step(OUTSIDE, NAT, port=443), LOST),
            (step(OUTSIDE, POD1, "icmp"), LOST),
            (step(POD1, OUTSIDE), LOST),
        ],
    ),
    "a public address from inside the VPC is asked as the NAT gateway": (
        desired(group(FRONT, [rule("tcp", 80, cidrs=[f"{NAT}/32"])])),
        [
            (step(POD1, PUBLIC), NAT),
            (step(NODE2, PUBLIC), NAT),
            (step(OUTSIDE, PUBLIC), LOST),
            # The private address of the same interface sees who asks.
            (step(POD1, PRIVATE), LOST),
            (step(POD1, NAT, port=443), LOST),
        ],
    ),
    "a public address is no member of a group": (
        desired(group(FRONT, [rule(groups=[CLUSTER])])),
        [(step(POD1, PRIVATE), POD1), (step(POD1, PUBLIC), LOST)],
    ),
    "an internal load balancer has no public address": (
        desired(balancers=[balancer(scheme="internal", zones=[(PRIVATE, None)])]),
        [(step(OUTSIDE, PUBLIC), LOST), (step(POD1, PRIVATE), POD1)],
    ),
    "an address that a learner gave to a second interface stays the node's": (
        desired(more=[interface("eni-0", [POD1, NODE2], ["sg-default"])]),
        [(step(POD1, POD2), POD1), (step(API, NODE2, port=10250), API)],
    ),
    "an interface of a group that is gone": (
        desired(nodes="sg-gone"),
        [(step(POD1, POD2), LOST), (step(POD1, RESOLVER, "udp", 53), POD1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_packets_go_as_the_security_groups_say(name):
    wanted, packets = CASES[name]
    found = outcomes(wanted, *(one for one, _ in packets))
    assert list(zip(packets, found, strict=True)) == [((p, end), end) for p, end in packets]


def test_answers_come_back_and_what_is_lost_is_answered_by_nobody():
    steps = [
        step(POD1, PRIVATE, do="exchange"),
        # The answer has to find its way back from the NAT gateway's address.
        step(POD1, PUBLIC, do="exchange"),
        step(OUTSIDE, PUBLIC, do="exchange"),
        # Where no way leads, the router still says so at once.
        step(POD1, "192.0.2.1", do="refused"),
        step(OUTSIDE, "192.0.2.1", do="refused"),
        # A port that is open, where nobody listens.
        step(POD1, PRIVATE, do="refused"),
        # From nowhere in particular, the router's own program is the API server.
        step("0.0.0.0", POD2),
    ]
    assert outcomes(desired(), *steps) == [
        f"{POD1} asked",
        f"{NAT} asked",
        f"{OUTSIDE} asked",
        "No route to host",
        "Network is unreachable",
        "Connection refused",
        API,
    ]


def test_filters_and_addresses_are_replaced_whole():
    two = desired(balancers=[balancer(zones=[("10.0.0.21", "203.0.113.21"), ("10.0.16.9", None)])])
    none = desired(balancers=[])
    addresses = ["10.0.0.21", "10.0.16.9", "203.0.113.21"]
    said = on_wires({"desired": two}, {"desired": two}, {"desired": none}, {"desired": desired()},
                    step(POD1, PUBLIC))  # fmt: skip
    assert said == [addresses, addresses, [], ["10.0.0.21", "203.0.113.21"], NAT]


def test_before_anything_is_wanted_nothing_is_filtered_but_the_internet():
    text = filters.table(Desired(), VPC)
    assert "vmap" not in text
    assert accepted_by_nft(text)
    assert outcomes(
        {"load_balancers": [], "target_groups": [], "interfaces": [], "security_groups": []},
        step(POD1, POD2), step(POD1, API), step(OUTSIDE, POD1),
    ) == [POD1, POD1, LOST]  # fmt: skip


# At random: nft takes every text, and packets go as a reading of AWS's rules in ten lines says.

ADDRESSES = (NODE1, POD1, NODE2, POD2, "10.0.145.8", API, PRIVATE)
GROUPS = ("sg-1", "sg-2", "sg-3")
PORTS = (79, 80, 81)
BLOCKS = (EVERYWHERE, "10.0.128.0/20", "10.0.129.7/24", "10.0.144.10/32", "10.0.0.0/24")
ports = st.one_of(
    st.tuples(st.none(), st.none()),
    st.lists(st.sampled_from(PORTS), min_size=2, max_size=2).map(sorted).map(tuple),
)
some_rules = st.lists(
    st.builds(
        lambda protocol, range_, cidrs, groups, lists: rule(
            protocol, *range_, cidrs=cidrs, groups=groups, lists=lists
        ),
        st.sampled_from(("tcp", "udp", "-1", "6", "17", "47", "58")),
        ports,
        st.lists(st.sampled_from(BLOCKS), max_size=2),
        st.lists(st.sampled_from(GROUPS), max_size=2),
        st.lists(st.lists(st.sampled_from(BLOCKS), max_size=2), max_size=1),
    ),
    max_size=3,
)
some_groups = st.tuples(
    *(st.builds(group, st.just(name), some_rules, some_rules) for name in GROUPS)
)
memberships = st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3, unique=True)


@st.composite
def wishes(draw):
    interfaces = [
        interface("eni-1", [NODE1, POD1], draw(memberships)),
        interface("eni-2", [NODE2], draw(memberships)),
        interface("eni-3", [API], draw(memberships)),
        interface("eni-4", [PRIVATE], draw(memberships)),
    ]
    return desired() | {"interfaces": interfaces, "security_groups": list(draw(some_groups))}


def accepted_by_nft(text):
    command = [*IN_NAMESPACES, "nft", "-c", "-f", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{text}"
    return True


def is_let_through(wanted, packet):
    """Read the rules as AWS's guide has them, for interfaces with the addresses above."""
    groups = {one["id"]: one for one in wanted["security_groups"]}
    node2 = IPv4Network("10.0.145.0/24")

    def of(address):
        inside = NODE2 if IPv4Address(address) in node2 else address
        found = (i["groups"] for i in wanted["interfaces"] if inside in i["addresses"])
        return set(next(found, ()))

    def opens(one, far):
        names = {"6": "tcp", "17": "udp"}
        protocol = names.get(one["protocol"], one["protocol"])
        blocks = [*one["cidrs"], *(b for pl in one["prefix_lists"] for b in pl["cidrs"])]
        is_far = bool(of(far) & {*one["groups"]}) or any(
            IPv4Address(far) in IPv4Network(block, strict=False) for block in blocks
        )
        fits = one["from"] is None or one["from"] <= packet["port"] <= one["to"]
        return is_far and (protocol == "-1" or (protocol == packet["protocol"] and fits))

    def is_open(side, near, far):
        return any(opens(one, far) for name in of(near) for one in groups[name][side])

    there, here = packet["to"], packet["source"]
    return is_open("egress", here, there) and is_open("ingress", there, here)


@given(wishes())
@settings(max_examples=60)
def test_nft_takes_the_filters_of_any_rules(wanted):
    assert accepted_by_nft(table(wanted))


# What stays in one place, the router or a node, meets no filter.
PAIRS = [(one, other) for one in ADDRESSES for other in ADDRESSES if PLACES[one] != PLACES[other]]
packets = st.builds(
    lambda pair, protocol, port: step(*pair, protocol, port),
    st.sampled_from(PAIRS),
    st.sampled_from(("tcp", "udp")),
    st.sampled_from(PORTS),
)


@given(st.lists(st.tuples(wishes(), st.lists(packets, min_size=4, max_size=4)), min_size=6))
@settings(max_examples=3)
def test_packets_go_as_any_rules_say(cases):
    steps = [one for wanted, some in cases for one in ({"desired": wanted}, *some)]
    found = [end for end in on_wires(*steps) if isinstance(end, str)]
    asked = [(wanted, packet) for wanted, some in cases for packet in some]
    for (wanted, packet), end in zip(asked, found, strict=True):
        expected = packet["source"] if is_let_through(wanted, packet) else LOST
        assert (packet, end) == (packet, expected), table(wanted)
