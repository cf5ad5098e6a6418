"""The marks that rules leave on a packet and on its connection, as far as they can be known."""

from __future__ import annotations

from typing import NamedTuple

from eksnet.kubeproxy import parsing
from eksnet.kubeproxy.parsing import Statement

MARKING = (
    parsing.SET_MARK,
    parsing.SET_CONNECTION_MARK,
    parsing.SAVE_MARK,
    parsing.RESTORE_MARK,
)
"""The statements that change a mark."""


class Marks(NamedTuple):
    """The marks of the packet and of its connection, and which bits of them nobody can tell."""

    packet: int = 0
    connection: int = 0
    packet_doubt: int = 0
    connection_doubt: int = 0

    def after(self, statement: Statement) -> Marks:
        """Return what they are after a statement, as the kernel's xt_mark and xt_connmark do it."""
        here, kept, doubt, kept_doubt = self
        one, other = (int(value, 0) for value in statement.values)
        if statement.what == parsing.SET_MARK:
            return Marks((here & ~other) ^ one, kept, doubt & ~other, kept_doubt)
        if statement.what == parsing.SET_CONNECTION_MARK:
            return Marks(here, (kept & ~other) ^ one, doubt, kept_doubt & ~other)
        if statement.what == parsing.SAVE_MARK:
            kept, kept_doubt = _moved(here, one, kept, other), _moved(doubt, one, kept_doubt, other)
        else:
            here, doubt = _moved(kept, other, here, one), _moved(kept_doubt, other, doubt, one)
        return Marks(here, kept, doubt, kept_doubt)

    def perhaps(self, statement: Statement) -> Marks:
        """Return what they are when the statement may have been met or not."""
        then = self.after(statement)
        doubt = self.packet_doubt | then.packet_doubt | (self.packet ^ then.packet)
        kept = self.connection_doubt | then.connection_doubt | (self.connection ^ then.connection)
        return Marks(self.packet, self.connection, doubt, kept)


def _moved(value: int, of: int, onto: int, into: int) -> int:
    return (onto & ~into) ^ (value & of)
