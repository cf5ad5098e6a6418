"""CoreDNS's query log: the lines of its `log` plugin, read back into queries."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from eksnet.coredns.logs import log_lines
from eksnet.dns import Question, Reply, Walk, walk_of_questions

# The plugin's default format: {remote}:{port} - {>id} "{type} {class} {name} {proto} …" {rcode} …
_LINE = re.compile(
    r"\[INFO\] (?P<client>\S+):\d+ - \d+ "
    # A blank in a name stands behind a backslash, as a quotation mark does.
    r'"(?P<rdtype>\S+) \S+ (?P<name>(?:\\.|[^\s\\])+) (?P<protocol>udp|tcp) [^"]*" '
    r"(?P<rcode>[A-Z]+|-) "
)

# No plugin wrote an answer. The server then says SERVFAIL, unless a plugin dropped the query: the
# log does not tell the two apart.
_UNANSWERED = "-"


@dataclass(frozen=True)
class LoggedQuery:
    """A query that CoreDNS logged.

    Attributes:
        client: The address that asked.
        rdtype: The record type, such as A.
        name: The name, without the final dot.
        rcode: The answer's code: NOERROR, NXDOMAIN, SERVFAIL, …; `-` where no plugin answered.
    """

    client: str
    rdtype: str
    name: str
    rcode: str


def parse_query_log(log: str) -> tuple[LoggedQuery, ...]:
    """Return the queries of a CoreDNS log, in its order; other lines are passed over.

    Args:
        log: A CoreDNS pod's log.
    """
    return tuple(
        LoggedQuery(
            found["client"].strip("[]"),
            found["rdtype"],
            found["name"].rstrip(".") or ".",
            found["rcode"],
        )
        for found in map(_LINE.match, log_lines(log))
        if found
    )


def observed_walk(
    queries: Iterable[LoggedQuery], found: Collection[str | tuple[str, str]] | None = None
) -> Walk:
    """Return the walk that the queries make: A and AAAA for one name are one row.

    The log's NOERROR stands for an address and for a name without one (NODATA). What the lookup
    itself found tells the two apart: it took its addresses from the last name that it asked, unless
    it says from which. A query that no plugin answered counts as SERVFAIL; where a plugin drops
    queries (`erratic`, `acl`), a TIMEOUT looks the same.

    Args:
        queries: The queries of one lookup, in the log's order.
        found: The types of the addresses that the lookup found, A and AAAA; or (name, type) where
            it says for which name. When None, each NOERROR counts as an answer.
    """
    asked = tuple(queries)
    last = tuple(dict.fromkeys(query.name for query in asked))[-1:]
    taken = set(found or ())

    def reply(query: LoggedQuery) -> Reply:
        if query.rcode == _UNANSWERED:
            return Reply.SERVFAIL
        if query.rcode != "NOERROR":
            return Reply.of_rcode(query.rcode)
        of_last = query.name in last and query.rdtype in taken
        answered = found is None or of_last or (query.name.lower(), query.rdtype) in taken
        return Reply.ANSWER if answered else Reply.NODATA

    return walk_of_questions(Question(one.name, one.rdtype, reply(one)) for one in asked)
