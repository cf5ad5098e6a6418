"""The one error class of the package: what was seen, what was expected, the next command."""

from __future__ import annotations

from eksnet.printable import printable


class EksnetError(Exception):
    """Something could not be done, and the reader learns what to do next.

    Attributes:
        seen: What was observed, in one sentence.
        expected: What should have been there instead.
        next_step: The command or action that mends it.
    """

    def __init__(self, seen: str, expected: str = "", next_step: str = "") -> None:
        self.seen = seen
        self.expected = expected
        self.next_step = next_step
        super().__init__(seen)

    def __str__(self) -> str:
        """Return the message as three labelled lines; empty ones are left out."""
        lines = [self.seen]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.next_step:
            lines.append(f"  next:     {self.next_step}")
        return printable("\n".join(lines))
