"""Calling Go: which packages have to be compiled, compiling them, and what a failure means."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eksnet import interrupts
from eksnet.errors import EksnetError
from eksnet.sandbox.build import cache, charts, toolchain
from eksnet.sandbox.build.cache import AGAIN
from eksnet.sandbox.build.modules import Chart, Module, Program
from eksnet.sandbox.build.toolchain import Go

OnLine = Callable[[str], None]

# Main packages are left out: to Go they are stale for as long as they are not installed.
_STALE = '{{if and .Stale (ne .Name "main")}}{{.ImportPath}}{{end}}'
_DOWNLOAD = "go: downloading "
# A learner reads and runs notebooks while the engine builds.
_NICE = 10
_GRACE = 5.0
# Less than Go writes at once, in bytes.
_FULL = 16 * 2**20


@dataclass(frozen=True)
class Compiler:
    """A Go toolchain at work in a module.

    Attributes:
        go: The toolchain.
        module: The module.
        base: The engine's cache, with Go's own in it. Go's drafts go to the builder's, for it
            leaves them behind when it is killed.
        lock: The descriptor of the build lock. Go inherits it: when the builder is killed, the
            next build waits until the orphan has ended too.
    """

    go: Go
    module: Module
    base: Path
    lock: int

    def stale(self, programs: list[Program], on_download: Callable[[], None]) -> set[str]:
        """Return the packages that the programs need and that are missing in the build cache.

        Fetches the sources.

        Raises:
            EksnetError: They cannot be had.
        """

        def on_line(line: str) -> None:
            if line.startswith(_DOWNLOAD):
                on_download()

        if not programs:
            return set()
        packages = [program.package for program in programs]
        flags = [flag for flag in programs[0].flags if flag.startswith(("-trimpath", "-buildvcs"))]
        return set(self._run(["list", "-deps", "-f", _STALE, *flags, *packages], on_line).split())

    def compile(self, program: Program, output: Path, on_package: OnLine) -> None:
        """Build one program.

        Args:
            program: What to build.
            output: The file to write.
            on_package: Called with each package's import path.

        Raises:
            EksnetError: It cannot be built.
        """
        self._run(["build", "-v", *program.flags, "-o", str(output), program.package], on_package)

    def pack(self, chart: Chart, output: Path) -> None:
        """Write a chart into one file; its sources are fetched where they are missing.

        Args:
            chart: What to pack.
            output: The file to write.

        Raises:
            EksnetError: Its sources cannot be had.
        """
        said = self._run(["mod", "download", "-json", chart.module], lambda line: None)
        charts.pack(Path(json.loads(said)["Dir"]) / chart.folder, output)

    def _run(self, arguments: list[str], on_line: OnLine) -> str:
        lines: list[str] = []
        with tempfile.TemporaryFile("w+") as printed:
            process = None
            try:
                with interrupts.held():
                    process = subprocess.Popen(
                        [self.go.path, *arguments],
                        cwd=self.module.source,
                        env={
                            **toolchain.environment(self.base),
                            "GOTMPDIR": str(cache.drafts(self.base)),
                        },
                        stdin=subprocess.DEVNULL,
                        stdout=printed,
                        stderr=subprocess.PIPE,
                        text=True,
                        errors="replace",
                        pass_fds=(self.lock,),
                    )
                _be_nice(process.pid)
                assert process.stderr is not None
                for line in process.stderr:
                    lines.append(line.rstrip())
                    on_line(lines[-1])
            except BaseException:
                if process is not None:
                    _interrupt(process)
                raise
            process.wait()
            if process.returncode != 0:
                is_full = shutil.disk_usage(self.base).free < _FULL
                raise failure(lines, process.returncode, is_full=is_full)
            printed.seek(0)
            return printed.read()


def _be_nice(pid: int) -> None:
    # Only ever nicer than it is: the other way is not for ordinary users.
    nice = max(_NICE, os.getpriority(os.PRIO_PROCESS, pid))
    os.setpriority(os.PRIO_PROCESS, pid, nice)


def _interrupt(process: subprocess.Popen[str]) -> None:
    # Go tidies up when it is interrupted, if it gets the time.
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_NO_ROOM = re.compile(r"no space left on device|disk quota exceeded", re.I)
_NO_MEMORY = re.compile(r"signal: killed|cannot allocate memory|out of memory", re.I)
_NO_NETWORK = re.compile(
    r"dial tcp|no such host|connection refused|i/o timeout|proxyconnect|TLS handshake|x509:"
    r"|module lookup disabled|network is unreachable|: (unexpected )?EOF$|\b(4\d\d|50\d) [A-Z]"
)
_WRONG_SUM = re.compile(r"checksum mismatch|SECURITY ERROR", re.I)


def failure(lines: list[str], code: int, *, is_full: bool = False) -> EksnetError:
    """Turn what Go printed into one message with the remedy.

    Args:
        lines: Its standard error.
        code: Its exit code.
        is_full: Whether the disk with its caches is full. Go does not always say so itself.
    """

    def first(pattern: re.Pattern[str]) -> str | None:
        return next((line.strip() for line in lines if pattern.search(line)), None)

    line = first(_NO_ROOM)
    if line or is_full:
        return EksnetError(
            line or "no space left on device for Go's caches",
            "enough free space for Go's caches and the programs",
            f"free some space, or set EKSNET_ENGINE_DIR to a larger disk; then {AGAIN}",
        )
    if line := first(_WRONG_SUM):
        return EksnetError(
            line,
            "sources with the checksums in go.sum",
            "check the proxy between this computer and the Go module proxy; it changed a module",
        )
    if line := first(_NO_NETWORK):
        return EksnetError(
            line,
            "a connection to the Go module proxy",
            f"check the network (HTTPS_PROXY, GOPROXY), then {AGAIN}",
        )
    if line := first(_NO_MEMORY):
        return EksnetError(line, "about 3 GB of free memory", f"close some programs, then {AGAIN}")
    return EksnetError(
        first(_USEFUL) or f"go ended with exit code {code}",
        "an engine that compiles",
        f"{AGAIN}; if this message appears again, the engine's sources have an error",
    )


# Neither a package that was begun, nor a heading before its errors, nor a module being fetched.
_USEFUL = re.compile(rf"^(?!# |{_DOWNLOAD})\S+ ")
