"""Network Load Balancers as address translation: real packets through a router that has them."""

import json
import subprocess
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wanted import (
    CLUSTER,
    EVERYWHERE,
    FRONT,
    IN_NAMESPACES,
    PLACES,
    desired,
    group,
    listener,
    network_balancer,
    on_wires,
    rule,
    seen,
    step,
    target,
    target_group,
)

from eksnet.sandbox import balancing, filters
from eksnet.sandbox.desired import read
from eksnet.sandbox.vpc import plan

VPC = plan()
NODE1, POD1, POD1B, NODE2 = "10.0.128.10", "10.0.129.7", "10.0.129.8", "10.0.144.10"
API = "10.0.0.10"
POD2, POD2B = "10.0.145.7", "10.0.145.8"
PRIVATE, PUBLIC, OUTSIDE, NAT = "10.0.0.21", "203.0.113.21", "198.51.100.10", "203.0.113.10"
PRIVATE_C, PUBLIC_C = "10.0.16.21", "203.0.113.22"
BOTH_ZONES = ((PRIVATE, PUBLIC), (PRIVATE_C, PUBLIC_C))
LOST, REFUSED, TIMED_OUT = "lost", "Connection refused", "timed out"
RESET = "Connection reset by peer"
OPEN = group(CLUSTER, [rule(cidrs=[EVERYWHERE])])
HEALTHY, UNHEALTHY, INITIAL = "healthy", "unhealthy", "initial"
CROSSED = {"load_balancing.cross_zone.enabled": "true"}
ENDS = {"target_health_state__unhealthy__connection_termination__enabled": "true"}


def wanted(*groups, balancer=None, security=(OPEN,), front="sg-none", **more):
    """Return what is wanted of a load balancer without security groups, and of open targets."""
    made = balancer or network_balancer(listener(), attributes=CROSSED)
    all_of_it = desired(*security, balancers=[made], target_groups=groups, front=front, **more)
    if front == "sg-none":
        kept = [one for one in all_of_it["interfaces"] if one["id"] != "eni-4"]
        all_of_it["interfaces"] = kept
    return all_of_it


def states(*addresses, state=HEALTHY, port=8080):
    return {f"{address}:{port}": state for address in addresses}


def apply(what, seen_states, name="tg"):
    return {"desired": what, "seen": seen(seen_states, name)}


def through(source, to, at, protocol="tcp", port=80, arrives=8080):
    """Return a packet to a load balancer that is to arrive at a target."""
    return step(source, to, protocol, port) | {"at": PLACES[at], "arrives": arrives}


def serve(address, port=8080):
    return step(address, address, port=port, do="serve")


def ask(source, to, port=80, **more):
    return step(source, to, port=port, do="ask") | more


def say(held, **more):
    return {"do": "say", "held": held, **more}


def ended_on(*steps):
    """Return what became of the steps, without those that only change or serve."""
    said = on_wires(*steps)
    return [end for one, end in zip(steps, said, strict=True) if one.get("do") in ("ask", "say")]


# Each: a target group's protocol, kind and attributes, and as whom a target sees its client.
PRESERVES = {"preserve_client_ip__enabled": "true"}
SOURCES = {
    "an address is reached from the load balancer": ("TCP", "ip", {}, "tcp", PRIVATE),
    "unless the group preserves the client": ("TCP", "ip", PRESERVES, "tcp", OUTSIDE),
    "an instance sees the client": ("TCP", "instance", PRESERVES, "tcp", OUTSIDE),
    "unless the group does not preserve it": (
        "TCP", "instance", {"preserve_client_ip__enabled": "false"}, "tcp", PRIVATE,
    ),
    "with UDP always": ("UDP", "ip", {"preserve_client_ip__enabled": "false"}, "udp", OUTSIDE),
    "with TCP_UDP too": ("TCP_UDP", "ip", {}, "tcp", OUTSIDE),
    "for its datagrams as well": ("TCP_UDP", "ip", {}, "udp", OUTSIDE),
}  # fmt: skip


def test_a_target_sees_the_source_that_its_group_says():
    steps = []
    for protocol, kind, attributes, sent, _ in SOURCES.values():
        found = target_group(target(POD1), protocol=protocol, kind=kind, **attributes)
        made = wanted(found, balancer=network_balancer(listener(protocol=protocol)))
        steps += [apply(made, states(POD1)), through(OUTSIDE, PUBLIC, POD1, sent)]
    found = dict(zip(SOURCES, on_wires(*steps)[1::2], strict=True))
    assert found == {name: source for name, (*_, source) in SOURCES.items()}


def test_who_asks_where_is_seen_as_whom():
    keeps, hides = target_group(target(POD2), **PRESERVES), target_group(target(POD2))
    cases = [
        (keeps, POD1, PRIVATE, POD1),
        # What leaves the VPC comes from its NAT gateway.
        (keeps, POD1, PUBLIC, NAT),
        (keeps, OUTSIDE, PUBLIC, OUTSIDE),
        (hides, POD1, PRIVATE, PRIVATE),
        (hides, POD1, PUBLIC, PRIVATE),
        (hides, OUTSIDE, PUBLIC, PRIVATE),
    ]
    steps = [serve(POD2)]
    for one, source, to, _ in cases:
        steps += [apply(wanted(one), states(POD2)), ask(source, to)]
    assert ended_on(*steps) == [[f"{POD2} sees {source}"] for *_, source in cases]


def test_a_target_beside_the_load_balancer_answers():
    of_one, hides = target(API, 444, zone="all"), {}
    keeps = {"preserve_client_ip__enabled": "true"}
    front = {"front": FRONT, "security": [group(CLUSTER, [rule("tcp", 444, groups=[FRONT])])]}
    found = ended_on(
        serve(API, 444),
        apply(wanted(target_group(of_one, **hides), **front), states(API, port=444)),
        ask(POD1, PRIVATE), ask(OUTSIDE, PUBLIC), ask(POD1, PUBLIC),
        apply(wanted(target_group(of_one, **keeps), **front), states(API, port=444)),
        ask(POD1, PRIVATE), ask(OUTSIDE, PUBLIC), ask(POD1, PUBLIC),
    )  # fmt: skip
    sources = [PRIVATE, PRIVATE, PRIVATE, POD1, OUTSIDE, NAT]
    assert found == [[f"{API} sees {source}"] for source in sources]


def test_a_target_that_reaches_itself_gets_no_answer_if_its_address_is_kept():
    keeps, hides = target_group(target(POD1), **PRESERVES), target_group(target(POD1))
    found = ended_on(
        serve(POD1),
        apply(wanted(keeps), states(POD1)), ask(POD1, PRIVATE, patience=2),
        ask(POD2, PRIVATE),
        # Through the NAT gateway it is another address.
        ask(POD1, PUBLIC),
        apply(wanted(hides), states(POD1)), ask(POD1, PRIVATE),
    )  # fmt: skip
    assert found == [
        [TIMED_OUT], [f"{POD1} sees {POD2}"], [f"{POD1} sees {NAT}"], [f"{POD1} sees {PRIVATE}"]
    ]  # fmt: skip


ZONES = {
    "off by default": ({}, {}, {POD1}),
    "on for the load balancer": (CROSSED, {}, {POD1, POD2}),
    "on for the group": ({}, {"load_balancing__cross_zone__enabled": "true"}, {POD1, POD2}),
    "off for the group": (
        CROSSED,
        {"load_balancing__cross_zone__enabled": "false"},
        {POD1},
    ),
    "as the load balancer has it": (
        CROSSED,
        {"load_balancing__cross_zone__enabled": "use_load_balancer_configuration"},
        {POD1, POD2},
    ),
}


def two_zones(attributes=None, port=80, **of_group):
    """Return what is wanted of a load balancer with an address and a target in two zones."""
    made = network_balancer(listener(port), zones=BOTH_ZONES, attributes=attributes)
    return wanted(target_group(target(POD1), target(POD2), **of_group), balancer=made)


@pytest.mark.parametrize("name", ZONES)
def test_an_address_sends_to_its_zone_or_to_all(name):
    attributes, of_group, expected = ZONES[name]
    made = read(json.dumps(two_zones(attributes, **of_group)))
    found = balancing.services(made, {"tg": states(POD1, POD2)})
    reached = {str(s.door[1]): {str(a) for a, _ in s.shares[0].targets} for s in found}
    other = expected if len(expected) == 2 else {POD2}
    assert reached == {
        PRIVATE: expected, PUBLIC: expected, PRIVATE_C: other, PUBLIC_C: other
    }  # fmt: skip


def test_connections_are_spread_and_each_keeps_its_target():
    crossed = two_zones(CROSSED)
    first, again, in_a, in_c = ended_on(
        serve(POD1), serve(POD2),
        apply(crossed, states(POD1, POD2)),
        ask(OUTSIDE, PUBLIC, times=40, hold="first"),
        # Another set of targets moves no connection that there is.
        apply(crossed, states(POD2)),
        ask(OUTSIDE, PUBLIC_C, times=10),
        apply(two_zones(), states(POD1, POD2)),
        ask(OUTSIDE, PUBLIC, times=10),
        ask(OUTSIDE, PUBLIC_C, times=10),
    )  # fmt: skip
    spread = Counter(one.split()[0] for one in first)
    assert set(spread) == {POD1, POD2}
    assert min(spread.values()) >= 5
    assert {one.split()[0] for one in again} == {POD2}
    assert {one.split()[0] for one in in_a} == {POD1}
    # Masqueraded to the address of the same zone.
    assert set(in_c) == {f"{POD2} sees {PRIVATE_C}"}


def test_a_sticky_group_and_datagrams_go_by_their_source():
    of_many = [target(POD1), target(POD1B), target(POD2), target(POD2B)]
    every = states(POD1, POD1B, POD2, POD2B)
    crossed = {"load_balancing__cross_zone__enabled": "true"}
    sticky = target_group(*of_many, stickiness__enabled="true", **crossed)
    (found,) = ended_on(
        *(serve(one) for one in (POD1, POD1B, POD2, POD2B)),
        apply(wanted(sticky), every), ask(OUTSIDE, PUBLIC, times=20),
    )  # fmt: skip
    assert len(set(found)) == 1


def test_weights_share_connections_among_groups():
    made = network_balancer(listener(groups=("tg", "other", "none"), weights=(3, 1, 0)))
    groups = [target_group(target(POD1)), target_group(target(POD1B), name="other"),
              target_group(target(POD2), name="none")]  # fmt: skip
    both = {"targets": {"tg": {f"{POD1}:8080": {"state": HEALTHY}},
                        "other": {f"{POD1B}:8080": {"state": HEALTHY}},
                        "none": {f"{POD2}:8080": {"state": HEALTHY}}}}  # fmt: skip
    what = wanted(*groups, balancer=made)
    (found,) = ended_on(serve(POD1), serve(POD1B), {"desired": what, "seen": both},
                        ask(OUTSIDE, PUBLIC, times=80))  # fmt: skip
    spread = Counter(one.split()[0] for one in found)
    assert set(spread) == {POD1, POD1B}
    assert spread[POD1] > spread[POD1B] > 4


# Each: the states of two targets, attributes, and which targets new connections go to.
PERCENT = "target_group_health__unhealthy_state_routing__minimum_healthy_targets__percentage"
USABLE = {
    "healthy ones": ([HEALTHY, UNHEALTHY], {}, {POD1}),
    "not before the first check": ([HEALTHY, INITIAL], {}, {POD1}),
    "none yet": ([INITIAL, INITIAL], {}, set()),
    "all are unhealthy: it fails open": ([UNHEALTHY, UNHEALTHY], {}, {POD1, POD1B}),
    "too few are healthy": ([HEALTHY, UNHEALTHY], {PERCENT: "60"}, {POD1, POD1B}),
    "just enough are healthy": ([HEALTHY, UNHEALTHY], {PERCENT: "50"}, {POD1}),
    "not checked": (["unavailable", UNHEALTHY], {}, {POD1}),
}


@pytest.mark.parametrize("name", USABLE)
def test_new_connections_go_to_healthy_targets(name):
    (one, other), attributes, expected = USABLE[name]
    made = wanted(target_group(target(POD1), target(POD1B), **attributes))
    observed = {"tg": {f"{POD1}:8080": one, f"{POD1B}:8080": other}}
    for service in balancing.services(read(json.dumps(made)), observed):
        assert {str(a) for share in service.shares for a, _ in share.targets} == expected


def test_connections_to_a_target_that_turns_unhealthy_are_reset():
    made = wanted(target_group(target(POD1), target(POD1B), **ENDS))
    left = wanted(target_group(target(POD1), target(POD1B)))
    alone = wanted(target_group(target(POD1), **ENDS))
    sick = states(POD1, state=UNHEALTHY)
    found = ended_on(
        serve(POD1), serve(POD1B),
        apply(made, states(POD1)), ask(OUTSIDE, PUBLIC, hold="a"),
        apply(made, states(POD1) | states(POD1B)), say("a0"),
        apply(made, sick | states(POD1B)),
        say("a0"), ask(OUTSIDE, PUBLIC),
        # The attribute can be off.
        apply(left, states(POD1)), ask(OUTSIDE, PUBLIC, hold="b"),
        apply(left, sick | states(POD1B)), say("b0"),
        # With the only target the group fails open, and connections stay.
        apply(alone, states(POD1)), ask(POD2, PRIVATE, hold="c"),
        apply(alone, sick), say("c0"), ask(POD2, PRIVATE),
    )  # fmt: skip
    first, other = f"{POD1} sees {PRIVATE}", f"{POD1B} sees {PRIVATE}"
    assert found == [
        [first], first, RESET, [other], [first], first, [first], first, [first]
    ]  # fmt: skip


def test_a_deregistered_target_keeps_its_connections_and_gets_no_new_ones():
    made = wanted(target_group(target(POD1), target(POD1B)))
    drains = wanted(target_group(target(POD1, draining=True), target(POD1B)))
    gone = wanted(target_group(target(POD1B)))
    with_end = {"deregistration_delay__connection_termination__enabled": "true"}
    ends = wanted(target_group(target(POD1), target(POD1B), **with_end))
    ends_later = wanted(target_group(target(POD1, draining=True), target(POD1B), **with_end))
    found = ended_on(
        serve(POD1), serve(POD1B),
        apply(made, states(POD1)), ask(OUTSIDE, PUBLIC, hold="a"),
        # The registration counts before the checks have told that it ends.
        apply(drains, states(POD1, POD1B)), say("a0"), ask(OUTSIDE, PUBLIC, times=9),
        apply(drains, states(POD1, state="draining") | states(POD1B)), say("a0"),
        apply(gone, states(POD1B)), say("a0"),
        apply(ends, states(POD1)), ask(OUTSIDE, PUBLIC, hold="b"),
        apply(ends_later, states(POD1, state="draining") | states(POD1B)), say("b0"),
        # The delay is over when the checks know the target no longer.
        apply(ends_later, states(POD1B)), say("b0"),
    )  # fmt: skip
    first, other = f"{POD1} sees {PRIVATE}", f"{POD1B} sees {PRIVATE}"
    assert found == [[first], first, [other] * 9, first, first, [first], first, RESET]


@pytest.mark.parametrize(
    ("observed", "is_known"),
    [({}, True), ({"tg": {}}, False), ({"tg": states(POD1, state="draining")}, True)],
)
def test_a_deregistration_is_over_when_the_checks_say_so(observed, is_known):
    made = read(json.dumps(wanted(target_group(target(POD1, draining=True)))))
    for service in balancing.services(made, observed):
        assert bool(service.known) is is_known
        assert service.shares[0].targets == ()


def test_without_a_listener_or_a_target_nothing_new_is_connected():
    made = wanted(target_group(target(POD1)))
    without = wanted(target_group(target(POD1)), balancer=network_balancer(listener(81)))
    # Another one is left: without any, nobody would translate an address.
    other = network_balancer(listener(), name="other", zones=((PRIVATE_C, PUBLIC_C),))
    gone = wanted(target_group(target(POD1)), balancer=other)
    found = ended_on(
        serve(POD1),
        apply(made, states(POD1)), ask(OUTSIDE, PUBLIC, hold="a"), ask(POD2, PRIVATE, hold="b"),
        ask(OUTSIDE, PUBLIC, 81),
        # What there is outlives its listener.
        apply(without, states(POD1)), say("a0"), say("b0"), ask(OUTSIDE, PUBLIC),
        ask(OUTSIDE, PUBLIC, 81),
        apply(made, {}), ask(OUTSIDE, PUBLIC),
        apply(made, states(POD1)), ask(OUTSIDE, PUBLIC, hold="c"),
        # The load balancer it does not outlive.
        apply(gone, states(POD1)),
        *(say(one, patience=2) for one in ("a0", "b0", "c0")), ask(OUTSIDE, PUBLIC, patience=2),
    )  # fmt: skip
    said = f"{POD1} sees {PRIVATE}"
    *there, a, b, c, last = found
    assert there == [
        [said], [said], [REFUSED], said, said, [REFUSED], [said], [REFUSED], [said]
    ]  # fmt: skip
    assert {a, b, c} <= {TIMED_OUT, RESET}
    assert last == [TIMED_OUT]


def test_connections_stay_with_their_target_when_the_listener_has_another_group():
    ends = {"deregistration_delay__connection_termination__enabled": "true"}
    groups = [target_group(target(POD1), **ends), target_group(target(POD1B), name="other")]
    both = {"targets": {"tg": {f"{POD1}:8080": {"state": HEALTHY}},
                        "other": {f"{POD1B}:8080": {"state": HEALTHY}}}}  # fmt: skip
    moved = wanted(*groups, balancer=network_balancer(listener(groups=("other",))))
    found = ended_on(
        serve(POD1), serve(POD1B),
        {"desired": wanted(*groups), "seen": both}, ask(OUTSIDE, PUBLIC, hold="a"),
        {"desired": moved, "seen": both}, say("a0"), ask(OUTSIDE, PUBLIC),
    )  # fmt: skip
    first, other = f"{POD1} sees {PRIVATE}", f"{POD1B} sees {PRIVATE}"
    assert found == [[first], first, [other]]


# Security groups: what is wanted, and packets with the source with which they arrive, or `lost`.
TO_TARGETS = rule("tcp", 8080, groups=[FRONT])
GROUPED = group(CLUSTER, [TO_TARGETS])
KEEPS, HIDES = target_group(target(POD2), **PRESERVES), target_group(target(POD2))
CASES = {
    "without a group of its own, a target has to let in who is seen": (
        wanted(HIDES, security=[group(CLUSTER, [rule("tcp", 8080, cidrs=[f"{PRIVATE}/32"])])]),
        [(through(POD1, PRIVATE, POD2), PRIVATE), (through(OUTSIDE, PUBLIC, POD2), PRIVATE)],
    ),
    "the load balancer's address does not stand for a client that is preserved": (
        wanted(KEEPS, security=[group(CLUSTER, [rule("tcp", 8080, cidrs=[f"{PRIVATE}/32"])])]),
        [(through(POD1, PRIVATE, POD2), LOST), (through(OUTSIDE, PUBLIC, POD2), LOST)],
    ),
    "the client's address does": (
        wanted(KEEPS, security=[group(CLUSTER, [rule("tcp", 8080, cidrs=[f"{OUTSIDE}/32"])])]),
        [(through(POD1, PRIVATE, POD2), LOST), (through(OUTSIDE, PUBLIC, POD2), OUTSIDE)],
    ),
    "the client's group does not": (
        wanted(KEEPS, security=[group(CLUSTER, [rule("tcp", 8080, groups=[CLUSTER])])]),
        [(through(POD1, PRIVATE, POD2), LOST), (step(POD1, POD2, port=8080), POD1)],
    ),
    "the load balancer's group lets in what comes through it": (
        wanted(KEEPS, front=FRONT, security=[GROUPED]),
        [
            (through(POD1, PRIVATE, POD2), POD1),
            (through(OUTSIDE, PUBLIC, POD2), OUTSIDE),
            (step(POD1, POD2, port=8080), LOST),
            # The checks, from the load balancer itself.
            (step(PRIVATE, POD2, port=8080), PRIVATE),
        ],
    ),
    "and what has its address": (
        wanted(HIDES, front=FRONT, security=[GROUPED]),
        [(through(POD1, PRIVATE, POD2), PRIVATE), (through(OUTSIDE, PUBLIC, POD2), PRIVATE)],
    ),
    "clients need a rule of the load balancer's group, at the listener's port": (
        wanted(KEEPS, front=FRONT, security=[
            GROUPED, group(FRONT, [rule("tcp", 80, cidrs=["10.0.129.0/24"])]),
        ]),
        [
            (through(POD1, PRIVATE, POD2), POD1),
            (through(NODE1, PRIVATE, POD2), LOST),
            (through(OUTSIDE, PUBLIC, POD2), LOST),
            (through(POD1, PUBLIC, POD2), LOST),
        ],
    ),
    "the port of the targets does not count for clients": (
        wanted(KEEPS, front=FRONT, security=[
            GROUPED, group(FRONT, [rule("tcp", 8080, cidrs=[EVERYWHERE])]),
        ]),
        [(through(POD1, PRIVATE, POD2), LOST)],
    ),
    "who comes through the NAT gateway is asked as that": (
        wanted(KEEPS, front=FRONT, security=[
            GROUPED, group(FRONT, [rule("tcp", 80, cidrs=[f"{NAT}/32"])]),
        ]),
        [(through(POD1, PUBLIC, POD2), NAT), (through(POD1, PRIVATE, POD2), LOST)],
    ),
    "the load balancer may not send": (
        wanted(KEEPS, front=FRONT, security=[
            GROUPED, group(FRONT, [rule("tcp", 80, cidrs=[EVERYWHERE])], []),
        ]),
        [(through(POD1, PRIVATE, POD2), LOST), (step(PRIVATE, POD2, port=8080), LOST)],
    ),
    "the client may not send": (
        wanted(target_group(target(POD2)), security=[
            group(CLUSTER, [rule(cidrs=[EVERYWHERE])], [rule("tcp", 8080, cidrs=[EVERYWHERE])]),
        ]),
        [(through(POD1, PRIVATE, POD2), LOST), (through(OUTSIDE, PUBLIC, POD2), PRIVATE)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_security_groups_are_asked_on_the_way_through_a_load_balancer(name):
    what, packets = CASES[name]
    found = on_wires(apply(what, states(POD2)), *(one for one, _ in packets))[1:]
    expected = [end for _, end in packets]
    assert found == expected


# At random: nft takes every text.
ADDRESSES = (POD1, POD1B, POD2, NODE1, API)
some_targets = st.lists(
    st.builds(
        target, st.sampled_from(ADDRESSES), st.integers(1, 65535), st.sampled_from(("", "all")),
        draining=st.booleans(),
    ),
    max_size=4,
)  # fmt: skip
flags = st.sampled_from(("true", "false"))
NAMES = ("one", "two", "three")
some_listeners = st.lists(
    st.builds(
        listener,
        st.sampled_from((1, 80, 65535)),
        st.sampled_from(("TCP", "UDP", "TCP_UDP", "TLS")),
        st.lists(st.sampled_from((*NAMES, "gone")), min_size=1, max_size=3, unique=True),
        st.lists(st.integers(0, 999), max_size=1),
    ),
    max_size=4,
)


@st.composite
def wishes(draw):
    groups = [
        target_group(
            *draw(some_targets), name=name, protocol=draw(st.sampled_from(("TCP", "UDP"))),
            preserve_client_ip__enabled=draw(flags), stickiness__enabled=draw(flags),
        )
        for name in NAMES
    ]  # fmt: skip
    zones = draw(st.sampled_from((BOTH_ZONES, BOTH_ZONES[:1], ((PRIVATE, None),))))
    made = network_balancer(*draw(some_listeners), zones=zones)
    what = wanted(*groups, balancer=made, front=draw(st.sampled_from((FRONT, "sg-none"))))
    every = [HEALTHY, UNHEALTHY, INITIAL]
    return what, {
        one["arn"]: {f"{t['id']}:{t['port']}": draw(st.sampled_from(every)) for t in one["targets"]}
        for one in groups
    }


@given(wishes())
@settings(max_examples=60)
def test_nft_takes_any_load_balancer(wish):
    what, seen_states = wish
    found = read(json.dumps(what))
    services = balancing.services(found, seen_states)
    text = filters.table(found, VPC) + balancing.table(services, found, VPC)
    command = [*IN_NAMESPACES, "nft", "-c", "-f", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{text}"
