"""A picture of a model: SVG that is made here, the same bytes each time, and its twin. Pure.

The SVG stands in two places. In a widget it is part of the page and has the colours of the theme.
In the output of a cell it is an image, because JupyterLab and GitHub take SVG out of the HTML of a
notebook that is not trusted, and leave images in; there it brings a ground of its own, on which it
can be read in any theme.

All text is in type of one width, and measured by that. A colour is never alone: there is a sign, a
word or another stroke beside it. Those of lines have a contrast of 3:1 to both themes' grounds.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from eksnet import display
from eksnet.panel import Part

Point = tuple[float, float]

LETTER = 7.3
"""The width of a letter in pixels: of DejaVu Sans Mono, the widest of the usual types, at 12."""
LINE = 16
"""From one line of text to the next, in pixels."""
INK, FAINT, GOOD, BAD, ODD, HERE = "ink", "faint", "good", "bad", "odd", "here"
DASHED, DOTTED = "6 4", "2 4"
_STYLE = (
    ".ek{color:var(--jp-ui-font-color0,#000);font:12px var(--jp-code-font-family,monospace);"
    "height:auto;max-width:100%}"
    ".ek text{fill:currentColor;white-space:pre}"
    ".ek .ground{fill:var(--jp-layout-color0,#fff)}"
    ".ek .stroke{fill:none;stroke:currentColor}"
    ".ek .tip{fill:currentColor}"
    ".ek .faint{color:#808080}.ek .good{color:#2a9142}.ek .bad{color:#dc3d40}"
    ".ek .odd{color:#bf6a00}.ek .here{color:#2f7fd0}"
)


@dataclass(frozen=True, repr=False)
class Picture:
    """A picture with a caption, and what it shows in text.

    Attributes:
        caption: What it shows, in a few words.
        spoken: What it shows, in full: for those who do not see it.
        size: Width and height in pixels.
        drawn: The elements of the SVG.
        twin: The same as a table or a text, with its own caption.
    """

    caption: str
    spoken: str
    size: Point
    drawn: tuple[str, ...]
    twin: Part

    @property
    def svg(self) -> str:
        """The SVG, on its ground."""
        width, height = (f"{side:g}" for side in self.size)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="ek" role="img" '
            f'aria-label="{escape(self.spoken)}" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}"><title>{escape(self.caption)}</title>'
            f"<style>{_STYLE}</style>"
            f'<rect class="ground" width="{width}" height="{height}" rx="6"/>'
            f"{''.join(self.drawn)}</svg>"
        )

    @property
    def inline(self) -> str:
        """The picture as a part of the page, in the colours of its theme."""
        return self._figure(self.svg)

    @property
    def image(self) -> str:
        """The picture as an image, which is left in where a page's own SVG is taken out."""
        source = base64.b64encode(self.svg.encode()).decode()
        address = f"data:image/svg+xml;base64,{source}"
        return self._figure(f'<img alt="{escape(self.spoken)}" src="{address}">')

    def _figure(self, drawn: str) -> str:
        caption = f"<figcaption>{escape(self.caption)}</figcaption>"
        return f'<figure style="margin: 0">{caption}{drawn}</figure>'

    def __repr__(self) -> str:
        return repr(self.twin)

    def _repr_html_(self) -> str:
        return self.image + display.fold("The same in text", self.twin._repr_html_())


def lines(words: str, room: float) -> list[str]:
    """Return a text in as many lines as it takes to fit into a number of pixels.

    It is cut after a blank or a dot, as names are, and elsewhere only where there is neither.
    """
    width = max(1, int(room / LETTER))
    found = [""]
    for piece in re.findall(r".*?[. ]+|.+", words):
        if len(found[-1]) + len(piece.rstrip()) > width and found[-1]:
            found.append("")
        while len(found[-1]) + len(piece.rstrip()) > width:
            found[-1], piece = piece[:width], piece[width:]
            found.append("")
        found[-1] += piece
    return [one.rstrip() for one in found]


def text(at: Point, words: str, *, anchor: str = "start", strong: bool = False) -> str:
    """Draw a line of text from a place on: its start, middle or end stands there."""
    if not words:
        return ""
    weight = ' font-weight="bold"' if strong else ""
    return (
        f'<text x="{at[0]:g}" y="{at[1]:g}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'
    )


def texts(at: Point, found: Iterable[str], *, anchor: str = "start", strong: bool = False) -> str:
    """Draw lines of text, one below the other."""
    x, y = at
    return "".join(
        text((x, y + LINE * number), one, anchor=anchor, strong=strong)
        for number, one in enumerate(found)
    )


def box(at: Point, size: Point, kind: str = INK, width: float = 1, dash: str = "") -> str:
    """Draw a box with its upper left corner at a place."""
    (x, y), (across, down) = at, size
    return (
        f'<rect class="stroke {kind}" x="{x:g}" y="{y:g}" width="{across:g}" height="{down:g}" '
        f'rx="4"{_pen(width, dash)}/>'
    )


def line(points: Sequence[Point], kind: str = INK, *, width: float = 1, dash: str = "") -> str:
    """Draw a line along points."""
    along = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline class="stroke {kind}" points="{along}"{_pen(width, dash)}/>'


def arrow(points: Sequence[Point], kind: str = INK, *, width: float = 1, dash: str = "") -> str:
    """Draw a line along points with a tip at its end; its last part is level or upright."""
    (x0, y0), (x, y) = points[-2:]
    right, down = (x > x0) - (x < x0), (y > y0) - (y < y0)
    base = (x - 8 * right, y - 8 * down)
    sides = [(base[0] + sign * 4 * down, base[1] + sign * 4 * right) for sign in (1, -1)]
    tip = " ".join(f"{a:g},{b:g}" for a, b in (*sides, (x, y)))
    shaft = line((*points[:-1], base), kind, width=width, dash=dash)
    return f'{shaft}<polygon class="tip {kind}" points="{tip}"/>'


def _pen(width: float, dash: str) -> str:
    return f' stroke-width="{width:g}"' + (f' stroke-dasharray="{dash}"' if dash else "")
