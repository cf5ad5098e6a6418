"""Asking whoever has lent a sandbox to this process for a socket; `lending` is the other side."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path

from eksnet.errors import EksnetError

# In place of a host, a port and seconds: what is wanted is a dry run that has been started.
DRY_RUN = "dry run"
MESSAGE = 4096


def borrowed(place: Path, wish: object) -> socket.socket:
    """Return the socket that the lender hands over.

    Args:
        place: The lender's socket.
        wish: Host, port and seconds of a connection; or `DRY_RUN`.

    Raises:
        EksnetError: The lender refuses.
        OSError: There is no connection, or no lender.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as lender:
        lender.connect(str(place))
        lender.sendall(json.dumps(wish).encode())
        said, descriptors, _, _ = socket.recv_fds(lender, MESSAGE, 1)
    for descriptor in descriptors:
        return socket.socket(fileno=descriptor)
    raise error(said, b"the sandbox is lent no more")


def error(said: bytes, complaint: bytes) -> OSError | EksnetError:
    """Return the error that there was in place of a socket.

    Args:
        said: What the other side said of it, as JSON; empty when it said nothing.
        complaint: Why it said nothing.
    """
    if not said:
        return OSError(errno.EIO, complaint.decode(errors="replace").strip())
    told = json.loads(said)
    if told["kind"] == EksnetError.__name__:
        return EksnetError(told["text"], told["expected"], told["next"])
    if told["kind"] == socket.gaierror.__name__:
        return socket.gaierror(told["errno"], told["text"])
    # By its number it becomes the error of that kind; the time that is over has none.
    number = told["errno"] or errno.ETIMEDOUT
    return OSError(number, told["text"] or os.strerror(number))
