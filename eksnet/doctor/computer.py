"""Checks of this computer: Python, its packages, and the programs that the course calls."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata

from eksnet.cluster.targets import Target
from eksnet.doctor.findings import Finding, cannot_tell, finding, ok
from eksnet.errors import EksnetError

_PACKAGE = "eksnet"
_SET_UP = "`make setup` in the course's folder installs the versions of uv.lock"
_OLDEST_HELM = (3, 0)
_SECONDS = 10


def python(required: str = "", present: str = "") -> Iterator[Finding]:
    """Look at the version of Python.

    Args:
        required: What the package says that it needs; read from it when empty.
        present: The version; this process' own when empty.
    """
    from packaging.specifiers import SpecifierSet

    required = required or str(metadata.metadata(_PACKAGE)["Requires-Python"])
    present = present or platform.python_version()
    if present in SpecifierSet(required):
        yield ok(f"Python {present}")
    else:
        yield finding(
            f"Python {present}, and the course needs {required}",
            "`make setup PYTHON=python3.12` in the course's folder, with a version that is there",
        )


def packages(
    required: Iterable[str] | None = None, installed: Callable[[str], str] = metadata.version
) -> Iterator[Finding]:
    """Look at the versions of the packages that the course needs.

    Args:
        required: The requirements; those of the package itself when None.
        installed: Returns the version of a package.
    """
    from packaging.requirements import Requirement

    texts = metadata.requires(_PACKAGE) or () if required is None else required
    wanted = [one for text in texts if _counts(one := Requirement(text))]
    wrong = list(filter(None, (_wrong(one.name, str(one.specifier), installed) for one in wanted)))
    for what in wrong:
        yield finding(what, _SET_UP)
    if not wrong:
        yield ok(f"{len(wanted)} packages have the versions that the course needs")


def _counts(requirement: object) -> bool:
    """Tell whether a requirement is one of this computer: its marker may say otherwise."""
    marker = getattr(requirement, "marker", None)
    return marker is None or bool(marker.evaluate({"extra": ""}))


def _wrong(name: str, specifier: str, installed: Callable[[str], str]) -> str:
    from packaging.specifiers import SpecifierSet

    try:
        present = installed(name)
    except metadata.PackageNotFoundError:
        return f"the package {name} is missing"
    if SpecifierSet(specifier).contains(present, prereleases=True):
        return ""
    return f"the package {name} is {present}, and the course needs {specifier}"


# Programs.


def programs(target: Target) -> Iterator[Finding]:
    """Look at the programs that the lessons call on a target.

    Args:
        target: The target.
    """
    if target.kind == "sandbox":
        yield from _for_the_sandbox()
    else:
        yield _helm()


def _for_the_sandbox() -> Iterator[Finding]:
    from eksnet.sandbox import lifecycle, preflight

    try:
        # What a running one has taken, another one would have to find free.
        if lifecycle.status().phase == "down":
            preflight.check_computer()
    except EksnetError as error:
        yield finding(error.seen, error.next_step)
    else:
        yield ok("this computer has what the sandbox needs")
    if shutil.which("curl", path=preflight.search_path()) is None:
        yield finding("curl is missing: `eksnet curl` calls it", "sudo apt-get install curl")


def _helm() -> Finding:
    install = "install Helm 3 or newer: https://helm.sh/docs/intro/install/"
    program = shutil.which("helm")
    if program is None:
        return finding("there is no helm on the path", install)
    said = _output([program, "version", "--short"])
    found = re.search(r"v(\d+)\.(\d+)", said)
    if not found:
        return cannot_tell(f"{program} version prints {said[:60]!r}", install)
    if (int(found[1]), int(found[2])) < _OLDEST_HELM:
        return finding(f"Helm {found[0]} is too old", install)
    return ok(f"Helm {found[0]}")


def _output(command: list[str]) -> str:
    """Return what a program prints, or why it prints nothing."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stdout or done.stderr).strip()
