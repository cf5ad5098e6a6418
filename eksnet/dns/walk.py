"""The search walk: which names a resolver asks for one name, in which order, and where it stops."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from eksnet import inputs
from eksnet.dns.nameservers import is_lost, routed
from eksnet.dns.profiles import (
    PROFILES,
    Asked,
    Profile,
    Question,
    Verdict,
    ask_for_a_pointer,
    profile_called,
)
from eksnet.dns.replies import RDTYPES, Answers, Reply, autopath, given_answers
from eksnet.dns.resolvconf import ResolvConf
from eksnet.dns.spelling import ROOT, presented
from eksnet.errors import EksnetError
from eksnet.listing import Listing

_CACHE = "NodeLocal DNSCache"
_Row = tuple[str, str]
_SHOWN = 60
_PART = r"(?:0[xX][0-9a-fA-F]*|[0-9]+)"
_OLD_IPV4 = re.compile(rf"{_PART}(?:\.{_PART}){{0,3}}")
_REVERSE = ("in-addr.arpa", "ip6.arpa")


@dataclass(frozen=True)
class Attempt:
    """One row of a walk: a name, asked for A and for AAAA, or for PTR.

    Attributes:
        order: Its place in the walk, from 1.
        name: The name that is asked, without the final dot.
        mark: O for an answer, X for none; else what came back, by type where the types differ.
            `dns.marks()` explains the marks.
    """

    order: int
    name: str
    mark: str

    @property
    def answered(self) -> bool:
        """Whether the resolver takes an address from it."""
        return self.mark == Reply.ANSWER.mark


@dataclass(frozen=True, repr=False)
class Walk(Listing[Attempt]):
    """The attempts to find one name, in order: a row for each name, for all types asked of it.

    Attributes:
        questions: Every question once, in the order in which they are first sent; empty when no
            more is known than the rows say. The two of one row leave together: in which order
            they arrive is not certain, and Go sends them from two goroutines.
        why: Why the walk ends where it does; empty where it was observed.
        in_turn: Whether one name follows the other; busybox sends all of them at once, and in which
            order they arrive is not certain.
    """

    questions: tuple[Question, ...] = ()
    why: str = ""
    in_turn: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are asked, in order."""
        return tuple(attempt.name for attempt in self.items)

    @property
    def found(self) -> bool:
        """Whether the lookup ends with an address; of an address, with its name."""
        return any(attempt.answered for attempt in self.items)

    @property
    def query_count(self) -> int:
        """How many queries leave the pod, each resend too; A and AAAA where only rows are known."""
        if not self.questions:
            return len(RDTYPES) * len(self)
        return sum(question.sent for question in self.questions)

    @property
    def cost(self) -> str:
        """How many queries leave the pod, in words."""
        return "1 query" if self.query_count == 1 else f"{self.query_count} queries"


def first_difference(predicted: Walk, observed: Walk) -> int:
    """Return from which row on an observed walk is not as predicted, from 1; 0 when it is.

    Letter case does not count in a name: CoreDNS logs all names in lower case. Nor does the order
    of rows where the resolver sends all of them at once.

    Args:
        predicted: The walk that was predicted.
        observed: The walk that was observed.

    Example:
        >>> predicted = search_walk("A", ResolvConf(search=("example",)))
        >>> first_difference(predicted, walk_of_questions(predicted.questions[:2]))
        2
    """
    one, other = ([(row.name.lower(), row.mark) for row in walk] for walk in (predicted, observed))
    if not predicted.in_turn:
        other = _in_the_order_of(one, other)
    pairs = itertools.zip_longest(one, other)
    return next((n for n, (a, b) in enumerate(pairs, start=1) if a != b), 0)


def _in_the_order_of(one: Sequence[_Row], other: Sequence[_Row]) -> list[_Row]:
    """Return rows in the order in which others stand, those last that these do not have."""
    left = Counter(other)
    common = [row for row in one if left[row] and not left.subtract([row])]
    return [*common, *left.elements()]


def walk(rows: Collection[tuple[str, bool]]) -> Walk:
    """Return a walk of (name, answered) rows."""
    marks = {True: Reply.ANSWER.mark, False: Reply.NXDOMAIN.mark}
    return _listed([(name, marks[answered]) for name, answered in rows])


def walk_of_questions(questions: Iterable[Question]) -> Walk:
    """Return the walk that questions make, such as a server's log holds.

    All questions for one name are one row, A first: which arrives first is not certain. A question
    that is sent again counts as another query.

    Args:
        questions: The questions, in order.

    Example:
        >>> seen = Question("a.example", "A", Reply.SERVFAIL)
        >>> walk_of_questions([seen, seen]).query_count
        2
    """
    rows: dict[str, dict[str, Question]] = {}
    for question in questions:
        row = rows.setdefault(question.name, {})
        before = row.get(question.rdtype)
        row[question.rdtype] = replace(
            question, sent=question.sent + (before.sent if before else 0)
        )
    of_names = {name: tuple(row[rdtype] for rdtype in sorted(row)) for name, row in rows.items()}
    marked = [
        (name, _mark(of, any(question.reply is Reply.ANSWER for question in of)))
        for name, of in of_names.items()
    ]
    return _listed(marked, tuple(question for of in of_names.values() for question in of))


def _mark(questions: Collection[Question], taken: bool) -> str:
    """Return what came back for one name, in a word or two.

    An address beside a reply that the resolver will not take does not end its walk.
    """
    if taken:
        return Reply.ANSWER.mark
    if len({question.reply for question in questions}) == 1:
        return next(iter(questions)).reply.mark
    return ", ".join(f"{question.rdtype} {question.reply.mark}" for question in questions)


def _listed(
    marked: Iterable[tuple[str, str]],
    questions: tuple[Question, ...] = (),
    why: str = "",
    *,
    in_turn: bool = True,
) -> Walk:
    rows = Walk.of(
        (Attempt(n, name, mark) for n, (name, mark) in enumerate(marked, start=1)),
        {
            "order": lambda one: one.order,
            "query name": lambda one: one.name,
            "match": lambda one: one.mark,
        },
    )
    return replace(rows, questions=questions, why=why, in_turn=in_turn)


def search_walk(
    name: str,
    conf: ResolvConf,
    exists: Collection[str] = (),
    profile: str = "glibc",
    *,
    answers: Answers | Mapping[str | tuple[str, str], Reply | str] | None = None,
    silent: Collection[str] = (),
) -> Walk:
    """Predict the queries for a name, up to the one that ends the walk.

    Holds for names that /etc/hosts does not have. A pod mostly has one nameserver; with several
    ones, `eksnet.dns.nameservers` says what is known.

    Args:
        name: The name as the program gives it; a final dot makes it absolute.
        conf: The pod's resolv.conf.
        exists: The full names that have an IPv4 address: A is answered, AAAA is NODATA.
        profile: The resolver: glibc, musl, go or busybox (its nslookup).
        answers: What comes back, beside `exists`: for a name or a (name, type), or a function of
            the two. Every name that neither mentions is NXDOMAIN.
        silent: The nameservers that never answer.

    Raises:
        EksnetError: The profile is not known, or no program looks such a name up: it is empty, has
            blanks in it, or begins with a hyphen.

    Example:
        >>> conf = pod_resolv_conf("ops-ns")
        >>> walk = search_walk("my-service.app-ns", conf, {"my-service.app-ns.svc.cluster.local"})
        >>> walk
        order  query name                                  match
        1      my-service.app-ns.ops-ns.svc.cluster.local  X
        2      my-service.app-ns.svc.cluster.local         O
        >>> walk.query_count
        4
        >>> print(walk.why)
        the answer for my-service.app-ns.svc.cluster.local has an address
        >>> fails = {"my-service.ops-ns.svc.cluster.local": "SERVFAIL"}
        >>> print(search_walk("my-service", conf, profile="musl", answers=fails).why)
        musl stops after SERVFAIL for my-service.ops-ns.svc.cluster.local
    """
    rules = profile_called(profile)
    check_name(name)
    replies = answers if callable(answers) else given_answers(exists, answers)
    if is_lost(conf.nameservers, silent):
        replies = _lost
    asked = tuple(_asked(name, conf, rules, replies))
    marked = [
        (one.name, _mark(one.questions, one.verdict is Verdict.FOUND))
        for one in asked
        if one.questions
    ]
    questions = tuple(question for one in asked for question in one.questions)
    if rules.by_rdtype:
        # Stable: names stay in their order within a type.
        questions = tuple(sorted(questions, key=lambda question: question.rdtype))
    questions = routed(questions, rules.name, conf.nameservers, silent)
    why = _why(name, conf, rules, asked)
    return _listed(marked, questions, why, in_turn=not rules.by_rdtype)


def _lost(name: str, rdtype: str) -> Reply:
    return Reply.TIMEOUT


def _asked(name: str, conf: ResolvConf, rules: Profile, replies: Answers) -> Iterable[Asked]:
    """Return what a resolver does with each name, in order; nothing where it makes no query."""
    if pointer := _pointer(name, rules.name):
        return (ask_for_a_pointer(pointer, replies),)
    spelled = rules.spelled(name)
    if not spelled or spelled.endswith("..") or is_address(name, rules.name):
        return ()
    bare = spelled if spelled == ROOT else spelled.removesuffix(".")
    return rules.ask(bare, _names(spelled, conf, rules), conf, replies)


def candidates(name: str, conf: ResolvConf, profile: str = "glibc") -> tuple[str, ...]:
    """Return every name that a resolver would ask if none were answered, in order.

    Args:
        name: The name, as the program gives it.
        conf: The client's resolv.conf.
        profile: The resolver: glibc, musl, go or busybox.

    Raises:
        EksnetError: As for `search_walk`.

    Example:
        >>> candidates("a.b.c.d.e.f", pod_resolv_conf("ops-ns"), "musl")
        ('a.b.c.d.e.f',)
    """
    return search_walk(name, conf, profile=profile).names


def _names(spelled: str, conf: ResolvConf, rules: Profile) -> tuple[str, ...]:
    if spelled == ROOT or not spelled.endswith("."):
        return (ROOT,) if spelled == ROOT else rules.candidates(spelled, conf)
    return (spelled.removesuffix("."),)


def check_name(name: str) -> None:
    """Refuse what no program looks up: nothing, blanks and the like, what looks like an option.

    What a resolver makes no query of is no error: `search_walk` says so.

    Raises:
        EksnetError: It is such a text.
    """
    inputs.lookup_name(name)


def check_asked(name: str, profile: str) -> None:
    """Refuse a name of which a resolver makes no query: with it, there is nothing to observe.

    Args:
        name: The name as the program gives it.
        profile: The resolver: glibc, musl, go or busybox.

    Raises:
        EksnetError: It makes none, or the profile is not known.
    """
    walk = search_walk(name, ResolvConf(), profile=profile)
    if walk.questions:
        return
    if not is_address(name, profile):
        inputs.dns_name(name)
    raise EksnetError(
        f"the name {inputs.shown(name)} cannot be asked: {walk.why}",
        f"a name that {profile} queries",
        "a name such as my-service.app-ns",
    )


def is_address(name: str, profile: str) -> bool:
    """Tell whether a resolver takes a name for an address, of which it asks nothing (busybox PTR).

    glibc and musl take the older forms of IPv4 too, such as 10.1 and 0x7f.1.
    """
    old = profile in ("glibc", "musl") and _OLD_IPV4.fullmatch(name) is not None
    return old or inputs.is_address(name)


def _pointer(name: str, profile: str) -> str:
    """Return the name that busybox asks for where it is given an address; empty for all else."""
    if profile != "busybox" or "%" in name or not is_address(name, profile):
        return ""
    return ipaddress.ip_address(name).reverse_pointer


def _why(name: str, conf: ResolvConf, rules: Profile, asked: tuple[Asked, ...]) -> str:
    """Tell in one sentence why a walk ends."""
    profile = rules.name
    if not any(one.questions for one in asked):
        return _why_nothing(name, profile)
    if asked[0].questions and asked[0].questions[0].rdtype == "PTR":
        return f"{name} is an address: {profile} queries its name (PTR), without the search list"
    if profile == "busybox":
        unfit = next((one for one in asked if not one.questions), None)
        if unfit:
            return f"no query can hold {_short(unfit.name)}: {profile} stops and reads no answer"
        return "busybox nslookup queries all names, whatever the answers are"
    return _why_after(asked, _all_names(name, conf, rules), profile) or _why_at_the_end(
        name, conf, rules
    )


def _why_after(asked: tuple[Asked, ...], names: tuple[str, ...], profile: str) -> str:
    """Tell why a walk ends before its last name; nothing when it does not."""
    last = asked[-1]
    if last.verdict is Verdict.FOUND:
        return f"the answer for {last.name} has an address"
    if last.verdict is Verdict.END:
        return f"{profile} stops after {_ending(last)} for {_short(last.name)}"
    skipped = next((one for one in asked if one.verdict is Verdict.AS_IS), None)
    if skipped is None or len(asked) >= len(names):
        return ""
    said = f"after {_ending(skipped)} for {_short(skipped.name)}"
    return f"{said} {profile} skips the rest of the list"


def _why_at_the_end(name: str, conf: ResolvConf, rules: Profile) -> str:
    """Tell why a walk has no more names than it has."""
    if name.endswith("."):
        return "final dot: the name is complete, no domain is appended"
    if len(_all_names(name, conf, rules)) == 1:
        return f"{rules.name} queries this name without the search list"
    return "no name is left to query"


def _all_names(name: str, conf: ResolvConf, rules: Profile) -> tuple[str, ...]:
    return tuple(map(presented, _names(rules.spelled(name), conf, rules)))


def _why_nothing(name: str, profile: str) -> str:
    """Tell why a resolver makes no query of a name."""
    if is_address(name, profile):
        return f"{name} is an address: {profile} queries nothing"
    fault = inputs.name_fault(name) or "it is no name of a host"
    return f"{profile} queries nothing: {fault}"


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}… ({len(name)} characters)"


def _ending(asked: Asked) -> str:
    replies = (q.reply.value for q in asked.questions if q.reply is not Reply.ANSWER)
    return " and ".join(dict.fromkeys(replies)) or "no query"


def compare(
    name: str,
    conf: ResolvConf,
    exists: Collection[str] = (),
    *,
    answers: Answers | Mapping[str | tuple[str, str], Reply | str] | None = None,
) -> Listing[Walk]:
    """Predict the walk of every resolver for one name, a row for each.

    Args:
        name: The name, as the program gives it.
        conf: The client's resolv.conf.
        exists: The full names that have an address.
        answers: What other names are answered; see `search_walk`.

    Example:
        >>> compare("a.example", ResolvConf(search=("b",)), answers={"a.example": "NODATA"})
        profile  names  queries  found  why
        glibc    2      4        no     no name is left to query
        musl     1      2        no     musl stops after NODATA for a.example
        go       2      4        no     no name is left to query
        busybox  1      2        no     busybox nslookup queries all names, whatever the answers are
    """
    walks = {profile: search_walk(name, conf, exists, profile, answers=answers)
             for profile in PROFILES}  # fmt: skip
    rows = tuple(
        (profile, str(len(walk)), str(walk.query_count), _yes(walk.found), walk.why)
        for profile, walk in walks.items()
    )
    columns = ("profile", "names", "queries", "found", "why")
    return Listing(columns, rows, tuple(walks.values()))


def remedies(
    name: str,
    conf: ResolvConf,
    exists: Collection[str] = (),
    profile: str = "glibc",
    *,
    answers: Answers | Mapping[str | tuple[str, str], Reply | str] | None = None,
) -> Listing[Walk]:
    """Predict what five ways to save queries change for one name.

    A lower `ndots` and a final dot change what the pod asks, `autopath` what it is told; and each
    can cost the answer. `ndots:2` is what AWS's best practices advise where names outside the
    cluster are asked for: a name with two dots or more is tried as it is first, and a Service's
    `name.namespace` still takes the list. With `ndots:1` musl looks for it outside alone.

    NodeLocal DNSCache changes neither: as many queries leave the pod, but a cache on its node
    answers those that it knows, the negative answers too. Of what it does not know it asks CoreDNS
    for the cluster's domain and the reverse zones alone; for the rest, the node's own resolver,
    which on EKS is the VPC's. That is upstream's manifest: its zone `.` is forwarded to
    `__PILLAR__UPSTREAM__SERVERS__`, the nameservers of the node.

    Args:
        name: The name as the program gives it, without a final dot.
        conf: The pod's resolv.conf.
        exists: As for `search_walk`.
        profile: As for `search_walk`.
        answers: As for `search_walk`.

    Example:
        >>> remedies("api.example.com", pod_resolv_conf("ops-ns"), {"api.example.com"})
        setting             names  from the pod  to CoreDNS                        found
        ndots:5             5      10            10                                yes
        ndots:2             1      2             2                                 yes
        ndots:1             1      2             2                                 yes
        a final dot         1      2             2                                 yes
        autopath            1      2             2                                 yes
        NodeLocal DNSCache  5      10            6, and 4 to the VPC; then cached  yes
        >>> exists = {"my-service.app-ns.svc.cluster.local"}
        >>> remedies("my-service.app-ns", pod_resolv_conf("ops-ns"), exists, "musl")
        setting             names  from the pod  to CoreDNS      found
        ndots:5             2      4             4               yes
        ndots:2             2      4             4               yes
        ndots:1             1      2             2               no
        a final dot         1      2             2               no
        autopath            1      2             2               yes
        NodeLocal DNSCache  2      4             4, then cached  yes
    """
    replies = answers if callable(answers) else given_answers(exists, answers)
    asked = name.rstrip(".")

    def predict(name: str, conf: ResolvConf, replies: Answers) -> Walk:
        return search_walk(name, conf, profile=profile, answers=replies)

    as_it_is = predict(asked, conf, replies)
    walks = {
        f"ndots:{conf.ndots}": as_it_is,
        "ndots:2": predict(asked, conf.with_option("ndots", "2"), replies),
        "ndots:1": predict(asked, conf.with_option("ndots", "1"), replies),
        "a final dot": predict(f"{asked}.", conf, replies),
        "autopath": predict(asked, conf, autopath(conf, replies)),
        _CACHE: as_it_is,
    }
    rows = tuple(
        (
            setting,
            str(len(walk)),
            str(walk.query_count),
            _past_a_cache(walk, conf) if setting == _CACHE else str(walk.query_count),
            _yes(walk.found),
        )
        for setting, walk in walks.items()
    )
    columns = ("setting", "names", "from the pod", "to CoreDNS", "found")
    return Listing(columns, rows, tuple(walks.values()))


def _past_a_cache(walk: Walk, conf: ResolvConf) -> str:
    """Return where NodeLocal DNSCache sends the queries of a walk that it does not know."""
    service = (one.removeprefix("svc.") for one in conf.search if one.startswith("svc."))
    zones = tuple(f".{zone}" for zone in (next(service, "cluster.local"), *_REVERSE))
    inside = sum(one.sent for one in walk.questions if f".{one.name}".endswith(zones))
    away = walk.query_count - inside
    return f"{inside}, and {away} to the VPC; then cached" if away else f"{inside}, then cached"


def _yes(condition: bool) -> str:
    return "yes" if condition else "no"
