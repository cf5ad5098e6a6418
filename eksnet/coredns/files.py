"""A Corefile's text from a file, as it can be in a ConfigMap."""

from __future__ import annotations

import sys
from pathlib import Path

from eksnet.errors import EksnetError

MOST = 1024 * 1024
"""How many bytes a ConfigMap holds."""
STDIN = "-"
_NEXT = "eksnet corefile lint FILE"


def read_text(path: str, what: str = "a Corefile", next_step: str = _NEXT) -> str:
    """Return the text of a Corefile, or of another file that a ConfigMap can hold.

    Args:
        path: The file's path; `-` for the standard input.
        what: What the file is to be.
        next_step: What to do where it is none.

    Raises:
        EksnetError: There is no such file, it cannot be read, is too large, or is no text.
    """
    content = _content(path, what, next_step)
    if len(content) > MOST:
        raise EksnetError(
            f"{path} has more than {MOST:,} bytes",
            f"{what} of at most {MOST:,} bytes: that is what a ConfigMap holds",
            f"split it, or look whether it is the right file, then {next_step}",
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        seen = f"line {line} has a byte that is not UTF-8"
        raise _no_text(path, seen, what, next_step) from None
    if "\0" in text:
        seen = f"line {text.count(chr(10), 0, text.index(chr(0))) + 1} has NUL in it"
        raise _no_text(path, seen, what, next_step)
    return text


def _content(path: str, what: str, next_step: str) -> bytes:
    try:
        if path == STDIN:
            return sys.stdin.buffer.read(MOST + 1)
        with Path(path).open("rb") as file:
            return file.read(MOST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise EksnetError(f"{path} cannot be read: {why}", what, next_step) from None


def _no_text(path: str, seen: str, what: str, next_step: str) -> EksnetError:
    return EksnetError(f"{path} is no text: {seen}", f"{what} in UTF-8", next_step)
