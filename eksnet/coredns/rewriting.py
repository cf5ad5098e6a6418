"""The rules of the plugin `rewrite`: what its set-up takes, and what becomes of an answer.

Source: plugin/rewrite/rewrite.go (newRule), name.go, cname_target.go, ttl.go, rcode.go, edns0.go,
class.go and type.go of CoreDNS 1.14.3.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eksnet.coredns import gotext
from eksnet.coredns.uses import is_open

MATCHES = ("exact", "prefix", "suffix", "substring", "regex")
_MODES = ("stop", "continue")
_MOST_GROUPS = 101
# As strconv.Itoa writes them.
_GROUP = re.compile(r"\{(0|[1-9][0-9]{0,2})\}", re.ASCII)
_VARIABLES = frozenset(
    f"{{{name}}}"
    for name in ("qname", "qtype", "client_ip", "client_port", "protocol", "server_ip",
                 "server_port")
)  # fmt: skip

Wrong = tuple[str, str] | None
"""What is wrong and what is expected; None when nothing is."""


@dataclass(frozen=True)
class Answer:
    """What a rule does to an answer.

    Attributes:
        kind: `auto`, `name` or `value`.
        pattern: The expression for `name` and `value`.
        replacement: What takes its place.
    """

    kind: str
    pattern: str = ""
    replacement: str = ""


@dataclass(frozen=True)
class NameRule:
    """A rule `name`.

    Attributes:
        match: How the name is compared.
        asked: What is looked for in a name.
        renamed: What takes its place.
        answers: What is done to the answer.
    """

    match: str
    asked: str
    renamed: str
    answers: tuple[Answer, ...]

    @property
    def is_auto(self) -> bool:
        """Whether the answer gets the question's name back by itself."""
        return self.match == "exact" or any(one.kind == "auto" for one in self.answers)


def rule(words: Sequence[str]) -> Wrong:
    """Return what is wrong with the words of a rule.

    Args:
        words: The words after `rewrite`, those of its block too.
    """
    if not words:
        return "rewrite has no rule", "such as name exact a.example. b.example."
    kind, rest = _kind(words)
    if not kind:
        return f"the mode {words[0]} has no rule after it", "such as name"
    check = _RULES.get(kind)
    if check is None:
        return None if is_open(kind) else (f"rewrite has no rule {kind!r}", ", ".join(_RULES))
    if any(map(is_open, rest)):
        return None
    return check(rest)


def _kind(words: Sequence[str]) -> tuple[str, list[str]]:
    start = 1 if words[0].lower() in _MODES else 0
    kind = words[start].lower() if len(words) > start else ""
    return kind, list(words[start + 1 :])


def name_rule(words: Sequence[str]) -> NameRule | None:
    """Return a rule `name` that the set-up takes; None for any other.

    Args:
        words: The words after `rewrite`, those of its block too.
    """
    if not words or rule(words) is not None:
        return None
    kind, rest = _kind(words)
    if kind != "name" or any(map(is_open, rest)):
        return None
    match, asked, renamed, answers = _name_parts(rest)
    return NameRule(match, asked, renamed, tuple(_answers(answers)))


def cname_rule(words: Sequence[str]) -> tuple[str, str, str] | None:
    """Return how a rule `cname` matches, the target it looks for, and the one it puts there."""
    if not words or rule(words) is not None:
        return None
    kind, rest = _kind(words)
    if kind != "cname":
        return None
    match, before, after = rest if len(rest) == 3 else ["exact", *rest]
    return match.lower(), before.lower(), after.lower()


def _full(name: str) -> str:
    """Source: plugin.Name.Normalize."""
    return name.lower() if name.endswith(".") else f"{name.lower()}."


def _name_parts(rest: Sequence[str]) -> tuple[str, str, str, Sequence[str]]:
    if len(rest) == 2:
        return "exact", _full(rest[0]), _full(rest[1]), ()
    match = rest[0].lower()
    asked = rest[1] if match == "regex" else _full(rest[1])
    return match, asked, _full(rest[2]), rest[3:]


def _answers(rest: Sequence[str]) -> list[Answer]:
    found: list[Answer] = []
    place = 0
    while place < len(rest):
        place += rest[place] == "answer"
        kind = rest[place]
        if kind == "auto":
            found.append(Answer("auto"))
            place += 1
        else:
            found.append(Answer(kind, rest[place + 1], _full(rest[place + 2])))
            place += 3
    return found


def _name(rest: Sequence[str]) -> Wrong:
    if len(rest) < 2:
        return "a name rule has too few words", "name MATCH FROM TO"
    match, asked, renamed, answers = _name_parts(rest)
    if answers and (wrong := _check_answers(answers)):
        return wrong
    if match not in MATCHES:
        return f"a name rule matches by {match!r}", ", ".join(MATCHES)
    if match == "exact":
        return _pattern(renamed, asked)
    return _pattern(asked, rest[2]) if match == "regex" else None


def _check_answers(rest: Sequence[str]) -> Wrong:
    """Source: name.go, parseAnswerRules."""
    few = ("an answer rule is incomplete", "answer auto, or answer name FROM TO")
    if len(rest) < 2 or rest[0] != "answer":
        return few
    kinds: list[str] = []
    place = 0
    while place < len(rest):
        place += rest[place] == "answer"
        kind = rest[place] if place < len(rest) else ""
        if kind not in ("auto", "name", "value"):
            return few
        size = 1 if kind == "auto" else 3
        if place + size > len(rest):
            return few
        if size == 3 and (wrong := _pattern(rest[place + 1], rest[place + 2])):
            return wrong
        kinds.append(kind)
        place += size
    if {"auto", "name"} <= set(kinds):
        return "answer auto stands beside answer name", "one of the two"
    return None


def _pattern(pattern: str, replacement: str) -> Wrong:
    """Source: name.go, isValidRegexPattern."""
    groups = gotext.groups(pattern)
    if groups is None:
        return f"{pattern!r} is no expression", "a regular expression of Go (RE2)"
    used = {number for number in _GROUP.findall(replacement) if int(number) < _MOST_GROUPS}
    if len(used) > groups:
        return f"{replacement!r} uses more groups than {pattern!r} has", "a group for each {n}"
    return None


def _two_of(check: Callable[[str], bool], what: str) -> Callable[[Sequence[str]], Wrong]:
    def checking(rest: Sequence[str]) -> Wrong:
        if len(rest) == 2 and all(check(word.upper()) for word in rest):
            return None
        return f"{' '.join(rest)!r} are not two {what}", f"two {what}"

    return checking


def _response(rest: Sequence[str]) -> Wrong:
    return "a rule begins with answer", "name, with answer behind it"


def _ttl(rest: Sequence[str]) -> Wrong:
    if not 2 <= len(rest) <= 3:
        return "a ttl rule has the wrong number of words", "ttl MATCH NAME SECONDS"
    if not _is_ttl(rest[-1]):
        return f"{rest[-1]!r} is no TTL", "seconds, or a range such as 30-300"
    return _match(rest) if len(rest) == 3 else None


def _is_ttl(word: str) -> bool:
    """Source: ttl.go, isValidTTL."""
    least, dash, most = word.partition("-")
    if not dash:
        return gotext.unsigned(word) is not None
    bounds = [gotext.unsigned(least or "0"), gotext.unsigned(most or str(2**31 - 1))]
    if word == "-" or None in bounds:
        return False
    low, high = bounds
    return low is not None and high is not None and low <= high


def _match(rest: Sequence[str]) -> Wrong:
    match = rest[0].lower()
    if match not in MATCHES:
        return f"a rule matches by {match!r}", ", ".join(MATCHES)
    return _pattern(rest[1], "") if match == "regex" else None


def _cname(rest: Sequence[str]) -> Wrong:
    if not 2 <= len(rest) <= 3:
        return "a cname rule has the wrong number of words", "cname MATCH FROM TO"
    if len(rest) == 2:
        return None
    return _match([rest[0], rest[1].lower()])


def _rcode(rest: Sequence[str]) -> Wrong:
    if not 3 <= len(rest) <= 4:
        return "an rcode rule has the wrong number of words", "rcode MATCH NAME FROM TO"
    for code in rest[-2:]:
        number = gotext.unsigned(code)
        if not gotext.is_rcode(code.upper()) and (number is None or number > 23):
            return f"{code!r} is no code of an answer", "a code such as NXDOMAIN"
    return _match(rest) if len(rest) == 4 else None


def _edns0(rest: Sequence[str]) -> Wrong:
    """Source: edns0.go, newEdns0Rule."""
    few = ("an edns0 rule has the wrong words", "edns0 local set 0xffee 0xabcd, or another one")
    if len(rest) < 2:
        return few
    kind, action = rest[0].lower(), rest[1].lower()
    sizes = _EDNS0.get(kind)
    if action not in ("append", "replace", "set", "unset"):
        return f"edns0 has no action {action!r}", "append, replace, set or unset"
    if sizes is None:
        return few
    if action == "unset":
        fits = len(rest) == sizes[0]
    else:
        rest = rest[:-1] if rest[-1] == "revert" else rest
        fits = len(rest) == sizes[1]
    if not fits or not _edns0_values(kind, rest[2:]):
        return few
    return None


_EDNS0 = {"local": (3, 4), "nsid": (2, 2), "subnet": (2, 4)}


def _edns0_values(kind: str, values: Sequence[str]) -> bool:
    if kind == "local" and values:
        return _is_code(values[0]) and all(map(_is_data, values[1:]))
    if kind == "subnet" and values:
        bits = [gotext.unsigned(one, 8) for one in values]
        return _within(bits[0], 32) and _within(bits[1], 128)
    return True


def _within(number: int | None, most: int) -> bool:
    return number is not None and number <= most


def _is_code(word: str) -> bool:
    """Tell whether strconv.ParseUint takes a word with its base, in 16 bits."""
    with contextlib.suppress(ValueError):
        plain = re.fullmatch(r"0[0-7]+", word)
        return word[:1] in tuple("0123456789") and int(word, 8 if plain else 0) < 2**16
    return False


def _is_data(word: str) -> bool:
    if word.startswith("{") and word.endswith("}"):
        first, slash, last = word[1:-1].partition("/")
        return word in _VARIABLES or bool(first and slash and last)
    digits = word[2:]
    return not word.startswith("0x") or (
        len(digits) % 2 == 0 and re.fullmatch(r"[0-9A-Fa-f]*", digits) is not None
    )


_RULES: dict[str, Callable[[Sequence[str]], Wrong]] = {
    "name": _name,
    "class": _two_of(gotext.is_class, "classes"),
    "type": _two_of(gotext.is_type, "record types"),
    "edns0": _edns0,
    "ttl": _ttl,
    "cname": _cname,
    "rcode": _rcode,
    "answer": _response,
}
