"""What containers of small images run: this computer's busybox, and a lookup made with musl."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from eksnet.errors import EksnetError
from eksnet.sandbox.paths import Paths

_GETENT = Path(__file__).parent / "musl" / "getent.c"


def busybox(paths: Paths) -> Path:
    """Return a directory with busybox and a link for each of its applets.

    Raises:
        EksnetError: There is no busybox, or it needs libraries that a container does not have.
    """
    directory = paths.state / "busybox"
    source = shutil.which("busybox", path="/usr/bin:/bin:/usr/local/bin")
    if source is None or _needs_libraries(Path(source)):
        raise EksnetError(
            "there is no static busybox on this computer"
            if source is None
            else f"{source} is not static",
            "the package busybox-static",
            "sudo apt-get install busybox-static",
        )
    if not _same(Path(source), directory / "busybox"):
        _install(Path(source), directory)
    return directory


def musl(paths: Paths) -> Path:
    """Return a directory with `getent`, the lookup with musl's resolver that Alpine's image has.

    Without a musl-gcc that works it is empty: the sandbox does without, and a pod of Alpine says
    what is missing.
    """
    directory = paths.state / "musl"
    directory.mkdir(parents=True, exist_ok=True)
    # Whatever the umask: root of a node is not root of this computer.
    directory.chmod(0o755)
    compiled = directory / _GETENT.name
    compiler = shutil.which("musl-gcc")
    if compiler is None or (compiled.exists() and compiled.read_bytes() == _GETENT.read_bytes()):
        return directory
    draft = directory / f".getent.{os.getpid()}"
    command = [compiler, "-static", "-Os", "-Wall", "-Wextra", "-o", str(draft), str(_GETENT)]
    if subprocess.run(command, capture_output=True).returncode == 0:
        draft.chmod(0o755)
        draft.rename(directory / "getent")
        shutil.copyfile(_GETENT, compiled)
    return directory


def _needs_libraries(program: Path) -> bool:
    # A dynamic program names its loader near the start of the file.
    with program.open("rb") as file:
        return b"/ld-" in file.read(4096)


def _same(source: Path, copy: Path) -> bool:
    if not copy.exists():
        return False
    one, other = source.stat(), copy.stat()
    return (one.st_size, int(one.st_mtime)) == (other.st_size, int(other.st_mtime))


def _install(source: Path, directory: Path) -> None:
    draft = directory.with_name(f".busybox.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    draft.chmod(0o755)
    shutil.copy2(source, draft / "busybox")
    listing = subprocess.run([source, "--list"], capture_output=True, text=True, check=True)
    for applet in listing.stdout.split():
        if applet != "busybox":
            (draft / applet).symlink_to("busybox")
    shutil.rmtree(directory, ignore_errors=True)
    draft.rename(directory)
