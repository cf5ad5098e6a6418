"""A prediction beside what was observed, for the cells of a notebook that give no points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eksnet.checkpoints.answers import same
from eksnet.display import Mark, Tone
from eksnet.listing import Listing

_NONE_YET = "no prediction yet"
_SHOWN = {True: Mark("yes", Tone.GOOD), False: Mark("no", Tone.BAD), None: ""}


def compare(prediction: Any, observed: Any) -> Listing[bool | None]:
    """Return a prediction beside what was observed, and whether they are the same.

    Letter case and a final dot of a name do not count. The items are the last column: True, False,
    or None where nothing was predicted.

    Args:
        prediction: A text, a number or a truth value, or a dict of them; `...` where there is none.
        observed: The same; of a dict each key is a row.

    Example:
        >>> compare(2, 10)
        predicted  observed  same
        2          10        no
        >>> compare({"musl": "found", "go": ...}, {"musl": "not found", "go": "found"})
              predicted          observed   same
        musl  found              not found  no
        go    no prediction yet  found
    """
    if isinstance(observed, Mapping):
        said = prediction if isinstance(prediction, Mapping) else {}
        pairs = {str(key): (said.get(key, ...), seen) for key, seen in observed.items()}
        cells = {key: _row(*pair) for key, pair in pairs.items()}
        rows = tuple((key, *row) for key, row in cells.items())
        items = tuple(_verdict(*pair) for pair in pairs.values())
        return Listing(("", "predicted", "observed", "same"), rows, items)
    row, item = _row(prediction, observed), _verdict(prediction, observed)
    return Listing(("predicted", "observed", "same"), (row,), (item,))


def _row(prediction: Any, observed: Any) -> tuple[str, str, str]:
    said = _NONE_YET if prediction is ... else str(prediction)
    return said, str(observed), _SHOWN[_verdict(prediction, observed)]


def _verdict(prediction: Any, observed: Any) -> bool | None:
    return None if prediction is ... else same(str(prediction), str(observed))
