"""What the rules do, case by case and in both modes: which packets arrive where, and as whose."""

import kubeproxy_objects as make
import pytest
from kubeproxy_objects import HERE, IPTABLES, NFTABLES, THERE, endpoint, slices

from eksnet.errors import EksnetError
from eksnet.kubeproxy import Packet, Settings, differences, packet_walks, predict
from eksnet.kubeproxy.nftables import anonymous

CLUSTER_IP = Packet("10.0.129.77", "10.100.7.7", 80)
FROM_NODE = Packet("10.0.128.10", "10.100.7.7", 80)
NODE_PORT = Packet("203.0.113.9", "10.0.128.10", 30080)
LOAD_BALANCER = Packet("203.0.113.9", "198.51.100.7", 80)
HAIRPIN = Packet("10.0.129.1", "10.100.7.7", 80)

FIRST, SECOND, THIRD = "10.0.129.1:8080", "10.0.145.2:8080", "10.0.145.3:8080"
ALL = {FIRST, SECOND, THIRD}


@pytest.fixture(params=[IPTABLES, NFTABLES], ids=["iptables", "nftables"])
def settings(request):
    return request.param


def outcome(service, found, packet, settings, node=HERE):
    """Return where a packet may end up, or its verdict, and whether the node stands in for it."""
    walks = packet_walks(predict([service], found, node, settings), packet, node)
    return {(walk.backend or walk.verdict, walk.is_masqueraded) for walk in walks}


def kept(*backends):
    """The packet keeps its source."""
    return {(backend, False) for backend in backends}


def masqueraded(*backends):
    """The packet gets the node's address as its source."""
    return {(backend, True) for backend in backends}


NOT_READY = slices(endpoint("10.0.129.1", ready=False, serving=False))
TERMINATING = slices(
    endpoint("10.0.129.1", "node-a", ready=False, serving=True, terminating=True),
    endpoint("10.0.145.2", "node-b", ready=False, serving=False, terminating=True),
)
LOCAL = {"externalTrafficPolicy": "Local"}
INTERNAL_LOCAL = {"internalTrafficPolicy": "Local"}
ELSEWHERE = slices(endpoint("10.0.145.2", "node-b"), endpoint("10.0.145.3", "node-b"))
ZONES = slices(
    endpoint("10.0.129.1", hints={"forZones": [{"name": "zone-a"}]}),
    endpoint("10.0.145.2", hints={"forZones": [{"name": "zone-b"}]}),
)
NODES = slices(
    endpoint("10.0.129.1", hints={"forNodes": [{"name": "node-b"}]}),
    endpoint("10.0.145.2", hints={"forNodes": [{"name": "node-a"}]}),
)
HALF_HINTED = slices(
    endpoint("10.0.129.1"), endpoint("10.0.145.2", hints={"forZones": [{"name": "zone-a"}]})
)
DROPPED, REJECTED = {("dropped", False)}, {("rejected", False)}


@pytest.mark.parametrize(
    ("service", "found", "packet", "expected"),
    [
        pytest.param(make.service(), make.three(), CLUSTER_IP, kept(*ALL), id="ClusterIP"),
        pytest.param(make.service(), make.three(), FROM_NODE, kept(*ALL), id="from the node"),
        pytest.param(
            make.service(),
            make.three(),
            HAIRPIN,
            masqueraded(FIRST) | kept(SECOND, THIRD),
            id="a pod that reaches itself",
        ),
        pytest.param(make.service(), [], CLUSTER_IP, REJECTED, id="no endpoints"),
        pytest.param(make.service(), NOT_READY, CLUSTER_IP, REJECTED, id="none ready"),
        pytest.param(
            make.service(), TERMINATING, CLUSTER_IP, kept(FIRST), id="only terminating ones"
        ),
        pytest.param(make.node_port(), make.three(), NODE_PORT, masqueraded(*ALL), id="NodePort"),
        pytest.param(make.node_port(), [], NODE_PORT, REJECTED, id="NodePort, no endpoints"),
        pytest.param(
            make.node_port(**LOCAL), make.three(), NODE_PORT, kept(FIRST), id="external Local"
        ),
        pytest.param(
            make.node_port(**LOCAL), ELSEWHERE, NODE_PORT, DROPPED, id="external Local, none here"
        ),
        pytest.param(
            make.node_port(**LOCAL), ELSEWHERE, CLUSTER_IP, kept(SECOND, THIRD), id="from inside"
        ),
        pytest.param(
            make.service(**INTERNAL_LOCAL),
            make.three(),
            CLUSTER_IP,
            kept(FIRST),
            id="internal Local",
        ),
        pytest.param(
            make.service(**INTERNAL_LOCAL), ELSEWHERE, CLUSTER_IP, DROPPED, id="internal, none here"
        ),
        pytest.param(
            make.service(externalIPs=["203.0.113.80"]),
            make.three(),
            Packet("203.0.113.9", "203.0.113.80", 80),
            masqueraded(*ALL),
            id="external IP",
        ),
        pytest.param(
            make.load_balancer(), make.three(), LOAD_BALANCER, masqueraded(*ALL), id="balancer"
        ),
        pytest.param(
            make.load_balancer("203.0.113.0/24"),
            make.three(),
            LOAD_BALANCER,
            masqueraded(*ALL),
            id="balancer, from a source range",
        ),
        pytest.param(
            make.load_balancer("192.0.2.0/24"),
            make.three(),
            LOAD_BALANCER,
            DROPPED,
            id="balancer, from elsewhere",
        ),
        pytest.param(
            make.load_balancer("192.0.2.0/24", "0.0.0.0/0"),
            make.three(),
            LOAD_BALANCER,
            masqueraded(*ALL),
            id="balancer for everybody",
        ),
        pytest.param(
            make.load_balancer(mode="Proxy"),
            make.three(),
            LOAD_BALANCER,
            kept("198.51.100.7:80"),
            id="balancer in mode Proxy",
        ),
        pytest.param(make.service(), ZONES, CLUSTER_IP, kept(FIRST), id="hints for the zone"),
        pytest.param(make.service(), NODES, CLUSTER_IP, kept(SECOND), id="hints for the node"),
        pytest.param(
            make.service(), HALF_HINTED, CLUSTER_IP, kept(FIRST, SECOND), id="hints for some"
        ),
    ],
)
def test_where_packets_go(service, found, packet, expected, settings):
    assert outcome(service, found, packet, settings) == expected


@pytest.mark.parametrize(
    "service",
    [
        make.service(clusterIP="None"),
        make.service(type="ExternalName", clusterIP="", externalName="example.com"),
        make.service(labels={"service.kubernetes.io/service-proxy-name": "another"}),
        make.service(labels={"service.kubernetes.io/headless": ""}),
        make.service(clusterIP="fd00::7", clusterIPs=["fd00::7"]),
    ],
    ids=["headless", "ExternalName", "another proxy's", "headless by its label", "IPv6"],
)
def test_services_without_rules(service, settings):
    assert not differences(
        predict([service], make.three(), HERE, settings), predict([], [], HERE, settings)
    )


def test_slices_of_headless_services_count_for_nobody(settings):
    found = slices(endpoint("10.0.129.1"), labels={"service.kubernetes.io/headless": ""})
    assert outcome(make.service(), found, CLUSTER_IP, settings) == REJECTED


def test_each_way_has_its_share(settings):
    walks = packet_walks(predict([make.service()], make.three(), HERE, settings), CLUSTER_IP, HERE)
    assert [walk.share for walk in walks] == pytest.approx([1 / 3] * 3, abs=1e-6)


def test_a_packet_that_no_service_owns_goes_on(settings):
    elsewhere = Packet("10.0.129.77", "10.0.145.2", 8080)
    found = outcome(make.service(), make.three(), elsewhere, settings)
    assert found == kept(SECOND)


def test_a_cluster_ip_answers_no_ping_and_says_so_in_nftables_alone():
    ping = Packet("10.0.129.77", "10.100.7.7", protocol="icmp")
    found = [
        outcome(make.service(), make.three(), ping, settings) for settings in (IPTABLES, NFTABLES)
    ]
    assert found == [kept("10.100.7.7"), REJECTED]


def test_mode_nftables_drops_what_no_service_owns():
    settings = Settings(mode="nftables", service_cidrs=("10.100.0.0/16",))
    nobody = Packet("10.0.129.77", "10.100.9.9", 80)
    assert outcome(make.service(), make.three(), nobody, settings) == DROPPED


def test_the_loopback_address_serves_node_ports_in_iptables_alone():
    packet = Packet("127.0.0.1", "127.0.0.1", 30080)
    found = [
        outcome(make.node_port(), make.three(), packet, settings)
        for settings in (IPTABLES, Settings(localhost_node_ports=False), NFTABLES)
    ]
    nothing = kept("127.0.0.1:30080")
    assert found == [masqueraded(*ALL), nothing, nothing]


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_node_ports_on_some_addresses_alone(mode):
    settings = Settings(mode=mode, node_port_addresses=("10.0.192.0/24",))
    there = Packet("203.0.113.9", "10.0.192.5", 30080)
    node = type(HERE)("node-a", (*HERE.addresses, "10.0.192.5"))
    service = make.node_port()
    assert outcome(service, make.three(), there, settings, node) == masqueraded(*ALL)
    refused = outcome(service, make.three(), NODE_PORT, settings, node)
    assert refused == kept("10.0.128.10:30080")


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_with_the_pods_network_known_strangers_are_masqueraded(mode):
    settings = Settings(mode=mode, cluster_cidr="10.0.129.0/24")
    found = [
        outcome(make.service(), make.three(), packet, settings)
        for packet in (CLUSTER_IP, FROM_NODE)
    ]
    assert found == [kept(*ALL), masqueraded(*ALL)]


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_masquerade_all(mode):
    settings = Settings(mode=mode, masquerade_all=True)
    assert outcome(make.service(), make.three(), CLUSTER_IP, settings) == masqueraded(*ALL)


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_local_is_open_to_the_node_itself(mode):
    settings = Settings(mode=mode)
    packet = Packet("10.0.128.10", "10.0.128.10", 30080)
    service = make.node_port(**LOCAL)
    assert outcome(service, ELSEWHERE, packet, settings) == masqueraded(SECOND, THIRD)


def test_each_node_has_its_own_local_endpoints(settings):
    service, found = make.node_port(**LOCAL), make.three()
    there = Packet("203.0.113.9", "10.0.144.10", 30080)
    assert outcome(service, found, NODE_PORT, settings) == kept(FIRST)
    assert outcome(service, found, there, settings, THERE) == kept(SECOND, THIRD)


def test_a_client_is_remembered(settings):
    service = make.service(sessionAffinity="ClientIP")
    rules = predict([service], make.three(), HERE, settings)
    first = packet_walks(rules, CLUSTER_IP, HERE).to("10.0.145.2")
    again = packet_walks(rules, CLUSTER_IP, HERE, remembered=first.remembered)
    assert len(first.remembered) == 1
    assert [(walk.backend, walk.share) for walk in again] == [(SECOND, 1.0)]


def test_how_long_a_client_is_remembered():
    config = {"clientIP": {"timeoutSeconds": 7}}
    service = make.service(sessionAffinity="ClientIP", sessionAffinityConfig=config)
    recent = predict([service], make.three(), HERE, IPTABLES).about(service)
    assert sum("--rcheck --seconds 7 --reap" in line.text for line in recent) == 3
    sets = predict([service], make.three(), HERE, NFTABLES).sets
    found = [one.timeout for (_, name), one in sets.items() if name.startswith("affinity-")]
    assert found == [7] * 3


def test_ports_with_the_same_number_and_different_protocols(settings):
    ports = [{"name": name, "protocol": name.upper(), "port": 53} for name in ("udp", "tcp")]
    found = slices(
        endpoint("10.0.129.1"), ports=[{**port, "port": 5353 + n} for n, port in enumerate(ports)]
    )
    service = make.service(ports=ports)
    rules = predict([service], found, HERE, settings)
    ends = [
        packet_walks(rules, Packet("10.0.129.77", "10.100.7.7", 53, protocol), HERE)[0].backend
        for protocol in ("udp", "tcp")
    ]
    assert ends == ["10.0.129.1:5353", "10.0.129.1:5354"]


def test_an_endpoint_in_two_slices_counts_once(settings):
    twice = [*slices(endpoint("10.0.129.1")), *slices(endpoint("10.0.129.1"))]
    assert outcome(make.service(), twice, CLUSTER_IP, settings) == kept(FIRST)


def test_a_service_without_an_address_is_refused():
    with pytest.raises(EksnetError, match="web has no clusterIP yet"):
        predict([make.service(clusterIP="")], [], HERE)


def test_a_mode_that_is_none_is_refused_with_the_ones_there_are():
    with pytest.raises(EksnetError, match="no mode 'ipvs'") as error:
        Settings(mode="ipvs")
    assert "iptables or nftables" in error.value.expected


def test_the_rules_of_one_service_alone(settings):
    two = [make.service(), make.service("other", clusterIP="10.100.8.8")]
    other = slices(endpoint("10.0.129.9"), name="other")
    rules = predict(two, [*make.three(), *other], HERE, settings)
    alone = predict(two[:1], make.three(), HERE, settings)
    found = rules.about(two[0])
    assert [line.text for line in found] == [line.text for line in alone.about(two[0])]
    assert found and not any("other" in line.text or "10.100.8.8" in line.text for line in found)


def test_differences_name_the_side_and_the_rule():
    rules = predict([make.service()], make.three(), HERE, IPTABLES)
    other = predict([make.service()], slices(endpoint("10.0.145.9")), HERE, IPTABLES)
    assert not differences(rules, rules)
    found = differences(rules, other)
    assert found and {row[0] for row in found.rows} == {"predicted only", "observed only"}
    assert any(FIRST in line.text for line in found)


def test_what_one_side_lacks_is_named_on_the_other_alone():
    rules = predict([make.service()], make.three(), HERE, IPTABLES)
    fewer = predict([make.service()], ELSEWHERE, HERE, IPTABLES)
    assert {row[0] for row in differences(rules, fewer).rows} == {"predicted only"}


@pytest.mark.parametrize(
    ("addresses", "printed"),
    [
        # As nft 1.0.6 prints them back.
        (["192.0.2.0/25", "192.0.2.128/25"], "{ 192.0.2.0/24 }"),
        (["192.0.2.0/24", "192.0.2.128"], "{ 192.0.2.0/24 }"),
        (["192.0.2.0/24", "192.0.3.0/25"], "{ 192.0.2.0-192.0.3.127 }"),
        (["192.0.2.4", "192.0.2.5"], "{ 192.0.2.4, 192.0.2.5 }"),
        (["192.0.2.4", "192.0.2.5", "10.0.0.0/8"], "{ 10.0.0.0/8, 192.0.2.4/31 }"),
        (["10.0.0.0/16", "192.0.2.5", "192.0.2.6"], "{ 10.0.0.0/16, 192.0.2.5-192.0.2.6 }"),
        (["10.0.0.0/16", "192.0.2.5"], "{ 10.0.0.0/16, 192.0.2.5 }"),
        (["0.0.0.0/1", "128.0.0.0/1"], "{ 0.0.0.0/0 }"),
        (["192.0.2.0/24"], "192.0.2.0/24"),
    ],
)
def test_networks_that_overlap_or_touch_are_one(addresses, printed):
    assert anonymous(addresses) == printed


@pytest.mark.parametrize(("source", "comes_in"), [("192.0.3.9", True), ("192.0.3.200", False)])
def test_a_source_in_a_joined_range_comes_in(settings, source, comes_in):
    service = make.load_balancer("192.0.2.0/24", "192.0.3.0/25")
    found = outcome(service, make.three(), Packet(source, "198.51.100.7", 80), settings)
    assert (found == masqueraded(*ALL)) == comes_in
