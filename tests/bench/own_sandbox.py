"""A sandbox of a benchmark's own, apart from the learner's."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from eksnet.sandbox import lifecycle


@contextlib.contextmanager
def started() -> Iterator[Path]:
    """Start it, and end it with the block; give a directory that goes with it."""
    with tempfile.TemporaryDirectory(prefix="eksnet-bench-") as home:
        os.environ |= {
            "XDG_STATE_HOME": home,
            "EKSNET_SANDBOX": "bench",
            "EKSNET_TARGET": "sandbox",
        }
        lifecycle.up()
        try:
            yield Path(home)
        finally:
            lifecycle.down()
