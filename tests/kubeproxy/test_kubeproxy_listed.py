"""`iptables -S` and `nft list ruleset`: what the real programs print is read as the saved forms."""

import kubeproxy_dumps as dumps
import kubeproxy_kernel as kernel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubeproxy_objects import HERE
from test_kubeproxy_dumps import LISTS_OF_ONE, PLAIN, outcome, rules_of

from eksnet.errors import EksnetError
from eksnet.kubeproxy import Packet, Ruleset, Settings, differences, packet_walks, parse_dump

TABLES = ("raw", "mangle", "nat", "filter")
RULES = kernel.iptables_text(rules_of(PLAIN))
NFT = kernel.nft_text(rules_of(Settings(mode="nftables")))
PACKETS = (
    Packet("10.0.129.1", "10.100.7.0", 80),
    Packet("203.0.113.9", "10.0.128.10", 30081),
    Packet("192.0.2.9", "198.51.100.7", 80),
    Packet("10.0.128.10", "10.100.7.3", 80),
)


def listed(text, *options, tables=TABLES):
    """Return what iptables-save and `iptables -S` print of the same rules."""
    shown = " && ".join(f"iptables {' '.join(options)} -t {one} -S" for one in tables)
    command = ["sh", "-c", f"iptables-restore && iptables-save && echo ===== && {shown}"]
    saved, _, listed = kernel._run(command, text).partition("=====\n")
    return saved, listed


@pytest.mark.parametrize("text", [RULES, dumps.vpc_cni(), dumps.DOCKER])
@pytest.mark.parametrize("options", [(), ("-v",)], ids=["plain", "counters"])
def test_the_rules_of_iptables_are_those_of_iptables_save(text, options):
    saved, shown = listed(text, *options)
    rules = parse_dump(shown)
    of_save = parse_dump(saved)
    assert {name: one for name, one in rules.chains.items() if one.rules} == {
        name: one for name, one in of_save.chains.items() if one.rules
    }
    assert not differences(of_save, rules)


@pytest.mark.parametrize("table", TABLES)
def test_one_table_alone_is_known_by_its_chains(table):
    saved, shown = listed(RULES, tables=(table,))
    rules = parse_dump(shown)
    assert {name for name, _ in rules.chains} == {table}
    chains = parse_dump(saved).chains
    assert {n: one.rules for n, one in rules.chains.items() if one.rules} == {
        n: one.rules for n, one in chains.items() if n[0] == table and one.rules
    }


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("-A KUBE-SERVICES -j DROP\n", "line 1: the chains with a policy are none"),
        ("-P INPUT ACCEPT\n-N A\n", "line 1: the chains with a policy are INPUT"),
        ("-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n-A NONE -j DROP\n",
         "line 4: a rule in NONE"),
        ("-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\nnonsense\n", "line 4: 'nonsense'"),
    ],
)  # fmt: skip
def test_what_is_missing_of_a_list_is_named(text, seen):
    with pytest.raises(EksnetError) as error:
        parse_dump(text)
    assert error.value.seen.startswith(seen)
    assert error.value.next_step


# nft.


def nft_both(text, *options):
    """Return what nft prints of rules as text, and as JSON."""
    command = f"nft -f /dev/stdin && nft {' '.join(options)} list ruleset"
    shown = kernel._run(["sh", "-c", command], text)
    return shown, kernel.through_nft(text)


OPTIONS = ([], ["-a"], ["-s"], ["-y"])


@pytest.mark.parametrize("options", OPTIONS, ids=lambda one: " ".join(one) or "plain")
def test_the_text_of_nft_is_read_as_its_json(options):
    shown, saved = nft_both(NFT, *options)
    rules, of_json = parse_dump(shown), parse_dump(saved)
    assert not differences(rules_of(Settings(mode="nftables")), rules)
    assert rules.chains == of_json.chains
    assert rules.maps == of_json.maps
    assert rules.sets == of_json.sets
    for packet in PACKETS:
        one, other = (packet_walks(each, packet, HERE) for each in (rules, of_json))
        assert [walk.rows for walk in one] == [walk.rows for walk in other]


@pytest.mark.parametrize("text", [LISTS_OF_ONE, dumps.FOREIGN_NFT], ids=["lists", "foreign"])
def test_others_tables_lead_to_the_same_ends(text):
    shown, saved = nft_both(text)
    rules, of_json = parse_dump(shown), parse_dump(saved)
    assert rules.chains.keys() == of_json.chains.keys()
    assert {name: (c.hook, c.kind, c.priority, c.policy) for name, c in rules.chains.items()} == {
        name: (c.hook, c.kind, c.priority, c.policy) for name, c in of_json.chains.items()
    }
    assert rules.sets == of_json.sets
    # A mark in a map of others is a number in one and hexadecimal in the other.
    assert {n: set(one) for n, one in rules.maps.items()} == {
        n: set(one) for n, one in of_json.maps.items()
    }
    for source in ("10.0.129.5", "203.0.113.66", "203.0.113.77", "10.2.0.1", "192.0.2.5"):
        for port in (22, 80, 81):
            packet = Packet(source, "10.0.128.10", port)
            one, other = (packet_walks(each, packet, HERE) for each in (rules, of_json))
            assert one.rows == other.rows


def test_rules_of_iptables_in_the_text_of_nft_are_refused_with_what_to_do():
    command = ["sh", "-c", "iptables-nft-restore && nft list ruleset"]
    text = kernel._run(command, RULES)
    with pytest.raises(EksnetError) as error:
        parse_dump(text)
    assert "iptables-save" in error.value.next_step


def test_a_pasted_text_is_read():
    shown, _ = nft_both(NFT)
    assert parse_dump("".join(f"    {line}\r\n" for line in shown.splitlines())) == parse_dump(
        shown
    )


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("table ip t {\nchain c {\n}\n", "line 3: the text ends inside table ip t {"),
        ("table ip t {\nset s {\nelements = { 1.1.1.1,\n", "line 3: the text ends inside elements"),
        ("table ip t {\n}\n}\n", "line 3 is '}'"),
        ("table ip t {\n}\nnonsense\n", "line 3 is 'nonsense'"),
        ("table ip t {\nchain c {\njump x\n}\n}\n", "line 3 leads to x, but the table t has no"),
        ("table ip6 t {\nchain c {\n}\n}\n", "the text has no chain for IPv4"),
        ("table ip t {\nchain c {\ntype nat hook output priority x; policy accept;\n}\n}\n",
         "line 2 is 'priority x'"),
    ],
)  # fmt: skip
def test_what_is_broken_in_a_text_of_nft_is_named(text, seen):
    with pytest.raises(EksnetError) as error:
        parse_dump(text)
    assert error.value.seen.startswith(seen)
    assert error.value.next_step


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_text_never_crashes_the_parser(data):
    lines = data.draw(st.sampled_from([NFT, "-P INPUT ACCEPT\n-N KUBE-X\n-A INPUT -j KUBE-X\n"]))
    lines = lines.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    line = lines[at]
    cut = data.draw(st.integers(0, len(line)))
    lines[at] = data.draw(st.sampled_from([line[:cut], line[cut:], "", "}", "{", line * 2]))
    found = outcome("\n".join(lines))
    assert isinstance(found, Ruleset) or found
