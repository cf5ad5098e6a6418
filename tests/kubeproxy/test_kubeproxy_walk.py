"""The packet walk, step by step."""

import itertools

import kubeproxy_objects as make
import pytest
from kubeproxy_objects import HERE, IPTABLES, NFTABLES

from eksnet.errors import EksnetError
from eksnet.kubeproxy import (
    Packet,
    Settings,
    example,
    packet_walk,
    packet_walks,
    parse_dump,
    predict,
)

CLIENT = Packet("10.0.129.77", "10.100.7.7", 80)


@pytest.fixture(params=[IPTABLES, NFTABLES], ids=["iptables", "nftables"])
def rules(request):
    return predict([make.node_port()], make.three(), HERE, request.param)


def filtered(*rules, more=""):
    """Return a dump with some rules in FORWARD, where every packet to elsewhere passes."""
    lines = "".join(f"-A FORWARD {rule}\n" for rule in rules)
    return parse_dump(f"*filter\n:FORWARD ACCEPT [0:0]\n{more}{lines}COMMIT\n")


def test_each_step_begins_where_the_one_before_ended(rules):
    for walk in packet_walks(rules, Packet("203.0.113.9", "10.0.128.10", 30080), HERE):
        assert [step.number for step in walk] == list(range(1, len(walk) + 1))
        assert walk[0].before == walk.packet and walk[-1].after == walk.final
        for one, other in itertools.pairwise(walk):
            assert one.after == other.before
        assert all(step.before == step.after for step in walk if not step.matched)
        assert all(step.rule in rules.chains[step.table, step.chain].rules for step in walk)
        assert all(step.why for step in walk)


def test_the_steps_that_change_the_packet(rules):
    (walk, *_) = packet_walks(rules, Packet("203.0.113.9", "10.0.128.10", 30080), HERE)
    changes = [(step.before, step.after) for step in walk if step.before != step.after]
    marked, translated, cleared, left = (after for _, after in changes)
    assert (marked.mark, marked.destination) == (0x4000, "10.0.128.10")
    assert (translated.destination, translated.port) == ("10.0.129.1", 8080)
    assert (cleared.mark, cleared.source) == (0, "203.0.113.9")
    assert (left.source, left.source_port) == ("10.0.128.10", 0)


def test_the_shares_of_all_ways_add_up(rules):
    walks = packet_walks(rules, CLIENT, HERE)
    assert sum(walk.share for walk in walks) == pytest.approx(1, abs=1e-6)
    for walk in walks:
        product = 1.0
        for step in walk:
            product *= step.share
        assert product == pytest.approx(walk.share)


def test_turns_choose_the_way(rules):
    ways = {"iptables": [(0,), (1, 0), (1, 1)], "nftables": [(0,), (1,), (2,)]}[rules.mode]
    found = [packet_walk(rules, CLIENT, HERE, turns=turns).backend for turns in ways]
    assert found == ["10.0.129.1:8080", "10.0.145.2:8080", "10.0.145.3:8080"]
    assert [walk.backend for walk in packet_walks(rules, CLIENT, HERE)] == found


@pytest.mark.parametrize("turns", [(7,), (0, 0, 0), (-1,)])
def test_turns_that_there_are_not(rules, turns):
    with pytest.raises(EksnetError, match="turn"):
        packet_walk(rules, CLIENT, HERE, turns=turns)


def test_a_way_that_there_is_not(rules):
    with pytest.raises(EksnetError, match=r"no path leads to 10\.9\.9\.9"):
        packet_walks(rules, CLIENT, HERE).to("10.9.9.9")


def test_the_entry_of_connection_tracking(rules):
    entry = packet_walks(rules, CLIENT, HERE).to("10.0.145.2").connection
    assert str(entry) == (
        "tcp src=10.0.129.77 dst=10.100.7.7 sport=40000 dport=80 "
        "src=10.0.145.2 dst=10.0.129.77 sport=8080 dport=40000"
    )
    outside = Packet("203.0.113.9", "10.0.128.10", 30080)
    entry = packet_walks(rules, outside, HERE).to("10.0.145.2").connection
    assert str(entry).endswith("src=10.0.145.2 dst=10.0.128.10 sport=8080 dport=(any)")
    assert entry.is_masqueraded


def test_what_is_turned_away_leaves_no_entry(rules):
    empty = predict([make.service()], [], HERE, Settings(mode=rules.mode))
    (walk,) = packet_walks(empty, CLIENT, HERE)
    assert (walk.verdict, walk.connection, walk.backend) == ("rejected", None, "")
    assert "gets an error at once" in walk.summary


@pytest.mark.parametrize(
    ("source", "destination", "hooks"),
    [
        ("10.0.129.77", "10.0.145.2", ["prerouting", "forward", "postrouting"]),
        ("10.0.129.77", "10.0.128.10", ["prerouting", "input"]),
        ("10.0.128.10", "10.0.145.2", ["output", "postrouting"]),
        ("10.0.128.10", "10.0.128.10", ["output", "postrouting", "input"]),
    ],
)
def test_the_hooks_that_a_packet_passes(source, destination, hooks):
    walk = packet_walk(predict([], [], HERE, IPTABLES), Packet(source, destination, 80), HERE)
    assert list(dict.fromkeys(step.hook for step in walk)) == hooks
    assert walk.hooks == walk.matched.hooks == tuple(hooks)


def test_a_hook_without_rules_is_passed_too():
    drops = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j DROP\nCOMMIT\n"
    packet = Packet("10.0.129.1", "10.0.145.2", 80)
    empty = packet_walk(parse_dump("*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n"), packet, HERE)
    assert (len(empty), empty.hooks) == (0, ("prerouting", "forward", "postrouting"))
    assert packet_walk(parse_dump(drops), packet, HERE).hooks == ("prerouting",)


@pytest.mark.parametrize(
    ("rule", "mark", "said"),
    [
        ("-m mark --mark 0x4000/0x4000", 0, "the mark 0x4000 is not set"),
        ("-m mark ! --mark 0x4000/0x4000", 0, "the mark 0x4000 is not set"),
        ("-m mark --mark 0x4000/0x4000", 0x4001, "the mark 0x4000 is set"),
        ("-m mark --mark 0x0/0x4000", 0x4000, "the mark 0x4000 is set"),
        ("-m mark --mark 0x3/0x3", 0x1, "the mark is 0x1, not 0x3"),
        ("-m mark --mark 0x1/0x3", 0x1, "the mark is 0x1"),
        ("-m mark --mark 0x1", 0x5, "the mark is 0x5, not 0x1"),
        ("-m mark --mark 0x0", 0, "the mark is not set"),
        ("-m connmark --mark 0x80/0x80", 0, "the connection's mark 0x80 is not set"),
    ],
)
def test_what_is_asked_of_a_mark_is_told_in_words(rule, mark, said):
    packet = Packet("10.0.129.1", "10.0.145.2", 80, mark=mark)
    assert packet_walk(filtered(f"{rule} -j DROP"), packet, HERE)[-1].why == said


def test_the_mark_of_kube_proxy_is_told_by_what_it_asks_for(rules):
    walk = packet_walk(rules, CLIENT, HERE)
    asked = next(step for step in walk if "0x" in step.why and step.hook == "postrouting")
    assert asked.why == "the mark 0x4000, which requests masquerading, is not set"
    assert not any("fit" in step.why for way in packet_walks(rules, CLIENT, HERE) for step in way)


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("-p tcp -m tcp --dport 80:90 -j DROP", "dropped"),
        ("-p tcp -m tcp --dport 81:90 -j DROP", "accepted"),
        ("-p udp -m udp --dport 80 -j DROP", "accepted"),
        ("! -p udp -j DROP", "dropped"),
        ("! -d 10.0.0.0/8 -j DROP", "accepted"),
        ("-d 10.0.0.0/8 -j REJECT --reject-with icmp-port-unreachable", "rejected"),
        ("-m conntrack --ctstate NEW,RELATED -j DROP", "dropped"),
        ("-m conntrack --ctstate ESTABLISHED -j DROP", "accepted"),
        ("-m conntrack ! --ctstate ESTABLISHED -j DROP", "dropped"),
        ("-m addrtype --dst-type LOCAL -j DROP", "accepted"),
        ("-m mark --mark 0x1/0x1 -j DROP", "accepted"),
        ("-i eth0 -j DROP", "accepted"),
        ("-m hashlimit --hashlimit-name x -j DROP", "accepted"),
        ("-j LOG --log-prefix x", "accepted"),
    ],
)
def test_what_one_rule_does(rule, verdict):
    assert (
        packet_walk(filtered(rule), Packet("10.0.129.1", "10.0.145.2", 80), HERE).verdict == verdict
    )


def test_return_leads_back_and_accept_ends_the_table():
    chains = ":A - [0:0]\n-A A -p tcp -j RETURN\n-A A -j DROP\n"
    packet = Packet("10.0.129.1", "10.0.145.2", 80)
    assert packet_walk(filtered("-j A", "-j DROP", more=chains), packet, HERE).verdict == "dropped"
    kept = packet_walk(filtered("-j A", "-j ACCEPT", "-j DROP", more=chains), packet, HERE)
    assert (kept.verdict, len(kept)) == ("accepted", 3)


def test_a_policy_holds_where_the_rules_end():
    rules = parse_dump("*filter\n:FORWARD DROP [0:0]\n-A FORWARD -p udp -j ACCEPT\nCOMMIT\n")
    ends = [
        packet_walk(rules, Packet("10.0.129.1", "10.0.145.2", 80, protocol), HERE).verdict
        for protocol in ("tcp", "udp")
    ]
    assert ends == ["dropped", "accepted"]


def test_a_circle_of_chains_is_no_endless_walk():
    with pytest.raises(EksnetError, match="jumps back to itself"):
        packet_walk(
            filtered("-j A", more=":A - [0:0]\n-A A -j A\n"),
            Packet("10.0.129.1", "10.0.145.2", 80),
            HERE,
        )


@pytest.mark.parametrize("address", ["10.0.0", "fd00::1", "web", ""])
def test_a_packet_has_two_ipv4_addresses(address):
    with pytest.raises(EksnetError, match="is not an IPv4 address"):
        Packet(address, "10.0.0.1", 80)


def test_a_walk_is_a_table(rules):
    walk = packet_walk(rules, CLIENT, HERE)
    assert len(walk.to_frame()) == len(walk) > len(walk.matched) > 5
    assert all(step.matched for step in walk.matched)
    assert "<table>" in walk._repr_html_()


@pytest.mark.parametrize("settings", [IPTABLES, NFTABLES], ids=["iptables", "nftables"])
def test_the_ways_share_the_steps_before_they_part(settings):
    services, slices = example(1, 300)
    rules = predict(services, slices, HERE, settings)
    walks = packet_walks(rules, Packet("10.0.129.77", "10.100.16.0", 80), HERE)
    assert len(walks) == 300
    # So the work grows with the endpoints, not with their square.
    different = {id(step) for walk in walks for step in walk}
    assert len(different) < 20 * len(walks)
    one = packet_walk(rules, walks[299].packet, HERE, turns=_turns(walks[299]))
    assert one.rows == walks[299].rows


def _turns(walk):
    """Return the turns of a walk: at each rule with a choice, whether it was taken."""
    choices = [step for step in walk if "statistic" in step.rule or "numgen" in step.rule]
    if "numgen" in choices[0].rule:
        return (int(choices[0].why.rpartition(" ")[2]),)
    return tuple(0 if step.matched else 1 for step in choices)
