"""Rules that ask for interfaces: the walk takes them, and the kernel says whether it is right."""

import kubeproxy_kernel as kernel
import kubeproxy_packets as packets
import pytest
from kubeproxy_objects import HERE
from test_kubeproxy_foreign import eks

from eksnet.errors import EksnetError
from eksnet.kubeproxy import Packet, packet_walk, packet_walks, parse_dump

__all__ = ["eks"]
POD, NODE, AWAY = "10.0.129.77", HERE.addresses[0], "198.51.100.1"
IN, OUT = "clients", "servers"
ONE = Packet(packets.CLIENT, AWAY, 80, "udp")
HEADS = """\
*{table}
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:ASIDE - [0:0]
{rules}COMMIT
"""


def nat(*rules, table="nat"):
    return HEADS.format(table=table, rules="".join(f"-A {rule}\n" for rule in rules))


def nft(condition):
    return (
        "table ip walk {\nchain out {\ntype nat hook postrouting priority srcnat; policy accept;\n"
        f"{condition} meta l4proto udp snat to 10.0.128.10:5000\n}}\n}}\n"
    )


SNAT = "-p udp -j SNAT --to-source 10.0.128.10:5000"
# By rule: whether it applies to a packet from the client to the server.
RULES = {
    f"POSTROUTING -o {OUT} {SNAT}": True,
    f"POSTROUTING -o {IN} {SNAT}": False,
    f"POSTROUTING ! -o {OUT} {SNAT}": False,
    f"POSTROUTING ! -o vlan+ {SNAT}": True,
    f"POSTROUTING -o serv+ {SNAT}": True,
    f"POSTROUTING -o serversx+ {SNAT}": False,
    f"POSTROUTING -o server {SNAT}": False,
    f"POSTROUTING -o + {SNAT}": True,
}


@pytest.mark.parametrize("rule", RULES)
def test_the_way_out_is_as_the_kernel_has_it(rule):
    rules = nat(rule)
    seen = packets.sent(rules, ONE, AWAY)
    assert (seen.packet.source_port == 5000) == RULES[rule]
    walk = packet_walk(parse_dump(rules), ONE, HERE, incoming=IN, outgoing=OUT)
    assert walk.uncertain == ()
    assert walk.final == seen.packet


# A mark that a rule sets where it applies is seen in the source port.
MARKING = {
    "-i clients": ("PREROUTING", True),
    "! -i clients": ("PREROUTING", False),
    "-i cli+": ("PREROUTING", True),
    "-i eni+": ("PREROUTING", False),
    # A chain aside may ask for what its hook does not have.
    "-o servers": ("PREROUTING", False),
    "! -o servers": ("PREROUTING", True),
    "-i clients ": ("POSTROUTING", True),
    "! -i eni+ ": ("POSTROUTING", True),
}


@pytest.mark.parametrize("condition", MARKING)
def test_what_each_hook_knows_is_as_the_kernel_has_it(condition):
    hook, applies = MARKING[condition]
    mark = f"ASIDE {condition} -j MARK --set-xmark 0x1/0x1"
    rules = nat(f"{hook} -j ASIDE", mark, f"POSTROUTING -m mark --mark 0x1/0x1 {SNAT}")
    seen = packets.sent(rules, ONE, AWAY)
    assert (seen.packet.source_port == 5000) == applies
    walk = packet_walk(parse_dump(rules), ONE, HERE, incoming=IN, outgoing=OUT)
    assert (walk.uncertain, walk.final.source_port) == ((), seen.packet.source_port)


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        ('oifname "servers"', True),
        ('oifname != "vlan*"', True),
        ('oifname "serv*"', True),
        ('iifname { "clients", "eth0" }', True),
        ('iifname "eni*"', False),
    ],
)
@pytest.mark.parametrize("text", [False, True], ids=["json", "text"])
def test_the_interfaces_of_nft_are_as_the_kernel_has_them(condition, applies, text):
    rules = nft(condition)
    command = ["sh", "-c", "nft -f /dev/stdin && nft list ruleset"]
    dump = kernel._run(command, rules) if text else kernel.through_nft(rules)
    seen = packets.sent(rules, ONE, AWAY)
    assert (seen.packet.source_port == 5000) == applies
    walk = packet_walk(parse_dump(dump), ONE, HERE, incoming=IN, outgoing=OUT)
    assert (walk.uncertain, walk.final) == ((), seen.packet)


# EKS.


@pytest.mark.parametrize(
    ("destination", "outgoing", "source"),
    [(AWAY, "eth0", NODE), (AWAY, "vlan1", POD), ("10.0.145.2", "eth0", POD)],
)
def test_the_chain_of_aws_ends_in_an_answer(eks, destination, outgoing, source):
    one = Packet(POD, destination, 443)
    walk = packet_walk(eks, one, HERE, incoming="eni1234", outgoing=outgoing)
    assert walk.uncertain == ()
    assert walk.final.source == source
    assert "uncertain" not in walk.summary
    # Without the interfaces nobody can tell, where the VPC is left.
    assert bool(packet_walk(eks, one, HERE).uncertain) == (destination == AWAY)


def test_a_packet_to_the_node_itself_takes_the_loopback_device():
    rules = parse_dump(nat("POSTROUTING -o lo -j ACCEPT", "POSTROUTING -j DROP", table="mangle"))
    assert packet_walk(rules, Packet(NODE, "127.0.0.1", 80), HERE).verdict == "accepted"
    away = packet_walk(rules, Packet(NODE, AWAY, 80), HERE, outgoing="eth0")
    assert (away.verdict, away.uncertain) == ("dropped", ())


def test_rules_of_output_see_another_way_than_the_last():
    rules = "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -o eth0 -j DROP\nCOMMIT\n"
    walk = packet_walk(parse_dump(rules), Packet(NODE, AWAY, 80), HERE, outgoing="eth0")
    assert len(walk.uncertain) == 1


@pytest.mark.parametrize("name", ["eth0/x", "a b", "sixteen-letters-x", "eth0\n"])
@pytest.mark.parametrize("side", ["incoming", "outgoing"])
def test_what_is_no_interface_is_refused(eks, name, side):
    with pytest.raises(EksnetError, match=f"the {side} interface"):
        packet_walks(eks, ONE, HERE, **{side: name})
