"""What a rule's text says: conditions, effects and a verdict, in the order in which they count.

Both rule languages are read into the same few statements, so that one walk serves both. What is
not known is kept as such: a walk then says that it cannot tell.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from eksnet.errors import EksnetError

# Conditions.
SOURCE = "source"
DESTINATION = "destination"
PROTOCOL = "protocol"
PORT = "destination port"
SOURCE_TYPE = "type of the source"
DESTINATION_TYPE = "type of the destination"
STATE = "connection's state"
MARK = "mark"
CONNECTION_MARK = "connection's mark"
CHANCE = "chance"
REMEMBERED = "remembered"
INCOMING = "incoming interface"
OUTGOING = "outgoing interface"
UNKNOWN = "unknown condition"
# Effects.
SET_MARK = "set mark"
SET_CONNECTION_MARK = "set connection's mark"
SAVE_MARK = "save mark"
RESTORE_MARK = "restore mark"
REMEMBER = "remember"
NOTRACK = "exempt from connection tracking"
# Verdicts.
JUMP = "jump"
GOTO = "goto"
RETURN = "return"
ACCEPT = "accept"
DROP = "drop"
REJECT = "reject"
DNAT = "dnat"
SNAT = "snat"
MASQUERADE = "masquerade"
LOOKUP = "lookup"
CHOOSE = "choose"
PASS = "passing target"
OTHER = "other target"


@dataclass(frozen=True)
class Statement:
    """One part of a rule.

    Attributes:
        what: One of this module's constants.
        values: Its values as texts: addresses, chains, a map's name …
        negated: Whether a condition holds when none of the values fits.
    """

    what: str
    values: tuple[str, ...] = ()
    negated: bool = False


Statements = tuple[Statement, ...]


@functools.lru_cache(maxsize=1 << 16)
def parse_rule(rule: str, mode: str) -> Statements:
    """Return what a rule says; a packet's ways meet the same rules over and over.

    Args:
        rule: The rule as `iptables-save` prints it after `-A CHAIN`, or as `nft list` does.
        mode: iptables or nftables.

    Raises:
        EksnetError: The text breaks off, such as an option without its value.
    """
    return parse_iptables_rule(rule) if mode == "iptables" else parse_nftables_rule(rule)


UNSUPPORTED = "[unsupported revision]"
"""What iptables-save prints in place of what a match or a target of another version says."""
OTHER_VERSION = "run the iptables-save of the version that wrote it, such as kube-proxy's image has"


def advised(said: str) -> str:
    """Return what was said of a part that is not followed, and what to do where that helps."""
    return f"{said}: {OTHER_VERSION}" if UNSUPPORTED in said else said


_WORDS = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')

# Options with one value that are conditions.
_CONDITIONS = {
    "-s": SOURCE,
    "-d": DESTINATION,
    "-p": PROTOCOL,
    "-i": INCOMING,
    "-o": OUTGOING,
    "--dport": PORT,
    "--dports": PORT,
    "--ctstate": STATE,
    "--state": STATE,
    "--src-type": SOURCE_TYPE,
    "--dst-type": DESTINATION_TYPE,
    "--mark": MARK,
    "--probability": CHANCE,
}
# Options with one value that decide nothing.
_SILENT = {"--comment", "--mode", "--nfacct-name", "--mask", "--seconds"}
_RECENT_FLAGS = {"--rcheck": REMEMBERED, "--update": REMEMBERED, "--set": REMEMBER}
_RECENT_BARE = {"--reap", "--rsource"}
_LEADING = ("-j", "-g")
_MANY = {PORT, STATE}
_NUMBER = r"(?:0x[0-9a-f]{1,8}|0|[1-9][0-9]{0,9})"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_NETWORK = rf"{_ADDRESS}(?:/(?:3[0-2]|[12]?[0-9]))?"
# What a walk computes with, as iptables-save prints it: a line of another shape is damaged.
_SHAPES = {
    what: re.compile(shape)
    for what, shape in {
        SOURCE: _NETWORK,
        DESTINATION: _NETWORK,
        MARK: rf"{_NUMBER}(?:/{_NUMBER})?",
        CONNECTION_MARK: rf"{_NUMBER}(?:/{_NUMBER})?",
        SET_MARK: rf"{_NUMBER}/{_NUMBER}",
        CHANCE: r"[01]\.[0-9]+",
        DNAT: rf"{_ADDRESS}(?::[0-9]{{1,5}})?",
        SNAT: rf"{_ADDRESS}(?::[0-9]{{1,5}})?",
    }.items()
}
# Others than kube-proxy translate to a range too, or keep the address and change the port alone.
_PORTS = r"[0-9]{1,5}(?:-[0-9]{1,5})?"
_RANGE = re.compile(rf"{_ADDRESS}-{_ADDRESS}(?::{_PORTS})?|{_ADDRESS}:[0-9]+-[0-9]+|:{_PORTS}")
_TARGETS = {
    "ACCEPT": ACCEPT,
    "DROP": DROP,
    "REJECT": REJECT,
    "RETURN": RETURN,
}
# Targets that change neither what a walk shows of a packet nor its way.
_PASSING = {"AUDIT", "CHECKSUM", "CLASSIFY", "DSCP", "LOG", "NFLOG", "SET", "TCPMSS", "TRACE"}
# Targets that iptables-save may print without an option, where a chain's name could stand.
BARE_TARGETS = {"NFQUEUE", "QUEUE", "REDIRECT", "SYNPROXY", "TRACE"}


def parse_iptables_rule(rule: str) -> Statements:
    """Return what a rule of iptables says.

    Raises:
        EksnetError: A quote is not closed, or an option has no value, or one of another shape than
            `iptables-save` prints: an address, a mark, a chance.
    """
    return tuple(_Words(rule).statements())


class _Words:
    """The words of one rule of iptables, read from the first to the last."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._left = deque(_split(rule))
        # What some options mean depends on what stands before them.
        self._negated = False
        self._module = ""
        self._recent = ""

    def statements(self) -> Iterator[Statement]:
        """Yield what the words say, up to the target, which is the last part of a rule."""
        while self._left:
            word = self._left.popleft()
            self._negated = word == "!"
            if self._negated and self._left:
                word = self._left.popleft()
            if statement := self._read(word):
                yield statement

    def _read(self, word: str) -> Statement | None:
        """Read one option with its values; None where it decides nothing."""
        if word in _LEADING:
            return self._target(word)
        if word in _CONDITIONS:
            return self._condition(word)
        if word == "-m":
            self._module = self._value(word)
            return self._unknown(self._module) if self._is_unsupported() else None
        if word in _SILENT:
            self._value(word)
            return None
        if word in _RECENT_FLAGS:
            self._recent = _RECENT_FLAGS[word]
            return None
        if word == "--name" and self._recent:
            return Statement(self._recent, (self._value(word),), self._negated)
        return None if word in _RECENT_BARE else self._unknown(word)

    def _condition(self, option: str) -> Statement:
        what = CONNECTION_MARK if self._module == "connmark" else _CONDITIONS[option]
        value = _shaped(what, self._value(option), self._rule)
        values = tuple(value.split(",")) if what in _MANY else (value,)
        return Statement(what, values, self._negated)

    def _unknown(self, word: str) -> Statement:
        """Read an option that is not known, with all that stands before the next one."""
        words = [word]
        while self._left and not self._left[0].startswith(("-", "!")):
            words.append(self._left.popleft())
        return Statement(UNKNOWN, (" ".join(words),), self._negated)

    def _target(self, option: str) -> Statement:
        words, unsupported = [self._value(option), *self._left], self._is_unsupported()
        self._left.clear()
        return _unfollowed(words) if unsupported else _target(option, words, self._rule)

    def _is_unsupported(self) -> bool:
        return bool(self._left) and self._left[0] == UNSUPPORTED.split()[0]

    def _value(self, option: str) -> str:
        if not self._left:
            raise _without_value(option, self._rule)
        return self._left.popleft()


def _split(rule: str) -> list[str]:
    if '"' not in rule:
        return rule.split()
    words = [quoted or plain for quoted, plain in _WORDS.findall(rule)]
    if any(word.startswith('"') for word in words):
        raise EksnetError(f"a quotation mark is not closed in: {rule}", 'a comment as "text"')
    return words


def _without_value(option: str, rule: str) -> EksnetError:
    return EksnetError(f"{option} has no value in: {rule}", "a rule as iptables-save prints it")


def _shaped(what: str, value: str, rule: str) -> str:
    if what in _SHAPES and not _SHAPES[what].fullmatch(value):
        raise EksnetError(
            f"the {what} {value} in: {rule}", "a rule for IPv4 as iptables-save prints it"
        )
    return value


def _target(option: str, words: list[str], rule: str) -> Statement:
    target = words[0]
    if target in _TARGETS:
        return Statement(_TARGETS[target])
    if target in _READERS:
        return _READERS[target](words, rule)
    if target in _PASSING:
        return Statement(PASS, (target,))
    if target in BARE_TARGETS or len(words) > 1:
        return _unfollowed(words)
    return Statement(GOTO if option == "-g" else JUMP, (target,))


def _unfollowed(words: list[str]) -> Statement:
    return Statement(OTHER, (" ".join(words),))


def _translation(what: str, option: str) -> Callable[[list[str], str], Statement]:
    def parse(words: list[str], rule: str) -> Statement:
        if _says_otherwise(words, option):
            return _unfollowed(words)
        to = _after(option, words, rule)
        if _RANGE.fullmatch(to):
            return _unfollowed(words)
        return Statement(what, (_shaped(what, to, rule), *words[3:]))

    return parse


def _says_otherwise(words: list[str], option: str) -> bool:
    """Tell whether a target has options, and not the one that it has in the form known here."""
    return len(words) > 1 and option not in words


def _set_mark(words: list[str], rule: str) -> Statement:
    if _says_otherwise(words, "--set-xmark"):
        return _unfollowed(words)
    value, _, mask = _shaped(SET_MARK, _after("--set-xmark", words, rule), rule).partition("/")
    return Statement(SET_MARK, (value, mask))


def _connection_mark(words: list[str], rule: str) -> Statement:
    if "--set-xmark" in words:
        return Statement(SET_CONNECTION_MARK, _set_mark(words, rule).values)
    way = words[1] if len(words) > 1 else ""
    what = {"--save-mark": SAVE_MARK, "--restore-mark": RESTORE_MARK}.get(way)
    if what is None:
        return _unfollowed(words)
    # Left out where they are all bits.
    masks = [
        _after(option, words, rule) if option in words else "0xffffffff"
        for option in ("--nfmask", "--ctmask")
    ]
    return Statement(what, tuple(_shaped(MARK, mask, rule) for mask in masks))


def _masquerade(words: list[str], rule: str) -> Statement:
    ports = _after("--to-ports", words, rule) if "--to-ports" in words else ""
    return Statement(MASQUERADE, (ports, *(word for word in words[1:] if "random" in word)))


def _tracking(words: list[str], rule: str) -> Statement:
    return Statement(NOTRACK) if words[1:] == ["--notrack"] else _unfollowed(words)


_READERS: dict[str, Callable[[list[str], str], Statement]] = {
    "CT": _tracking,
    "NOTRACK": lambda words, rule: Statement(NOTRACK),
    "MASQUERADE": _masquerade,
    "MARK": _set_mark,
    "CONNMARK": _connection_mark,
    "DNAT": _translation(DNAT, "--to-destination"),
    "SNAT": _translation(SNAT, "--to-source"),
}


def _after(option: str, words: list[str], rule: str) -> str:
    if option not in words:
        raise EksnetError(f"{words[0]} without {option} in: {rule}", f"{words[0]} {option} VALUE")
    at = words.index(option) + 1
    if at >= len(words):
        raise _without_value(words[-1], rule)
    return words[at]


def _chain(verdict: str) -> Callable[[re.Match[str]], Statement]:
    return lambda found: Statement(verdict, (found["chain"],))


def _condition(what: str) -> Callable[[re.Match[str]], Statement]:
    return lambda found: Statement(what, _values(found["values"]), bool(found["no"]))


def _values(text: str) -> tuple[str, ...]:
    return tuple(word.strip(' "') for word in text.strip("{} ").split(","))


def _key_lookup(found: re.Match[str]) -> Statement:
    return Statement(LOOKUP, (found["map"], *found["key"].split(" . ")))


def _choose(found: re.Match[str]) -> Statement:
    branches = [branch.partition(" : ")[2] for branch in found["branches"].split(", ")]
    return Statement(CHOOSE, tuple(branch.strip() for branch in branches))


def _state(found: re.Match[str]) -> Statement:
    """Return the verdict for a first packet, or the condition that it does not fulfil."""
    branches = dict(branch.split(" : ") for branch in found["branches"].split(", "))
    if "new" in branches:
        return parse_nftables_rule(branches["new"])[0]
    return Statement(STATE, tuple(branches))


def _nft_mark(found: re.Match[str]) -> Statement:
    mask = found["value"] if found["operator"] == "|" else "0"
    return Statement(SET_MARK, (found["value"], mask))


_NO = r"(?P<no>!= )?"
# Neither an operator nor a part of a longer key: what those ask for is not known.
_SET = r"""(?!v?map )(?P<values>\{[^}]*\}|[\w@"]\S*)"""

# The first pattern that fits what is left of a rule says what comes next.
_NFT: list[tuple[re.Pattern[str], Callable[[re.Match[str]], Statement | None]]] = [
    (re.compile(pattern), make)
    for pattern, make in (
        (r"(?P<key>(?:ip daddr \. )?meta l4proto \. th dport) vmap @(?P<map>\S+)", _key_lookup),
        (r"numgen random mod \d+ vmap \{ (?P<branches>[^}]*) \}", _choose),
        (rf"ip saddr {_NO}{_SET}", _condition(SOURCE)),
        (rf"ip daddr {_NO}{_SET}", _condition(DESTINATION)),
        (rf"(?:meta l4proto|ip protocol) {_NO}{_SET}", _condition(PROTOCOL)),
        (r"(?P<no>)(?P<values>tcp|udp|sctp) (?=dport )", _condition(PROTOCOL)),
        (rf"(?:th )?dport {_NO}{_SET}", _condition(PORT)),
        (rf"fib saddr type {_NO}{_SET}", _condition(SOURCE_TYPE)),
        (rf"fib daddr type {_NO}{_SET}", _condition(DESTINATION_TYPE)),
        (r"ct state vmap \{ (?P<branches>[^}]*) \}", _state),
        (rf"ct state {_NO}{_SET}", _condition(STATE)),
        (rf"(?:meta )?iif(?:name)? {_NO}{_SET}", _condition(INCOMING)),
        (rf"(?:meta )?oif(?:name)? {_NO}{_SET}", _condition(OUTGOING)),
        (
            rf"meta mark & (?P<mask>{_NUMBER}) == (?P<value>{_NUMBER})",
            lambda found: Statement(MARK, (f"{found['value']}/{found['mask']}",)),
        ),
        (rf"meta mark set meta mark (?P<operator>[|^]) (?P<value>{_NUMBER})", _nft_mark),
        (
            r"update @(?P<set>\S+) \{ ip saddr \}",
            lambda found: Statement(REMEMBER, (found["set"],)),
        ),
        (r"counter packets \d+ bytes \d+", lambda found: None),
        (r'comment "[^"]*"', lambda found: None),
        (r"jump (?P<chain>\S+)", _chain(JUMP)),
        (r"goto (?P<chain>\S+)", _chain(GOTO)),
        (rf"dnat to (?P<chain>{_ADDRESS}(?::[0-9]+)?)(?!\S)", _chain(DNAT)),
        (
            rf"snat to (?P<to>{_ADDRESS}(?::[0-9]+)?)(?P<flags>(?: [a-z-]+)*)$",
            lambda found: Statement(SNAT, (found["to"], *found["flags"].split())),
        ),
        (r'log(?: prefix "[^"]*")?(?!\S)', lambda found: None),
        (
            rf"masquerade(?: to :(?P<ports>{_PORTS}))?(?P<flags>(?: [a-z-]+)*)$",
            lambda found: Statement(MASQUERADE, (found["ports"] or "", *found["flags"].split())),
        ),
        (r"notrack(?!\S)", lambda found: Statement(NOTRACK)),
        (r"reject(?: with .*)?", lambda found: Statement(REJECT)),
        (r"(?:return|accept|drop)\b", lambda found: Statement(found[0])),
    )
]


def parse_nftables_rule(rule: str) -> Statements:
    """Return what a rule of nftables says.

    From the first part on that is not known, it is one unknown condition and one unknown effect.
    """
    found: list[Statement] = []
    rest = rule.strip()
    while rest:
        for pattern, make in _NFT:
            if fits := pattern.match(rest):
                statement = make(fits)
                found += [statement] if statement else []
                rest = rest[fits.end() :].lstrip()
                break
        else:
            return (*found, Statement(UNKNOWN, (rest,)), Statement(OTHER, (rest,)))
    return tuple(found)
