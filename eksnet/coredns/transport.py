"""DNS queries from a pod: made and read here, carried by bash, which opens sockets by itself.

Any image with bash will do. Queries and answers travel in base64: bash's own printf would cut a
datagram at each byte that is a newline, such as the length of a label of ten letters.
"""

from __future__ import annotations

import base64
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eksnet import inputs
from eksnet.dns import Reply
from eksnet.dns.spelling import labels_of
from eksnet.errors import EksnetError, UnreachableError
from eksnet.listing import Listing

if TYPE_CHECKING:
    import dns.rrset

UDP, TCP = "udp", "tcp"
# How long each query waits for its answer, in seconds. In it, a busy computer starts the programs
# that ask, too.
PATIENCE = 6
# A TCP message carries its length before it (RFC 1035, 4.2.2).
_LENGTH = 2
# What is asked `together` leaves at once: the times of queries that nobody answers would add up.
_CARRY = f"""
read -r _ nameserver < <(grep ^nameserver /etc/resolv.conf)
ask() {{
  IFS="|" read -r protocol server query <<<"$1"
  timeout {PATIENCE} bash -c 'exec 3<>"/dev/$0/$1" && base64 --decode <<<"$2" >&3 &&
    dd bs=4096 count=1 <&3 | base64 --wrap=0' \\
    "$protocol" "${{server:-$nameserver/53}}" "$query" 2>/dev/null
  echo
}}
case $1 in
in-turn) for query in "${{@:2}}"; do ask "$query"; done ;;
together)
  for query in "${{@:2}}"; do exec {{asked}}< <(ask "$query"); all+=("$asked"); done
  for asked in "${{all[@]}}"; do cat <&"$asked"; done ;;
esac
"""


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        name: The name, asked as it is, with a final dot or without; `.` is the root, and an octet
            beyond ASCII is written as in `eksnet.dns.spelling.presented`.
        rdtype: The record type.
        protocol: udp or tcp.
        server: The server as ADDRESS/PORT; the nameserver of the pod's resolv.conf when empty.
    """

    name: str
    rdtype: str
    protocol: str = UDP
    server: str = ""

    @functools.cached_property
    def wire(self) -> bytes:
        """The query as it goes over the wire."""
        import dns.message
        import dns.name

        # Label by label: to dnspython some characters of a text are more than they are.
        name = dns.name.Name([*labels_of(self.name), b""])
        message = dns.message.make_query(name, self.rdtype).to_wire()
        length = len(message).to_bytes(_LENGTH, "big") if self.protocol == TCP else b""
        return length + message

    @property
    def word(self) -> str:
        """The query as a word for the program that carries it."""
        return f"{self.protocol}|{self.server}|{base64.b64encode(self.wire).decode()}"

    def read(self, line: str) -> Answer:
        """Return the answer to the query.

        Args:
            line: What the program printed for it: base64, or nothing where no answer came.

        Raises:
            UnreachableError: No answer came.
            EksnetError: It is no DNS message.
        """
        import dns.exception
        import dns.message
        import dns.rcode
        import dns.rdatatype

        if not line:
            raise UnreachableError(
                f"no answer for {self.name} within {PATIENCE} seconds",
                "an answer of the cluster's DNS",
                "eksnet kubectl -n kube-system get pods -l k8s-app=kube-dns",
            )
        try:
            wire = base64.b64decode(line, validate=True)
            message = dns.message.from_wire(wire[_LENGTH if self.protocol == TCP else 0 :])
        except (ValueError, dns.exception.DNSException):
            raise EksnetError(
                f"the answer for {self.name} is {line!r}", "a DNS message in base64"
            ) from None
        records = [record for rrset in message.answer for record in rrset]
        wanted = dns.rdatatype.from_text(self.rdtype)
        return Answer(
            self.name,
            dns.rcode.to_text(message.rcode()),
            min((rrset.ttl for rrset in message.answer), default=None),
            tuple(sorted(map(str, records))),
            any(record.rdtype == wanted for record in records),
            Listing.of(_records(message.answer), _COLUMNS),
        )


@dataclass(frozen=True)
class AnswerRecord:
    """A record of an answer, as `dig` shows it.

    Attributes:
        owner: The name that the record has, which need not be the one that was asked.
        rdtype: Its type.
        data: Its data.
    """

    owner: str
    rdtype: str
    data: str


_COLUMNS: Mapping[str, Callable[[AnswerRecord], object]] = {
    "owner": lambda one: one.owner,
    "type": lambda one: one.rdtype,
    "data": lambda one: one.data,
}


def _records(answer: Iterable[dns.rrset.RRset]) -> Iterator[AnswerRecord]:
    """Yield the records of an answer: in the server's order, those of one name and type sorted."""
    import dns.rdatatype

    for rrset in answer:
        owner = rrset.name.to_text(omit_final_dot=True)
        rdtype = dns.rdatatype.to_text(rrset.rdtype)
        yield from (AnswerRecord(owner, rdtype, data) for data in sorted(map(str, rrset)))


@dataclass(frozen=True)
class Answer:
    """What came back for one query.

    Attributes:
        name: The name that was asked.
        rcode: The answer's code: NOERROR, NXDOMAIN, SERVFAIL, …
        ttl: For how many seconds the answer may be kept; None without a record.
        rdata: The data of the records in the answer, sorted; those of an alias too.
        found: Whether a record of the type that was asked for is among them.
        records: The records themselves, with their names and types.
    """

    name: str
    rcode: str
    ttl: int | None
    rdata: tuple[str, ...]
    found: bool = False
    records: Listing[AnswerRecord] = field(default=Listing((), (), ()), compare=False, repr=False)

    @property
    def reply(self) -> Reply:
        """What the answer is to a resolver; an alias that leads to no record is NODATA."""
        if self.rcode == "NOERROR":
            return Reply.ANSWER if self.found else Reply.NODATA
        return Reply.of_rcode(self.rcode)


def queries_for(names: Sequence[str], rdtype: str, server: str = "") -> tuple[Query, ...]:
    """Return a query for each name.

    Args:
        names: The names, with a final dot or without; `.` is the root.
        rdtype: The record type.
        server: See `Query`.

    Raises:
        EksnetError: There is no name, or one, the type or the server cannot be asked.
    """
    if not names:
        raise EksnetError("no name was given", "at least one name", 'such as "kubernetes.default"')
    inputs.rdtype(rdtype)
    if server:
        _check_server(server)
    checked = [name if name == "." else inputs.dns_name(name) for name in names]
    return tuple(Query(name, rdtype, server=server) for name in checked)


def _check_server(server: str) -> None:
    address, _, port = server.partition("/")
    if not re.fullmatch("[0-9]{1,5}", port):
        said = f"the server is {inputs.shown(server)}"
        raise EksnetError(said, "ADDRESS/PORT", "such as 10.100.0.10/53")
    inputs.address(address, "the server's address")
    inputs.port(int(port), "the server's port")


def command(queries: Sequence[Query], *, together: bool = False, before: str = "") -> list[str]:
    """Return the command that carries queries, and prints a line for each answer.

    Args:
        queries: The queries.
        together: Whether all of them leave at once; else one follows the answer to the other.
        before: What the shell does first.
    """
    words = ("together" if together else "in-turn", *(query.word for query in queries))
    return ["bash", "-c", f"{before}{_CARRY}", "carry", *words]


def read_answers(queries: Sequence[Query], output: str) -> Listing[Answer]:
    """Return the answers in what the command printed.

    Args:
        queries: The queries, in order.
        output: The command's output.

    Raises:
        EksnetError: A query got no answer, or one that is no DNS message.
    """
    lines = itertools.chain(output.splitlines(), itertools.repeat(""))
    return Listing.of(
        (query.read(line) for query, line in zip(queries, lines, strict=False)),
        {
            "name": lambda one: one.name,
            "rcode": lambda one: one.rcode,
            "ttl": lambda one: one.ttl,
            "rdata": lambda one: ", ".join(one.rdata),
        },
    )
