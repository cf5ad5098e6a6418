"""The rules of four resolvers: which names are asked, how often, and what makes them stop.

Each rule was seen with the real resolver: `tests/dns/test_conformance.py` runs them against a
scripted server and compares every question. It was last run with glibc 2.36, musl 1.2.3 and 1.2.5,
Go 1.26 and the nslookup of busybox 1.35. What upstream's source says is named beside each rule.

A reply to A is taken to arrive before the reply to AAAA, as it does from one server that answers in
turn; glibc's rule for a pair of failures depends on which comes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from eksnet import inputs
from eksnet.dns.replies import RDTYPES, Answers, Reply, completed
from eksnet.dns.resolvconf import ResolvConf
from eksnet.dns.spelling import (
    fits_in_a_query,
    glibc_spelled,
    go_spelled,
    musl_spelled,
    octets,
    presented,
)

_BROKEN = (Reply.SERVFAIL, Reply.REFUSED)


class Verdict(Enum):
    """What a resolver does after one name."""

    FOUND = auto()
    """It has an address and ends."""
    GO_ON = auto()
    """It asks the next name."""
    AS_IS = auto()
    """It leaves the rest of the list out and asks the name as it is, unless it has already."""
    END = auto()
    """It ends without an address."""


@dataclass(frozen=True)
class Question:
    """One question: a name and a type.

    Attributes:
        name: The name, without the final dot, as `presented` writes it; `.` is the root.
        rdtype: The record type: A or AAAA, PTR where busybox looks for the name of an address.
        reply: What comes back.
        sent: How many queries carry it; more than one where the resolver tries again, or asks
            several nameservers.
        servers: Where these queries go, in order; empty where there is one nameserver.
    """

    name: str
    rdtype: str
    reply: Reply
    sent: int = 1
    servers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a resolver did with one name.

    Attributes:
        name: The name.
        questions: What it asked; without the types that it gave up on, and nothing for a name that
            no query can hold.
        verdict: What it does next.
    """

    name: str
    questions: tuple[Question, ...]
    verdict: Verdict


@dataclass(frozen=True)
class _Manner:
    """How glibc asks: both types at once, one after the other once a server has lost one, or A."""

    attempts: int
    a_alone: bool = False
    serial: bool = False
    fresh_socket: bool = False


_Judged = tuple[Verdict, int, int, _Manner]
"""The verdict, how often A and AAAA were sent, and how it asks from now on."""

_Judge = Callable[[Reply, Reply, _Manner], _Judged]


@dataclass(frozen=True)
class Profile:
    """A resolver.

    Attributes:
        name: What it is called here.
        candidates: Every name that it would ask if none were answered, in order.
        ask: What it does with these names, one after the other.
        spelled: From a name as a program gives it to the name that is looked up, a character for
            each octet; empty where it makes no query of such a name.
        by_rdtype: Whether it asks all names for A and then all for AAAA.
    """

    name: str
    candidates: Callable[[str, ResolvConf], tuple[str, ...]]
    ask: Callable[[str, tuple[str, ...], ResolvConf, Answers], Iterator[Asked]]
    spelled: Callable[[str], str]
    by_rdtype: bool = False


def profile_called(name: str) -> Profile:
    """Return a profile.

    Raises:
        EksnetError: The profile is not known.
    """
    return PROFILES[inputs.one_of(name, PROFILES, "resolver profile")]


# Which names.


def _glibc_candidates(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """As it is first from ndots dots on, the list in any case, as it is last otherwise.

    A root (`.`) in the list stands for the name as it is, which then is not asked at the end.

    Source: glibc 2.42 resolv/res_query.c, __res_context_search.
    """
    searched = completed(name, conf.search)
    if _is_dotted(name, conf):
        return (name, *searched)
    return searched if name in searched else (*searched, name)


def _go_candidates(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """In glibc's order; a root in the list is passed over.

    Source: Go 1.26 src/net/dnsclient_unix.go, nameList; dnsconfig_unix.go.
    """
    searched = completed(name, _without_root(conf))
    return (name, *searched) if _is_dotted(name, conf) else (*searched, name)


_MUSL_LINE = 255


def _musl_candidates(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """From ndots dots on the name as it is and nothing else.

    A search line that is longer than 255 characters, with its end, is not read at all. A root in
    the list is passed over since 1.2.4; before, it made a query that no server understands.

    Source: musl 1.2.5 src/network/lookup_name.c (name_from_dns_search), resolvconf.c.
    """
    if _is_dotted(name, conf) or len(f"{conf.search_line}\n") > _MUSL_LINE:
        return (name,)
    return (*completed(name, _without_root(conf)), name)


def _busybox_candidates(name: str, conf: ResolvConf) -> tuple[str, ...]:
    """The list for a name without any dot, else the name as it is; ndots is never read.

    A root in the list is not modelled: nslookup gives up when it gets there.

    Source: busybox networking/nslookup.c, add_query_with_search (since 1.29), as it stood in April
    2024, between 1.36 and 1.37; tried with 1.35.
    """
    return completed(name, conf.search) if conf.search and "." not in name else (name,)


def _without_root(conf: ResolvConf) -> tuple[str, ...]:
    return tuple(domain for domain in conf.search if domain != ".")


def _is_dotted(name: str, conf: ResolvConf) -> bool:
    return name.count(".") >= conf.ndots


# What each does with a pair of replies.

_GLIBC_ATTEMPTS = 5
_MUSL_ATTEMPTS = 10


def _judge_glibc(a: Reply, aaaa: Reply, manner: _Manner) -> _Judged:
    """One address of either type is enough; NXDOMAIN, NODATA and SERVFAIL lead to the next name.

    REFUSED and TIMEOUT for both end the list. One failure beside a proper reply counts for
    nothing. But a lost AAAA is asked for twice more, one type after the other and then from a
    fresh socket; and a lost A ends the list, although AAAA was answered.

    With `no-aaaa`, since 2.36, it asks for A alone; the other resolvers do not know that option.

    Source: glibc 2.36 resolv/res_query.c, res_send.c (send_dg), nss_dns/dns-host.c.
    """
    if manner.a_alone:
        return _judge_glibc_alone(a, manner)
    if manner.serial:
        return _judge_glibc_serially(a, aaaa, manner)
    if a in (*_BROKEN, Reply.TIMEOUT) and aaaa in (*_BROKEN, Reply.TIMEOUT):
        first = aaaa if a is Reply.TIMEOUT else a
        verdict = Verdict.GO_ON if first is Reply.SERVFAIL else Verdict.AS_IS
        return verdict, manner.attempts, manner.attempts, manner
    if a is Reply.TIMEOUT:
        return Verdict.AS_IS, 1 + manner.attempts, 1, replace(manner, serial=True)
    if aaaa is Reply.TIMEOUT:
        return _either(a, aaaa), 3, 3, replace(manner, serial=True, fresh_socket=True)
    return _either(a, aaaa), 1, 1, manner


def _judge_glibc_serially(a: Reply, aaaa: Reply, manner: _Manner) -> _Judged:
    """AAAA is asked for once A has had a proper reply (`single-request`)."""
    if a in _BROKEN or a is Reply.TIMEOUT:
        return _judge_glibc_alone(a, manner)
    if aaaa is Reply.TIMEOUT:
        sent = 1 if manner.fresh_socket else 2
        return _either(a, aaaa), sent, sent, replace(manner, fresh_socket=True)
    return _either(a, aaaa), 1, 1, manner


def _judge_glibc_alone(a: Reply, manner: _Manner) -> _Judged:
    """Judge the reply to A where AAAA is not asked for."""
    if a in _BROKEN or a is Reply.TIMEOUT:
        verdict = Verdict.GO_ON if a is Reply.SERVFAIL else Verdict.AS_IS
        return verdict, manner.attempts, 0, manner
    return _either(a, Reply.NODATA), 1, 0, manner


def _judge_go(a: Reply, aaaa: Reply, manner: _Manner) -> _Judged:
    """One address of either type is enough; whatever else comes back leads to the next name.

    Source: Go 1.26 src/net/dnsclient_unix.go, goLookupIPCNAMEOrder, tryOneName.
    """

    def sent(reply: Reply) -> int:
        return manner.attempts if reply in (*_BROKEN, Reply.TIMEOUT) else 1

    return _either(a, aaaa), sent(a), sent(aaaa), manner


def _judge_musl(a: Reply, aaaa: Reply, manner: _Manner) -> _Judged:
    """Both types need a proper reply: half an answer is none.

    NXDOMAIN for either leads to the next name, even beside an address; NODATA for both ends the
    walk, and so does any reply that musl will not take: SERVFAIL, REFUSED, TIMEOUT. SERVFAIL is
    asked again at once, up to four times each round, and then waited for.

    Source: musl 1.2.5 src/network/lookup_name.c (name_from_dns), res_msend.c. Before 1.2.4 the
    error is another one (EAI_NONAME for NODATA), the questions are the same.
    """
    rounds = manner.attempts
    resent = 4 // [a, aaaa].count(Reply.SERVFAIL) if Reply.SERVFAIL in (a, aaaa) else 0

    def sent(reply: Reply) -> int:
        if reply is Reply.SERVFAIL:
            return rounds * (1 + resent)
        return rounds if reply in (Reply.REFUSED, Reply.TIMEOUT) else 1

    for reply in (a, aaaa):
        if reply in _BROKEN or reply is Reply.TIMEOUT:
            return Verdict.END, sent(a), sent(aaaa), manner
        if reply is Reply.NXDOMAIN:
            return Verdict.GO_ON, sent(a), sent(aaaa), manner
    found = Reply.ANSWER in (a, aaaa)
    return Verdict.FOUND if found else Verdict.END, 1, 1, manner


def _either(a: Reply, aaaa: Reply) -> Verdict:
    return Verdict.FOUND if Reply.ANSWER in (a, aaaa) else Verdict.GO_ON


def _glibc_unfit(full: str) -> Verdict:
    """The list ends where no query can hold a name (NO_RECOVERY)."""
    return Verdict.AS_IS


def _passed_over(full: str) -> Verdict:
    """A name that no query can hold is passed over.

    So does musl since 1.2.4; before, such a name ended the lookup, unless it was longer than its
    buffer.

    Source: musl 1.2.5 src/network/lookup_name.c, name_from_dns: `return 0` after res_mkquery.
    """
    return Verdict.GO_ON


def _in_turn(
    judge: _Judge, unfit: Callable[[str], Verdict], attempts_at_most: int | None = None
) -> Callable[[str, tuple[str, ...], ResolvConf, Answers], Iterator[Asked]]:
    """Ask one name after the other, both types of each, until a verdict ends it."""

    def ask(
        name: str, names: tuple[str, ...], conf: ResolvConf, replies: Answers
    ) -> Iterator[Asked]:
        manner = _manner(conf, attempts_at_most)
        left, asked = deque(names), set[str]()
        # What a name that is tried as it is first brings back never ends the list.
        first_as_is = _is_dotted(name, conf) and len(names) > 1
        while left:
            full = left.popleft()
            shown = presented(full)
            if fits_in_a_query(full):
                a, aaaa = (replies(shown, rdtype) for rdtype in RDTYPES)
                verdict, *sent, manner = judge(a, aaaa, manner)
                if first_as_is and not asked and verdict is not Verdict.FOUND:
                    verdict = Verdict.GO_ON
                yield Asked(shown, _questions(shown, (a, aaaa), sent), verdict)
            else:
                verdict = unfit(full)
                yield Asked(shown, (), verdict)
            asked.add(full)
            if verdict in (Verdict.FOUND, Verdict.END):
                return
            if verdict is Verdict.AS_IS:
                left = deque([name] if name not in asked else [])

    return ask


def _manner(conf: ResolvConf, attempts_at_most: int | None) -> _Manner:
    attempts = min(conf.attempts, attempts_at_most or conf.attempts)
    fresh = conf.has_option("single-request-reopen")
    serial = fresh or conf.has_option("single-request")
    return _Manner(attempts, conf.has_option("no-aaaa"), serial, fresh)


def _questions(name: str, replies: tuple[Reply, Reply], sent: list[int]) -> tuple[Question, ...]:
    every = zip(RDTYPES, replies, sent, strict=True)
    return tuple(Question(name, rdtype, reply, n) for rdtype, reply, n in every if n)


_BUSYBOX_ROUNDS = 2


def _ask_busybox(
    name: str, names: tuple[str, ...], conf: ResolvConf, replies: Answers
) -> Iterator[Asked]:
    """Ask every name for A, then every name for AAAA, all at once, and print what comes back.

    Nothing ends the walk. After TIMEOUT a question is sent once more, `timeout` and `attempts` of
    resolv.conf count for nothing; SERVFAIL is asked again at once, two resends for each question
    of the walk.

    Source: busybox networking/nslookup.c, send_queries, as above; tried with 1.35.
    """
    every = [(full, rdtype) for rdtype in RDTYPES for full in names]
    fits = [fits_in_a_query(full) for full, _ in every]
    shown = [(presented(full), rdtype) for full, rdtype in every]
    if False in fits:
        unfit = fits.index(False)
        # It sends what stands before that name, and gives up without reading what comes back.
        asked = [Question(full, rdtype, Reply.TIMEOUT) for full, rdtype in shown[:unfit]]
        yield from _by_name(asked, len(names))
        yield Asked(shown[unfit][0], (), Verdict.END)
        return
    asked = _resent([Question(*one, replies(*one)) for one in shown])
    yield from _by_name(asked, len(names))


def _resent(asked: list[Question]) -> list[Question]:
    """Return questions with how often busybox sends each."""
    # By their places: a domain that the list has twice makes two questions with one name.
    failing = [place for place, one in enumerate(asked) if one.reply is Reply.SERVFAIL]
    share, rest = divmod(2 * len(asked), max(1, len(failing)))

    def sent(place: int, reply: Reply) -> int:
        if reply is Reply.TIMEOUT:
            return _BUSYBOX_ROUNDS
        if reply is not Reply.SERVFAIL:
            return 1
        return 1 + share + (failing.index(place) < rest)

    return [replace(one, sent=sent(place, one.reply)) for place, one in enumerate(asked)]


def _by_name(asked: list[Question], count: int) -> Iterator[Asked]:
    """Yield the questions of each of so many names: those of one type stand before the next."""
    for place in range(min(count, len(asked))):
        questions = tuple(asked[place::count])
        found = any(question.reply is Reply.ANSWER for question in questions)
        yield Asked(questions[0].name, questions, Verdict.FOUND if found else Verdict.GO_ON)


def ask_for_a_pointer(name: str, replies: Answers) -> Asked:
    """Return what busybox asks of an address: for its name, without the search list."""
    (question,) = _resent([Question(name, "PTR", replies(name, "PTR"))])
    found = question.reply is Reply.ANSWER
    return Asked(name, (question,), Verdict.FOUND if found else Verdict.GO_ON)


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "glibc",
            _glibc_candidates,
            _in_turn(_judge_glibc, _glibc_unfit, _GLIBC_ATTEMPTS),
            glibc_spelled,
        ),
        Profile(
            "musl",
            _musl_candidates,
            _in_turn(_judge_musl, _passed_over, _MUSL_ATTEMPTS),
            musl_spelled,
        ),
        Profile("go", _go_candidates, _in_turn(_judge_go, _passed_over), go_spelled),
        Profile(
            "busybox",
            _busybox_candidates,
            _ask_busybox,
            octets,
            by_rdtype=True,
        ),
    )
}
