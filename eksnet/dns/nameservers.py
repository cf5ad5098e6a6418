"""Several nameservers: which of them a question is sent to, by each resolver's own rules.

Known for questions that get a proper reply, and for those that nobody answers. Where a server fails
(SERVFAIL, REFUSED) the rules of one nameserver are kept. The option `rotate`, which begins
elsewhere with each lookup, is not followed.

Each rule was seen with the real resolver: tests/dns/test_nameservers.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from eksnet.dns.profiles import Question
from eksnet.dns.replies import Reply

_PROPER = (Reply.ANSWER, Reply.NXDOMAIN, Reply.NODATA)
# How often busybox asks a server that does not answer, before it asks the next one.
_BUSYBOX_ROUNDS = 2
_AT_ONCE = ("musl",)


def is_lost(servers: Sequence[str], silent: Collection[str]) -> bool:
    """Tell whether no nameserver answers.

    Args:
        servers: The nameservers.
        silent: Those that do not answer.

    >>> is_lost(["10.0.0.2", "10.0.0.3"], silent=["10.0.0.2"])
    False
    """
    return bool(servers) and set(servers) <= set(silent)


def routed(
    questions: Sequence[Question], profile: str, servers: Sequence[str], silent: Collection[str]
) -> tuple[Question, ...]:
    """Return questions with the nameservers that each is sent to.

    glibc and Go ask one server after the other, and the next one only where there is no reply. musl
    asks all of them at once and takes the first reply. busybox sends all its questions to one
    server, twice, before it takes the next.

    Args:
        questions: What is asked, as of one nameserver.
        profile: The resolver: glibc, musl, go or busybox.
        servers: The nameservers, in order.
        silent: Those that do not answer.

    Source: glibc 2.42 resolv/res_send.c (__res_context_send); musl 1.2.5 src/network/res_msend.c;
    Go 1.26 src/net/dnsclient_unix.go (tryOneName); busybox networking/nslookup.c.
    """
    if len(servers) < 2:
        return tuple(questions)
    return tuple(_routed(one, profile, tuple(servers), silent) for one in questions)


def _routed(
    question: Question, profile: str, servers: tuple[str, ...], silent: Collection[str]
) -> Question:
    if question.reply is Reply.TIMEOUT:
        to = _in_rounds(profile, servers, question.sent)
    elif question.reply in _PROPER:
        to = _until_answered(profile, servers, silent)
    else:
        return question
    return replace(question, sent=len(to), servers=to)


def _in_rounds(profile: str, servers: tuple[str, ...], rounds: int) -> tuple[str, ...]:
    """Return where a question goes that nobody answers."""
    if profile == "busybox":
        return tuple(one for one in servers for _ in range(rounds))
    return servers * rounds


def _until_answered(
    profile: str, servers: tuple[str, ...], silent: Collection[str]
) -> tuple[str, ...]:
    if profile in _AT_ONCE:
        return servers
    before = 0
    while servers[before] in silent:
        before += 1
    rounds = _BUSYBOX_ROUNDS if profile == "busybox" else 1
    return (*(one for one in servers[:before] for _ in range(rounds)), servers[before])
