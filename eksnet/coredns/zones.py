"""Which questions come to a plugin: the zones that cover a name, and the rules that rename it.

Source: plugin/normalize.go (Zones.Matches) and plugin/rewrite/name.go of CoreDNS 1.14.3.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence

_MODES = ("continue", "stop")


def covers(zone: str, name: str) -> bool:
    """Tell whether a name is in a zone; both with a final dot or without.

    Example:
        >>> covers("local.", "myapp.local"), covers("app.local", "myapp.local")
        (True, False)
    """
    return f".{_plain(name)}".endswith(f".{_plain(zone)}".rstrip("."))


def renames(rule: Sequence[str], name: str) -> bool:
    """Tell whether a rule of `rewrite` gives a name another name.

    Args:
        rule: The words of the rule's line, with the plugin's own name or without.
        name: The name.
    """
    words = [word for word in rule if word not in ("rewrite", *_MODES)]
    field, kind, pattern = [*words, "", "", ""][:3]
    if field != "name":
        return False
    if kind not in _MATCHES:
        kind, pattern = "exact", kind
    return bool(pattern) and _MATCHES[kind](_plain(name), pattern)


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def _by_expression(name: str, pattern: str) -> bool:
    # Go's expressions and Python's are the same where names are concerned.
    with contextlib.suppress(re.error):
        return re.search(pattern, f"{name}.") is not None
    return False


_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "exact": lambda name, pattern: name == _plain(pattern),
    "prefix": lambda name, pattern: name.startswith(pattern.lower()),
    "suffix": lambda name, pattern: name.endswith(_plain(pattern)),
    "substring": lambda name, pattern: pattern.lower() in name,
    "regex": _by_expression,
}
