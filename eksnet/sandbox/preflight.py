"""What a start needs of the computer: refused early, with the remedy."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import subprocess
import sys

from eksnet.errors import EksnetError
from eksnet.sandbox import components

_TOOLS = ("unshare", "nsenter", "ip", "iptables", "nft", "conntrack")
# As Go writes it: 1m30s.
_DURATION = re.compile(r"(\d+(\.\d+)?(ms|s|m|h))+")
_libc = ctypes.CDLL(None, use_errno=True)


def check_computer() -> None:
    """Refuse early, with the remedy, what could not work.

    Raises:
        EksnetError: Not Linux, a program missing, no user namespaces, or too few inotify instances.
    """
    _check_linux()
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=search_path()) is None]
    if missing:
        raise EksnetError(
            f"not installed: {', '.join(missing)}",
            "the programs that set up the nodes' network",
            "sudo apt-get install iproute2 iptables nftables conntrack util-linux",
        )
    check_namespaces()
    check_inotify(components.INOTIFY_INSTANCES)


def _check_linux() -> None:
    if sys.platform != "linux":
        raise EksnetError(
            f"the sandbox needs Linux namespaces, and this is {sys.platform}",
            "Linux, or a Linux virtual machine or container",
            "see “Where the sandbox cannot run” in README.md",
        )


def check_namespaces() -> None:
    """Refuse a computer that lets its users make no namespaces.

    Raises:
        EksnetError: It is no Linux, or it refuses.
    """
    _check_linux()
    probe = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "true"],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if probe.returncode != 0:
        raise EksnetError(
            f"this computer does not let you create a user namespace: {probe.stderr.strip()}",
            "unprivileged user namespaces",
            "run `make lab` again: the set-up says what to change on this computer",
        )


def check_inotify(needed: int) -> None:
    """Refuse a start that would run out of inotify instances: what gets none exits at its start.

    They are counted per user, over everything that the user runs, in the namespaces too; the only
    way to learn how many are left is to take them.

    Raises:
        EksnetError: There are too few.
    """
    with contextlib.ExitStack() as taken:
        for count in range(needed):
            descriptor = _libc.inotify_init1(os.O_CLOEXEC)
            if descriptor < 0:
                why = os.strerror(ctypes.get_errno())
                raise EksnetError(
                    f"{count} inotify instances are free for this user ({why})",
                    f"{needed}: the cluster uses them to watch its certificates and configuration",
                    "sudo sysctl fs.inotify.max_user_instances=512",
                )
            taken.callback(os.close, descriptor)


def check_duration(text: str | None) -> None:
    """Refuse early what would keep the kubelets from starting, this time and the next.

    Raises:
        EksnetError: The text is an invalid duration.
    """
    if text is not None and not _DURATION.fullmatch(text):
        raise EksnetError(
            f"--sync-frequency {text} is an invalid duration",
            "a number with the unit ms, s, m or h",
            "`eksnet up --sync-frequency 1m` is as on EKS",
        )


def search_path() -> str:
    """Return PATH with the system's directories, which ordinary users often lack."""
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def environment() -> dict[str, str]:
    """Return this process's variables, with the system's directories in PATH."""
    return {**os.environ, "PATH": search_path()}
