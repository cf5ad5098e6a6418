"""What statements of rules do to a packet: its marks, its addresses, and whether it is tracked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from eksnet.kubeproxy import parsing
from eksnet.kubeproxy.conditions import INVALID, NEW, UNTRACKED, Situation
from eksnet.kubeproxy.marks import MARKING
from eksnet.kubeproxy.packet import ANY_PORT, Packet
from eksnet.kubeproxy.parsing import Statement

TRANSLATING = (parsing.DNAT, parsing.SNAT, parsing.MASQUERADE)
"""The statements that give a packet another address."""


def marked(here: Situation, statement: Statement) -> Situation:
    """Return the situation after a statement that changes a mark.

    A connection that is not tracked, or not yet, has no mark: the kernel then does nothing.

    Args:
        here: The situation before it.
        statement: One of `MARKING`.
    """
    assert statement.what in MARKING
    if statement.what != parsing.SET_MARK and here.state != NEW:
        return here
    marks = here.marks.after(statement)
    return replace(here, marks=marks, packet=replace(here.packet, mark=marks.packet))


def untracked(here: Situation) -> Situation:
    """Return the situation after a statement that exempts a packet from connection tracking.

    Once the kernel has looked the packet up, the statement does nothing.
    """
    return replace(here, state=UNTRACKED) if here.state == INVALID else here


def translated(here: Situation, statement: Statement, hook: str) -> Situation:
    """Return the situation after a translation.

    Args:
        here: The situation before it.
        statement: One of `TRANSLATING`.
        hook: The hook, at which no other rule of nat applies from now on.
    """
    packet = _translation(here, statement)
    return replace(here, packet=packet, translated=here.translated | {hook})


def _translation(here: Situation, statement: Statement) -> Packet:
    packet = here.packet
    if statement.what == parsing.MASQUERADE:
        ports, *flags = statement.values
        return replace(packet, source=here.node.address, source_port=_port(packet, ports, flags))
    to, *flags = statement.values
    ip, _, port = to.partition(":")
    if statement.what == parsing.DNAT:
        return replace(packet, destination=ip, port=int(port or packet.port))
    return replace(packet, source=ip, source_port=_port(packet, port, flags))


def _port(packet: Packet, ports: str, flags: Iterable[str]) -> int:
    """Return the source port of a packet that gets another source address.

    Without a flag and without ports the kernel keeps it, where no other connection has it.

    Args:
        packet: The packet.
        ports: A port, a range of them, or nothing.
        flags: The flags, such as random-fully or fully-random.
    """
    if "-" in ports or any("random" in flag for flag in flags):
        return ANY_PORT
    return int(ports or packet.source_port)
