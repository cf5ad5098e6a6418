"""A Corefile's text from a file, as it can be in a ConfigMap."""

from __future__ import annotations

import sys
from pathlib import Path

from eksnet.errors import EksnetError

MOST = 1024 * 1024
"""How many bytes a ConfigMap holds."""
STDIN = "-"
_NEXT = "eksnet corefile lint FILE"


def read_text(path: str) -> str:
    """Return the text of a Corefile.

    Args:
        path: The file's path; `-` for the standard input.

    Raises:
        EksnetError: There is no such file, it cannot be read, is too large, or is no text.
    """
    content = _content(path)
    if len(content) > MOST:
        raise EksnetError(
            f"{path} has more than {MOST:,} bytes",
            f"a Corefile of at most {MOST:,} bytes: that is what a ConfigMap holds",
            f"split it, or look whether it is the right file, then {_NEXT}",
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _no_text(path, f"line {line} has a byte that is not UTF-8") from None
    if "\0" in text:
        raise _no_text(path, f"line {text.count(chr(10), 0, text.index(chr(0))) + 1} has NUL in it")
    return text


def _content(path: str) -> bytes:
    try:
        if path == STDIN:
            return sys.stdin.buffer.read(MOST + 1)
        with Path(path).open("rb") as file:
            return file.read(MOST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise EksnetError(f"{path} cannot be read: {why}", "a Corefile", _NEXT) from None


def _no_text(path: str, seen: str) -> EksnetError:
    return EksnetError(f"{path} is no text: {seen}", "a Corefile in UTF-8", _NEXT)
