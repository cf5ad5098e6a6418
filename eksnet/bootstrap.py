"""All that the course needs of a computer, step by step: `python3 eksnet/bootstrap.py [--tests]`.

It runs before anything is installed, so it uses the standard library alone. Each step looks at
its own effect first: run again after an interruption, it continues where it stopped.
"""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    # Until `main` begins, Ctrl-C ends this without a traceback: there is nothing to put in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

OLDEST_PYTHON = (3, 11)
PROJECT = Path(__file__).resolve().parent.parent

# Ubuntu's profile names are those of the programs; this one must not replace another's.
APPARMOR_PROFILE = Path(__file__).resolve().parent / "sandbox" / "apparmor" / "eksnet-unshare"
_APPARMOR_PLACE = "etc/apparmor.d/eksnet-unshare"
_APPARMOR_RESTRICTS = "proc/sys/kernel/apparmor_restrict_unprivileged_userns"

# What the sandbox does first, in one command.
NAMESPACES = (
    "unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork",
    "--kill-child", "--mount-proc", "true",
)  # fmt: skip


@dataclass(frozen=True)
class Footprint:
    """What a part of set-up takes on the disk, as measured: docs/contributing.md says how.

    Attributes:
        peak: MB while it is set up.
        end: MB that stay.
    """

    peak: int
    end: int


# With uv itself; uv's cache and the environment share their files where one disk holds both.
PACKAGES = Footprint(540, 540)
PACKAGES_FOR_TESTS = Footprint(850, 850)
ENGINE_BUILT = Footprint(7500, 520)
ENGINE_BUILT_FOR_TESTS = Footprint(7500, 7500)
ENGINE_UNPACKED = Footprint(700, 520)


def engine_directory() -> Path:
    """Return the engine's cache: `EKSNET_ENGINE_DIR`, else below the user's cache directory."""
    if named := os.environ.get("EKSNET_ENGINE_DIR"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "eksnet" / "engine"


class SetupError(Exception):
    """A step needs the reader's help; the message says what was seen and what to do."""


@contextlib.contextmanager
def _interrupted_together() -> Iterator[None]:
    """Hear Ctrl-C at the end of the block: a terminal interrupts the command in it as well.

    Killed before it has ended by itself, apt would leave packages half installed. And a command
    runs a moment before its starter has a name for it, so no exception may come in between.
    """
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if callable(before):
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt


@dataclass(frozen=True)
class Computer:
    """The computer that is set up.

    Attributes:
        tests: Whether the suite is to run on it too.
        packed: Whether the engine comes from a packed file, and is not built.
        root: Where its file system begins.
        path: Where its programs are looked for.
        user: The effective user id.
        pythons: Pythons whose pip or venv may install uv; the distribution's is the one for which
            it ships python3-pip.
        tools: Where uv goes when it is not on the path.
        project: Where the Python packages go.
        engine: Where the engine's programs go.
    """

    tests: bool = False
    packed: bool = False
    root: Path = Path("/")
    path: str = field(
        default_factory=lambda: os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    )
    user: int = field(default_factory=os.geteuid)
    pythons: tuple[str, ...] = (sys.executable, "/usr/bin/python3")
    tools: Path = PROJECT / ".tools"
    project: Path = PROJECT
    engine: Path = field(default_factory=engine_directory)

    def which(self, *programs: str) -> str | None:
        """Return the first of the programs that is there."""
        found = (shutil.which(program, path=self.path) for program in programs)
        return next((program for program in found if program), None)

    def read(self, path: str) -> str | None:
        """Return a file's text, if there is such a file."""
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return None

    def call(self, *command: str) -> int:
        """Run a command in the reader's sight and return its exit code."""
        sys.stdout.flush()
        with _interrupted_together():
            return subprocess.run(
                command, env=self._environment(), stdin=subprocess.DEVNULL, check=False
            ).returncode

    def watch(self, *command: str) -> tuple[int, str]:
        """Run a command, its last line in the reader's sight; return its exit code and output.

        On a terminal that line is replaced by the next one, and gone at the end.
        """
        sys.stdout.flush()
        lines: list[str] = []
        with _interrupted_together(), subprocess.Popen(
            command, env=self._environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process:  # fmt: skip
            for line in process.stdout or ():
                lines.append(line.rstrip())
                _show_in_place(f"      {lines[-1].strip()}")
        _show_in_place("")
        return process.returncode, "\n".join(lines)

    def ask(self, *command: str) -> tuple[int, str]:
        """Run a command out of sight; return its exit code and what it printed on either side."""
        try:
            said = subprocess.run(
                command, env=self._environment(), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        except OSError as error:
            return 127, str(error)
        return said.returncode, said.stdout.strip()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": self.path, "DEBIAN_FRONTEND": "noninteractive"}


def _show_in_place(line: str) -> None:
    """Show a line on a terminal, over the one before it."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{line[:width]}", end="", flush=True)


@dataclass(frozen=True)
class Step:
    """One step of set-up.

    Attributes:
        title: What it is for.
        is_done: Tells whether its effect is there.
        do: Brings its effect about.
        note: Returns what the reader has to know before it, or nothing.
    """

    title: str
    is_done: Callable[[Computer], bool]
    do: Callable[[Computer], None]
    note: Callable[[Computer], str] = lambda _: ""


# Python.


def python_is_new_enough(_computer: Computer) -> bool:
    """Tell whether the Python that runs this can run the course."""
    return sys.version_info[:2] >= OLDEST_PYTHON


def ask_for_python(_computer: Computer) -> None:
    """Say which Python is needed."""
    raise SetupError(
        f"this is Python {sys.version.split()[0]}; the course needs 3.11, 3.12 or 3.13.\n"
        "Install one of them, and give its name: make lab PYTHON=python3.12\n"
        "(or use conda: conda env create -f environment.yml)"
    )


# Space on the disk.


def parts_to_set_up(computer: Computer) -> list[tuple[Path, Footprint]]:
    """Return where something has still to be put, and what it takes there.

    A clone that has moved on needs an engine of another key, which is not looked for here: the
    builder, which knows keys, compares the space again.
    """
    parts = []
    if not packages_are_locked(computer):
        parts.append((computer.project, PACKAGES_FOR_TESTS if computer.tests else PACKAGES))
    if not any(computer.engine.glob("*/records/*.json")):
        built = ENGINE_BUILT_FOR_TESTS if computer.tests else ENGINE_BUILT
        parts.append((computer.engine, ENGINE_UNPACKED if computer.packed else built))
    return parts


def say_space(computer: Computer) -> str:
    """Return how much set-up takes at its peak and in the end."""
    parts = parts_to_set_up(computer)
    if not parts:
        return ""
    places = ", ".join(f"{_gb(part.peak)} in {place}" for place, part in parts)
    return f"up to {_gb(_peak(parts))} while it is set up ({places}), {_gb(_end(parts))} after that"


def _peak(parts: list[tuple[Path, Footprint]]) -> int:
    # One after the other: what an earlier one leaves is there when a later one is at its peak.
    footprints = [part for _, part in parts]
    return max(
        sum(before.end for before in footprints[:number]) + part.peak
        for number, part in enumerate(footprints)
    )


def _end(parts: list[tuple[Path, Footprint]]) -> int:
    return sum(part.end for _, part in parts)


def _gb(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB"


def disks_too_small(computer: Computer) -> list[str]:
    """Return a line for each disk that cannot hold what is to be put there at its peak."""
    disks: dict[int, list[tuple[Path, Footprint]]] = {}
    for place, part in parts_to_set_up(computer):
        existing = next(path for path in (place, *place.parents) if path.exists())
        disks.setdefault(existing.stat().st_dev, []).append((existing, part))
    found = []
    for parts in disks.values():
        place = parts[-1][0]
        free = shutil.disk_usage(place).free // 10**6
        if free < _peak(parts):
            found.append(f"{_gb(free)} are free in {place}, and {_gb(_peak(parts))} are needed")
    return found


def there_is_space(computer: Computer) -> bool:
    """Tell whether every disk holds what is to be put there."""
    return not disks_too_small(computer)


def ask_for_space(computer: Computer) -> None:
    """Say how much space is missing, and what helps."""
    lines = disks_too_small(computer)
    lines.append("Free some space, or set EKSNET_ENGINE_DIR to a directory on a larger disk;")
    lines.append("then run the same command again.")
    if not computer.packed:
        lines.append("An engine that was packed elsewhere needs less: make lab ENGINE=FILE")
    raise SetupError("\n".join(lines))


# What only the system administrator may do, in one go.


def missing_packages(computer: Computer) -> list[str]:
    """Return the distribution's packages whose programs are not there."""
    chromium = "chromium-browser" if _is_ubuntu(computer) else "chromium"
    there = {
        "nftables": computer.which("nft"),
        "iptables": computer.which("iptables"),
        "iproute2": computer.which("ip"),
        "conntrack": computer.which("conntrack"),
        "busybox-static": _static_busybox(computer),
        "util-linux": computer.which("unshare") and computer.which("nsenter"),
        # Alpine's resolver, for the pods that show how it differs.
        "musl-tools": computer.which("musl-gcc"),
        # Go trusts the system's certificates, and a minimal installation has none.
        "ca-certificates": computer.read("etc/ssl/certs/ca-certificates.crt"),
    }
    if computer.tests:
        there[chromium] = computer.which("chromium", "chromium-browser")
    if not (
        find_uv(computer) or _pythons_with(computer, "pip") or _pythons_with(computer, "ensurepip")
    ):
        there["python3-pip"] = None
    return [package for package, found in there.items() if not found]


def _is_ubuntu(computer: Computer) -> bool:
    lines = (computer.read("etc/os-release") or "").splitlines()
    return "ID=ubuntu" in lines


def _static_busybox(computer: Computer) -> str | None:
    program = computer.which("busybox")
    if program is None:
        return None
    # A dynamic program names its loader near its start, and a container has no loader.
    with open(program, "rb") as file:
        return None if b"/ld-" in file.read(4096) else program


def apparmor_forbids(computer: Computer) -> bool:
    """Tell whether Ubuntu's AppArmor still has to be told that the sandbox may make a namespace."""
    if computer.read(_APPARMOR_RESTRICTS) != "1":
        return False
    return computer.read(_APPARMOR_PLACE) != APPARMOR_PROFILE.read_text().strip()


def system_commands(computer: Computer) -> list[list[str]]:
    """Return what has to be run as root.

    Raises:
        SetupError: Packages are missing and the package manager is not apt.
    """
    commands = []
    packages = missing_packages(computer)
    if packages and computer.which("apt-get") is None:
        raise SetupError(
            f"not installed: {', '.join(packages)} (Debian's names), and there is no apt-get.\n"
            "Install them with your package manager, then run the same command again."
        )
    if packages:
        commands.append(["apt-get", "update", "-q"])
        commands.append(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages])
    if apparmor_forbids(computer):
        place = str(computer.root / _APPARMOR_PLACE)
        commands.append(["install", "-m", "644", str(APPARMOR_PROFILE), place])
        commands.append(["apparmor_parser", "--replace", place])
    return commands


def system_is_ready(computer: Computer) -> bool:
    """Tell whether nothing is left that needs root."""
    return not system_commands(computer)


def prepare_system(computer: Computer) -> None:
    """Run what needs root, or say how to run it."""
    commands = system_commands(computer)
    if computer.user != 0:
        line = " && ".join("sudo " + shlex.join(command) for command in commands)
        raise SetupError(f"needs root. Run this line, then run the same command again:\n\n{line}\n")
    for command in commands:
        print(f"      {shlex.join(command)}")
        code = computer.call(*command)
        if code != 0:
            raise SetupError(
                f"`{shlex.join(command)}` ended with exit code {code}; its output is above.\n"
                "Fix the problem (does the network work?), then run the same command again."
            )


# uv and the locked packages.


def find_uv(computer: Computer) -> str | None:
    """Return uv, from the path or from where `install_uv` puts it."""
    return computer.which("uv") or shutil.which("uv", path=str(computer.tools / "bin"))


def install_uv(computer: Computer) -> None:
    """Install uv into .tools with pip, or with the pip of a virtual environment of its own."""
    said = "neither pip nor ensurepip"
    for python in _pythons_with(computer, "pip"):
        code, said = computer.ask(
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--upgrade",
            "--target",
            str(computer.tools),
            "uv",
        )
        if code == 0:
            return
    for python in _pythons_with(computer, "ensurepip"):
        code, said = computer.ask(python, "-m", "venv", "--clear", str(computer.tools / "venv"))
        if code == 0:
            pip = str(computer.tools / "venv" / "bin" / "pip")
            code, said = computer.ask(pip, "install", "--quiet", "uv")
        if code == 0:
            _link_uv(computer)
            return
    raise SetupError(
        f"uv could not be installed: {_last_line(said)}\n"
        "Check the network, or install uv yourself; then run the same command again."
    )


def _pythons_with(computer: Computer, module: str) -> list[str]:
    looks = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return [
        python
        for python in dict.fromkeys(computer.pythons)
        if computer.ask(python, "-c", looks)[0] == 0
    ]


def _link_uv(computer: Computer) -> None:
    # The environment's own bin directory stays off the path: it has a python3 as well.
    link = computer.tools / "bin" / "uv"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(Path("..") / "venv" / "bin" / "uv")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"


def packages_are_locked(computer: Computer) -> bool:
    """Tell whether the environment is what uv.lock says."""
    uv = find_uv(computer)
    return bool(uv) and computer.ask(*_sync(computer, str(uv)), "--check")[0] == 0


def sync_packages(computer: Computer) -> None:
    """Make the environment what uv.lock says."""
    code, said = computer.watch(*_sync(computer, str(find_uv(computer))))
    if code != 0:
        raise SetupError(
            f"`uv sync` ended with exit code {code}:\n{said}\n"
            "Check the network and the free space, then run the same command again."
        )
    # How many were installed, and not each one.
    print(
        "".join(f"      {line}\n" for line in said.splitlines() if line.startswith("Installed")),
        end="",
    )


def _sync(computer: Computer, uv: str) -> list[str]:
    # A learner needs no packages for tests; where they are installed, they stay.
    learner = [] if computer.tests else ["--no-dev", "--inexact"]
    return [uv, "sync", "--frozen", *learner, "--project", str(computer.project)]


# User namespaces.


def namespaces_work(computer: Computer) -> bool:
    """Try the sandbox's first command."""
    return computer.ask(*NAMESPACES)[0] == 0


def explain_namespaces(computer: Computer) -> None:
    """Say why the sandbox's first command fails, and what helps."""
    said = computer.ask(*NAMESPACES)[1]
    raise SetupError(
        f"the sandbox cannot make its namespaces here: {_last_line(said)}\n{_remedy(computer)}\n"
        "Everything that needs no sandbox, or uses your own cluster, works anyway: bin/eksnet lab"
    )


def _remedy(computer: Computer) -> str:
    if computer.read("proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "Run: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if computer.read("proc/sys/user/max_user_namespaces") == "0":
        return "Run: sudo sysctl -w user.max_user_namespaces=15000"
    if computer.read(_APPARMOR_RESTRICTS) == "1":
        return (
            "AppArmor restricts them although the course's profile is installed. Load it:\n"
            f"sudo apparmor_parser --replace /{_APPARMOR_PLACE}"
        )
    if any((computer.root / mark).exists() for mark in (".dockerenv", "run/.containerenv")):
        return (
            "This is a container, and its seccomp profile or its masked /proc prevents it.\n"
            "Start it with --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
        )
    return "The sandbox needs a Linux that lets users create them: a virtual machine or WSL2 does."


STEPS = (
    Step("Python", python_is_new_enough, ask_for_python),
    Step("disk space", there_is_space, ask_for_space, say_space),
    Step("system packages and permissions", system_is_ready, prepare_system),
    Step("uv", lambda computer: bool(find_uv(computer)), install_uv),
    Step("Python packages", packages_are_locked, sync_packages),
    Step("user namespaces", namespaces_work, explain_namespaces),
)


def run(steps: tuple[Step, ...], computer: Computer) -> int:
    """Take the steps in turn; return 0, 2 when one cannot be taken, or 130 on Ctrl-C."""
    for number, step in enumerate(steps, start=1):
        place = f"[{number}/{len(steps)}] {step.title}"
        left = ", ".join(later.title for later in steps[number - 1 :])
        try:
            if note := step.note(computer):
                print(f"{place}: {note}")
            if step.is_done(computer):
                print(f"{place}: fine")
                continue
            print(f"{place}: to do")
            step.do(computer)
            if not step.is_done(computer):
                raise SetupError("it ran without an error, but had no effect.")
            print(f"{place}: done")
        except SetupError as trouble:
            print(f"{place}: {trouble}\nLeft to do: {left}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"\nInterrupted. Left to do: {left}", file=sys.stderr)
            print("Run the same command again; it continues where it stopped.", file=sys.stderr)
            return 130
    return 0


def main() -> int:
    """Set this computer up."""
    parser = argparse.ArgumentParser(description="Set up this computer for the course.")
    parser.add_argument(
        "--tests", action="store_true", help="also set up what the test suite needs"
    )
    parser.add_argument("--packed", action="store_true", help="the engine comes from a packed file")
    given = parser.parse_args()
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run(STEPS, Computer(tests=given.tests, packed=given.packed))
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
