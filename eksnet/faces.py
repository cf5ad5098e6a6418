"""What a room shows of its modules: each is loaded when something of it is first asked for.

A command needs little of a room, and importing all of it takes longer than the command's work. A
room's `__init__.py` imports what it shows under `TYPE_CHECKING`; so type checkers and editors know
it, and these lines are read here for where each name comes from: it stands in one place.
"""

from __future__ import annotations

import ast
import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def of(room: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a room.

    Args:
        room: The package's name.
    """
    module = sys.modules[room]

    @functools.cache
    def homes() -> dict[str, str]:
        return dict(_imports(Path(str(module.__file__)).read_text()))

    def load(name: str) -> Any:
        home = homes().get(name)
        if home is None:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        # A module that the room shows as it is comes from the room itself.
        if home == room:
            found: Any = importlib.import_module(f"{room}.{name}")
        else:
            found = getattr(importlib.import_module(home), name)
        setattr(module, name, found)
        return found

    return load, lambda: sorted({*vars(module), *homes()})


def _imports(source: str) -> list[tuple[str, str]]:
    """Return the names that are imported for type checkers alone, with where they come from."""
    return [
        (alias.asname or alias.name, str(node.module))
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
