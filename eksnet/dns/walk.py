"""The search walk: which names a resolver asks for one name, in which order, and where it stops."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from eksnet.dns.resolvconf import ResolvConf
from eksnet.errors import EksnetError
from eksnet.listing import Listing


@dataclass(frozen=True)
class Query:
    """One row of a walk.

    Attributes:
        order: Its place in the walk, from 1.
        name: The name that is asked, without the final dot.
        answered: Whether an address comes back: O, else X.
    """

    order: int
    name: str
    answered: bool

    @property
    def mark(self) -> str:
        """O for an answer, X for none: the document's own marks."""
        return "O" if self.answered else "X"


@dataclass(frozen=True, repr=False)
class Walk(Listing[Query]):
    """The queries for one name, in order. Each row is two packets: one for A and one for AAAA."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are asked, in order."""
        return tuple(query.name for query in self.items)

    @property
    def packets(self) -> int:
        """How many queries leave the pod: A and AAAA for each row."""
        return 2 * len(self.items)


def walk(rows: Collection[tuple[str, bool]]) -> Walk:
    """Return a walk of (name, answered) rows."""
    queries = tuple(Query(n, name, answered) for n, (name, answered) in enumerate(rows, start=1))
    cells = tuple((str(query.order), query.name, query.mark) for query in queries)
    return Walk(("order", "query name", "match"), cells, queries)


def search_walk(
    name: str, conf: ResolvConf, exists: Collection[str] = (), profile: str = "glibc"
) -> Walk:
    """Predict the queries for a name, up to the first that is answered.

    Holds while every other name is answered with NXDOMAIN, as CoreDNS and the VPC resolver do.

    Args:
        name: The name as the program gives it; a final dot makes it absolute.
        conf: The pod's resolv.conf.
        exists: The full names that have an address.
        profile: The resolver: glibc, musl, go or busybox (its nslookup).

    Raises:
        EksnetError: The profile is not known.
    """
    known = {full.rstrip(".").lower() for full in exists}
    rows: list[tuple[str, bool]] = []
    for candidate in candidates(name, conf, profile):
        rows.append((candidate, candidate.lower() in known))
        # busybox prints the answer to every candidate; the others stop at the first.
        if rows[-1][1] and profile != "busybox":
            break
    return walk(rows)


def candidates(name: str, conf: ResolvConf, profile: str = "glibc") -> tuple[str, ...]:
    """Return every name that a resolver would ask if none were answered, in order.

    Raises:
        EksnetError: The profile is not known.
    """
    if profile not in PROFILES:
        raise EksnetError(f"no resolver profile {profile!r}", f"one of {', '.join(PROFILES)}")
    if name.endswith("."):
        return (name.rstrip("."),)
    return PROFILES[profile](name, conf)


def _glibc(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """As it is first from ndots dots on, the list in any case, as it is last otherwise.

    Source: glibc 2.42 resolv/res_query.c, __res_context_search.
    """
    if _is_dotted(name, conf):
        return (name, *_searched(name, conf))
    return (*_searched(name, conf), name)


def _musl(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """From ndots dots on the name as it is and nothing else.

    Source: musl 1.2.5 src/network/lookup_name.c, name_from_dns_search.
    """
    return (name,) if _is_dotted(name, conf) else (*_searched(name, conf), name)


def _busybox(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """The list for a name without any dot, else the name as it is; ndots is never read.

    Source: busybox 1.36 networking/nslookup.c, add_query_with_search (since 1.29).
    """
    return (name,) if "." in name else _searched(name, conf)


def _is_dotted(name: str, conf: ResolvConf) -> bool:
    return name.count(".") >= conf.ndots


def _searched(name: str, conf: ResolvConf) -> tuple[str, ...]:
    return tuple(f"{name}.{domain}" for domain in conf.search)


# Go's resolver (net/dnsclient_unix.go, nameList) asks in glibc's order.
PROFILES: dict[str, Callable[[str, ResolvConf], tuple[str, ...]]] = {
    "glibc": _glibc,
    "musl": _musl,
    "go": _glibc,
    "busybox": _busybox,
}
