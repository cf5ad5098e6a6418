"""Values of annotations as the controller reads them: Go's own rules for numbers and words.

Source: pkg/annotations/parser.go of the controller; Go's strconv and net.
"""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_BITS, _ATOI_BITS = 31, 63
_JSON_DEPTH = 200


def boolean(text: str) -> bool | None:
    """Return what a text is to strconv.ParseBool; None where that refuses it."""
    return True if text in _TRUE else False if text in _FALSE else None


def integer(text: str) -> int | None:
    """Return a whole number of 32 bits; None where strconv.ParseInt refuses the text."""
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and -(2**_BITS) <= number < 2**_BITS else None


def are_integers(text: str) -> bool:
    """Tell whether strconv.Atoi takes each part of a list."""
    return all(
        _INTEGER.fullmatch(part) and -(2**_ATOI_BITS) <= int(part) < 2**_ATOI_BITS
        for part in string_list(text)
    )


def string_list(text: str) -> list[str]:
    """Return the parts between commas, without blanks around them; empty ones are left out."""
    return [part for part in map(str.strip, text.split(",")) if part]


def string_map(text: str) -> dict[str, str] | None:
    """Return keys with values; None where the controller refuses the text.

    A comma in a value has a backslash before it.
    """
    found = {}
    for pair in _pairs(text):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            return None
        found[key.strip()] = value.strip()
    return found


def _pairs(text: str) -> list[str]:
    """Source: splitKeyValuePairs."""
    last = text.rfind("=")
    pairs: list[str] = []
    now, index = "", 0
    while index < len(text):
        one = text[index]
        if one == "\\" and index + 1 < len(text):
            index += 1
            now += text[index]
        elif one != ",":
            now += one
        elif last > index:
            pairs.append(now.strip())
            now = ""
        elif rest := text[index + 1 :].strip():
            return [*pairs, now.strip(), rest]
        else:
            now += one
        index += 1
    return [*pairs, now.strip()] if now else pairs


def is_network(text: str) -> bool:
    """Tell whether net.ParseCIDR takes a text: an address, a slash and a length."""
    address, slash, length = text.partition("/")
    if not slash or not re.fullmatch("[0-9]{1,3}", length):
        return False
    try:
        ipaddress.ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        return False
    return True


def from_json(text: str) -> tuple[Any, str]:
    """Return a value in JSON, and why it is none; one of the two is empty."""
    if text.count("[") + text.count("{") > _JSON_DEPTH * 10:
        return None, "it is too large to be a value of an annotation"
    try:
        return json.loads(text, parse_constant=_refused), ""
    except RecursionError:
        return None, "it is nested too deep"
    except ValueError as error:
        return None, str(error)


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")
