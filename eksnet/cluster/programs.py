"""The engine's programs that work on any cluster: a request in, an answer out, both JSON."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from eksnet import interrupts
from eksnet.errors import EksnetError

_NEXT = "`eksnet status` shows whether the sandbox is ready; then try again"


def ask_program(name: str, request: Mapping[str, Any]) -> Any:
    """Run one of the engine's programs and return its answer.

    Args:
        name: The program.
        request: What it reads: secrets are not seen in a list of processes.

    Raises:
        EksnetError: It is not built, or says why it has no answer.
    """
    from eksnet.sandbox import build

    program = build.program(name)
    with contextlib.ExitStack() as stack:
        with interrupts.held():
            process = subprocess.Popen(
                [program], cwd="/", env={"PATH": os.defpath}, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            stack.callback(_end, process)
        answer, complaint = process.communicate(json.dumps(request).encode())
    if process.returncode != 0:
        said = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise EksnetError(
            said or f"the engine's program {name} ended with exit code {process.returncode}",
            "an API server and an AWS account that answer",
            _NEXT,
        )
    return json.loads(answer)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.communicate()
