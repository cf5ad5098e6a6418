"""Where Go has the source of a module that the engine pins: the tests read upstream's own files."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path

from eksnet.sandbox.build import MODULE, engine_directory, toolchain

CONTROLLER = "sigs.k8s.io/aws-load-balancer-controller"


@functools.cache
def directory(module: str) -> Path:
    """Return the folder of a module's source, of the version that the engine pins.

    Args:
        module: The module's path.
    """
    go = toolchain.find(engine_directory(), MODULE.go_directive)
    assert go is not None, "no Go: `eksnet engine build` installs one"
    said = subprocess.run(
        [go.path, "mod", "download", "-json", module],
        cwd=MODULE.source, env=toolchain.environment(engine_directory()), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    return Path(json.loads(said.stdout)["Dir"])
