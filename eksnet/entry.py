"""Where the command begins: before anything else is imported, Ctrl-C stops being a traceback.

Python turns SIGINT into an exception at whatever it does at that moment, imports and its own end
included. Here a signal ends the process at once, with one line; only the work of a command, which
may have begun something that is to be ended again, is interrupted by an exception: see
`eksnet.interrupts.orderly`.
"""

from __future__ import annotations

import os
import signal

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = "eksnet: interrupted\n"


def main() -> None:
    """Run the command."""
    install()
    from eksnet import cli

    cli.main()


def install() -> None:
    """Have the signals end the process, but for those that it is to pass over, as with nohup."""
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    try:
        if number == signal.SIGINT:
            os.write(2, INTERRUPTED.encode())
    finally:
        os._exit(128 + number)
