"""How resolvers spell a name in a query, and how a text shows the octets of one.

A *spelled* name has a character for each octet. A *presented* name is a text as servers log it.
"""

from __future__ import annotations

import re
import unicodedata

from eksnet import inputs

ROOT = "."
_LONGEST_LABEL, _LONGEST_NAME = 63, 253
_HOST = re.compile(r"[A-Za-z0-9_.-]+")
_GO_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
# The dot of a name that a program gives always ends a label, so that none is ever inside of one.
_SPECIAL = frozenset(" '@;()\"\\")
_ESCAPED = re.compile(r"\\(?:([0-9]{3})|(.))")


def fits_in_a_query(name: str) -> bool:
    """Tell whether a query can hold a name, given as a character for each octet."""
    labels = name.split(".")
    fit = all(1 <= len(label) <= _LONGEST_LABEL for label in labels)
    return name == ROOT or (fit and len(name) <= _LONGEST_NAME)


def presented(name: str) -> str:
    r"""Return a spelled name as servers log it: an octet beyond ASCII by its number.

    Example:
        >>> print(presented(octets("é@a")))
        \195\169\@a

    Source: miekg/dns v1.1.72 types.go, isDomainNameLabelSpecial; msg.go, UnpackDomainName.
    """
    return "".join(map(_presented, name))


def _presented(octet: str) -> str:
    if not " " <= octet <= "~":
        return f"\\{ord(octet):03d}"
    return f"\\{octet}" if octet in _SPECIAL else octet


def labels_of(name: str) -> tuple[bytes, ...]:
    r"""Return the labels of a presented name, without the empty one at its end.

    Args:
        name: The name, with a final dot or without.

    Example:
        >>> labels_of(r"\195\169.a"), labels_of(".")
        ((b'\xc3\xa9', b'a'), ())
    """
    bare = name.removesuffix(ROOT)
    return tuple(map(_octets_of, bare.split("."))) if bare else ()


def check_presented(name: str, what: str = "the name") -> str:
    """Return a presented name that a query can hold; the root too.

    Raises:
        EksnetError: None can.
    """
    if name != ROOT:
        inputs.dns_name(_ESCAPED.sub("x", name), what)
    return name


def _octets_of(label: str) -> bytes:
    return _ESCAPED.sub(lambda one: chr(int(one[1])) if one[1] else one[2], label).encode("latin-1")


def octets(name: str) -> str:
    """Return a name as it is, octet by octet."""
    return name.encode().decode("latin-1")


def glibc_spelled(name: str) -> str:
    """Letters beyond ASCII in their form for the DNS; nothing else than a host's name may have.

    That is getent's way, and that of all who ask getaddrinfo for it (AI_IDN).

    Source: glibc 2.36 inet/idna.c, resolv/res-name-checking.c.
    """
    labels = [_in_ascii(label) for label in name.split(".")]
    ascii_name = ".".join(map(str, labels))
    return ascii_name if None not in labels and _HOST.fullmatch(ascii_name) else ""


def _in_ascii(label: str) -> str | None:
    """Return a label as IDNA 2008 writes it; None where it has characters that no name may have."""
    if label.isascii():
        return label
    plain = unicodedata.normalize("NFKC", label.lower())
    if not all(unicodedata.category(one)[0] in "LMN" or one == "-" for one in plain):
        return None
    return f"xn--{plain.encode('punycode').decode()}"


def musl_spelled(name: str) -> str:
    """As it is, octet by octet; the root is no name to it.

    Source: musl 1.2.5 src/network/lookup_name.c, name_from_dns_search.
    """
    return "" if name == ROOT else octets(name)


def go_spelled(name: str) -> str:
    """As it is, if it is a domain name: in ASCII, hyphens within labels alone, not all digits.

    Source: Go 1.26 src/net/dnsclient.go, isDomainName.
    """
    bare = name.removesuffix(".")
    labels = bare.split(".")
    is_name = all(_GO_LABEL.fullmatch(label) for label in labels)
    numeric = not bare.replace(".", "").strip("0123456789")
    return name if name == ROOT or (is_name and not numeric) else ""
