"""What comes in from outside, checked where it enters: one rule for each kind of value.

Each function returns the value, or raises an `EksnetError` that says what was given, what is
expected and what to do; in it the value is cut to a length that can be read. What only the cluster
or CoreDNS can judge is left to them: here is what could not even be asked.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from numbers import Real
from typing import Any
from urllib.parse import SplitResult, urlsplit

from eksnet.errors import EksnetError

DAY = 86400
"""The longest time that anything may be waited for, in seconds."""

PORTS = {"http": 80, "https": 443}
"""The port of a URL that names none, by its scheme."""

_SHOWN = 60
# RFC 1035, 2.3.4: octets of a label, and of a name as it is written without the final dot.
_LONGEST_LABEL, _LONGEST_NAME = 63, 253
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_OBJECT = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# What taking an object apart raises when a part is not there, or is of another kind.
ODD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def shown(value: object) -> str:
    """Return a value as an error shows it: as Python writes it, and not longer than a line."""
    try:
        text = repr(value)
    except Exception:
        # A number of more than 4,300 digits, a structure deeper than Python goes.
        text = f"a value of type {type(value).__name__}, too large to be shown"
    if len(text) <= _SHOWN:
        return text
    length = len(value) if isinstance(value, str) else len(text)
    return f"{text[:_SHOWN]}… ({length} characters)"


def text(value: object, what: str, next_step: str = "") -> str:
    """Return a text that can be sent and written: not empty, no NUL, whole characters alone.

    Args:
        value: The text.
        what: What it is, such as `the key`.
        next_step: What to do when it is none.

    Raises:
        EksnetError: It is something else.
    """
    if not isinstance(value, str):
        raise EksnetError(f"{what} is {shown(value)}", "a text", next_step or "write it in quotes")
    if not value:
        raise EksnetError(f"{what} is empty", "non-empty text", next_step)
    return sendable(value, what)


def sendable(value: str, what: str) -> str:
    """Return a text that may be empty, if it can be sent and be part of a file's name.

    Raises:
        EksnetError: It holds NUL or half a surrogate pair.
    """
    bad = next((one for one in value if one == "\0" or "\ud800" <= one <= "\udfff"), "")
    if bad:
        raise EksnetError(
            f"{what} is {shown(value)}", f"text without {bad!r}", "remove that character"
        )
    return value


def one_of(value: str, choices: Collection[str], what: str, next_step: str = "") -> str:
    """Return a value that is one of a few.

    Raises:
        EksnetError: It is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise EksnetError(f"no {what} {shown(value)}", f"one of {', '.join(choices)}", next_step)
    return value


# Numbers.


def count(value: int, what: str, least: int, most: int, next_step: str = "") -> int:
    """Return a whole number within bounds.

    Raises:
        EksnetError: It is none, or out of bounds; True and False are no numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise EksnetError(
            f"{what} is {shown(value)}", f"a whole number from {least:,} to {most:,}", next_step
        )
    return value


def port(value: int, what: str = "the port") -> int:
    """Return a port: 0 to 65535, 0 standing for none.

    Raises:
        EksnetError: It is none.
    """
    return count(value, what, 0, 65535, "write the port as a number, such as 80")


def amount(value: float, what: str, most: int) -> float:
    """Return a number from 0 on, whole or not.

    Raises:
        EksnetError: It is none, or out of bounds.
    """
    # Not a number is in no range.
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= most:
        raise EksnetError(f"{what} is {shown(value)}", f"a number from 0 to {most:,}")
    return value


def seconds(value: float, what: str = "timeout") -> float:
    """Return a time to wait, in seconds: at most a day.

    Raises:
        EksnetError: It is no number, negative, or longer.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Not a number is in no range.
    if not number or not 0 <= value <= DAY:
        raise EksnetError(
            f"{what} is {shown(value)}", f"seconds, from 0 to {DAY:,}", f"such as {what}=60"
        )
    return value


# Addresses.


def is_address(text: str) -> bool:
    """Tell whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def address(value: str, what: str = "the address") -> str:
    """Return an IPv4 or IPv6 address.

    Raises:
        EksnetError: It is none.
    """
    if isinstance(value, str) and is_address(value):
        return value
    raise EksnetError(f"{what} is {shown(value)}", "an address such as 10.100.0.10")


def ipv4(value: str, what: str = "the address") -> str:
    """Return an IPv4 address.

    Raises:
        EksnetError: It is none.
    """
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            ipaddress.IPv4Address(value)
            return value
    raise EksnetError(
        f"{what} {shown(value)} is not an IPv4 address", "an address such as 10.0.129.10"
    )


def network(value: str, what: str = "the network") -> str:
    """Return a network as ADDRESS/LENGTH.

    Raises:
        EksnetError: It is none.
    """
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            ipaddress.ip_network(value, strict=False)
            return value
    raise EksnetError(f"{what} is {shown(value)}", "a network such as 10.0.0.0/16")


# Addresses of the web.


def url(value: str, what: str = "the URL") -> SplitResult:
    """Return the parts of a URL that can be asked over HTTP.

    Raises:
        EksnetError: It cannot.
    """
    example = "such as http://k8s-….elb.amazonaws.com/"
    text(value, what, example)
    with contextlib.suppress(ValueError):
        parts = urlsplit(value)
        has_place = parts.scheme in PORTS and parts.hostname and parts.port != 0
        if has_place and value.isprintable() and " " not in value:
            return parts
    raise EksnetError(f"{what} is {shown(value)}", "http:// or https:// and a host", example)


# Names of the DNS.


def dns_name(value: str, what: str = "the name") -> str:
    """Return a name that can be asked as it is, with a final dot or without.

    The DNS itself takes more: no program here sends a blank, and for letters beyond ASCII each
    resolver has an answer of its own.

    Raises:
        EksnetError: It cannot be asked.

    Source: RFC 1035, 2.3.4: a label has 1 to 63 octets, a name 253 without its final dot.
    """
    text(value, what, "a name such as my-service.app-ns")
    bare = value.removesuffix(".")
    wrong = next(_faults(bare), None)
    if wrong:
        raise EksnetError(f"{what} {shown(value)} cannot be asked: {wrong[0]}", *wrong[1:])
    return value


def lookup_name(value: str, what: str = "the name") -> str:
    """Return a name that a program can be given to look up, whatever its resolver makes of it.

    Raises:
        EksnetError: It is empty, has characters that no name has, or begins with a hyphen.
    """
    text(value, what, "a name such as my-service.app-ns")
    wrong = next((fault for fault in (*_odd(value), *_like_an_option(value))), None)
    if wrong:
        raise EksnetError(f"{what} {shown(value)} cannot be asked: {wrong[0]}", *wrong[1:])
    return value


def name_fault(value: str) -> str:
    """Return what is wrong with a name of the DNS, in words; empty where it can be asked."""
    return next((fault[0] for fault in _faults(value.removesuffix("."))), "")


def _odd(bare: str) -> Iterator[tuple[str, str, str]]:
    odd = next((one for one in bare if not one.isprintable() or one in " \\"), "")
    if odd:
        yield f"it has {odd!r} in it", "letters, digits, hyphens and dots", "remove it"


def _like_an_option(bare: str) -> Iterator[tuple[str, str, str]]:
    if bare.startswith("-"):
        # A program in the pod would take it for an option.
        yield "it starts with a hyphen", "a letter or a digit at the start", "remove it"


def _faults(bare: str) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with a name without its final dot, what is expected, what to do."""
    if not bare.isascii():
        yield (
            "it has letters outside ASCII, which DNS names cannot have",
            "letters, digits, hyphens and dots",
            _in_ascii(bare) or "use the letters a to z",
        )
    yield from _odd(bare)
    labels = bare.split(".")
    if "" in labels:
        yield (
            "it has an empty label" if bare else "it has no label",
            "at least one letter or digit before each dot",
            "remove the extra dot" if bare else "a name such as my-service.app-ns",
        )
    longest = max(labels, key=len)
    if len(longest) > _LONGEST_LABEL:
        yield (
            f"its label {shown(longest)} has {len(longest)} characters",
            f"at most {_LONGEST_LABEL} characters between two dots",
            "shorten that label",
        )
    if len(bare) > _LONGEST_NAME:
        yield (
            f"it has {len(bare)} characters",
            f"at most {_LONGEST_NAME} characters, without the final dot",
            "shorten it",
        )
    yield from _like_an_option(bare)


def _in_ascii(name: str) -> str:
    """Return what to do about letters beyond ASCII, where there is a form without them."""
    with contextlib.suppress(UnicodeError):
        return f"its form in ASCII: {name.encode('idna').decode()}"
    return ""


def rdtype(value: str) -> str:
    """Return a record type that can be asked for, as it is written.

    Raises:
        EksnetError: It is none.
    """
    import dns.exception
    import dns.rdatatype

    # dnspython raises a ValueError of its own for a number that is too large.
    with contextlib.suppress(dns.exception.DNSException, ValueError):
        if isinstance(value, str) and value.isascii():
            dns.rdatatype.from_text(value)
            return value
    raise EksnetError(
        f"unknown record type {shown(value)}", "a type such as A, AAAA, SRV, CNAME or PTR"
    )


# Names of Kubernetes.


def namespace(value: str, what: str = "the namespace") -> str:
    """Return the name of a namespace, as the API server has it.

    Raises:
        EksnetError: It is none.
    """
    return label(value, what, "default")


def label(value: str, what: str, example: str) -> str:
    """Return an RFC 1123 label.

    Raises:
        EksnetError: It is none.
    """
    text(value, what, f"a name such as {example}")
    if len(value) > _LONGEST_LABEL or not re.fullmatch(_LABEL, value):
        raise EksnetError(
            f"{what} is {shown(value)}",
            f"up to {_LONGEST_LABEL} lower-case letters, digits and hyphens, "
            "a letter or a digit at the start and the end",
            f"a name such as {example}",
        )
    return value


def object_name(value: str, what: str = "the name") -> str:
    """Return the name of an object: an RFC 1123 subdomain, as the API server has it for most.

    Raises:
        EksnetError: It is none.
    """
    text(value, what, "a name such as coredns")
    if len(value) > _LONGEST_NAME or not _OBJECT.fullmatch(value):
        raise EksnetError(
            f"{what} is {shown(value)}",
            f"up to {_LONGEST_NAME} lower-case letters, digits, hyphens and dots, "
            "a letter or a digit at the start and the end",
            "a name such as coredns",
        )
    return value


def path_segment(value: str, what: str = "the name") -> str:
    """Return a name that can stand in a path, such as that of a role: `system:coredns`.

    Raises:
        EksnetError: It is none.
    """
    text(value, what, "a name such as system:coredns")
    if value in (".", "..") or set(value) & set("/%") or not value.isprintable():
        raise EksnetError(
            f"{what} is {shown(value)}", "a name without `/` and `%`", "a name such as admin"
        )
    return value


# Structures.


def yaml(text: str, what: str, expected: str) -> Any:
    """Return what a YAML text says.

    Args:
        text: The text.
        what: What it is.
        expected: What it should be.

    Raises:
        EksnetError: It is no YAML.
    """
    # Late: every process of a sandbox loads this module, and few of them read YAML.
    import yaml as pyyaml

    try:
        return pyyaml.safe_load(text)
    except (pyyaml.YAMLError, *ODD) as error:
        # PyYAML stumbles over some texts of its own, such as the date 2001-99-99.
        raise EksnetError(
            f"{what} is not YAML: {error}", f"{expected} in YAML", "fix that line"
        ) from None


def mapping(value: Any, what: str, next_step: str = "") -> Mapping[str, Any]:
    """Return a mapping; an empty one where nothing was written.

    Raises:
        EksnetError: It is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise EksnetError(f"{what} is {shown(value)}", "fields, each with a name", next_step)
    return value


@contextlib.contextmanager
def well_formed(
    what: str, value: object, expected: str = "", next_step: str = ""
) -> Iterator[None]:
    """Refuse an object from outside of which a part is missing or of another kind.

    Args:
        what: What it is, such as `the Service`.
        value: The object, to be shown.
        expected: What it should be; an object as the API server returns it when empty.
        next_step: What to do; to get one from there when empty.

    Raises:
        EksnetError: A part is not as expected.
    """
    try:
        yield
    except ODD as error:
        part = f"{type(error).__name__} at {error}" if str(error) else type(error).__name__
        raise EksnetError(
            f"{what} cannot be read ({part}): {shown(value)}",
            expected or "an object as the API server returns it",
            next_step or 'cluster.get("KIND/NAME") returns one',
        ) from None
