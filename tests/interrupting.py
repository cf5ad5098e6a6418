"""The command as a shell starts it, and interrupted at a moment of its own time."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from eksnet.entry import NUMBERS

COMMAND = (sys.executable, "-c", "from eksnet.entry import main; main()")
# What it says and returns when it was interrupted.
IN_ONE_LINE = (130, "eksnet: interrupted\n")


def interrupted(
    arguments: list[str], moment: float, number: int = signal.SIGINT, **options: Any
) -> tuple[int, str]:
    """Send a command a signal some seconds after it has begun; return its code and complaints."""
    command = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=hear_all, **options,
    )  # fmt: skip
    # Python's own start, which can be interrupted by nothing but an error, is not the command's.
    while command.poll() is None and not hears(command.pid, signal.SIGHUP):
        time.sleep(0.001)
    with contextlib.suppress(subprocess.TimeoutExpired):
        command.communicate(timeout=moment)
    command.send_signal(number)
    _, complaints = command.communicate(timeout=60)
    return command.returncode, complaints


def hear_all() -> None:
    """Hear also what the tests themselves were told to pass over, as nohup tells of SIGHUP."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_DFL)


def hears(pid: int, number: int) -> bool:
    """Tell whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)
