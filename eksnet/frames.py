"""Data frames as the course shows them; loads pandas, so it is imported where a frame is made."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pandas as pd

from eksnet import display

_ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.DOTALL)
_CELL = re.compile(r"<t[hd][^>]*>(.*?)</t[hd]>", re.DOTALL)


class Frame(pd.DataFrame):  # type: ignore[misc]
    """A data frame that is shown whole; its HTML has text on the left and numbers on the right."""

    @property
    def _constructor(self) -> Any:
        # What is made from a frame, such as some of its columns, is shown like it.
        return Frame

    def __repr__(self) -> str:
        with pd.option_context("display.max_colwidth", None, "display.expand_frame_repr", False):
            return str(super().__repr__())

    def _repr_html_(self) -> Any:
        if max(self.index.nlevels, self.columns.nlevels) > 1:
            return super()._repr_html_()
        with pd.option_context("display.max_colwidth", None):
            # pandas' own text of each cell: numbers as it writes them.
            html = self.to_html(index_names=False)
        columns, *rows = (list(map(unescape, _CELL.findall(row))) for row in _ROW.findall(html))
        return display.table(columns, rows, named=True)
