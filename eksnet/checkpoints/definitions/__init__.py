"""The checkpoints of the course: a module per notebook, each with a tuple `CHECKPOINTS`.

A module that is put here is found; there is no list to keep.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from eksnet.checkpoints.criteria import Definition
from eksnet.errors import EksnetError


@functools.cache
def every() -> tuple[Definition, ...]:
    """Return all definitions, sorted by notebook, in each module's order."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [
        definition
        for name in modules
        for definition in importlib.import_module(f"{__name__}.{name}").CHECKPOINTS
    ]
    return tuple(sorted(found, key=lambda definition: definition.notebook))


def find(checkpoint: str) -> Definition:
    """Return the definition of an id.

    Raises:
        EksnetError: There is none.
    """
    for definition in every():
        if definition.id == checkpoint:
            return definition
    raise EksnetError(
        f"there is no checkpoint {checkpoint!r}",
        f"one of {', '.join(definition.id for definition in every())}",
        "eksnet.progress() lists them",
    )


def of_notebook(notebook: str) -> tuple[Definition, ...]:
    """Return the definitions of a notebook, named by the start of its name; all when empty.

    Raises:
        EksnetError: No notebook with checkpoints is called so.
    """
    found = tuple(one for one in every() if one.notebook.startswith(notebook))
    if found:
        return found
    known = ", ".join(dict.fromkeys(one.notebook for one in every()))
    raise EksnetError(f"no notebook {notebook!r} has checkpoints", f"one of {known}")
