"""CoreDNS's query log: the lines of its `log` plugin, read back into queries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from eksnet.dns.walk import Walk, walk

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


def observed_walk(queries: Iterable[LoggedQuery]) -> Walk:
    """Return the walk that the queries make: A and AAAA for one name are one row."""
    answered: dict[str, bool] = {}
    for query in queries:
        answered[query.name] = answered.get(query.name, False) or query.rcode == "NOERROR"
    return walk(list(answered.items()))
