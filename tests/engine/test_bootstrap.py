"""Set-up, on computers made of fake commands that record how they are called."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pexpect
import pytest

from eksnet import bootstrap
from eksnet.bootstrap import Computer, SetupError, Step

SYSTEM = ("nft", "iptables", "ip", "conntrack", "busybox", "unshare", "nsenter", "musl-gcc")
ALL = [
    "nftables", "iptables", "iproute2", "conntrack", "busybox-static", "util-linux",
    "musl-tools", "ca-certificates",
]  # fmt: skip


@dataclass(frozen=True)
class Fake:
    """A computer of the tests' own."""

    home: Path
    computer: Computer = field(init=False)

    def __post_init__(self) -> None:
        computer = Computer(
            root=self.home,
            path=str(self.home / "bin"),
            user=1000,
            pythons=(str(self.home / "bin" / "python"),),
            tools=self.home / "tools",
            project=self.home,
            engine=self.home / "engine",
        )
        object.__setattr__(self, "computer", computer)

    def command(self, name: str, script: str = "exit 0") -> None:
        """Add a command; each call of it is recorded."""
        path = self.home / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.home}/calls\n{script}\n')
        path.chmod(0o755)

    def file(self, name: str, text: str) -> None:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def calls(self) -> list[str]:
        """Return the calls so far, the directory's own name left out."""
        text = (self.home / "calls").read_text() if (self.home / "calls").exists() else ""
        return text.replace(str(self.home), "").splitlines()


@pytest.fixture
def bare(tmp_path: Path) -> Fake:
    """A computer with nothing but apt and a Python without pip and venv."""
    fake = Fake(tmp_path)
    fake.command("apt-get")
    fake.command("python", "exit 1")
    return fake


@pytest.fixture
def whole(bare: Fake) -> Fake:
    """A computer on which nothing is missing."""
    for name in (*SYSTEM, "uv"):
        bare.command(name)
    bare.file("etc/ssl/certs/ca-certificates.crt", "certificates")
    bare.file("engine/engine-0123456789ab/records/kube.json", "{}")
    return bare


def root(fake: Fake) -> Computer:
    return replace(fake.computer, user=0)


# Packages.


def test_a_bare_computer_misses_everything(bare: Fake):
    assert bootstrap.missing_packages(bare.computer) == [*ALL, "python3-pip"]


def test_a_whole_computer_misses_nothing(whole: Fake):
    assert bootstrap.missing_packages(whole.computer) == []
    assert bootstrap.system_is_ready(whole.computer)


def test_the_suite_needs_a_browser(whole: Fake):
    computer = replace(whole.computer, tests=True)
    assert bootstrap.missing_packages(computer) == ["chromium"]
    whole.file("etc/os-release", "NAME=Ubuntu\nID=ubuntu\n")
    assert bootstrap.missing_packages(computer) == ["chromium-browser"]
    whole.command("chromium")
    assert bootstrap.missing_packages(computer) == []


def test_a_busybox_that_needs_libraries_does_not_count(whole: Fake):
    (whole.home / "bin" / "busybox").write_bytes(b"\x7fELF..." + b"/lib64/ld-linux-x86-64.so.2\0")
    assert bootstrap.missing_packages(whole.computer) == ["busybox-static"]


def test_pip_is_a_package_only_where_uv_cannot_be_had_without(whole: Fake):
    (whole.home / "bin" / "uv").unlink()
    assert bootstrap.missing_packages(whole.computer) == ["python3-pip"]
    whole.command("python", 'case "$*" in *ensurepip*) exit 0;; esac; exit 1')
    assert bootstrap.missing_packages(whole.computer) == []


def test_root_installs_what_is_missing(whole: Fake):
    (whole.home / "bin" / "nft").unlink()
    (whole.home / "bin" / "conntrack").unlink()
    bootstrap.prepare_system(root(whole))
    assert whole.calls() == [
        "apt-get update -q",
        "apt-get install -q -y --no-install-recommends nftables conntrack",
    ]


def test_another_user_is_given_the_line_and_nothing_is_run(whole: Fake):
    (whole.home / "bin" / "nft").unlink()
    with pytest.raises(SetupError) as error:
        bootstrap.prepare_system(whole.computer)
    line = "sudo apt-get update -q && sudo apt-get install -q -y --no-install-recommends nftables"
    assert line in str(error.value).splitlines()
    assert whole.calls() == []


def test_an_install_that_fails_is_said(whole: Fake):
    (whole.home / "bin" / "nft").unlink()
    whole.command("apt-get", "exit 100")
    with pytest.raises(SetupError, match="`apt-get update -q` ended with exit code 100"):
        bootstrap.prepare_system(root(whole))


def test_without_apt_the_packages_are_named(whole: Fake):
    (whole.home / "bin" / "nft").unlink()
    (whole.home / "bin" / "apt-get").unlink()
    with pytest.raises(SetupError, match=r"not installed: nftables .* no apt-get"):
        bootstrap.system_commands(whole.computer)


# AppArmor.


def test_where_apparmor_restricts_namespaces_root_installs_the_profile(whole: Fake):
    whole.command("apparmor_parser")
    whole.command("install", '/bin/cp "$3" "$4"')
    (whole.home / "etc" / "apparmor.d").mkdir()
    whole.file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
    assert not bootstrap.system_is_ready(whole.computer)
    bootstrap.prepare_system(root(whole))
    assert whole.calls()[-1] == "apparmor_parser --replace /etc/apparmor.d/eksnet-unshare"
    assert bootstrap.system_is_ready(whole.computer)
    whole.file("etc/apparmor.d/eksnet-unshare", "an older profile")
    assert not bootstrap.system_is_ready(whole.computer)


def test_another_user_is_given_the_line_for_apparmor(whole: Fake):
    whole.file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
    with pytest.raises(SetupError, match=r"sudo install -m 644 .* && sudo apparmor_parser"):
        bootstrap.prepare_system(whole.computer)


def test_elsewhere_there_is_no_profile_to_install(whole: Fake):
    whole.file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n")
    assert bootstrap.system_is_ready(whole.computer)


def test_the_profile_is_for_the_program_that_the_sandbox_begins_with():
    profile = bootstrap.APPARMOR_PROFILE.read_text()
    assert "/usr/bin/unshare flags=(unconfined)" in profile
    assert "  userns,\n" in profile
    assert bootstrap.NAMESPACES[0] == "unshare"


# Space on the disk.


def gigabytes(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    """Let every disk have so much free space."""
    usage = shutil.disk_usage("/")._replace(free=round(free * 10**9))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def new(fake: Fake) -> Computer:
    """A computer on which neither the packages nor the engine are there."""
    shutil.rmtree(fake.computer.engine, ignore_errors=True)
    fake.command("uv", 'case "$*" in *--check) exit 1;; esac')
    return fake.computer


@pytest.mark.parametrize(
    ("changes", "peak", "end"),
    [
        ({}, bootstrap.PACKAGES.end + bootstrap.ENGINE_BUILT.peak, 1500),
        ({"packed": True}, bootstrap.PACKAGES.end + bootstrap.ENGINE_UNPACKED.peak, 1500),
        ({"tests": True}, bootstrap.PACKAGES_FOR_TESTS.end + bootstrap.ENGINE_BUILT.peak, 10_000),
    ],
)
def test_set_up_says_first_what_it_takes_and_needs_no_more_than_that(
    whole: Fake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, bool], peak: int, end: int,
):  # fmt: skip
    computer = replace(new(whole), **changes)
    gigabytes(monkeypatch, peak / 1000)
    bootstrap.run(bootstrap.STEPS, computer)
    said = capsys.readouterr().out.splitlines()
    found = re.fullmatch(
        r"\[2/6\] disk space: up to (\S+) GB while it is set up"
        r" \(\S+ GB in \S+, \S+ GB in \S+/engine\), (\S+) GB after that",
        said[1],
    )
    assert found, said[1]
    assert found[1] == f"{peak / 1000:.1f}"
    assert float(found[2]) <= end / 1000
    assert said[2] == "[2/6] disk space: fine"


def test_too_little_space_ends_set_up_before_anything_is_installed(
    whole: Fake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    computer = new(whole)
    gigabytes(monkeypatch, 3)
    assert bootstrap.run(bootstrap.STEPS, computer) == 2
    said = capsys.readouterr().err
    assert f"3.0 GB are free in {whole.home}, and 8.0 GB are needed" in said
    assert "EKSNET_ENGINE_DIR" in said
    assert "make lab ENGINE=FILE" in said
    assert all(call.endswith("--check") for call in whole.calls())
    # A packed engine fits.
    assert bootstrap.there_is_space(replace(computer, packed=True))


def test_each_disk_is_compared_with_what_goes_there(whole: Fake, monkeypatch: pytest.MonkeyPatch):
    memory = Path("/dev/shm")
    if memory.stat().st_dev == whole.home.stat().st_dev:
        pytest.skip("no second file system")
    gigabytes(monkeypatch, bootstrap.ENGINE_BUILT.peak / 1000)
    elsewhere = replace(new(whole), engine=memory / "nothing" / "there")
    assert bootstrap.disks_too_small(elsewhere) == []
    gigabytes(monkeypatch, 1)
    assert bootstrap.disks_too_small(elsewhere) == [
        f"1.0 GB are free in {memory}, and {bootstrap.ENGINE_BUILT.peak / 1000:.1f} GB are needed"
    ]


def test_where_nothing_is_left_to_do_no_space_is_asked_for(
    whole: Fake, monkeypatch: pytest.MonkeyPatch
):
    gigabytes(monkeypatch, 0)
    assert bootstrap.say_space(whole.computer) == ""
    assert bootstrap.there_is_space(whole.computer)


# uv and the locked packages.


def test_uv_from_pip(bare: Fake):
    bare.command(
        "python",
        'case "$*" in *"-m pip install"*) /bin/mkdir -p "$6/bin"\n'
        'for d; do last=$d; done; [ "$last" = uv ] || exit 1\n'
        'while [ "$1" != --target ]; do shift; done; /bin/mkdir -p "$2/bin"\n'
        'echo "#!/bin/sh" > "$2/bin/uv"; /bin/chmod 755 "$2/bin/uv";; esac',
    )
    assert bootstrap.find_uv(bare.computer) is None
    bootstrap.install_uv(bare.computer)
    assert bootstrap.find_uv(bare.computer) == str(bare.home / "tools" / "bin" / "uv")


def test_uv_from_a_virtual_environment_where_pip_is_missing(bare: Fake):
    bare.command(
        "python",
        'case "$*" in *"\'pip\'"*) exit 1;;\n'
        '*"-m venv"*) /bin/mkdir -p "$4/bin"\n'
        'printf \'#!/bin/sh\\n/bin/cp "$0" "${0%%pip}uv"\\n\' > "$4/bin/pip"\n'
        '/bin/chmod 755 "$4/bin/pip";; esac',
    )
    bootstrap.install_uv(bare.computer)
    found = bootstrap.find_uv(bare.computer)
    assert found is not None
    assert Path(found).resolve() == bare.home / "tools" / "venv" / "bin" / "uv"


def test_uv_that_cannot_be_had(bare: Fake):
    bare.command("python", 'case "$*" in *install*|*venv*) echo "no network"; exit 1;; esac')
    with pytest.raises(SetupError, match="uv could not be installed: no network"):
        bootstrap.install_uv(bare.computer)


def test_locked_packages_are_compared_and_then_installed(whole: Fake):
    whole.command("uv", 'case "$*" in *--check) [ -e "$0.synced" ];; *) : > "$0.synced";; esac')
    assert not bootstrap.packages_are_locked(whole.computer)
    bootstrap.sync_packages(whole.computer)
    assert bootstrap.packages_are_locked(whole.computer)
    sync = "uv sync --frozen --no-dev --inexact --project "
    assert whole.calls() == [f"{sync} --check", sync, f"{sync} --check"]


def test_the_suite_has_its_packages_too(whole: Fake):
    bootstrap.sync_packages(replace(whole.computer, tests=True))
    assert whole.calls() == ["uv sync --frozen --project "]


# What uv says of a sync, shortened.
UV_SAYS = """
echo 'Using CPython 3.11.2' >&2
echo 'Downloading botocore (14.1MiB)' >&2
echo 'Installed 128 packages in 2.31s' >&2
for one in altair anyio boto3; do echo " + $one==1.0" >&2; done
"""


def test_of_a_sync_one_line_is_left(whole: Fake, capfd: pytest.CaptureFixture[str]):
    whole.command("uv", UV_SAYS)
    bootstrap.sync_packages(whole.computer)
    assert capfd.readouterr() == ("      Installed 128 packages in 2.31s\n", "")


def test_on_a_terminal_a_sync_shows_its_progress_in_one_line(whole: Fake):
    whole.command("uv", UV_SAYS)
    whole.file("go.py", f"import sys; sys.path.insert(0, {str(bootstrap.PROJECT)!r})\n"
        "from pathlib import Path\nfrom eksnet.bootstrap import Computer, sync_packages\n"
        f"home = Path({str(whole.home)!r})\n"
        "sync_packages(Computer(path=str(home / 'bin'), project=home, tools=home))")  # fmt: skip
    child = pexpect.spawn(
        sys.executable, [str(whole.home / "go.py")], encoding="utf-8", timeout=60,
        dimensions=(24, 30), env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    said = child.read()
    child.close()
    assert child.exitstatus == 0, said
    shown = [line.rstrip("\r\n") for line in said.split("\r\x1b[K")]
    assert "      Downloading botocore (1" in shown
    assert shown[-2:] == ["      + boto3==1.0", "      Installed 128 packages in 2.31s"]
    # Nothing but the last line is left: each was written over the one before it.
    assert said.count("\n") == 1


def test_a_sync_that_fails_is_said_with_all_that_uv_says(whole: Fake):
    whole.command("uv", f"{UV_SAYS}echo 'error: no space left' >&2; exit 2")
    with pytest.raises(SetupError) as error:
        bootstrap.sync_packages(whole.computer)
    said = str(error.value).splitlines()
    assert said[0] == "`uv sync` ended with exit code 2:"
    assert {"Downloading botocore (14.1MiB)", "error: no space left"} <= set(said)


# User namespaces.


def test_namespaces_are_tried_and_not_guessed(whole: Fake):
    assert bootstrap.namespaces_work(whole.computer)
    assert whole.calls() == [" ".join(bootstrap.NAMESPACES)]
    whole.command("unshare", "exit 1")
    assert not bootstrap.namespaces_work(whole.computer)


@pytest.mark.parametrize(
    ("file", "text", "remedy"),
    [
        ("proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces="),
        ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_parser"),
        (".dockerenv", "", "seccomp=unconfined"),
        ("run/.containerenv", "", "systempaths=unconfined"),
        ("nothing", "", "a virtual machine or WSL2"),
    ],
)
def test_each_reason_has_its_remedy(whole: Fake, file: str, text: str, remedy: str):
    whole.command("unshare", "echo 'unshare failed: Operation not permitted' >&2; exit 1")
    whole.file(file, text)
    with pytest.raises(SetupError) as error:
        bootstrap.explain_namespaces(whole.computer)
    assert "unshare failed: Operation not permitted" in str(error.value)
    assert remedy in str(error.value)


# The whole.


def test_a_run_shows_every_step(whole: Fake, capsys: pytest.CaptureFixture[str]):
    assert bootstrap.run(bootstrap.STEPS, whole.computer) == 0
    assert capsys.readouterr().out.splitlines() == [
        "[1/6] Python: fine",
        "[2/6] disk space: fine",
        "[3/6] system packages and permissions: fine",
        "[4/6] uv: fine",
        "[5/6] Python packages: fine",
        "[6/6] user namespaces: fine",
    ]


def test_a_run_that_stops_says_what_is_left_and_the_next_goes_on(
    whole: Fake, capsys: pytest.CaptureFixture[str]
):
    whole.command("uv", "exit 1")
    assert bootstrap.run(bootstrap.STEPS, whole.computer) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "[5/6] Python packages: to do"
    assert said.err.splitlines()[-1] == "Left to do: Python packages, user namespaces"
    whole.command("uv")
    assert bootstrap.run(bootstrap.STEPS, whole.computer) == 0


@pytest.fixture
def interruptible():
    """Even where the tests run behind a shell, which has what it puts there pass SIGINT over."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_run_says_so(whole: Fake, capsys: pytest.CaptureFixture[str]):
    def interrupted(_computer: Computer) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    steps = (Step("first", lambda _: False, interrupted),)
    assert bootstrap.run(steps, whole.computer) == 130
    assert "Interrupted. Left to do: first" in capsys.readouterr().err


def test_an_interrupted_command_may_end_by_itself(whole: Fake):
    # As a terminal does it: the command and set-up both hear Ctrl-C.
    whole.file("go.py", f"import sys; sys.path.insert(0, {str(bootstrap.PROJECT)!r})\n"
        "from eksnet.bootstrap import Computer, Step, run\n"
        "step = Step('apt', lambda _: False, lambda computer: computer.call('apt-get'))\n"
        f"sys.exit(run((step,), Computer(path={str(whole.home / 'bin')!r})))")  # fmt: skip
    whole.command("apt-get", "trap '/bin/sleep 1; echo tidied up; exit 1' INT\n"
        "echo begun; while :; do /bin/sleep 0.1; done")  # fmt: skip
    with subprocess.Popen(
        [sys.executable, whole.home / "go.py"], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=hear_interrupts,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while process.stdout.readline() != "begun\n":
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said.splitlines()[:3] == ["tidied up", "", "Interrupted. Left to do: apt"]
    assert process.returncode == 130


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("way", ["call", "watch"])
def test_an_interrupt_while_a_command_starts_waits_for_it_too(
    way: str, whole: Fake, monkeypatch: pytest.MonkeyPatch
):
    class Interrupted(subprocess.Popen[Any]):
        def __init__(self, *arguments: Any, **others: Any) -> None:
            super().__init__(*arguments, **others)
            # It runs, and its starter has no name for it yet.
            signal.raise_signal(signal.SIGINT)

    whole.command("apt-get", f"/bin/sleep 0.2; echo tidied up > {whole.home}/ended")
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        getattr(whole.computer, way)("apt-get")
    assert (whole.home / "ended").read_text() == "tidied up\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def hear_interrupts() -> None:
    """Undo what a shell does to what it puts behind itself."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted_by_itself(fake: Fake) -> tuple[int, str]:
    """Run set-up on a computer where something interrupts it; return its code and complaints."""
    said = subprocess.run(
        [sys.executable, bootstrap.__file__], text=True, capture_output=True, check=False,
        env={"PATH": fake.computer.path, "PYTHONPATH": str(fake.home / "modules")},
        preexec_fn=hear_interrupts,
    )  # fmt: skip
    return said.returncode, said.stderr


def test_ctrl_c_before_the_first_step_ends_it_without_a_word(whole: Fake):
    whole.file("modules/argparse.py", "import signal; signal.raise_signal(signal.SIGINT)")
    assert interrupted_by_itself(whole) == (-signal.SIGINT, "")


def test_ctrl_c_in_a_step_is_told(whole: Fake):
    whole.command("unshare", "kill -INT $PPID; exec /bin/sleep 60")
    code, complaints = interrupted_by_itself(whole)
    assert complaints.splitlines()[1] == "Interrupted. Left to do: user namespaces"
    assert code == 130


def test_a_step_that_does_nothing_useful_is_not_called_done(
    whole: Fake, capsys: pytest.CaptureFixture[str]
):
    steps = (Step("first", lambda _: False, lambda _: None),)
    assert bootstrap.run(steps, whole.computer) == 2
    assert "first: it ran without an error" in capsys.readouterr().err


def test_an_old_python_is_told_which_ones_will_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    assert not bootstrap.python_is_new_enough(Computer())
    with pytest.raises(SetupError, match=r"needs 3\.11, 3\.12 or 3\.13"):
        bootstrap.ask_for_python(Computer())


def test_it_runs_with_the_standard_library_alone():
    said = subprocess.run(
        [sys.executable, "-I", "-S", bootstrap.__file__, "--help"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert "--tests" in said.stdout
