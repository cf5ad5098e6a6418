"""What an option takes of the words behind it: a few kinds of words, and a few ways to take them.

A set-up of a plugin is a table of these; see `eksnet.coredns.setups`.
"""

from __future__ import annotations

from eksnet.coredns import gotext
from eksnet.coredns.uses import Check, Uses, Value, is_open

_SECOND = gotext.SECOND


# Values: what is expected instead of a word; empty when it is right.


def anything(_: str) -> str:
    """Take any word."""
    return ""


def one_of(*choices: str, lower: bool = False) -> Value:
    """Take one of a few words."""
    expected = ", ".join(choices)
    return lambda word: "" if (word.lower() if lower else word) in choices else expected


def integer(least: int | None = None, most: int | None = None) -> Value:
    """Take a whole number within bounds."""

    def check(word: str) -> str:
        number = gotext.integer(word)
        small = number is not None and least is not None and number < least
        large = number is not None and most is not None and number > most
        return _number(least, most) if number is None or small or large else ""

    return check


def _number(least: int | None, most: int | None) -> str:
    if least is None:
        return "a whole number"
    return f"a whole number from {least} on" if most is None else f"a number from {least} to {most}"


def unsigned(word: str) -> str:
    """Take a number of 32 bits without a sign."""
    return "" if gotext.unsigned(word) is not None else "a number from 0 on"


def duration(least: int | None = None, most: int | None = None, *, bare: bool = False) -> Value:
    """Take a duration as Go writes it; `bare` takes a number of seconds too."""

    def check(word: str) -> str:
        text = f"{word}s" if bare and gotext.integer(word) is not None else word
        found = gotext.duration(text)
        if found is None:
            return "a duration such as 5s"
        if least is not None and found < least:
            return f"a duration of at least {least / _SECOND:g}s"
        if most is not None and found > most:
            return f"a duration of at most {most / _SECOND:g}s"
        return ""

    return check


def network(word: str) -> str:
    """Take a network as ADDRESS/LENGTH."""
    return "" if gotext.network(word) else "a network such as 10.0.0.0/16"


def listen_address(word: str) -> str:
    """Take HOST:PORT, either part empty."""
    return "" if gotext.host_port(word) else "an address such as :8181"


def expression(word: str) -> str:
    """Take a regular expression of Go."""
    return "" if gotext.groups(word) is not None else "a regular expression of Go (RE2)"


def path(word: str) -> str:
    """Take a path that the kernel looks up, whether it is there or not."""
    longest = max(len(part.encode("utf-8", "surrogatepass")) for part in word.split("/"))
    return "" if "\0" not in word and longest < 256 else "a path"


def template(word: str) -> str:
    """Take a template of Go."""
    return "" if gotext.is_template(word) else "a template of Go"


def rdtype(word: str) -> str:
    """Take a record type."""
    return "" if gotext.is_type(word) else "a record type such as A"


def class_of(word: str) -> str:
    """Take a class of the DNS."""
    return "" if gotext.is_class(word) else "a class such as IN"


def rcode(word: str) -> str:
    """Take the name of an answer's code."""
    return "" if gotext.is_rcode(word) else "a code such as NXDOMAIN"


def any_rcode(word: str) -> str:
    """Take the name of an answer's code, however it is written."""
    return rcode(word.upper())


def peer(word: str) -> str:
    """Take an address, with a port or without."""
    host = gotext.host_port(word)
    fits = gotext.address(host[0] if host else word)
    return "" if fits else "an IP address"


# Words: how an option takes them.


def refuse_value(uses: Uses, word: str, expected: str) -> None:
    """Refuse a word that is not as expected, unless its value is not known."""
    if expected and not is_open(word):
        uses.refuse(f"{word!r} is not what {uses.plugin} takes", expected, about=word)


def nothing(_: Uses) -> None:
    """Take no word: what follows on the line is the next option."""


def ignored(uses: Uses) -> None:
    """Take the rest of the line, whatever it is."""
    uses.rest()


def words(least: int, most: int | None, *values: Value) -> Check:
    """Take the rest of the line: a number of words, each as the values say; the last repeats."""

    def check(uses: Uses) -> None:
        option = uses.word
        found = uses.rest()
        if len(found) < least or (most is not None and len(found) > most):
            uses.refuse(how_many(option, len(found)), how_many_fit(least, most), about=option)
        for place, word in enumerate(found):
            if values:
                refuse_value(uses, word, values[min(place, len(values) - 1)](word))

    return check


def word(value: Value = anything) -> Check:
    """Take the next word of the line; more of them are the next options."""

    def check(uses: Uses) -> None:
        option = uses.word
        if not uses.next_on_line():
            uses.refuse(how_many(option, 0), "a word after it", about=option)
        refuse_value(uses, uses.word, value(uses.word))

    return check


def how_many(option: str, count: int) -> str:
    """Return how many words an option has, in words."""
    plural = "" if count == 1 else "s"
    return f"{option} has {count or 'no'} word{plural} after it"


def how_many_fit(least: int, most: int | None) -> str:
    """Return how many words an option takes, in words."""
    if most == 0:
        return "nothing after it"
    if least == most:
        return "one word" if least == 1 else f"{least} words"
    return f"{least} words or more" if most is None else f"{least} to {most} words"


def then(*checks: Check) -> Check:
    """Take what several checks take, one after the other."""

    def check(uses: Uses) -> None:
        for one in checks:
            one(uses)

    return check


def remember(name: str, check: Check) -> Check:
    """Keep the last word that a check took, for the end."""

    def remembering(uses: Uses) -> None:
        check(uses)
        uses.notes[name] = uses.word

    return remembering


def once(name: str, check: Check) -> Check:
    """Refuse an option that was there before."""

    def counting(uses: Uses) -> None:
        option = uses.word
        if name in uses.notes:
            uses.refuse(f"{option} stands there twice", "one of it", about=option)
        check(uses)
        uses.notes[name] = True

    return counting


def files(least: int, most: int | None, *, suffix: str = "") -> Check:
    """Take names of files that CoreDNS reads when it starts."""
    count = words(least, most)

    def check(uses: Uses) -> None:
        start = uses.place
        count(uses)
        for name, _, _ in uses.words[start + 1 : uses.place + 1]:
            require_file(uses, _with_suffix(name, suffix))

    return check


def _with_suffix(name: str, suffix: str) -> str:
    return name if not suffix or name.endswith(suffix) else f"{name}{suffix}"


def require_file(uses: Uses, name: str) -> None:
    """Refuse a file that is not there."""
    if not is_open(name) and not uses.has_file(name):
        uses.refuse(f"{uses.plugin} reads the file {name}", kind="file", about=name)


def no_more(uses: Uses) -> None:
    """Refuse any word on the line, a brace too."""
    if uses.next_on_line():
        uses.refuse(
            f"{uses.plugin} has {uses.word!r} after it", "nothing after it", about=uses.word
        )


FLAG = words(0, 0)
"""An option that is there or not: no word may follow."""
