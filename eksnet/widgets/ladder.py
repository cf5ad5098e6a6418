"""The ladder: a search walk's queries between the pod and the DNS server, one rung each. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from eksnet.dns import Attempt, Walk
from eksnet.dns.profiles import Question
from eksnet.dns.replies import Reply
from eksnet.listing import Listing
from eksnet.panel import Table
from eksnet.picture import (
    BAD,
    DASHED,
    FAINT,
    GOOD,
    LETTER,
    LINE,
    ODD,
    Picture,
    arrow,
    line,
    lines,
    text,
    texts,
)

_WIDTH = 560.0
_CLIENT, _SERVER = 20.0, 540.0
_ROOM = _SERVER - _CLIENT - 20
_HEAD = 34.0
_SIGNS = {
    Reply.ANSWER: ("✓", GOOD),
    Reply.NXDOMAIN: ("✗", BAD),
    Reply.NODATA: ("∅", ODD),
    Reply.SERVFAIL: ("!", BAD),
    Reply.REFUSED: ("!", BAD),
    Reply.TIMEOUT: ("…", ODD),
}
_MARKS = {Reply.ANSWER.mark: Reply.ANSWER, Reply.NXDOMAIN.mark: Reply.NXDOMAIN}


@dataclass(frozen=True)
class Rung:
    """One query and what came back.

    Attributes:
        name: The name that is asked.
        rdtype: The type, or both where no more is known than what became of the name.
        reply: What came back, in a word; TIMEOUT where nothing did.
        sign: A sign for it.
        colour: A colour for it.
    """

    name: str
    rdtype: str
    reply: str
    sign: str
    colour: str

    @property
    def answered(self) -> bool:
        """Whether anything came back."""
        return self.reply != Reply.TIMEOUT


def ladder(walk: Walk, *, title: str = "The queries", client: str = "pod") -> Picture:
    """Draw a search walk as questions and answers between a pod and its DNS server.

    Args:
        walk: The walk, predicted or observed.
        title: What the picture is called.
        client: What the asking side is called.
    """
    rungs = rungs_of(walk)
    drawn, y = [], _HEAD
    for number, rung in enumerate(rungs, start=1):
        marks, y = _drawn(number, rung, y)
        drawn.append(marks)
    height = y + 10
    heads = (
        text((_CLIENT - 12, 16), client, strong=True),
        text((_SERVER + 12, 16), "DNS server", anchor="end", strong=True),
        *(line(((x, 24), (x, height - 6)), FAINT, width=2) for x in (_CLIENT, _SERVER)),
    )
    rows = tuple(
        (str(number), rung.name, rung.rdtype, f"{rung.sign} {rung.reply}")
        for number, rung in enumerate(rungs, start=1)
    )
    spoken = "; ".join(f"{n}. {rdtype} {name}: {reply[2:]}" for n, name, rdtype, reply in rows)
    table = Table(title, Listing(("order", "query name", "rdtype", "reply"), rows, rungs))
    return Picture(
        title, f"{title}: {spoken or 'none'}.", (_WIDTH, height), (*heads, *drawn), table
    )


def rungs_of(walk: Walk) -> tuple[Rung, ...]:
    """Return the queries of a walk, in order; where they are not known, its names."""
    if walk.questions:
        return tuple(_of_question(one) for one in walk.questions)
    return tuple(_of_row(one) for one in walk)


def _of_question(one: Question) -> Rung:
    rdtype = one.rdtype if one.sent == 1 else f"{one.rdtype}, {one.sent} times"
    return Rung(one.name, rdtype, one.reply.value, *_SIGNS[one.reply])


def _of_row(one: Attempt) -> Rung:
    reply = _MARKS.get(one.mark)
    sign = _SIGNS[reply] if reply else ("?", ODD)
    return Rung(one.name, "A, AAAA", reply.value if reply else one.mark, *sign)


def _drawn(number: int, rung: Rung, y: float) -> tuple[str, float]:
    """Draw a rung from a height on; return where the next begins."""
    reply = f"{rung.sign} {rung.reply}"
    left = _CLIENT + 12
    asked = lines(f"{number}  {rung.rdtype}  {rung.name}", _ROOM)
    # The reply stands on the question's last line where there is room, else below it.
    if (len(asked[-1]) + len(reply) + 2) * LETTER > _ROOM:
        asked.append("")
    foot = y + LINE * len(asked)
    question = arrow(((_CLIENT, foot + 1), (_SERVER, foot + 1)))
    answer = arrow(((_SERVER, foot + 9), (_CLIENT, foot + 9)), rung.colour, width=2, dash=DASHED)
    marks = (
        texts((left, y + LINE - 4), asked),
        text((_SERVER - 12, foot - 4), reply, anchor="end", strong=True),
        question,
        answer if rung.answered else "",
    )
    return "".join(marks), foot + 18
