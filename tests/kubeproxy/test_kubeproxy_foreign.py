"""Rules of others than kube-proxy: what is understood is followed, and the rest is said."""

import json

import kubeproxy_dumps as dumps
import kubeproxy_kernel as kernel
import kubeproxy_objects as make
import pytest
from kubeproxy_objects import HERE, NFTABLES

from eksnet.errors import EksnetError
from eksnet.kubeproxy import (
    Packet,
    Ruleset,
    Settings,
    differences,
    packet_walk,
    packet_walks,
    parse_dump,
    predict,
)

POD, OUTSIDE, NODE = "10.0.129.77", "203.0.113.9", HERE.addresses[0]


def walked(dump, source, destination, port=80, protocol="tcp", **more):
    rules = dump if isinstance(dump, Ruleset) else parse_dump(dump)
    return packet_walk(rules, Packet(source, destination, port, protocol, **more), HERE)


def nat(*rules, more=""):
    lines = "".join(f"-A PREROUTING {rule}\n" for rule in rules)
    heads = ":PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
    return f"*nat\n{heads}{more}{lines}COMMIT\n"


@pytest.fixture(scope="module")
def foreign():
    """What the real nft prints of others' tables."""
    return kernel.through_nft(dumps.FOREIGN_NFT)


@pytest.mark.parametrize("text", [dumps.vpc_cni(), dumps.vpc_cni(out=""), dumps.DOCKER])
def test_the_dumps_are_ones_that_iptables_prints(text):
    assert parse_dump(kernel.through_iptables(text)) == parse_dump(text)


# The VPC CNI.


@pytest.fixture(scope="module")
def eks():
    """An EKS node: the VPC CNI's rules around kube-proxy's in the table nat."""
    rules = predict([make.node_port()], make.three(), HERE, Settings(nfacct=False))
    text = kernel.iptables_text(rules)
    return parse_dump(dumps.vpc_cni(text[text.index("*nat") :]))


@pytest.mark.parametrize(
    ("source", "destination", "port"),
    [(POD, "10.100.7.7", 80), (OUTSIDE, NODE, 30080), (POD, "10.0.145.2", 80)],
)
def test_on_an_eks_node_kube_proxys_part_is_certain(eks, source, destination, port):
    # The CNI's mark is in doubt, for its interfaces are not known; kube-proxy asks for another bit.
    walks = packet_walks(eks, Packet(source, destination, port), HERE)
    assert not any(walk.uncertain for walk in walks)
    assert {row[1] for row in walks.rows} == {"accepted"}


def test_a_packet_that_leaves_the_vpc_is_not_called_untranslated(eks):
    walk = walked(eks, POD, "192.0.2.1")
    (step,) = walk.uncertain
    assert "-j SNAT --to-source 10.0.128.10" in step.rule
    assert (step.matched, step.why) == (False, "cannot tell: outgoing interface vlan+")
    assert walk.summary.endswith("; uncertain, because 1 rule could not be evaluated")
    assert [row[4] for row in walk.matched.rows].count("?") == 1
    assert packet_walks(eks, walk.packet, HERE).rows[0][1] == "accepted, uncertain"


def test_source_nat_is_done():
    walk = walked(dumps.vpc_cni(out=""), POD, "192.0.2.1")
    assert (walk.final.source, walk.final.source_port) == (NODE, 0)
    assert walk.is_masqueraded and not walk.uncertain
    assert walk.summary.endswith("goes to its own destination as a packet of the node")
    inside = walked(dumps.vpc_cni(out=""), POD, "10.0.145.2")
    assert not inside.is_masqueraded and not inside.uncertain


@pytest.mark.parametrize(
    ("target", "source", "port"),
    [
        ("--to-source 192.0.2.7", "192.0.2.7", 40000),
        ("--to-source 192.0.2.7:5000", "192.0.2.7", 5000),
        ("--to-source 192.0.2.7 --random", "192.0.2.7", 0),
        ("--to-source 192.0.2.7-192.0.2.9", POD, 40000),
    ],
)
def test_what_source_nat_makes_of_a_packet(target, source, port):
    rule = f"-A POSTROUTING -p tcp -j SNAT {target}\n"
    walk = walked(nat().replace("COMMIT", f"{rule}COMMIT"), POD, "198.51.100.1")
    assert (walk.final.source, walk.final.source_port) == (source, port)
    assert bool(walk.uncertain) == (source == POD)
    assert ("as a packet of 192.0.2.7" in walk.summary) == (source != POD)


# Marks that nobody can tell.


@pytest.mark.parametrize(
    ("rules", "uncertain"),
    [
        (["-i x -j MARK --set-xmark 0x80/0x80", "-m mark --mark 0x80/0x80 -j DROP"], True),
        (["-i x -j MARK --set-xmark 0x80/0x80", "-m mark --mark 0x40/0x40 -j DROP"], False),
        (
            [
                "-i x -j MARK --set-xmark 0x80/0x80",
                "-j MARK --set-xmark 0x0/0xff",
                "-m mark --mark 0x80/0x80 -j DROP",
            ],
            False,
        ),
        (["-i x -j CONNMARK --set-xmark 0x1/0x1", "-m connmark --mark 0x1/0x1 -j DROP"], True),
        (["-i x -j CONNMARK --set-xmark 0x1/0x1", "-m mark --mark 0x1/0x1 -j DROP"], False),
        (
            [
                "-i x -j CONNMARK --set-xmark 0x1/0x1",
                "-j CONNMARK --restore-mark --nfmask 0x1 --ctmask 0x1",
                "-m mark --mark 0x1/0x1 -j DROP",
            ],
            True,
        ),
        (
            ["-i x -j A", "-m mark --mark 0x1/0x1 -j DROP"],
            True,
        ),
    ],
)
def test_a_mark_in_doubt_counts_where_a_rule_asks_for_its_bit(rules, uncertain):
    more = ":A - [0:0]\n-A A -j MARK --set-xmark 0x1/0x1\n"
    walk = walked(nat(*rules, more=more), POD, "10.0.145.2")
    assert bool(walk.uncertain) == uncertain
    assert walk.verdict == "accepted"


@pytest.mark.parametrize(
    ("rules", "mark"),
    [
        (["-j CONNMARK --set-xmark 0x81/0xff", "-j CONNMARK --restore-mark"], 0x81),
        (
            [
                "-j MARK --set-xmark 0x7/0xff",
                "-j CONNMARK --save-mark --nfmask 0x3 --ctmask 0xff",
                "-j MARK --set-xmark 0x0/0xff",
                "-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff",
            ],
            0x3,
        ),
    ],
)
def test_marks_move_between_a_packet_and_its_connection(rules, mark):
    assert walked(nat(*rules), POD, "10.0.145.2").final.mark == mark


# Docker.


def test_dockers_published_port_is_not_called_untranslated():
    walk = walked(dumps.DOCKER, OUTSIDE, NODE, 8080)
    assert {step.rule for step in walk.uncertain} == {
        "-i docker0 -j RETURN",
        "! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
    }
    # The rest of the chain is for another port: whether it is met makes no difference.
    assert not walked(dumps.DOCKER, OUTSIDE, NODE, 30080).uncertain


def test_a_dropping_policy_is_uncertain_where_an_accepting_rule_may_apply():
    walk = walked(dumps.DOCKER, POD, "10.0.145.2")
    assert walk.verdict == "dropped"
    assert "-i docker0 -o docker0 -j ACCEPT" in {step.rule for step in walk.uncertain}
    assert "uncertain" in walk.summary


# Calico.


def test_calicos_policy_is_not_called_accepting():
    walk = walked(dumps.CALICO, POD, "10.0.145.2")
    assert walk.verdict == "accepted"
    assert {step.chain for step in walk.uncertain} == {"cali-FORWARD", "cali-nat-outgoing"}


# Conditions and effects that are not known.


@pytest.mark.parametrize(
    ("rule", "uncertain"),
    [
        ("! -i docker0 -j DROP", True),
        ("-m set ! --match-set s src -j DROP", True),
        ("-m addrtype ! --dst-type UNICAST -j DROP", True),
        ("-m recent --rcheck --seconds 60 --hitcount 4 --name s --rsource -j DROP", False),
        ("-m statistic --mode nth --every 3 --packet 0 -j DROP", True),
        ("-i docker0 -j LOG --log-prefix x", False),
        ("-i docker0", False),
        ("-i docker0 -p udp -j DROP", False),
        ("-m hashlimit --hashlimit-name x -j EMPTY", False),
        ("-m hashlimit --hashlimit-name x -j FULL", True),
        ("-j NFQUEUE --queue-num 0", True),
        ("-j REDIRECT", True),
        # Too late in nat: the kernel has looked the packet up.
        ("-j CT --notrack", False),
    ],
)
def test_what_is_uncertain(rule, uncertain):
    more = ":EMPTY - [0:0]\n:FULL - [0:0]\n-A FULL -p tcp -j DROP\n"
    walk = walked(nat(rule, more=more), POD, "10.0.145.2")
    assert walk.verdict == "accepted"
    assert bool(walk.uncertain) == uncertain


# What iptables-legacy-save 1.8.9 prints where its libraries lack the revisions of the rules.
UNSUPPORTED = (
    "-p tcp -m addrtype [unsupported revision] -j DNAT [unsupported revision]",
    "-p tcp -m mark --mark 0x1 -j MARK [unsupported revision]",
    '-p tcp -m comment --comment "x y" -j DNAT [unsupported revision]',
)


def test_a_rule_of_another_version_is_kept_as_not_followed_with_what_to_do():
    rules = parse_dump(nat(*UNSUPPORTED, "-p tcp -j MARK --set-xmark 0x1/0x1"))
    walk = packet_walk(rules, Packet(POD, "10.0.145.2", 80, mark=1), HERE)
    assert [step.rule for step in walk.uncertain] == list(UNSUPPORTED)
    assert all("run the iptables-save of the version that wrote it" in step.why
               for step in walk.uncertain)  # fmt: skip
    # The rest of the dump is read.
    assert (len(walk), walk.final.mark, walk.verdict) == (4, 1, "accepted")


@pytest.mark.parametrize(
    "rule",
    [
        # What iptables-nft-save prints of a revision that it takes for another one.
        "-j DNAT --to-destination :0 --persistent",
        "-j MARK --set-mark 0xffffffff00000004",
        "-j MARK --and-mark 0x4",
        "-j SNAT --random",
        "-m addrtype [unsupported revision]",
        "-m addrtype ! [unsupported revision] -j DROP",
        "-j REJECT [unsupported revision]",
        "-j MASQUERADE [unsupported revision]",
        "-j CONNMARK [unsupported revision]",
    ],
)
def test_one_rule_in_other_words_does_not_make_a_dump_unusable(rule):
    rules = parse_dump(nat(rule))
    assert rules.chains["nat", "PREROUTING"].rules == (rule,)
    walk = packet_walk(rules, Packet(POD, "10.0.145.2", 80), HERE)
    assert walk.verdict == "accepted"
    assert bool(walk.uncertain) == ("-j" in rule)


# Tables of nftables.


def test_foreign_tables_do_not_make_a_dump_unusable(foreign):
    rules = predict([make.service()], make.three(), HERE, NFTABLES)
    both = parse_dump(kernel.through_nft(kernel.nft_text(rules) + dumps.FOREIGN_NFT))
    assert not differences(rules, both)
    assert {chain.table for chain in both.chains.values()} == {
        "kube-proxy", "inet firewall", "firewall", "router",
    }  # fmt: skip
    ends = {walk.backend for walk in packet_walks(both, Packet(POD, "10.100.7.7", 80), HERE)}
    assert len(ends) == 3
    assert both.maps["inet firewall", "hosts"] == {"10.9.9.9": "10.0.145.2"}


def test_two_families_may_have_a_table_and_a_chain_of_one_name(foreign):
    assert walked(foreign, "203.0.113.66", NODE).verdict == "dropped"
    assert walked(foreign, "203.0.113.77", NODE).verdict == "rejected"


TRUSTED = "is in @trusted; protocol is tcp"


@pytest.mark.parametrize(
    ("source", "port", "protocol", "why"),
    [
        ("10.2.0.1", 22, "tcp", f"source 10.2.0.1 {TRUSTED}; destination port 22 is @open"),
        ("192.0.2.5", 80, "tcp", f"source 192.0.2.5 {TRUSTED}; destination port 80 is @open"),
        ("192.0.2.10", 80, "tcp", "source 192.0.2.10 is not in @trusted"),
        ("10.2.0.1", 81, "tcp", "destination port 81 is not @open"),
        ("10.2.0.1", 22, "udp", "protocol udp is not tcp"),
    ],
)
def test_named_sets_of_networks_ranges_and_ports(foreign, source, port, protocol, why):
    steps = walked(foreign, source, NODE, port, protocol)
    assert [step.why for step in steps if "@trusted" in step.rule] == [why]


def test_a_map_of_states_is_no_condition_on_a_state_called_vmap(foreign):
    (step,) = [step for step in walked(foreign, POD, NODE) if "ct state" in step.rule]
    assert (step.matched, step.certain) == (False, True)
    hook = "type filter hook input priority 0;"
    new = f"table ip t {{ chain c {{ {hook} ct state vmap {{ new : drop }}; }}; }}"
    assert walked(kernel.through_nft(new), POD, NODE).verdict == "dropped"


def test_source_nat_of_nft(foreign):
    walk = walked(foreign, "10.0.129.5", "192.0.2.1")
    assert (walk.final.source, walk.final.source_port) == (NODE, 0)
    many = walked(foreign, "10.0.130.5", "192.0.2.1")
    assert any("snat to 10.0.128.10:4000-5000" in step.rule for step in many.uncertain)


def test_rules_of_iptables_seen_by_nft_are_refused_with_what_to_do():
    rules = predict([make.service()], make.three(), HERE, Settings(nfacct=False))
    text = kernel.iptables_text(rules)
    with pytest.raises(EksnetError, match="kube-proxy on this node is in mode iptables") as error:
        parse_dump(kernel.iptables_seen_by_nft(text))
    assert "iptables-save" in error.value.next_step


def test_rules_of_iptables_beside_kube_proxys_own_table_are_others():
    rules = predict([make.service()], make.three(), HERE, NFTABLES)
    own = json.loads(kernel.through_nft(kernel.nft_text(rules)))["nftables"]
    others = json.loads(kernel.iptables_seen_by_nft(dumps.vpc_cni(out="")))["nftables"]
    both = parse_dump(json.dumps({"nftables": own + others}))
    assert not differences(rules, both)
    assert walked(both, POD, "192.0.2.1").uncertain


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"nftables": []}', "the dump has no chain for IPv4"),
        ('{"nftables": [{"metainfo": {"version": "1.0.6"}}]}', "the dump has no chain for IPv4"),
        (nat() + nat(), "line 5: the table nat"),
        (
            nat(more="-A PREROUTING -j DROP\n:PREROUTING ACCEPT [0:0]\n"),
            "line 5: the chain PREROUTING",
        ),
        (nat("-j KUBE-SERVICES"), "line 4: no chain KUBE-SERVICES in the table nat"),
        (nat("-g ELSEWHERE"), "line 4: no chain ELSEWHERE in the table nat"),
    ],
)
def test_what_would_be_read_wrongly_is_refused(text, seen):
    with pytest.raises(EksnetError) as error:
        parse_dump(text)
    assert error.value.seen.startswith(seen)
    assert error.value.next_step


def test_a_chain_that_is_listed_twice_before_its_rules_loses_none():
    dump = parse_dump(nat("-j DROP", more=":PREROUTING ACCEPT [0:0]\n"))
    assert dump == parse_dump(nat("-j DROP"))


NOWHERE = {"goto": {"target": "nowhere"}}
BY_STATE = {"key": {"ct": {"key": "state"}}, "data": {"set": [["new", NOWHERE]]}}


@pytest.mark.parametrize("expression", [NOWHERE, {"vmap": BY_STATE}], ids=["goto", "vmap"])
def test_a_chain_of_nft_that_is_not_there_is_named(expression):
    place = {"family": "ip", "table": "t", "chain": "c"}
    objects = [
        {"chain": {"family": "ip", "table": "t", "name": "c"}},
        {"rule": {**place, "expr": [expression]}},
    ]
    with pytest.raises(EksnetError, match="object 2 of `nftables` leads to nowhere"):
        parse_dump(json.dumps({"nftables": objects}))


RAW = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n"
DNS_RULES = "-A PREROUTING -d 10.100.0.10/32 -p udp -m udp --dport 53 -j CT --notrack\n"


def test_an_untracked_packet_passes_nat_by_and_leaves_no_entry():
    rules = RAW.format(rules=DNS_RULES) + nat("-p udp -j DNAT --to-destination 10.0.145.2:53")
    walk = walked(rules, POD, "10.100.0.10", 53, "udp")
    assert (walk.is_tracked, walk.connection, walk.uncertain) == (False, None, ())
    assert walk.final.destination == "10.100.0.10"
    other = walked(rules, POD, "10.100.0.11", 53, "udp")
    assert (other.is_tracked, other.final.destination) == (True, "10.0.145.2")


@pytest.mark.parametrize(
    ("target", "port"),
    [
        ("MASQUERADE", 40000),
        ("MASQUERADE --random", 0),
        ("MASQUERADE --random-fully", 0),
        ("MASQUERADE --to-ports 5000", 5000),
        ("MASQUERADE --to-ports 5000-6000", 0),
    ],
)
def test_masquerading_keeps_the_source_port_unless_told_otherwise(target, port):
    rule = f"-A POSTROUTING -p tcp -j {target}\n"
    walk = walked(nat().replace("COMMIT", f"{rule}COMMIT"), POD, "198.51.100.1")
    assert (walk.final.source, walk.final.source_port) == (NODE, port)
