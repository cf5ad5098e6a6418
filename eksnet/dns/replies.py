"""What comes back for a question, and where a prediction gets its replies from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum

from eksnet import inputs
from eksnet.dns.resolvconf import ResolvConf
from eksnet.dns.spelling import check_presented
from eksnet.listing import Listing

RDTYPES = ("A", "AAAA")


class Reply(StrEnum):
    """What comes back for one name and one type."""

    ANSWER = "answer"
    NXDOMAIN = "NXDOMAIN"
    NODATA = "NODATA"
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    TIMEOUT = "TIMEOUT"

    @property
    def mark(self) -> str:
        """O for an answer and X for no such name, the document's own marks; else the word."""
        return {Reply.ANSWER: "O", Reply.NXDOMAIN: "X"}.get(self, self.value)

    @classmethod
    def of_rcode(cls, rcode: str) -> Reply:
        """Return the reply for an answer's code other than NOERROR; SERVFAIL for the rarer ones.

        Args:
            rcode: The response code, such as NXDOMAIN.
        """
        return cls(rcode) if rcode in (cls.NXDOMAIN, cls.REFUSED) else cls.SERVFAIL


Answers = Callable[[str, str], Reply]
"""From a full name, without the final dot, and a type to what comes back."""

_MEANINGS = {
    Reply.ANSWER: "the answer has an address",
    Reply.NXDOMAIN: "the name does not exist (NXDOMAIN)",
    Reply.NODATA: "the name exists, but has no record of this type (NOERROR without an answer)",
    Reply.SERVFAIL: "the server failed to find the answer",
    Reply.REFUSED: "the server refuses this query",
    Reply.TIMEOUT: "nothing comes back before the resolver times out (`timeout`, `attempts`)",
}


def marks() -> Listing[Reply]:
    """Return what the marks of a walk mean.

    Example:
        >>> marks().rows[1]
        ('X', 'the name does not exist (NXDOMAIN)')
    """
    return Listing.of(_MEANINGS, {"mark": lambda reply: reply.mark, "meaning": _MEANINGS.get})


def given_answers(
    exists: Collection[str] = (),
    given: Mapping[str | tuple[str, str], Reply | str] | None = None,
) -> Answers:
    r"""Return the replies of a server that knows some names; every other is NXDOMAIN.

    Args:
        exists: Full names that have an IPv4 address, and no other: AAAA is NODATA, as for every
            name of an IPv4 cluster. An octet beyond ASCII is written as `\195`.
        given: Replies for a full name, or for a (name, type); these come first.

    Raises:
        EksnetError: A name could not be asked, or a reply is none.

    Example:
        >>> reply = given_answers({"a.example"}, {"b.example": "SERVFAIL"})
        >>> str(reply("a.example", "AAAA")), str(reply("b.example", "A"))
        ('NODATA', 'SERVFAIL')
    """
    known = {_canonical(check_presented(name, "the name that exists")) for name in exists}
    told = {_canonical_key(key): _reply_called(reply) for key, reply in (given or {}).items()}

    def reply(name: str, rdtype: str) -> Reply:
        name = _canonical(name)
        found = told.get((name, rdtype)) or told.get((name, ""))
        if found:
            return found
        if name in known:
            return Reply.ANSWER if rdtype == "A" else Reply.NODATA
        return Reply.NXDOMAIN

    return reply


def autopath(conf: ResolvConf, replies: Answers) -> Answers:
    """Return the replies of a CoreDNS with `autopath @kubernetes` in front of another's.

    For a name with the first domain of the list CoreDNS goes along the rest of the list by itself
    and answers with what it finds, behind a CNAME: the pod's own walk ends with its first row. It
    needs `pods verified`: only then does CoreDNS know the pods' addresses, and so the asking pod's
    namespace. When nothing is found, the pod walks the whole list all the same.

    Args:
        conf: The pod's resolv.conf; its search list is the one that CoreDNS goes along.
        replies: What the names have without autopath.

    Source: CoreDNS 1.14.3 plugin/autopath, plugin/kubernetes/autopath.go.
    """
    if not conf.search:
        return replies
    first = f".{_canonical(conf.search[0])}"

    def reply(name: str, rdtype: str) -> Reply:
        base = _canonical(name).removesuffix(first)
        if base == _canonical(name):
            return replies(name, rdtype)
        tried = (replies(full, rdtype) for full in (*completed(base, conf.search), base))
        return next((found for found in tried if found != Reply.NXDOMAIN), Reply.NXDOMAIN)

    return reply


def completed(name: str, domains: Iterable[str]) -> tuple[str, ...]:
    """Return a name with each domain appended; the root (`.`) leaves it as it is."""
    return tuple(f"{name}.{domain}".rstrip(".") for domain in domains)


def _reply_called(reply: Reply | str) -> Reply:
    return Reply(inputs.one_of(reply, [one.value for one in Reply], "reply"))


def _canonical(name: str) -> str:
    return name.rstrip(".").lower()


def _canonical_key(key: str | tuple[str, str]) -> tuple[str, str]:
    name, rdtype = (key, "") if isinstance(key, str) else key
    return _canonical(check_presented(name)), rdtype
