"""What errors of the load balancer controller and of AWS mean, how to see it, and how to fix it.

The errors are a table of `data/`, each as the controller's source has it, with Go's verbs such as
`%v` for what differs, or as a public report has it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eksnet import data, inputs, versions
from eksnet.display import Shown
from eksnet.errors import EksnetError
from eksnet.listing import Listing

if TYPE_CHECKING:
    import pandas as pd

MOST = 2_000_000
"""How many characters are looked through: more than the log of a long day."""
_VERB = re.compile(r"%[vsdqw]")
# What stands for a verb ends somewhere: an error is no longer than this.
_ANYTHING = r"[^\n]{0,400}?"
_ESCAPED = re.compile(r'\\+([nt"])')
_PARTS = {"error": "error", "means": "means", "see": "see", "fix": "fix", "source": "source"}


@dataclass(frozen=True, repr=False)
class Explanation(Shown):
    """What an error means.

    Attributes:
        id: Its name in the table.
        said_by: Who says it: `controller`, `AWS` or `Kubernetes`.
        error: The error as it was said, from its first fixed word to the last.
        means: What it means.
        see: The command, or the place, that shows it.
        fix: How to fix it.
        source: The file and function of the controller's source, or a public report.
    """

    id: str
    said_by: str
    error: str
    means: str
    see: str
    fix: str
    source: str

    @property
    def where(self) -> str:
        """The source, with the controller's version."""
        ours = self.said_by == "controller"
        return f"controller {versions.CONTROLLER[1:]}, {self.source}" if ours else self.source

    def _listing(self) -> Listing[tuple[str, str]]:
        facts = [(name, getattr(self, name)) for name in ("error", "means", "see", "fix")]
        facts.append(("source", self.where))
        return Listing.of(facts, {"": lambda one: one[0], self.said_by: lambda one: one[1]})

    def _text(self, *, colours: bool) -> str:
        return self._listing()._text(colours=colours)

    def _repr_html_(self) -> str:
        return self._listing()._repr_html_()

    def to_frame(self) -> pd.DataFrame:
        """Return its parts as a data frame of text: a row for each."""
        return self._listing().to_frame()


def explain(text: str) -> Listing[Explanation]:
    """Return what is known of the errors in a text: each once, in their order in it.

    Args:
        text: An error, an event, or lines of a log.

    Raises:
        EksnetError: It is no text, or is too long.
    """
    inputs.text(text, "the error", 'explain("conflicting scheme: …")')
    if len(text) > MOST:
        raise EksnetError(
            f"the text has {len(text):,} characters", f"at most {MOST:,}", "give the last lines"
        )
    found = list(_without_parts(_matches(_unescaped(text))))
    return Listing.of(
        found,
        {
            "error": lambda one: one.error, "means": lambda one: one.means,
            "see": lambda one: one.see, "fix": lambda one: one.fix,
            "source": lambda one: one.where,
        },
    )  # fmt: skip


def _unescaped(text: str) -> str:
    """Return a text as it was before a log wrote its lines as JSON, with single blanks in it."""
    return re.sub(r"[ \t\r\f\v]+", " ", "\n".join(map(_plain, text.split("\n"))))


def _plain(line: str) -> str:
    if line.startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            # What is on several lines here was said in one go.
            said = [one for one in json.loads(line).values() if isinstance(one, str)]
            return "\n".join(one.replace("\n", " ") for one in said)
    return _ESCAPED.sub(lambda one: '"' if one[1] == '"' else " ", line)


Match = tuple[int, int, Explanation]


def _matches(text: str) -> list[Match]:
    """Return where each known error stands first; a longer one before a part of it."""
    found = []
    for pattern, row in _known():
        if match := pattern.search(text):
            made = Explanation(**row | {"error": match.group().strip()})
            found.append((match.start(), match.end(), made))
    return sorted(found, key=lambda one: (one[0], -one[1]))


def _without_parts(matches: list[Match]) -> Iterator[Explanation]:
    end = -1
    for _, last, one in matches:
        if last > end:
            end = last
            yield one


@functools.cache
def _known() -> tuple[tuple[re.Pattern[str], dict[str, str]], ...]:
    rows = data.rows("controller_errors")
    kept = ("id", "said_by", "means", "see", "fix", "source")
    return tuple((pattern(row["error"]), {name: row[name] for name in kept}) for row in rows)


def pattern(error: str) -> re.Pattern[str]:
    """Return what matches an error, from its first fixed word to the last.

    Args:
        error: The error with Go's verbs for what differs.
    """
    parts = _VERB.split(error)
    fixed = [re.escape(part) for part in parts]
    # At the ends, what differs tells nothing.
    while fixed and not fixed[0].strip("\\ "):
        fixed.pop(0)
    ends_open = not fixed[-1]
    joined = _ANYTHING.join(fixed).rstrip()
    return re.compile(joined + (r"[^\n]{0,200}" if ends_open else ""))
