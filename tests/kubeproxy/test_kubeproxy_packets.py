"""The packet walk beside real packets: the kernel decides."""

import kubeproxy_kernel as kernel
import kubeproxy_packets as packets
import pytest
from kubeproxy_objects import HERE

from eksnet.kubeproxy import Packet, packet_walk, parse_dump

AWAY, DNS, OTHER_DNS, BACKEND = "198.51.100.1", "10.100.0.10", "10.100.0.11", "10.0.145.2"
EVERYWHERE = (AWAY, DNS, OTHER_DNS, BACKEND)
NAT = "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n{}COMMIT\n"
DNAT = f"-A PREROUTING -p udp -m udp --dport 53 -j DNAT --to-destination {BACKEND}:53\n"
NOTRACK = f"""\
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d {DNS}/32 -p udp -m udp --dport 53 -j CT --notrack
COMMIT
"""
NFT_NOTRACK = f"""\
table ip walk {{
chain first {{
type filter hook prerouting priority raw; policy accept;
ip daddr {DNS} udp dport 53 notrack
}}
chain second {{
type nat hook prerouting priority dstnat; policy accept;
udp dport 53 dnat to {BACKEND}:53
}}
}}
"""


def packet(destination, port):
    return Packet(packets.CLIENT, destination, port, "udp", 40000)


def walked(rules, one):
    dump = kernel.through_nft(rules) if "table ip" in rules else rules
    return packet_walk(parse_dump(dump), one, HERE)


def masquerading(how):
    return NAT.format(f"-A POSTROUTING -p udp -j MASQUERADE{how}\n")


def nft_masquerading(how):
    return (
        "table ip walk {\nchain one {\ntype nat hook postrouting priority srcnat; policy accept;\n"
        f"meta l4proto udp masquerade{how}\n}}\n}}\n"
    )


@pytest.mark.parametrize(
    ("rules", "ports"),
    [
        (masquerading(""), {40000}),
        (masquerading(" --random-fully"), set(range(1024, 65536)) - {40000}),
        (masquerading(" --to-ports 5000"), {5000}),
        (masquerading(" --to-ports 5000-5009"), set(range(5000, 5010))),
        (nft_masquerading(""), {40000}),
        (nft_masquerading(" fully-random"), set(range(1024, 65536)) - {40000}),
    ],
)
def test_masquerading_keeps_the_source_port_unless_told_otherwise(rules, ports):
    one = packet(AWAY, 80)
    walk, seen = walked(rules, one), packets.sent(rules, one, *EVERYWHERE)
    assert seen.packet.source == walk.final.source == packets.ROUTER
    assert seen.packet.source_port in ports
    assert walk.final.source_port == (ports.pop() if len(ports) == 1 else 0)
    assert (seen.packet.destination, seen.packet.port) == (AWAY, 80)
    (entry,) = seen.entries.values()
    assert entry.original == walk.connection.original


@pytest.mark.parametrize("rules", [NOTRACK + NAT.format(DNAT), NFT_NOTRACK])
def test_an_untracked_packet_passes_nat_by_and_leaves_no_entry(rules):
    one = packet(DNS, 53)
    walk, seen = walked(rules, one), packets.sent(rules, one, *EVERYWHERE)
    assert (walk.is_tracked, walk.connection, walk.uncertain) == (False, None, ())
    assert walk.summary == f"{one} goes on unchanged and untracked: no rule of nat applies to it"
    assert seen.packet == walk.final == one
    assert seen.entries == {}


@pytest.mark.parametrize("rules", [NOTRACK + NAT.format(DNAT), NFT_NOTRACK])
def test_any_other_packet_of_these_rules_is_translated_and_has_its_entry(rules):
    one = packet(OTHER_DNS, 53)
    walk, seen = walked(rules, one), packets.sent(rules, one, *EVERYWHERE)
    assert seen.packet == walk.final == Packet(packets.CLIENT, BACKEND, 53, "udp", 40000)
    (entry,) = seen.entries.values()
    assert (entry.original, entry.reply) == (walk.connection.original, walk.connection.reply)
