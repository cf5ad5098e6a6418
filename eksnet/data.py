"""The tables that the notebooks read: from a clone's `data/`, or from the installed wheel."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from eksnet import inputs

if TYPE_CHECKING:
    import pandas as pd

_PACKAGE = Path(__file__).parent


def directory() -> Path:
    """Return where the tables are."""
    installed = _PACKAGE / "_data"
    return installed if installed.is_dir() else _PACKAGE.parent / "data"


def load_table(name: str) -> pd.DataFrame:
    """Return a table; its source is named in `data/README.md`.

    Args:
        name: The file's name without `.csv`.

    Raises:
        EksnetError: There is no table of that name.
    """
    import pandas as pd

    from eksnet.frames import Frame

    return Frame(pd.read_csv(_file(name, "load_table")))


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table as text, without pandas: what models read.

    Args:
        name: The file's name without `.csv`.

    Raises:
        EksnetError: There is no table of that name.
    """
    with _file(name, "rows").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _file(name: str, function: str) -> Path:
    # Looked up among those that are there: a name is no way out of the directory.
    known = {path.stem: path for path in sorted(directory().glob("*.csv"))}
    inputs.one_of(name, known, "table", f"eksnet.data.{function}(NAME)")
    return known[name]
