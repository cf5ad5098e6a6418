"""How Go and its DNS library read a word: numbers, durations, networks, names, expressions.

Each function returns what is wrong with the word, or an empty text. Python's own readers differ in
what they take: digits of other scripts, blanks, underscores, look-ahead.

Source: Go 1.26 strconv, time, net, regexp/syntax; github.com/miekg/dns 1.1 (IsDomainName).
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterator

_MOST = 2**63 - 1
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DIGITS = re.compile(r"[0-9]+")
_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)", re.IGNORECASE
)
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_UNITS |= {"m": 60 * 10**9, "h": 3600 * 10**9}
_OCTET = re.compile(rb"\\(?:[0-9]{3}|.)", re.DOTALL)
_LABEL, _NAME = 64, 256
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SECOND = 10**9
"""A second, in nanoseconds."""


def integer(word: str) -> int | None:
    """Return what strconv.Atoi makes of a word; None where it makes nothing."""
    if not _INTEGER.fullmatch(word):
        return None
    number = int(word) if len(word) < 21 else _MOST + 1
    return number if -_MOST - 1 <= number <= _MOST else None


def unsigned(word: str, bits: int = 32) -> int | None:
    """Return what strconv.ParseUint makes of a decimal word; None where it makes nothing."""
    number = int(word) if _DIGITS.fullmatch(word) and len(word) < 40 else None
    return number if number is not None and number < 2**bits else None


def number(word: str) -> float | None:
    """Return what strconv.ParseFloat makes of a decimal word; None where it makes nothing."""
    return float(word) if _FLOAT.fullmatch(word) else None


def duration(word: str) -> int | None:
    """Return what time.ParseDuration makes of a word, in nanoseconds; None where it is none."""
    text = word[1:] if word[:1] in ("+", "-") else word
    if text == "0":
        return 0
    total, place = 0.0, 0
    while found := _PART.match(text, place):
        total += float(found[1]) * _UNITS[found[2]]
        place = found.end()
    if not text or place < len(text) or total > _MOST:
        return None
    return round(-total if word[0] == "-" else total)


def address(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return what net.ParseIP makes of a word: no zone; None where it is no address."""
    if "%" in word:
        return None
    try:
        return ipaddress.ip_address(word)
    except ValueError:
        return None


def network(word: str) -> Network | None:
    """Return what net.ParseCIDR makes of a word; None where it is no network."""
    host, slash, bits = word.partition("/")
    found = address(host)
    if not slash or found is None or not _DIGITS.fullmatch(bits) or len(bits) > 8:
        return None
    if int(bits) > found.max_prefixlen:
        return None
    return ipaddress.ip_network((found, int(bits)), strict=False)


def host_port(word: str) -> tuple[str, str] | None:
    """Return what net.SplitHostPort makes of a word; None where it makes nothing."""
    if word.startswith("["):
        inside, bracket, rest = word[1:].partition("]")
        fits = bracket and rest.startswith(":") and not set(rest[1:]) & set(":[]")
        return (inside, rest[1:]) if fits and not set(inside) & set("[]") else None
    host, colon, port = word.rpartition(":")
    fits = colon and not set(host) & set(":[]") and not set(port) & set("[]")
    return (host, port) if fits else None


@functools.lru_cache(4096)
def is_domain(name: str) -> bool:
    """Tell whether dns.IsDomainName takes a name."""
    if name in ("", "."):
        return name == "."
    octets = name.encode("utf-8", "surrogatepass")
    ended = octets.endswith(b".")
    if b"\\" in octets:
        bare = octets[:-1]
        ended = ended and (len(bare) - len(bare.rstrip(b"\\"))) % 2 == 0
        octets = _OCTET.sub(b"x", octets if ended else octets + b".")
        if not octets.endswith(b"."):
            return False
    elif not ended:
        octets += b"."
    labels = octets[:-1].split(b".")
    return all(labels) and max(map(len, labels)) < _LABEL and len(octets) <= _NAME


def is_type(word: str) -> bool:
    """Tell whether a word names a record type, in capitals."""
    return word in _TYPES


def is_class(word: str) -> bool:
    """Tell whether a word names a class of the DNS, in capitals."""
    return word in ("IN", "CS", "CH", "HS", "NONE", "ANY")


def is_rcode(word: str) -> bool:
    """Tell whether a word names a code of an answer, in capitals."""
    return word in _RCODES


_TYPES = frozenset(
    ("A", "AAAA", "AFSDB", "AMTRELAY", "ANY", "APL", "ATMA", "AVC", "AXFR", "CAA", "CDNSKEY",
     "CDS", "CERT", "CNAME", "CSYNC", "DHCID", "DLV", "DNAME", "DNSKEY", "DS", "EID", "EUI48",
     "EUI64", "GID", "GPOS", "HINFO", "HIP", "HTTPS", "IPSECKEY", "ISDN", "IXFR", "KEY", "KX",
     "L32", "L64", "LOC", "LP", "MAILA", "MAILB", "MB", "MD", "MF", "MG", "MINFO", "MR", "MX",
     "NAPTR", "NID", "NIMLOC", "NINFO", "NS", "NSAP-PTR", "NSEC", "NSEC3", "NSEC3PARAM", "NULL",
     "NXNAME", "NXT", "None", "OPENPGPKEY", "OPT", "PTR", "PX", "RESINFO", "RKEY", "RP", "RRSIG",
     "RT", "Reserved", "SIG", "SMIMEA", "SOA", "SPF", "SRV", "SSHFP", "SVCB", "TA", "TALINK",
     "TKEY", "TLSA", "TSIG", "TXT", "UID", "UINFO", "UNSPEC", "URI", "X25", "ZONEMD")
)  # fmt: skip
_RCODES = frozenset(
    ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "NOTIMPL", "REFUSED", "YXDOMAIN",
     "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE", "DSOTYPENI", "BADSIG", "BADKEY", "BADTIME",
     "BADMODE", "BADNAME", "BADALG", "BADTRUNC", "BADCOOKIE")
)  # fmt: skip

# Expressions: regexp/syntax is stricter than Python in some places and wider in others.

_PLAIN = re.compile(r"[-A-Za-z0-9._ ]{0,255}")
_MOST_REPEATS = 1000
_LONGEST_EXPRESSION = 10_000
_ESCAPES = frozenset("dDsSwWbBAzaftnrv")
_CLASS_ESCAPES = frozenset("dDsSwWaftnrv")
_REPEAT = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_GROUP = re.compile(r"\?P?<([A-Za-z0-9_]+)>")
_FLAGS = re.compile(r"\?([imsU]*)(-[imsU]+)?([:)])")
_POSIX = re.compile(
    r"\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]"
)
_HEX = re.compile(r"x(?:[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]{1,6}\})")
_PROPERTY = re.compile(r"[pP](?:[CLMNPSZ]|\{\^?[A-Za-z_]+\})")


@functools.lru_cache(4096)
def groups(expression: str) -> int | None:
    """Return how many groups an expression has; None where regexp.Compile refuses it."""
    if _PLAIN.fullmatch(expression):
        return 0
    if len(expression.encode("utf-8", "surrogatepass")) > _LONGEST_EXPRESSION:
        return None
    try:
        return _Expression(expression).read()
    except _InvalidError:
        return None


class _InvalidError(Exception):
    """What regexp.Compile does not take."""


class _Expression:
    """An expression, read from left to right.

    Source: regexp/syntax/parse.go (parse).
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._open: list[bool] = []
        self._count = 0
        # Whether what stands before can be repeated, and whether it has been.
        self._can_repeat = False
        self._repeated = False

    def read(self) -> int:
        while self._place < len(self._text):
            self._step()
        if self._open:
            raise _InvalidError
        return self._count

    def _step(self) -> None:
        char = self._text[self._place]
        reader = _STEPS.get(char)
        if reader:
            reader(self)
        else:
            self._place += 1
            self._after_operand()

    def _after_operand(self) -> None:
        self._can_repeat, self._repeated = True, False

    def _after_nothing(self) -> None:
        self._can_repeat, self._repeated = False, False

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._place)
        if not found:
            raise _InvalidError
        self._place = found.end()
        return found

    def _group(self) -> None:
        self._place += 1
        if self._text[self._place : self._place + 1] != "?":
            self._count += 1
            self._open.append(True)
        elif named := _GROUP.match(self._text, self._place):
            self._count += 1
            self._open.append(True)
            self._place = named.end()
        elif self._take(_FLAGS)[3] == ":":
            self._open.append(True)
        self._after_nothing()

    def _close(self) -> None:
        if not self._open:
            raise _InvalidError
        self._open.pop()
        self._place += 1
        self._after_operand()

    def _alternative(self) -> None:
        self._place += 1
        self._after_nothing()

    def _anchor(self) -> None:
        self._place += 1
        self._after_operand()

    def _repeat(self) -> None:
        self._place += 1
        self._check_repeat()

    def _counted(self) -> None:
        found = _REPEAT.match(self._text, self._place)
        if not found:
            self._place += 1
            self._after_operand()
            return
        least, most = int(found[1]), int(found[3] or found[1])
        if max(least, most) > _MOST_REPEATS or most < least:
            raise _InvalidError
        self._place = found.end()
        self._check_repeat()

    def _check_repeat(self) -> None:
        if not self._can_repeat or self._repeated:
            raise _InvalidError
        if self._text[self._place : self._place + 1] == "?":
            self._place += 1
        self._repeated = True

    def _escape(self) -> None:
        self._place += 1
        following = self._text[self._place : self._place + 1]
        if following == "Q":
            end = self._text.find(r"\E", self._place)
            self._place = len(self._text) if end < 0 else end + 2
        elif following == "C":
            raise _InvalidError
        else:
            self._escaped(following, _ESCAPES)
        self._after_operand()

    def _escaped(self, following: str, known: frozenset[str]) -> None:
        if following in ("p", "P"):
            self._take(_PROPERTY)
        elif following == "x":
            self._take(_HEX)
        elif following in known or (following.isascii() and not following.isalnum() and following):
            self._place += 1
        elif following == "0":
            self._take(re.compile(r"0[0-7]{0,2}"))
        elif following in tuple("1234567"):
            self._take(re.compile(r"[1-7][0-7]{1,2}"))
        else:
            raise _InvalidError

    def _set(self) -> None:
        self._place += 1
        if self._text[self._place : self._place + 1] == "^":
            self._place += 1
        first = True
        while first or self._text[self._place : self._place + 1] != "]":
            self._member(first)
            first = False
        self._place += 1
        self._after_operand()

    def _member(self, first: bool) -> None:
        """Read one character, class or range of a set."""
        if posix := _POSIX.match(self._text, self._place):
            self._place = posix.end()
            return
        if self._text.startswith("[:", self._place) and ":]" in self._text[self._place + 2 :]:
            raise _InvalidError
        low = self._character()
        after = self._text[self._place : self._place + 2]
        if after[:1] != "-":
            return
        if after[1:] in ("]", ""):
            return
        if not low:
            # A class such as \d begins no range.
            return
        self._place += 1
        high = self._character()
        if not high or high < low:
            raise _InvalidError

    def _character(self) -> str:
        """Read a character of a set; return it, or nothing for a class of characters."""
        start = self._place
        char = self._text[start : start + 1]
        if not char:
            raise _InvalidError
        self._place += 1
        if char != "\\":
            return char
        following = self._text[self._place : self._place + 1]
        self._escaped(following, _CLASS_ESCAPES)
        if following in tuple("dDsSwWpP"):
            return ""
        return following if not following.isalnum() else _CONTROLS.get(following, "\x00")


_CONTROLS = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_STEPS = {
    "(": _Expression._group,
    ")": _Expression._close,
    "|": _Expression._alternative,
    "*": _Expression._repeat,
    "+": _Expression._repeat,
    "?": _Expression._repeat,
    "{": _Expression._counted,
    "[": _Expression._set,
    "\\": _Expression._escape,
}


# Label selectors: k8s.io/apimachinery, labels.Parse.

_KEY = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_LABEL_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET = rf"\s*\(\s*{_LABEL_VALUE}(?:\s*,\s*{_LABEL_VALUE})*\s*\)"
_REQUIREMENT = (
    rf"\s*(?:!\s*{_KEY}|{_KEY}(?:\s*(?:=|==|!=)\s*{_LABEL_VALUE}|\s+(?:in|notin){_SET})?)\s*"
)
_SELECTOR = re.compile(rf"{_REQUIREMENT}(?:,{_REQUIREMENT})*")


def is_selector(text: str) -> bool:
    """Tell whether a text is a label selector, without comparisons of numbers."""
    return _SELECTOR.fullmatch(text) is not None


# Templates: text/template.

_ACTION = re.compile(r"\{\{(?:- )?(.*?)(?: -)?\}\}", re.DOTALL)
_BLOCKS = ("if", "range", "with", "define", "block")
_FUNCTIONS = frozenset(
    ("and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or",
     "parseInt", "print", "printf", "println", "slice", "urlquery")
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@functools.lru_cache(4096)
def is_template(text: str) -> bool:
    """Tell whether text/template takes a text: its actions are closed, its functions known.

    What stands inside an action is looked at for its first word alone.
    """
    if "{{" not in text:
        return True
    depth = 0
    if "{{" in _ACTION.sub("", text):
        return False
    for words in _actions(text):
        first = words[0] if words else ""
        depth += (first in _BLOCKS) - (first == "end")
        known = first in (*_BLOCKS, "end", "else", "template") or first in _FUNCTIONS
        if depth < 0 or not first or (_WORD.fullmatch(first) and not known):
            return False
    return not depth


def _actions(text: str) -> Iterator[list[str]]:
    for found in _ACTION.finditer(text):
        if not found[1].startswith("/*"):
            yield found[1].split()
