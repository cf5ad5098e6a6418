"""Set-up, on computers made of fake commands that record how they are called."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from eksnet import setup
from eksnet.setup import Computer, SetupError, Step

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
    return bare


def root(fake: Fake) -> Computer:
    return replace(fake.computer, user=0)


# Packages.


def test_a_bare_computer_misses_everything(bare: Fake):
    assert setup.missing_packages(bare.computer) == [*ALL, "python3-pip"]


def test_a_whole_computer_misses_nothing(whole: Fake):
    assert setup.missing_packages(whole.computer) == []
    assert setup.system_is_ready(whole.computer)


def test_the_suite_needs_a_browser(whole: Fake):
    computer = replace(whole.computer, tests=True)
    assert setup.missing_packages(computer) == ["chromium"]
    whole.file("etc/os-release", "NAME=Ubuntu\nID=ubuntu\n")
    assert setup.missing_packages(computer) == ["chromium-browser"]
    whole.command("chromium")
    assert setup.missing_packages(computer) == []


def test_a_busybox_that_needs_libraries_does_not_count(whole: Fake):
    (whole.home / "bin" / "busybox").write_bytes(b"\x7fELF..." + b"/lib64/ld-linux-x86-64.so.2\0")
    assert setup.missing_packages(whole.computer) == ["busybox-static"]


def test_pip_is_a_package_only_where_uv_cannot_be_had_without(whole: Fake):
    (whole.home / "bin" / "uv").unlink()
    assert setup.missing_packages(whole.computer) == ["python3-pip"]
    whole.command("python", 'case "$*" in *ensurepip*) exit 0;; esac; exit 1')
    assert setup.missing_packages(whole.computer) == []


def test_root_installs_what_is_missing(whole: Fake):
    (whole.home / "bin" / "nft").unlink()
    (whole.home / "bin" / "conntrack").unlink()
    setup.prepare_system(root(whole))
    assert whole.calls() == [
        "apt-get update -q",
        "apt-get install -q -y --no-install-recommends nftables conntrack",
    ]


def test_another_user_is_given_the_line_and_nothing_is_run(whole: Fake):
    (whole.home / "bin" / "nft").unlink()
    with pytest.raises(SetupError) as error:
        setup.prepare_system(whole.computer)
    line = "sudo apt-get update -q && sudo apt-get install -q -y --no-install-recommends nftables"
    assert line in str(error.value).splitlines()
    assert whole.calls() == []


def test_an_install_that_fails_is_said(whole: Fake):
    (whole.home / "bin" / "nft").unlink()
    whole.command("apt-get", "exit 100")
    with pytest.raises(SetupError, match="`apt-get update -q` ended with exit code 100"):
        setup.prepare_system(root(whole))


def test_without_apt_the_packages_are_named(whole: Fake):
    (whole.home / "bin" / "nft").unlink()
    (whole.home / "bin" / "apt-get").unlink()
    with pytest.raises(SetupError, match=r"not installed: nftables .* no apt-get"):
        setup.system_commands(whole.computer)


# AppArmor.


def test_where_apparmor_restricts_namespaces_root_installs_the_profile(whole: Fake):
    whole.command("apparmor_parser")
    whole.command("install", '/bin/cp "$3" "$4"')
    (whole.home / "etc" / "apparmor.d").mkdir()
    whole.file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
    assert not setup.system_is_ready(whole.computer)
    setup.prepare_system(root(whole))
    assert whole.calls()[-1] == "apparmor_parser --replace /etc/apparmor.d/eksnet-unshare"
    assert setup.system_is_ready(whole.computer)
    whole.file("etc/apparmor.d/eksnet-unshare", "an older profile")
    assert not setup.system_is_ready(whole.computer)


def test_another_user_is_given_the_line_for_apparmor(whole: Fake):
    whole.file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
    with pytest.raises(SetupError, match=r"sudo install -m 644 .* && sudo apparmor_parser"):
        setup.prepare_system(whole.computer)


def test_elsewhere_there_is_no_profile_to_install(whole: Fake):
    whole.file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n")
    assert setup.system_is_ready(whole.computer)


def test_the_profile_is_for_the_program_that_the_sandbox_begins_with():
    profile = setup.APPARMOR_PROFILE.read_text()
    assert "/usr/bin/unshare flags=(unconfined)" in profile
    assert "  userns,\n" in profile
    assert setup.NAMESPACES[0] == "unshare"


# uv and the locked packages.


def test_uv_from_pip(bare: Fake):
    bare.command(
        "python",
        'case "$*" in *"-m pip install"*) /bin/mkdir -p "$6/bin"\n'
        'for d; do last=$d; done; [ "$last" = uv ] || exit 1\n'
        'while [ "$1" != --target ]; do shift; done; /bin/mkdir -p "$2/bin"\n'
        'echo "#!/bin/sh" > "$2/bin/uv"; /bin/chmod 755 "$2/bin/uv";; esac',
    )
    assert setup.find_uv(bare.computer) is None
    setup.install_uv(bare.computer)
    assert setup.find_uv(bare.computer) == str(bare.home / "tools" / "bin" / "uv")


def test_uv_from_a_virtual_environment_where_pip_is_missing(bare: Fake):
    bare.command(
        "python",
        'case "$*" in *"\'pip\'"*) exit 1;;\n'
        '*"-m venv"*) /bin/mkdir -p "$4/bin"\n'
        'printf \'#!/bin/sh\\n/bin/cp "$0" "${0%%pip}uv"\\n\' > "$4/bin/pip"\n'
        '/bin/chmod 755 "$4/bin/pip";; esac',
    )
    setup.install_uv(bare.computer)
    found = setup.find_uv(bare.computer)
    assert found is not None
    assert Path(found).resolve() == bare.home / "tools" / "venv" / "bin" / "uv"


def test_uv_that_cannot_be_had(bare: Fake):
    bare.command("python", 'case "$*" in *install*|*venv*) echo "no network"; exit 1;; esac')
    with pytest.raises(SetupError, match="uv could not be installed: no network"):
        setup.install_uv(bare.computer)


def test_locked_packages_are_compared_and_then_installed(whole: Fake):
    whole.command("uv", 'case "$*" in *--check) [ -e "$0.synced" ];; *) : > "$0.synced";; esac')
    assert not setup.packages_are_locked(whole.computer)
    setup.sync_packages(whole.computer)
    assert setup.packages_are_locked(whole.computer)
    sync = f"uv sync --frozen --project {setup.PROJECT}"
    assert whole.calls() == [f"{sync} --check", sync, f"{sync} --check"]


def test_a_sync_that_fails_is_said(whole: Fake):
    whole.command("uv", "exit 2")
    with pytest.raises(SetupError, match="`uv sync` ended with exit code 2"):
        setup.sync_packages(whole.computer)


# User namespaces.


def test_namespaces_are_tried_and_not_guessed(whole: Fake):
    assert setup.namespaces_work(whole.computer)
    assert whole.calls() == [" ".join(setup.NAMESPACES)]
    whole.command("unshare", "exit 1")
    assert not setup.namespaces_work(whole.computer)


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
        setup.explain_namespaces(whole.computer)
    assert "unshare failed: Operation not permitted" in str(error.value)
    assert remedy in str(error.value)


# The whole.


def test_a_run_shows_every_step(whole: Fake, capsys: pytest.CaptureFixture[str]):
    assert setup.run(setup.STEPS, whole.computer) == 0
    assert capsys.readouterr().out.splitlines() == [
        "[1/5] Python: fine",
        "[2/5] system packages and permissions: fine",
        "[3/5] uv: fine",
        "[4/5] Python packages: fine",
        "[5/5] user namespaces: fine",
    ]


def test_a_run_that_stops_says_what_is_left_and_the_next_goes_on(
    whole: Fake, capsys: pytest.CaptureFixture[str]
):
    whole.command("uv", "exit 1")
    assert setup.run(setup.STEPS, whole.computer) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "[4/5] Python packages: to do"
    assert said.err.splitlines()[-1] == "Left to do: Python packages, user namespaces"
    whole.command("uv")
    assert setup.run(setup.STEPS, whole.computer) == 0


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
    assert setup.run(steps, whole.computer) == 2
    assert "Interrupted. Left to do: first" in capsys.readouterr().err


def test_a_step_that_does_nothing_useful_is_not_called_done(
    whole: Fake, capsys: pytest.CaptureFixture[str]
):
    steps = (Step("first", lambda _: False, lambda _: None),)
    assert setup.run(steps, whole.computer) == 2
    assert "first: it ran without an error" in capsys.readouterr().err


def test_an_old_python_is_told_which_ones_will_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    assert not setup.python_is_new_enough(Computer())
    with pytest.raises(SetupError, match=r"needs 3\.11, 3\.12 or 3\.13"):
        setup.ask_for_python(Computer())


def test_it_runs_with_the_standard_library_alone():
    said = subprocess.run(
        [sys.executable, "-I", "-S", setup.__file__, "--help"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert "--tests" in said.stdout
