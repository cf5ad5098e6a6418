"""The conditions of rules: whether one holds for a packet, does not, or nobody can tell."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from eksnet.kubeproxy import parsing
from eksnet.kubeproxy.marks import Marks
from eksnet.kubeproxy.packet import Packet
from eksnet.kubeproxy.parsing import Statement
from eksnet.kubeproxy.ruleset import Chain, Ruleset
from eksnet.kubeproxy.settings import Node

NEW, INVALID, UNTRACKED = "new", "invalid", "untracked"
"""States of connection tracking that a first packet can have: before it is looked up, it has none,
which a rule that asks takes for invalid."""
_WITH_PORTS = ("tcp", "udp", "sctp")
_ALL_BITS = 0xFFFFFFFF
# kube-proxy's chains, of either mode, that look for its own mark.
_MASQUERADING = ("KUBE-POSTROUTING", "masquerading")

Judgement = tuple[bool | None, str]
"""What a condition comes to: it holds or not, None where nobody can tell; and in words."""


@dataclass(frozen=True)
class Situation:
    """What conditions look at.

    Attributes:
        rules: The node's rules, whose named sets conditions look into.
        node: The node.
        remembered: The lists of session affinity that hold the packet's source.
        packet: The packet as it is by now.
        marks: Its marks and its connection's, with what of them is in doubt.
        translated: The hooks at which a rule of nat has translated it.
        state: The state of its connection: NEW, INVALID or UNTRACKED.
        incoming: The interface that it came in by; empty for none, None where that is not known.
        outgoing: The interface that it leaves by, in the same form.
    """

    rules: Ruleset
    node: Node
    remembered: frozenset[str]
    packet: Packet
    marks: Marks
    translated: frozenset[str] = frozenset()
    state: str = NEW
    incoming: str | None = None
    outgoing: str | None = None


def _address(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    ours = here.packet.source if statement.what == parsing.SOURCE else here.packet.destination
    try:
        inside = any(_contains(here, chain.table, ours, value) for value in statement.values)
    except ValueError:
        return None, f"cannot tell whether {ours} is in {', '.join(statement.values)}"
    return _judged(f"{statement.what} {ours}", inside, statement, "is in", "is not in")


def _contains(here: Situation, table: str, address: str, value: str) -> bool:
    if not value.startswith("@"):
        return _within(address, value)
    if value[1:] in here.remembered:
        return True
    elements = _elements(here, table, value)
    return address in elements or any(
        _within(address, one) for one in elements if "/" in one or "-" in one
    )


def _elements(here: Situation, table: str, value: str) -> tuple[str, ...]:
    """Return what a named set holds.

    Raises:
        ValueError: It is not there.
    """
    if (table, value[1:]) not in here.rules.sets:
        raise ValueError(value)
    return here.rules.sets[table, value[1:]].elements


def _protocol(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    if statement.values[0].startswith("@"):
        return _cannot_tell(here, chain, statement)
    fits = here.packet.protocol in statement.values or statement.values == ("all",)
    return _judged(f"protocol {here.packet.protocol}", fits, statement, "is", "is not")


def _port(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    if here.packet.protocol not in _WITH_PORTS:
        return False, f"{here.packet.protocol} has no ports"
    try:
        values = [
            one
            for value in statement.values
            for one in (_elements(here, chain.table, value) if value[:1] == "@" else (value,))
        ]
        ranges = [value.replace("-", ":").partition(":") for value in values]
        fits = any(int(a) <= here.packet.port <= int(b or a) for a, _, b in ranges)
    except ValueError:
        return None, f"cannot tell whether the port is {', '.join(statement.values)}"
    return _judged(f"destination port {here.packet.port}", fits, statement, "is", "is not")


def _type(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    from_source = statement.what == parsing.SOURCE_TYPE
    address = here.packet.source if from_source else here.packet.destination
    fits = here.node.owns(address)
    types = {value.lower() for value in statement.values}
    if types != {"local"} and not (fits and "local" in types):
        return None, f"cannot tell whether {address} is of type {', '.join(statement.values)}"
    side = "source" if from_source else "destination"
    return _judged(f"{side} {address}", fits, statement, "is", "is not", "the node's own")


def _state(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    said = {value.lower() for value in statement.values}
    now = {here.state} | ({"dnat"} if here.translated & {"prerouting", "output"} else set())
    wanted = " or ".join(sorted(said))
    return _judged(f"state {here.state}", bool(said & now), statement, "is", "is not", wanted)


def _marked(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    of_packet = statement.what == parsing.MARK
    if not of_packet and here.state != NEW:
        # Without an entry there is no mark of one, whether it is asked for or asked against.
        return False, "the connection is not tracked and has no mark"
    mark, doubt = here.marks[0 if of_packet else 1], here.marks[2 if of_packet else 3]
    value, _, mask = statement.values[0].partition("/")
    bits = int(mask, 0) if mask else _ALL_BITS
    called = _mark_called(statement.what, bits, chain)
    if bits & doubt:
        return None, f"cannot tell whether {called} is set"
    wanted, set_bits = int(value, 0), mark & bits
    fits = set_bits == wanted
    if wanted in (0, bits) and set_bits in (0, bits):
        said = f"{called} is{'' if set_bits else ' not'} set"
    else:
        said = f"the {statement.what} is {set_bits:#x}" + ("" if fits else f", not {wanted:#x}")
    return fits != statement.negated, said


def _is_remembered(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    name = statement.values[0]
    fits = name in here.remembered
    source = f"source {here.packet.source}"
    return _judged(source, fits, statement, "is remembered in", "is not remembered in")


def _interface(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    name = here.incoming if statement.what == parsing.INCOMING else here.outgoing
    if name is None:
        return _cannot_tell(here, chain, statement)
    try:
        patterns = [
            one
            for value in statement.values
            for one in (_elements(here, chain.table, value) if value[:1] == "@" else (value,))
        ]
    except ValueError:
        return _cannot_tell(here, chain, statement)
    fits = any(_is_named(name, pattern) for pattern in patterns)
    return _judged(f"{statement.what} {name or '(none)'}", fits, statement, "is", "is not")


def _is_named(name: str, pattern: str) -> bool:
    """Tell whether an interface's name fits; iptables ends a beginning with +, nft with *."""
    if pattern[-1:] in ("+", "*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def _cannot_tell(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    return None, f"cannot tell: {statement.what} {parsing.advised(', '.join(statement.values))}"


def _judged(
    ours: str, fits: bool, statement: Statement, yes: str, no: str, said: str = ""
) -> Judgement:
    """Return whether a condition holds, and what is so, in words."""
    wanted = said or " or ".join(statement.values)
    if fits and ours.endswith(f" {wanted}"):
        return not statement.negated, f"{ours.removesuffix(wanted)}is {wanted}"
    return fits != statement.negated, f"{ours} {yes if fits else no} {wanted}"


def _mark_called(what: str, bits: int, chain: Chain) -> str:
    """Return what the bits of a mark are called that a rule asks for, and what they are for."""
    if what == parsing.MARK and chain.name in _MASQUERADING:
        return f"the {what} {bits:#x}, which requests masquerading,"
    return f"the {what} {bits:#x}" if bits != _ALL_BITS else f"the {what}"


def _within(address: str, network: str) -> bool:
    if network == address or network == f"{address}/32":
        return True
    first, dash, last = network.partition("-")
    if dash:
        here = ipaddress.ip_address(address)
        return int(ipaddress.ip_address(first)) <= int(here) <= int(ipaddress.ip_address(last))
    if not network[:1].isdigit():
        raise ValueError(network)
    if "/" not in network or network.endswith("/32"):
        return False
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)


_JUDGES: dict[str, Callable[[Situation, Chain, Statement], Judgement]] = {
    parsing.SOURCE: _address,
    parsing.DESTINATION: _address,
    parsing.PROTOCOL: _protocol,
    parsing.PORT: _port,
    parsing.SOURCE_TYPE: _type,
    parsing.DESTINATION_TYPE: _type,
    parsing.STATE: _state,
    parsing.MARK: _marked,
    parsing.CONNECTION_MARK: _marked,
    parsing.REMEMBERED: _is_remembered,
    parsing.INCOMING: _interface,
    parsing.OUTGOING: _interface,
    parsing.UNKNOWN: _cannot_tell,
}
CONDITIONS = frozenset(_JUDGES)
"""The statements that `judge` can judge; a chance is a choice between two ways."""


def judge(here: Situation, chain: Chain, statement: Statement) -> Judgement:
    """Return whether a condition holds for a packet in its situation, and why.

    Args:
        here: The packet, and what is known of it.
        chain: The chain that the rule is in.
        statement: One of `CONDITIONS`.
    """
    return _JUDGES[statement.what](here, chain, statement)
