"""CoreDNS's query log: the lines of its `log` plugin, read back into queries."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from eksnet.dns import Question, Reply, Walk, walk_of_questions

# The plugin's default format: {remote}:{port} - {>id} "{type} {class} {name} {proto} …" {rcode} …
_LINE = re.compile(
    r"\[INFO\] (?P<client>\S+):\d+ - \d+ "
    r'"(?P<kind>\S+) IN (?P<name>\S+) (?P<protocol>udp|tcp) [^"]*" (?P<rcode>[A-Z]+) '
)


@dataclass(frozen=True)
class LoggedQuery:
    """A query that CoreDNS logged after it had answered.

    Attributes:
        client: The address that asked.
        kind: The record type, such as A.
        name: The name, without the final dot.
        rcode: The answer's code: NOERROR, NXDOMAIN, SERVFAIL, …
    """

    client: str
    kind: str
    name: str
    rcode: str


def read_queries(log: str) -> tuple[LoggedQuery, ...]:
    """Return the queries of a CoreDNS log, in its order; other lines are passed over."""
    return tuple(
        LoggedQuery(
            found["client"], found["kind"], found["name"].rstrip(".") or ".", found["rcode"]
        )
        for found in map(_LINE.match, log.splitlines())
        if found
    )


def observed_walk(queries: Iterable[LoggedQuery], addresses: Collection[str] | None = None) -> Walk:
    """Return the walk that the queries make: A and AAAA for one name are one row.

    The log's NOERROR stands for an address and for a name without one (NODATA). What the lookup
    itself found tells the two apart: it took its addresses from the last name that it asked.

    Args:
        queries: The queries of one lookup, in the log's order.
        addresses: The addresses that the lookup found; when None, each NOERROR counts as an answer.
    """
    asked = tuple(queries)
    last = tuple(dict.fromkeys(query.name for query in asked))[-1:]
    found = None if addresses is None else {"AAAA" if ":" in one else "A" for one in addresses}

    def reply(query: LoggedQuery) -> Reply:
        if query.rcode != "NOERROR":
            return Reply.of_rcode(query.rcode)
        taken = found is None or (query.name in last and query.kind in found)
        return Reply.ANSWER if taken else Reply.NODATA

    return walk_of_questions(Question(one.name, one.kind, reply(one)) for one in asked)
