"""What a Python process of the sandbox needs to see of the computer to run in a root of its own."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]
_LIBRARY = re.compile(r"(/\S+)/[^/\s]+\.so[.\d]*$", re.MULTILINE)
_SYSTEM = "/usr"


def shown() -> dict[str, Path]:
    """Return the interpreter, its libraries and this package, each at the place that it has here.

    An environment's interpreter is a link into the installation that it was made of, and finds its
    packages by where it is: so nothing can move.
    """
    places = {
        Path(sys.prefix),
        *_installation(),
        *_libraries(Path("/proc/self/maps").read_text()),
        _PACKAGE,
    }
    outer = [p for p in places if not any(other in p.parents for other in places)]
    return {str(place): place for place in sorted(outer)}


def _installation() -> list[Path]:
    """Return the Python installation: whole, or its parts when it is the system's own."""
    base = Path(sys.base_prefix)
    if str(base) != _SYSTEM:
        return [base]
    return [Path(sysconfig.get_path("stdlib")), *_links(Path(sys.executable))]


def _links(program: Path) -> list[Path]:
    """Return a program and all that leads to it: each link may stand in another directory.

    Args:
        program: The program, or the first of the links.
    """
    found = [program]
    while found[-1].is_symlink():
        found.append(Path(os.path.normpath(found[-1].parent / found[-1].readlink())))
    return found


def _libraries(maps: str) -> list[Path]:
    """Return the loader, and where the shared libraries lie that a process has loaded.

    Programs name their loader below `/lib`, and it looks there first, also where that is a link to
    `/usr/lib`.

    Args:
        maps: The text of `/proc/PID/maps`.
    """
    directories = {Path(found) for found in _LIBRARY.findall(maps)}
    aliases = {Path(str(one).removeprefix(_SYSTEM)) for one in directories}
    loaders = [loader for place in ("/lib", "/lib64") for loader in Path(place).glob("ld-*.so*")]
    return [*directories, *(one for one in aliases if one.is_dir()), *loaders]
